//! [`JwksError`]: keys that could not be fetched, and why.

use std::{error::Error, fmt, sync::Arc};

use http::StatusCode;

use crate::fetch::{FetchError, FetchErrorKind};

/// Keys could not be fetched.
///
/// It holds nothing of what was answered but its status.
#[derive(Clone, Debug)]
pub struct JwksError {
    kind: JwksErrorKind,
    status: Option<StatusCode>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Why keys could not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwksErrorKind {
    /// No answer came; the error's source is a [`FetchError`].
    Unanswered,
    /// The answer came too late.
    Late,
    /// The answer is not 200: [`JwksError::status`]. Redirects are not followed.
    Status,
    /// The answer is no JWK Set (RFC 7517 section 5).
    Malformed,
    /// The set has more keys than are read.
    TooManyKeys,
    /// No key of the set can verify anything here.
    NoKeys,
    /// The discovery document names no usable `jwks_uri`.
    DiscoveryMalformed,
    /// The discovery document is another issuer's (OpenID Connect Discovery 1.0 section 4.3).
    IssuerMismatch,
    /// There is no runtime to fetch on, or it ended.
    NoRuntime,
}

impl JwksErrorKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unanswered => "jwks_unanswered",
            Self::Late => "jwks_late",
            Self::Status => "jwks_status",
            Self::Malformed => "jwks_malformed",
            Self::TooManyKeys => "jwks_too_many_keys",
            Self::NoKeys => "jwks_no_keys",
            Self::DiscoveryMalformed => "jwks_discovery_malformed",
            Self::IssuerMismatch => "jwks_issuer_mismatch",
            Self::NoRuntime => "jwks_no_runtime",
        }
    }
}

impl JwksError {
    pub(super) fn of_status(status: StatusCode) -> Self {
        Self {
            status: Some(status),
            ..JwksErrorKind::Status.into()
        }
    }

    pub(super) fn caused_by(
        kind: JwksErrorKind,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Some(Arc::new(source)),
            ..kind.into()
        }
    }

    /// Why the keys could not be fetched.
    #[must_use]
    pub fn kind(&self) -> JwksErrorKind {
        self.kind
    }

    /// The stable code of the kind.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// The status that was answered, where it was the wrong one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }
}

impl From<JwksErrorKind> for JwksError {
    fn from(kind: JwksErrorKind) -> Self {
        Self {
            kind,
            status: None,
            source: None,
        }
    }
}

impl From<FetchError> for JwksError {
    fn from(error: FetchError) -> Self {
        match error.kind() {
            FetchErrorKind::Timeout => Self::caused_by(JwksErrorKind::Late, error),
            _ => Self::caused_by(JwksErrorKind::Unanswered, error),
        }
    }
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            JwksErrorKind::Unanswered => "the key endpoint gave no answer",
            JwksErrorKind::Late => "the key endpoint did not answer in time",
            JwksErrorKind::Status => "the key endpoint did not answer 200",
            JwksErrorKind::Malformed => "the key endpoint did not answer a JWK Set",
            JwksErrorKind::TooManyKeys => "the key set has too many keys",
            JwksErrorKind::NoKeys => "the key set has no key that can verify",
            JwksErrorKind::DiscoveryMalformed => "the discovery document names no usable key set",
            JwksErrorKind::IssuerMismatch => "the discovery document is another issuer's",
            JwksErrorKind::NoRuntime => "there is no runtime to fetch on",
        })?;
        match (&self.status, &self.source) {
            (Some(status), _) => write!(f, " ({})", status.as_u16()),
            (None, Some(source)) => write!(f, ": {source}"),
            (None, None) => Ok(()),
        }
    }
}

impl Error for JwksError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}
