//! What a key is once it is read, whichever way it was written.

use std::borrow::Cow;

use super::{KeyError, KeyErrorKind};
use crate::{
    crypto::{self, HmacKey, KeyFault, PublicKey},
    jwt::{
        algorithm::{Algorithm, Family},
        base64url,
    },
};

/// The numbers of a public key.
pub(super) enum Numbers<'k> {
    /// Big-endian, without leading zeros.
    Rsa { n: Cow<'k, [u8]>, e: Cow<'k, [u8]> },
    /// The coordinates of a point that may still lie off the curve.
    P256 { x: [u8; 32], y: [u8; 32] },
    /// The encoding of a point.
    Ed25519([u8; 32]),
}

/// A key made ready.
#[allow(
    clippy::large_enum_variant,
    reason = "one a key, behind its Arc; a box would be one more step on the way to it"
)]
pub(super) enum Material {
    Secret(HmacKey),
    Public(PublicKey),
}

impl Material {
    /// Whether `signature` is this key's for `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => key.verify(message, signature),
            Self::Public(key) => key.verify(message, signature),
        }
    }
}

impl Numbers<'_> {
    /// Makes the key ready for `algorithm`, if it is a key of it.
    pub(super) fn ready_for(&self, algorithm: Algorithm) -> Result<Material, KeyError> {
        let key = match (self, algorithm.family()) {
            (Self::Rsa { n, e }, Family::Rsa(hash)) => PublicKey::rsa_pkcs1(hash, n, e),
            (Self::P256 { x, y }, Family::P256) => PublicKey::ecdsa_p256(x, y),
            (Self::Ed25519(point), Family::Ed25519) => PublicKey::ed25519(point),
            _ => {
                let kind = self.kind();
                return Err(KeyError::new(
                    KeyErrorKind::AlgorithmMismatch,
                    format!("{kind} is no key for {algorithm}"),
                ));
            }
        };
        key.map(Material::Public).map_err(|fault| match fault {
            KeyFault::Invalid => {
                let kind = self.kind();
                KeyError::new(KeyErrorKind::Invalid, format!("its numbers make no {kind}"))
            }
            KeyFault::RsaSize => KeyError::new(
                KeyErrorKind::Size,
                "an RSA modulus must have 2,048 to 8,192 bits",
            ),
        })
    }

    /// The algorithm of such a key where nothing names one; RSA keys are then for RS256.
    pub(super) fn default_algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256 { .. } => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// RFC 7638 section 3 and RFC 8037 section 2: SHA-256 over the required members in the order of their
    /// names.
    pub(super) fn thumbprint(&self) -> [u8; 32] {
        let text = match self {
            Self::Rsa { n, e } => {
                let (n, e) = (base64url::encode(n), base64url::encode(e));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            Self::P256 { x, y } => {
                let (x, y) = (base64url::encode(x), base64url::encode(y));
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Self::Ed25519(point) => {
                let x = base64url::encode(point);
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
        };
        crypto::sha256(text.as_bytes())
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RSA key",
            Self::P256 { .. } => "P-256 key",
            Self::Ed25519(_) => "Ed25519 key",
        }
    }
}
