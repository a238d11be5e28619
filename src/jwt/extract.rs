//! [`Claims`] as an axum extractor.

use axum::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::Response,
};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::{Claims, JwtError, JwtGuard, challenge};
use crate::{
    audit::AuditKind,
    guard::{Guard, Refusals},
    head::RequestHead,
    principal::extract::{optional, required},
};

const LAYER_MISSING: &str = "jwt_layer_missing";

/// The claims that [`JwtAuthLayer`](super::JwtAuthLayer) verified, and what was made of them.
///
/// Where an [`optional`](super::JwtAuthLayer::optional) layer found no token, the answer is the one of a
/// layer that is not optional. Where there is no layer, it is 500 with the code `jwt_layer_missing`.
///
/// A `T` that the layer's verifier was not told of ([`typed`](super::JwtVerifier::typed)) is made here. Where
/// the claims do not make one, the answer is 401 with the code `jwt_claims_mismatch`, rendered as the
/// [`RefusalsLayer`](crate::guard::RefusalsLayer) outside says.
impl<S, T> FromRequestParts<S> for Claims<T>
where
    S: Sync,
    T: DeserializeOwned + Send + Sync + 'static,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        let claims: Claims = required(parts, LAYER_MISSING)?;
        claims.typed().map_err(|error| refuse(parts, error))
    }
}

/// As above, but that there was no token is an answer too.
impl<S, T> OptionalFromRequestParts<S> for Claims<T>
where
    S: Sync,
    T: DeserializeOwned + Send + Sync + 'static,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Response> {
        let claims: Option<Claims> = optional(parts, LAYER_MISSING)?;
        let typed = claims.map(|claims| claims.typed()).transpose();
        typed.map_err(|error| refuse(parts, error))
    }
}

fn refuse(parts: &Parts, error: JwtError) -> Response {
    let rejection = challenge::rejection(&error);
    let request = RequestHead::from(parts);
    let response = Refusals::new().refuse(
        JwtGuard::NAME,
        AuditKind::AuthnTokenFail,
        rejection,
        request,
    );
    response.map(Body::from)
}
