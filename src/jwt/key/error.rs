//! [`KeyError`]: a key that cannot verify, and why.

use std::{borrow::Cow, error::Error, fmt};

use crate::config::ConfigError;

/// Text or bytes that make no verifying key.
///
/// A key may come from a programmer, a file or an issuer's key endpoint. Where it is part of the program's
/// configuration, `?` turns this into a [`ConfigError`]. It never holds anything of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    kind: KeyErrorKind,
    detail: Cow<'static, str>,
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// It cannot be read: broken PEM, DER, JSON or base64url, a missing or duplicate member.
    Malformed,
    /// It can be read and is of a kind, curve or algorithm that this crate does not verify with.
    Unsupported,
    /// It is not a key of the algorithm it is meant for.
    AlgorithmMismatch,
    /// Its `use` or `key_ops` says that it is for something else (RFC 7517 sections 4.2 and 4.3).
    NotForVerification,
    /// It holds a private key, which does not belong with those who only verify.
    Private,
    /// It is shorter than the algorithm demands, or longer than anybody needs.
    Size,
    /// Its numbers make no key: a point off the curve, say.
    Invalid,
    /// It is a secret in a key set. Key sets are published.
    SymmetricInSet,
    /// It is a key set, and none of its keys can verify: the error says of each what is wrong with it.
    NoneUsable,
    /// It is a public key that was given as a secret (RFC 8725 section 2.1).
    PublicKeyAsSecret,
}

impl KeyErrorKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "key_malformed",
            Self::Unsupported => "key_unsupported",
            Self::AlgorithmMismatch => "key_algorithm_mismatch",
            Self::NotForVerification => "key_not_for_verification",
            Self::Private => "key_private",
            Self::Size => "key_size",
            Self::Invalid => "key_invalid",
            Self::SymmetricInSet => "key_symmetric_in_set",
            Self::NoneUsable => "key_none_usable",
            Self::PublicKeyAsSecret => "key_public_as_secret",
        }
    }
}

impl KeyError {
    pub(in crate::jwt) fn new(kind: KeyErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    pub(in crate::jwt) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(KeyErrorKind::Malformed, detail)
    }

    /// What is wrong, to be told apart by a program.
    #[must_use]
    pub fn kind(&self) -> KeyErrorKind {
        self.kind
    }

    /// The stable code of the kind.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Error for KeyError {}

impl From<KeyError> for ConfigError {
    fn from(error: KeyError) -> Self {
        Self::new("key", error.code(), error.detail)
    }
}

/// The beginning of a name from outside, with nothing in it that could disturb a log.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(40).flat_map(char::escape_debug).collect()
}
