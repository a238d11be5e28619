//! Signatures and tags made, behind the same door.
//!
//! Private keys are made ready once, and every backend gives the public key that goes with one, so that a
//! private key with somebody else's public key beside it is found out.
//!
//! RSA keys sign with `aws-lc` only. The pure Rust `rsa` crate leaks its private key by the time that
//! signing takes (RUSTSEC-2023-0071), and there is no version that does not; with `rust-crypto` alone there
//! is no RSA signing, and [`Signer::rsa`] says so.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(all(feature = "rust-crypto", any(test, not(feature = "aws-lc"))))]
mod rust_crypto;
#[cfg(all(test, feature = "aws-lc", feature = "rust-crypto"))]
mod tests;
#[cfg(not(any(feature = "aws-lc", feature = "rust-crypto")))]
mod without;

#[cfg(feature = "aws-lc")]
use self::aws_lc as backend;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc")))]
use self::rust_crypto as backend;
#[cfg(not(any(feature = "aws-lc", feature = "rust-crypto")))]
use self::without as backend;
use super::{Curve, Hash, Padding};

/// Why a private key cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignFault {
    /// Its numbers make no key.
    Invalid,
    /// The backend does not sign with such keys.
    #[cfg_attr(feature = "aws-lc", allow(dead_code, reason = "aws-lc signs with all"))]
    Unsupported,
}

/// The numbers of an RSA private key (RFC 8017 section 3.2), big-endian and without leading zeros.
#[cfg_attr(
    not(feature = "aws-lc"),
    allow(dead_code, reason = "only aws-lc signs with RSA")
)]
pub(crate) struct RsaNumbers<'k> {
    pub(crate) n: &'k [u8],
    pub(crate) e: &'k [u8],
    pub(crate) d: &'k [u8],
    pub(crate) p: &'k [u8],
    pub(crate) q: &'k [u8],
    pub(crate) dp: &'k [u8],
    pub(crate) dq: &'k [u8],
    pub(crate) qi: &'k [u8],
}

/// A private key or a secret made ready to sign.
pub(crate) struct Signer(backend::Signer);

impl Signer {
    /// Tags (RFC 2104).
    pub(crate) fn hmac(hash: Hash, secret: &[u8]) -> Self {
        Self(backend::Signer::hmac(hash, secret))
    }

    /// ECDSA with the curve's digest and signatures of fixed length, and the public point, uncompressed.
    /// The scalar has the curve's length.
    pub(crate) fn ecdsa(curve: Curve, scalar: &[u8]) -> Result<(Self, Vec<u8>), SignFault> {
        if scalar.len() != curve.length() {
            return Err(SignFault::Invalid);
        }
        let (signer, point) = backend::Signer::ecdsa(curve, scalar).ok_or(SignFault::Invalid)?;
        Ok((Self(signer), point))
    }

    /// [`Signer::ecdsa`] over P-256.
    #[cfg(feature = "webhook")]
    pub(crate) fn p256(scalar: &[u8; 32]) -> Result<(Self, [u8; 65]), SignFault> {
        let (signer, point) = Self::ecdsa(Curve::P256, scalar)?;
        let point = point.try_into().map_err(|_| SignFault::Invalid)?;
        Ok((signer, point))
    }

    /// Ed25519 (RFC 8032 section 5.1), and the public key.
    pub(crate) fn ed25519(seed: &[u8; 32]) -> Result<(Self, [u8; 32]), SignFault> {
        let (signer, point) = backend::Signer::ed25519(seed).ok_or(SignFault::Invalid)?;
        Ok((Self(signer), point))
    }

    /// RSA (RFC 8017 section 8); with PSS the salt is as long as the digest. The numbers are checked against
    /// each other.
    pub(crate) fn rsa(
        padding: Padding,
        hash: Hash,
        numbers: &RsaNumbers<'_>,
    ) -> Result<Self, SignFault> {
        backend::Signer::rsa(padding, hash, numbers).map(Self)
    }

    /// A fresh RSA key of 2,048 bits, and its RSAPublicKey in DER (RFC 8017 appendix A.1.1).
    pub(crate) fn generate_rsa(padding: Padding, hash: Hash) -> Result<(Self, Vec<u8>), SignFault> {
        let (signer, public) = backend::Signer::generate_rsa(padding, hash)?;
        Ok((Self(signer), public))
    }

    /// The signature or tag of a message; none if the backend fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0.sign(message)
    }
}

/// A key for tags of 256 bits that are this crate's own affair.
pub(crate) struct MacKey(backend::Mac);

impl MacKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(backend::Mac::new(secret))
    }

    /// The HMAC-SHA256 of the parts, one after the other. Their lengths must be fixed or written in them.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.0.tag(parts)
    }
}
