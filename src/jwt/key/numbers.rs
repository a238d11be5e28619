//! What a key is once it is read, whichever way it was written.

use std::borrow::Cow;

use super::{KeyError, KeyErrorKind};
use crate::{
    crypto::{self, Curve, HmacKey, KeyFault, PublicKey},
    jwt::{
        algorithm::{Algorithm, Family},
        base64url,
    },
};

/// The numbers of a public key.
pub(super) enum Numbers<'k> {
    /// Big-endian, without leading zeros.
    Rsa { n: Cow<'k, [u8]>, e: Cow<'k, [u8]> },
    /// The coordinates, each of the curve's length, of a point that may still lie off the curve.
    Ec {
        curve: Curve,
        x: Cow<'k, [u8]>,
        y: Cow<'k, [u8]>,
    },
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
            (Self::Rsa { n, e }, Family::Rsa(padding, hash)) => PublicKey::rsa(padding, hash, n, e),
            (Self::Ec { curve, x, y }, Family::Ec(expected)) if *curve == expected => {
                PublicKey::ecdsa(*curve, x, y)
            }
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
            Self::Ec { curve, .. } => match curve {
                Curve::P256 => Algorithm::Es256,
                Curve::P384 => Algorithm::Es384,
                Curve::P521 => Algorithm::Es512,
                Curve::Secp256k1 => Algorithm::Es256k,
            },
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// RFC 7638 section 3, RFC 8037 section 2 and RFC 8812 section 3.1: SHA-256 over the required members in the order of their
    /// names.
    pub(super) fn thumbprint(&self) -> [u8; 32] {
        let text = match self {
            Self::Rsa { n, e } => {
                let (n, e) = (base64url::encode(n), base64url::encode(e));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            Self::Ec { curve, x, y } => {
                let (x, y) = (base64url::encode(x), base64url::encode(y));
                let curve = curve_name(*curve);
                format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
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
            Self::Ec { curve, .. } => match curve {
                Curve::P256 => "P-256 key",
                Curve::P384 => "P-384 key",
                Curve::P521 => "P-521 key",
                Curve::Secp256k1 => "secp256k1 key",
            },
            Self::Ed25519(_) => "Ed25519 key",
        }
    }
}

/// The curve of that name (RFC 7518 section 7.6.2, RFC 8812 section 4.4).
pub(super) fn curve(name: &str) -> Option<Curve> {
    CURVES.into_iter().find(|curve| curve_name(*curve) == name)
}

const CURVES: [Curve; 4] = [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1];

fn curve_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
        Curve::Secp256k1 => "secp256k1",
    }
}
