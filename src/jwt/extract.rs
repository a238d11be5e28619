//! [`Claims`] as an axum extractor.

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::Response,
};
use http::request::Parts;

use super::Claims;
use crate::principal::extract::{optional, required};

const LAYER_MISSING: &str = "jwt_layer_missing";

/// The claims that [`JwtAuthLayer`](super::JwtAuthLayer) verified.
///
/// Where an [`optional`](super::JwtAuthLayer::optional) layer found no token, the answer is the one of a
/// layer that is not optional. Where there is no layer, it is 500 with the code `jwt_layer_missing`.
impl<S: Sync> FromRequestParts<S> for Claims {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        required(parts, LAYER_MISSING)
    }
}

/// As above, but that there was no token is an answer too.
impl<S: Sync> OptionalFromRequestParts<S> for Claims {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Response> {
        optional(parts, LAYER_MISSING)
    }
}
