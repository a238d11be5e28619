//! [`WebhookError`]: a delivery that is not accepted, and why.

use std::{error::Error, fmt};

use http::{HeaderValue, StatusCode, header};

use crate::{audit::AuditKind, problem::Rejection};

/// When a sender should come again with a delivery that cannot be taken now, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// A delivery that is not accepted.
///
/// It holds nothing of the delivery and nothing of the signature that was expected, so it can be logged as
/// it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookError(WebhookErrorKind);

macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident => $status:ident, $code:literal, $sentence:literal;)+) => {
        /// Why a delivery is not accepted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum WebhookErrorKind {
            $($(#[$doc])+ $kind,)+
        }

        impl WebhookErrorKind {
            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$kind => $code,)+
                }
            }

            /// What [`WebhookLayer`](super::WebhookLayer) answers.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$kind => StatusCode::$status,)+
                }
            }

            /// The sentence for the sender.
            pub(super) fn sentence(self) -> &'static str {
                match self {
                    $(Self::$kind => $sentence,)+
                }
            }
        }
    };
}

kinds! {
    /// The field of the signature is not there, or empty.
    SignatureMissing => UNAUTHORIZED, "webhook_signature_missing", "The delivery is not signed.";
    /// A field of the scheme is there more than once, or a part of it that can be there only once.
    Duplicate => UNAUTHORIZED, "webhook_duplicate_field", "A field of the signature is repeated.";
    /// The field of the signature is not of the scheme's form, or lists more signatures than anyone sends.
    SignatureMalformed => UNAUTHORIZED, "webhook_signature_malformed", "The signature is malformed.";
    /// None of the signatures is of a kind that is known and configured.
    SignatureUnknown => UNAUTHORIZED, "webhook_signature_unknown", "No signature is of a known kind.";
    /// No signature is that of a configured secret for this delivery.
    SignatureInvalid => UNAUTHORIZED, "webhook_signature_invalid", "The signature is invalid.";
    /// The timestamp that is signed with the body is not there.
    TimestampMissing => UNAUTHORIZED, "webhook_timestamp_missing", "The delivery has no timestamp.";
    /// The timestamp is anything but digits.
    TimestampMalformed => UNAUTHORIZED, "webhook_timestamp_malformed", "The timestamp is malformed.";
    /// The timestamp is further in the past than is tolerated.
    TooOld => UNAUTHORIZED, "webhook_too_old", "The delivery is too old.";
    /// The timestamp is further in the future than is tolerated.
    FromFuture => UNAUTHORIZED, "webhook_from_future", "The delivery is from the future.";
    /// The id that is signed with the body is not there.
    IdMissing => UNAUTHORIZED, "webhook_id_missing", "The delivery has no id.";
    /// The id has characters that no id has, or is too long.
    IdMalformed => UNAUTHORIZED, "webhook_id_malformed", "The id of the delivery is malformed.";
    /// What is signed cannot be read from the body, or is several deliveries in one, which cannot be looked for
    /// in a replay store.
    BodyMalformed => UNAUTHORIZED, "webhook_body_malformed", "What is signed cannot be read.";
    /// The body is larger than the limit.
    BodyTooLarge => PAYLOAD_TOO_LARGE, "webhook_body_too_large", "The body is too large.";
    /// The body took longer to come than is allowed.
    BodyTooSlow => REQUEST_TIMEOUT, "webhook_body_too_slow", "The body took too long.";
    /// The body broke off before its end.
    BodyUnreadable => BAD_REQUEST, "webhook_body_unreadable", "The body could not be read.";
    /// The body is genuine, and not the JSON that was asked for.
    NotJson => UNPROCESSABLE_ENTITY, "webhook_not_json", "The body is not the JSON that is expected.";
    /// The delivery came before and was dealt with.
    Replayed => OK, "webhook_replayed", "The delivery was received before.";
    /// The delivery came before and is being dealt with.
    InFlight => SERVICE_UNAVAILABLE, "webhook_in_flight", "The delivery is being dealt with.";
    /// Whether the delivery came before cannot be known.
    StoreUnavailable => SERVICE_UNAVAILABLE, "webhook_store_unavailable", "Deliveries cannot be taken now.";
}

impl WebhookError {
    /// Why the delivery is not accepted, to be told apart by a program.
    #[must_use]
    pub fn kind(&self) -> WebhookErrorKind {
        self.0
    }

    /// The stable code of the kind.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code()
    }

    /// What the sender is told: the status and the code of the kind.
    #[must_use]
    pub fn rejection(&self) -> Rejection {
        let rejection = Rejection::new(self.0.status(), self.code(), self.0.sentence());
        match self.0.status() {
            StatusCode::SERVICE_UNAVAILABLE => {
                rejection.add_header(header::RETRY_AFTER, RETRY_AFTER)
            }
            _ => rejection,
        }
    }

    pub(super) fn audit_kind(&self) -> AuditKind {
        match self.0 {
            WebhookErrorKind::BodyTooLarge
            | WebhookErrorKind::BodyTooSlow
            | WebhookErrorKind::BodyUnreadable
            | WebhookErrorKind::NotJson => AuditKind::InputValidationFail,
            WebhookErrorKind::StoreUnavailable => AuditKind::SysDependencyFail,
            _ => AuditKind::AuthnLoginFail,
        }
    }
}

impl From<WebhookErrorKind> for WebhookError {
    fn from(kind: WebhookErrorKind) -> Self {
        Self(kind)
    }
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.sentence())
    }
}

impl Error for WebhookError {}
