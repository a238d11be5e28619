//! [`FetchError`]: an answer that did not come.

use std::{error::Error, fmt, sync::Arc};

/// There is no answer.
///
/// It holds nothing of the request and nothing of an answer; the client's own error is its source.
#[derive(Clone, Debug)]
pub struct FetchError {
    kind: FetchErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// It did not come in time.
    Timeout,
    /// The server cannot be reached: its name is not found, it does not listen, or its certificate is not
    /// trusted.
    Unreachable,
    /// The connection broke, or what came is no HTTP.
    Broken,
    /// The body is longer than it may be.
    TooLarge,
    /// The client does not connect to such an address: `http:` where only `https:` is allowed, another
    /// scheme, an address that is not public.
    Forbidden,
}

impl FetchError {
    /// An error without a cause of its own.
    #[must_use]
    pub fn new(kind: FetchErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// An error with the client's own error as its source.
    #[must_use]
    pub fn caused_by(
        kind: FetchErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            source: Some(source.into().into()),
        }
    }

    /// Why there is no answer.
    #[must_use]
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }

    /// The stable code of the kind.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }
}

impl FetchErrorKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Timeout => "fetch_timeout",
            Self::Unreachable => "fetch_unreachable",
            Self::Broken => "fetch_broken",
            Self::TooLarge => "fetch_too_large",
            Self::Forbidden => "fetch_forbidden",
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FetchErrorKind::Timeout => "the answer did not come in time",
            FetchErrorKind::Unreachable => "the server cannot be reached",
            FetchErrorKind::Broken => "the connection broke, or what came is no HTTP",
            FetchErrorKind::TooLarge => "the answer is longer than it may be",
            FetchErrorKind::Forbidden => "the client does not connect to such an address",
        })
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}
