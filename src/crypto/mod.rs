//! HMAC, digests and signature verification behind one door, two backends.
//!
//! The rest of the crate names no crypto library. What a key may be is decided here, before a backend sees
//! it, so that both backends take and refuse the same keys:
//!
//! - RSA: a modulus of 2,048 to 8,192 bits that is odd, and an odd public exponent from 3 to 2^33 - 1.
//! - P-256, P-384, P-521 and secp256k1: a point on the curve, given by its two coordinates.
//! - Ed25519: a point in its one canonical encoding (RFC 8032 section 5.1.3) and not of small order: with
//!   such a key some signatures hold for nearly every message.
//!
//! The backends are asked only what they agree on; `tests.rs` compares them where both are compiled in. An
//! Ed25519 signature whose commitment `R` is of small order is refused here too, because one backend would
//! take it and the other not: only the holder of the private key can make one, and nobody has a reason to.
//! In one thing they differ still: 32 bytes that encode no point of Ed25519 are refused as a key by
//! `rust-crypto`, and accepted by `aws-lc`, for which every signature of that key is then invalid.
//!
//! Timing: tags are compared in constant time. Verification with a public key has no secret to give away.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(feature = "webhook")]
pub(crate) mod der_signature;
mod ed25519;
#[cfg(feature = "webhook")]
pub(crate) mod mac;
#[cfg(all(feature = "rust-crypto", any(test, not(feature = "aws-lc"))))]
mod pss;
#[cfg(all(feature = "rust-crypto", any(test, not(feature = "aws-lc"))))]
mod rust_crypto;
#[cfg(any(feature = "tokens", feature = "webhook"))]
#[cfg_attr(not(feature = "tokens"), allow(dead_code))]
mod sign;
mod siphash;
#[cfg(all(test, feature = "jwt", feature = "aws-lc", feature = "rust-crypto"))]
mod tests;
#[cfg(not(any(feature = "aws-lc", feature = "rust-crypto")))]
mod without;

#[cfg(feature = "aws-lc")]
use self::aws_lc as backend;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc")))]
use self::rust_crypto as backend;
#[cfg(any(feature = "tokens", feature = "webhook"))]
pub(crate) use self::sign::Signer;
#[cfg(feature = "tokens")]
pub(crate) use self::sign::{MacKey, RsaNumbers, SignFault};
pub(crate) use self::siphash::SipKey;
#[cfg(not(any(feature = "aws-lc", feature = "rust-crypto")))]
use self::without as backend;

#[cfg(not(any(feature = "aws-lc", feature = "rust-crypto")))]
compile_error!(
    "portcullis: the features `jwt` and `webhook` need a crypto backend: enable `aws-lc` (a default feature; \
     needs a C compiler) or `rust-crypto` (pure Rust)"
);

/// The digests of RFC 6234 that signatures and tags are made over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The length of a digest in bytes.
    pub(crate) const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// How RSA signatures are padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2).
    Pkcs1,
    /// RSASSA-PSS (RFC 8017 section 8.1) with MGF1 over the same digest and a salt as long as it.
    Pss,
}

/// The curves of ECDSA, each with the one digest that JOSE signs with on it (RFC 7518 section 3.4, RFC 8812
/// section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    /// With SHA-256.
    P256,
    /// With SHA-384.
    P384,
    /// With SHA-512.
    P521,
    /// With SHA-256.
    Secp256k1,
}

impl Curve {
    /// The length in bytes of a coordinate, and of each half of a signature.
    pub(crate) const fn length(self) -> usize {
        match self {
            Self::P256 | Self::Secp256k1 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// What is wrong with a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFault {
    /// Its numbers make no key: a point off the curve, an even modulus.
    Invalid,
    /// An RSA modulus under 2,048 or over 8,192 bits.
    RsaSize,
}

/// A secret made ready to verify tags (RFC 2104).
pub(crate) struct HmacKey(backend::HmacKey);

impl HmacKey {
    /// Does the work of the key once. A copy of the secret's state lies in the key.
    pub(crate) fn new(hash: Hash, secret: &[u8]) -> Self {
        Self(backend::HmacKey::new(hash, secret))
    }

    /// Whether `tag` is the whole tag of `message`; takes the same time for every wrong tag of its length.
    pub(crate) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.0.verify(message, tag)
    }
}

/// A public key made ready to verify signatures of one kind.
pub(crate) struct PublicKey {
    key: backend::PublicKey,
    /// The length of every signature of this key, in bytes.
    signature: usize,
    is_ed25519: bool,
}

impl PublicKey {
    /// RSA (RFC 8017 section 8), from the big-endian modulus and public exponent.
    pub(crate) fn rsa(padding: Padding, hash: Hash, n: &[u8], e: &[u8]) -> Result<Self, KeyFault> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n
            .first()
            .map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) {
            return Err(KeyFault::RsaSize);
        }
        let exponent =
            (e.len() <= 8).then(|| e.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        let sound = exponent.is_some_and(|e| e % 2 == 1 && (3..1 << 33).contains(&e));
        if !sound || n.last().is_none_or(|last| last % 2 == 0) {
            return Err(KeyFault::Invalid);
        }
        let key = backend::PublicKey::rsa(padding, hash, n, e).ok_or(KeyFault::Invalid)?;
        Ok(Self {
            key,
            signature: n.len(),
            is_ed25519: false,
        })
    }

    /// ECDSA with signatures of fixed length (FIPS 186-5; RFC 7518 section 3.4), from the coordinates of the
    /// point, each of the curve's length.
    pub(crate) fn ecdsa(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyFault> {
        if x.len() != curve.length() || y.len() != curve.length() {
            return Err(KeyFault::Invalid);
        }
        let point = [&[4], x, y].concat();
        let key = backend::PublicKey::ecdsa(curve, &point).ok_or(KeyFault::Invalid)?;
        Ok(Self {
            key,
            signature: 2 * curve.length(),
            is_ed25519: false,
        })
    }

    /// Ed25519 (RFC 8032 section 5.1).
    pub(crate) fn ed25519(bytes: &[u8; 32]) -> Result<Self, KeyFault> {
        if !ed25519::is_canonical(bytes) || ed25519::is_of_small_order(bytes) {
            return Err(KeyFault::Invalid);
        }
        let key = backend::PublicKey::ed25519(bytes).ok_or(KeyFault::Invalid)?;
        Ok(Self {
            key,
            signature: 64,
            is_ed25519: true,
        })
    }

    /// Whether `signature` is this key's for `message`. A signature of any length but the key's is not.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        if signature.len() != self.signature {
            return false;
        }
        if self.is_ed25519
            && signature
                .first_chunk()
                .is_none_or(ed25519::is_of_small_order)
        {
            return false;
        }
        self.key.verify(message, signature)
    }
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    backend::sha256(bytes)
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
