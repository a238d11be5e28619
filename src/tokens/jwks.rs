//! [`JwksService`]: publishes the keys that verify.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready as Immediate, ready as immediate},
    sync::{Arc, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use tower_service::Service;

use super::issue::{Ready, ready};
use crate::{
    body::ResponseBody,
    jwt::{cached_for, published},
};

/// Answers `GET` and `HEAD` with the JWK Set of an issuer as it is at that moment, whatever the path.
///
/// The media type is `application/jwk-set+json` (RFC 7517 section 8.5.2), and caches may keep it for five
/// minutes unless [`max_age`](Self::max_age) says otherwise. Other methods are answered 405.
#[derive(Clone)]
#[must_use]
pub struct JwksService {
    keys: Arc<RwLock<Arc<Ready>>>,
    cache_control: HeaderValue,
}

impl JwksService {
    pub(super) fn new(keys: Arc<RwLock<Arc<Ready>>>) -> Self {
        Self {
            keys,
            cache_control: HeaderValue::from_static("public, max-age=300"),
        }
    }

    /// Replaces how long caches may keep the set, in whole seconds; the default is 300. A next key must have
    /// been published for longer than this before it signs.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.cache_control = cached_for(age);
        self
    }

    /// The answer to a request of that method.
    #[must_use]
    pub fn respond(&self, method: &Method) -> Response<Bytes> {
        let media_type = "application/jwk-set+json";
        let jwks = &ready(&self.keys).jwks;
        published(method, media_type, &self.cache_control, jwks)
    }
}

impl<B> Service<Request<B>> for JwksService {
    type Response = Response<ResponseBody<String>>;
    type Error = Infallible;
    type Future = Immediate<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        immediate(Ok(self.respond(request.method()).map(ResponseBody::own)))
    }
}

impl fmt::Debug for JwksService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksService")
            .field("cache_control", &self.cache_control)
            .finish_non_exhaustive()
    }
}
