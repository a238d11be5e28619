//! [`RefreshError`]: a refresh that is refused, and why.

use std::{error::Error, fmt};

use crate::store::StoreError;

/// A refresh token that is not accepted, or that nothing can be said about.
///
/// To the client all kinds but the last three are `invalid_grant` (RFC 6749 section 5.2): tell it no more.
#[derive(Clone, Debug)]
pub struct RefreshError {
    kind: RefreshErrorKind,
    source: Option<StoreError>,
}

/// Why a refresh is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshErrorKind {
    /// It is no token that was ever handed out under the keys that are known.
    Malformed,
    /// Its family has expired.
    Unknown,
    /// Its family was revoked before.
    Revoked,
    /// It was used before: its family is revoked now.
    Reused(ReuseKind),
    /// It was presented again within the grace window, and its successor was made under a key that is not
    /// known here, or is several rotations under three or more keys away. Nothing is lost: another instance
    /// knows it.
    SuccessorUnknown,
    /// The store could not answer. Nothing is decided.
    StoreUnavailable,
    /// The operating system has no randomness to give.
    RandomFailed,
}

/// Which way a token was used before: what an investigation begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReuseKind {
    /// It is the one just before the live token, presented after the grace window: a client that never got
    /// the answer to its refresh, or a thief who is one step behind.
    Predecessor,
    /// It is older: an old copy, of a client or of a thief.
    Ancestor,
    /// It is of the live token's generation or later, and neither the live token nor what follows it: two
    /// servers with different keys, or a store that has lost more than one rotation.
    Orphan,
}

impl ReuseKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Predecessor => "refresh_reuse_predecessor",
            Self::Ancestor => "refresh_reuse_ancestor",
            Self::Orphan => "refresh_reuse_orphan",
        }
    }
}

impl RefreshErrorKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "refresh_malformed",
            Self::Unknown => "refresh_unknown",
            Self::Revoked => "refresh_revoked",
            Self::Reused(kind) => kind.code(),
            Self::SuccessorUnknown => "refresh_successor_unknown",
            Self::StoreUnavailable => "refresh_store_unavailable",
            Self::RandomFailed => "refresh_random_failed",
        }
    }
}

impl RefreshError {
    /// Why, to be told apart by a program.
    #[must_use]
    pub fn kind(&self) -> RefreshErrorKind {
        self.kind
    }

    /// The stable code of the kind.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }
}

impl From<RefreshErrorKind> for RefreshError {
    fn from(kind: RefreshErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<StoreError> for RefreshError {
    fn from(source: StoreError) -> Self {
        Self {
            kind: RefreshErrorKind::StoreUnavailable,
            source: Some(source),
        }
    }
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RefreshErrorKind::Malformed => "the refresh token is malformed",
            RefreshErrorKind::Unknown => "the refresh token has expired",
            RefreshErrorKind::Revoked => "the refresh token was revoked",
            RefreshErrorKind::Reused(_) => "the refresh token was used before",
            RefreshErrorKind::SuccessorUnknown => "the refresh token's successor is not known here",
            RefreshErrorKind::StoreUnavailable => "the store of refresh tokens could not answer",
            RefreshErrorKind::RandomFailed => "the operating system's random generator failed",
        })
    }
}

impl Error for RefreshError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(source)
    }
}
