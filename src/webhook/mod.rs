//! Webhooks.

mod adyen;
mod check;
mod encoding;
mod error;
mod form;
mod key;
mod providers;
mod received;
mod scheme;
mod sign;
mod template;
mod url;
mod verifier;

pub use self::{
    encoding::SignatureEncoding,
    error::{WebhookError, WebhookErrorKind},
    scheme::{SecretFormat, TimestampUnit, WebhookAlgorithm, WebhookScheme},
    sign::WebhookSigner,
    verifier::{WebhookCheck, WebhookProof, WebhookVerifier},
};
