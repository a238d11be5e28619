//! [`InFlight`]: the service that counts its requests in flight.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{InFlightBody, InFlightLayer, counts::Permit, layer::Admission};
use crate::{body::ResponseBody, head::RequestHead};

/// The service of [`InFlightLayer`].
#[derive(Clone, Debug)]
pub struct InFlight<S> {
    inner: S,
    layer: Arc<InFlightLayer>,
}

impl<S> InFlight<S> {
    pub(super) fn new(inner: S, layer: Arc<InFlightLayer>) -> Self {
        Self { inner, layer }
    }
}

pin_project! {
    /// The future of [`InFlight`]: the inner service's response, or the refusal.
    pub struct InFlightFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Calling { #[pin] future: F, admitted: Option<Admitted> },
        Refused { response: Option<Box<Response<Bytes>>> },
    }
}

/// What a request that was let in holds, and what its client is told.
struct Admitted {
    permit: Permit,
    fields: Option<[HeaderValue; 2]>,
}

impl<S, B, R> Service<Request<B>> for InFlight<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<InFlightBody<R>>;
    type Error = S::Error;
    type Future = InFlightFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let admitted = match self.layer.admit(RequestHead::from(&request)) {
            Admission::Uncounted => None,
            Admission::Counted(permit, fields) => Some(Admitted { permit, fields }),
            Admission::Refused(response) => {
                let response = Some(response);
                return InFlightFuture {
                    state: State::Refused { response },
                };
            }
        };
        let future = self.inner.call(request);
        InFlightFuture {
            state: State::Calling { future, admitted },
        }
    }
}

impl<F, R, E> Future for InFlightFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<InFlightBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project().state.project() {
            StateProjection::Calling { future, admitted } => {
                // Whatever comes, it is not called again: a failure lets go of the permit at once.
                let response = ready!(future.poll(cx));
                let admitted = admitted.take();
                response.map(|mut response| {
                    let permit = admitted.map(|Admitted { permit, fields }| {
                        put(fields, response.headers_mut());
                        permit
                    });
                    response.map(|body| InFlightBody::new(ResponseBody::inner(body), permit))
                })
            }
            StateProjection::Refused { response } => {
                let response = response.take().expect("future polled after completion");
                Ok(response.map(|body| InFlightBody::new(ResponseBody::own(body), None)))
            }
        })
    }
}

/// Another member of each list: what is inside may have told of quotas of its own.
fn put(fields: Option<[HeaderValue; 2]>, headers: &mut HeaderMap) {
    if let Some([policy, left]) = fields {
        headers.append(super::super::fields::RATE_LIMIT_POLICY, policy);
        headers.append(super::super::fields::RATE_LIMIT, left);
    }
}

impl<F> fmt::Debug for InFlightFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Calling { .. } => "calling",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("InFlightFuture")
            .field("state", &state)
            .finish()
    }
}
