//! The backend `rust-crypto`: no C, several times slower for RSA and ECDSA.
//!
//! RUSTSEC-2023-0071 (a timing trace of RSA private keys) is reported for the `rsa` crate. Nothing here has
//! a private key.

use ed25519_dalek as dalek;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey, traits::SignatureScheme};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{Curve, Hash, Padding, pss};

pub(super) enum HmacKey {
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl HmacKey {
    pub(super) fn new(hash: Hash, secret: &[u8]) -> Self {
        match hash {
            Hash::Sha256 => Self::Sha256(keyed(secret)),
            Hash::Sha384 => Self::Sha384(keyed(secret)),
            Hash::Sha512 => Self::Sha512(keyed(secret)),
        }
    }

    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Sha256(mac) => is_tag(mac, message, tag),
            Self::Sha384(mac) => is_tag(mac, message, tag),
            Self::Sha512(mac) => is_tag(mac, message, tag),
        }
    }
}

fn keyed<M: KeyInit>(secret: &[u8]) -> M {
    M::new_from_slice(secret).expect("HMAC takes keys of every length")
}

fn is_tag<M: Mac + Clone>(mac: &M, message: &[u8], tag: &[u8]) -> bool {
    mac.clone().chain_update(message).verify_slice(tag).is_ok()
}

#[allow(
    clippy::large_enum_variant,
    reason = "one a key, behind its Arc; a box would be one more step on the way to it"
)]
pub(super) enum PublicKey {
    Rsa(Padding, Hash, RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    Secp256k1(k256::ecdsa::VerifyingKey),
    Ed25519(dalek::VerifyingKey),
}

impl PublicKey {
    pub(super) fn rsa(padding: Padding, hash: Hash, n: &[u8], e: &[u8]) -> Option<Self> {
        let (n, e) = (BigUint::from_bytes_be(n), BigUint::from_bytes_be(e));
        let key = RsaPublicKey::new_with_max_size(n, e, 8192).ok()?;
        Some(Self::Rsa(padding, hash, key))
    }

    /// From a point in SEC 1's uncompressed form.
    pub(super) fn ecdsa(curve: Curve, point: &[u8]) -> Option<Self> {
        Some(match curve {
            Curve::P256 => Self::P256(p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?),
            Curve::P384 => Self::P384(p384::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?),
            Curve::P521 => Self::P521(p521::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?),
            Curve::Secp256k1 => {
                Self::Secp256k1(k256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?)
            }
        })
    }

    pub(super) fn ed25519(point: &[u8; 32]) -> Option<Self> {
        dalek::VerifyingKey::from_bytes(point)
            .ok()
            .map(Self::Ed25519)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(Padding::Pkcs1, hash, key) => is_pkcs1(*hash, key, message, signature),
            Self::Rsa(Padding::Pss, hash, key) => pss::verify(*hash, key, message, signature),
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            // Of the two signatures that ECDSA has, k256 takes the one that Bitcoin takes; RFC 8812 takes both.
            Self::Secp256k1(key) => k256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature.normalize_s()).is_ok()),
            Self::Ed25519(key) => dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

/// RFC 8017 section 8.2.2. The `rsa` crate is of another generation of digests than this one, so it is given
/// the whole `DigestInfo` (section 9.2) and no digest of its own.
fn is_pkcs1(hash: Hash, key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> bool {
    let mut info = [0; 19 + 64];
    let info = match hash {
        Hash::Sha256 => digest_info(&mut info, 0x01, &Sha256::digest(message)),
        Hash::Sha384 => digest_info(&mut info, 0x02, &Sha384::digest(message)),
        Hash::Sha512 => digest_info(&mut info, 0x03, &Sha512::digest(message)),
    };
    Pkcs1v15Sign::new_unprefixed()
        .verify(key, info, signature)
        .is_ok()
}

/// SEQUENCE { SEQUENCE { OID 2.16.840.1.101.3.4.2.`hash`, NULL }, OCTET STRING `digest` }
fn digest_info<'b>(buffer: &'b mut [u8; 83], hash: u8, digest: &[u8]) -> &'b [u8] {
    #[rustfmt::skip]
    let prefix = [
        0x30, 17 + digest.len() as u8,
        0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05, 0x00,
        0x04, digest.len() as u8,
    ];
    let end = prefix.len() + digest.len();
    buffer[..prefix.len()].copy_from_slice(&prefix);
    buffer[prefix.len()..end].copy_from_slice(digest);
    &buffer[..end]
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
