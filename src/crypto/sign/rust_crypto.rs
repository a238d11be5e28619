//! Signing with the backend `rust-crypto`. Not with RSA: see the module above.

use ed25519_dalek::{self as dalek, Signer as _};
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Sha256, Sha384, Sha512};

use super::{Curve, Hash, Padding, RsaNumbers, SignFault};

#[allow(
    clippy::large_enum_variant,
    reason = "one a key, which lives as long as the program"
)]
pub(super) enum Signer {
    Hmac256(Hmac<Sha256>),
    Hmac384(Hmac<Sha384>),
    Hmac512(Hmac<Sha512>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
    Secp256k1(k256::ecdsa::SigningKey),
    Ed25519(dalek::SigningKey),
}

impl Signer {
    pub(super) fn hmac(hash: Hash, secret: &[u8]) -> Self {
        match hash {
            Hash::Sha256 => Self::Hmac256(keyed(secret)),
            Hash::Sha384 => Self::Hmac384(keyed(secret)),
            Hash::Sha512 => Self::Hmac512(keyed(secret)),
        }
    }

    /// The scalar has the curve's length.
    pub(super) fn ecdsa(curve: Curve, scalar: &[u8]) -> Option<(Self, Vec<u8>)> {
        macro_rules! made {
            ($curve:ident, $variant:ident) => {{
                let key = $curve::ecdsa::SigningKey::from_slice(scalar).ok()?;
                let point = key.verifying_key().to_sec1_point(false);
                (Self::$variant(key), point.as_bytes().to_vec())
            }};
        }
        Some(match curve {
            Curve::P256 => made!(p256, P256),
            Curve::P384 => made!(p384, P384),
            Curve::P521 => made!(p521, P521),
            Curve::Secp256k1 => made!(k256, Secp256k1),
        })
    }

    pub(super) fn ed25519(seed: &[u8; 32]) -> Option<(Self, [u8; 32])> {
        let key = dalek::SigningKey::from_bytes(seed);
        let point = key.verifying_key().to_bytes();
        Some((Self::Ed25519(key), point))
    }

    #[cfg_attr(
        feature = "aws-lc",
        allow(
            dead_code,
            reason = "compared with the other backend only in what both do"
        )
    )]
    pub(super) fn rsa(_: Padding, _: Hash, _: &RsaNumbers<'_>) -> Result<Self, SignFault> {
        Err(SignFault::Unsupported)
    }

    #[cfg_attr(
        feature = "aws-lc",
        allow(
            dead_code,
            reason = "compared with the other backend only in what both do"
        )
    )]
    pub(super) fn generate_rsa(_: Padding, _: Hash) -> Result<(Self, Vec<u8>), SignFault> {
        Err(SignFault::Unsupported)
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hmac256(mac) => Some(tag(mac, message)),
            Self::Hmac384(mac) => Some(tag(mac, message)),
            Self::Hmac512(mac) => Some(tag(mac, message)),
            // ECDSA as in RFC 6979: no randomness that could fail.
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.try_sign(message).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Self::P521(key) => {
                let signature: p521::ecdsa::Signature = key.try_sign(message).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Self::Secp256k1(key) => {
                let signature: k256::ecdsa::Signature = key.try_sign(message).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Self::Ed25519(key) => Some(key.try_sign(message).ok()?.to_bytes().to_vec()),
        }
    }
}

fn keyed<M: KeyInit>(secret: &[u8]) -> M {
    M::new_from_slice(secret).expect("HMAC takes keys of every length")
}

fn tag<M: hmac::Mac + Clone>(mac: &M, message: &[u8]) -> Vec<u8> {
    let tag = mac.clone().chain_update(message).finalize();
    tag.into_bytes().to_vec()
}

pub(super) struct Mac(Hmac<Sha256>);

impl Mac {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self(keyed(secret))
    }

    pub(super) fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}
