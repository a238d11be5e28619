//! [`VerifiedWebhook`]: what the layer knows of a delivery that it let in.

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{
    body::Content,
    error::{WebhookError, WebhookErrorKind},
    verifier::WebhookProof,
};

/// A delivery that [`WebhookLayer`](super::WebhookLayer) let in: genuine, fresh, and not dealt with before.
///
/// It is in the request's extensions, and with the feature `axum` an extractor, which leaves the body to
/// others. Cloning it costs a counter. `Debug` does not show the body.
#[derive(Clone)]
pub struct VerifiedWebhook(Arc<Inner>);

struct Inner {
    provider: &'static str,
    id: Option<Box<str>>,
    timestamp: Option<SystemTime>,
    secret_index: usize,
    content: Content,
}

impl VerifiedWebhook {
    pub(super) fn new(provider: &'static str, proof: &WebhookProof<'_>, content: Content) -> Self {
        Self(Arc::new(Inner {
            provider,
            id: proof.id().map(Into::into),
            timestamp: proof.timestamp(),
            secret_index: proof.secret_index(),
            content,
        }))
    }

    pub(super) fn content(&self) -> &Content {
        &self.0.content
    }

    /// The name of the scheme: `stripe`, `github`.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.0.provider
    }

    /// The delivery's id, where the provider sends one in a header field; not every provider signs it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// The time that is signed with the body, where one is.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.0.timestamp
    }

    /// Which of the verifier's secrets the delivery was signed with, from 0.
    #[must_use]
    pub fn secret_index(&self) -> usize {
        self.0.secret_index
    }

    /// The body, byte for byte as it was signed. A body that came in several frames is put together when
    /// this is first asked for, and held twice from then on: in one piece, and in its frames for whoever
    /// reads the request's body.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.0.content.joined()
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    ///
    /// [`WebhookErrorKind::NotJson`] if it is no JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, WebhookError> {
        serde_json::from_slice(self.bytes()).map_err(|_| WebhookErrorKind::NotJson.into())
    }
}

impl fmt::Debug for VerifiedWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedWebhook")
            .field("provider", &self.0.provider)
            .field("id", &self.0.id)
            .field("timestamp", &self.0.timestamp)
            .field("secret_index", &self.0.secret_index)
            .finish_non_exhaustive()
    }
}
