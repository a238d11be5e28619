//! [`Algorithm`]: how a token may be signed.

use std::fmt;

use crate::crypto::{Curve, Hash, Padding};

/// A signature algorithm of JOSE (RFC 7518 section 3.1, RFC 8037, RFC 8812, RFC 9864).
///
/// An algorithm belongs to a key: a token names one in its header, and that name is only ever compared with
/// the key's. There is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    Ps256,
    /// RSASSA-PSS with SHA-384 and a salt of 48 bytes.
    Ps384,
    /// RSASSA-PSS with SHA-512 and a salt of 64 bytes.
    Ps512,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// ECDSA over P-521 with SHA-512.
    Es512,
    /// ECDSA over secp256k1 with SHA-256.
    Es256k,
    /// Ed25519. Tokens may call it `Ed25519` (RFC 9864) or `EdDSA` (RFC 8037).
    Ed25519,
}

/// What keys of an algorithm are made of, and what it is made over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Hmac(Hash),
    Rsa(Padding, Hash),
    Ec(Curve),
    Ed25519,
}

impl Algorithm {
    /// The algorithm of that name, byte for byte as it stands in a header (`"RS256"`); none for a name that
    /// this crate does not verify.
    ///
    /// ```
    /// use portcullis::jwt::Algorithm;
    ///
    /// assert_eq!(Algorithm::from_name("EdDSA"), Some(Algorithm::Ed25519));
    /// assert_eq!(Algorithm::from_name("none"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "ES256K" => Self::Es256k,
            "Ed25519" | "EdDSA" => Self::Ed25519,
            _ => return None,
        })
    }

    /// The name in a header; of two names the fully specified one.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Es256k => "ES256K",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Whether whoever can verify can also sign.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        matches!(self.family(), Family::Hmac(_))
    }

    pub(super) fn family(self) -> Family {
        match self {
            Self::Hs256 => Family::Hmac(Hash::Sha256),
            Self::Hs384 => Family::Hmac(Hash::Sha384),
            Self::Hs512 => Family::Hmac(Hash::Sha512),
            Self::Rs256 => Family::Rsa(Padding::Pkcs1, Hash::Sha256),
            Self::Rs384 => Family::Rsa(Padding::Pkcs1, Hash::Sha384),
            Self::Rs512 => Family::Rsa(Padding::Pkcs1, Hash::Sha512),
            Self::Ps256 => Family::Rsa(Padding::Pss, Hash::Sha256),
            Self::Ps384 => Family::Rsa(Padding::Pss, Hash::Sha384),
            Self::Ps512 => Family::Rsa(Padding::Pss, Hash::Sha512),
            Self::Es256 => Family::Ec(Curve::P256),
            Self::Es384 => Family::Ec(Curve::P384),
            Self::Es512 => Family::Ec(Curve::P521),
            Self::Es256k => Family::Ec(Curve::Secp256k1),
            Self::Ed25519 => Family::Ed25519,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
