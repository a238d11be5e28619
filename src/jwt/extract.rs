//! [`Claims`] as an axum extractor.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use super::Claims;
use crate::{
    principal::extract::{optional, required},
    problem::Rejection,
};

const LAYER_MISSING: &str = "jwt_layer_missing";

/// The claims that [`JwtAuthLayer`](super::JwtAuthLayer) verified.
///
/// Where an [`optional`](super::JwtAuthLayer::optional) layer found no token, the answer is the one of a
/// layer that is not optional. Where there is no layer, it is 500 with the code `jwt_layer_missing`.
impl<S: Send + Sync> FromRequestParts<S> for Claims {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        required(&parts.extensions, LAYER_MISSING)
    }
}

/// As above, but that there was no token is an answer too.
impl<S: Send + Sync> OptionalFromRequestParts<S> for Claims {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Rejection> {
        optional(&parts.extensions, LAYER_MISSING)
    }
}
