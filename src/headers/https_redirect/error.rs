//! Why a request could not be redirected.

use std::{error::Error, fmt};

use http::StatusCode;

use crate::problem::Rejection;

/// A request whose host cannot be redirected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpsRedirectError {
    kind: HttpsRedirectErrorKind,
}

/// What is wrong with the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpsRedirectErrorKind {
    /// There is none (RFC 9112 section 3.2). Code `https_redirect_host_missing`, status 400.
    HostMissing,
    /// It is given twice, or is no host with an optional port. Code `https_redirect_host_malformed`,
    /// status 400.
    HostMalformed,
    /// It is none of the hosts that the layer was told. Code `https_redirect_host_not_served`, status 421.
    HostNotServed,
}

impl HttpsRedirectError {
    pub(super) const fn new(kind: HttpsRedirectErrorKind) -> Self {
        Self { kind }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> HttpsRedirectErrorKind {
        self.kind
    }

    /// The stable code of the [kind](Self::kind).
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }
}

impl HttpsRedirectErrorKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::HostMissing => "https_redirect_host_missing",
            Self::HostMalformed => "https_redirect_host_malformed",
            Self::HostNotServed => "https_redirect_host_not_served",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::HostMissing => "The request names no host.",
            Self::HostMalformed => "The request's host is malformed.",
            Self::HostNotServed => "The request's host is not served here.",
        }
    }
}

impl fmt::Display for HttpsRedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.detail())
    }
}

impl Error for HttpsRedirectError {}

/// 400, or 421 for a host that is not served (RFC 9110 section 15.5.20).
impl From<HttpsRedirectError> for Rejection {
    fn from(error: HttpsRedirectError) -> Self {
        let status = match error.kind {
            HttpsRedirectErrorKind::HostNotServed => StatusCode::MISDIRECTED_REQUEST,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.kind.code(), error.kind.detail())
    }
}
