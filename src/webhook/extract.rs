//! [`VerifiedWebhook`] as an axum extractor, [`WebhookError`] as an answer.

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use super::{error::WebhookError, verified::VerifiedWebhook};
use crate::problem::Rejection;

/// The delivery that [`WebhookLayer`](super::WebhookLayer) let in. Where there is no layer, the answer is
/// 500 with the code `webhook_layer_missing`.
impl<S: Sync> FromRequestParts<S> for VerifiedWebhook {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        parts.extensions.get().cloned().ok_or_else(|| {
            Rejection::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "webhook_layer_missing",
                "The server is not set up to answer this.",
            )
        })
    }
}

/// The answer of the layer to such a delivery.
impl IntoResponse for WebhookError {
    fn into_response(self) -> Response {
        self.rejection().into_response()
    }
}
