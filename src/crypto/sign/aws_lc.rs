//! Signing with the backend `aws-lc`.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING,
        ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use zeroize::Zeroizing;

use super::{Curve, Hash, Padding, RsaNumbers, SignFault};

#[allow(
    clippy::large_enum_variant,
    reason = "one a key, which lives as long as the program"
)]
pub(super) enum Signer {
    Hmac(hmac::Key),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl Signer {
    pub(super) fn hmac(hash: Hash, secret: &[u8]) -> Self {
        let algorithm = match hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        Self::Hmac(hmac::Key::new(algorithm, secret))
    }

    /// The scalar has the curve's length.
    pub(super) fn ecdsa(curve: Curve, scalar: &[u8]) -> Option<(Self, Vec<u8>)> {
        let (algorithm, oid): (_, &[u8]) = match curve {
            Curve::P256 => (
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            ),
            Curve::P384 => (
                &ECDSA_P384_SHA384_FIXED_SIGNING,
                &[0x2b, 0x81, 0x04, 0x00, 0x22],
            ),
            Curve::P521 => (
                &ECDSA_P521_SHA512_FIXED_SIGNING,
                &[0x2b, 0x81, 0x04, 0x00, 0x23],
            ),
            Curve::Secp256k1 => (
                &ECDSA_P256K1_SHA256_FIXED_SIGNING,
                &[0x2b, 0x81, 0x04, 0x00, 0x0a],
            ),
        };
        // ECPrivateKey (RFC 5915) of the scalar and the curve; the point is worked out. It has less than 128
        // bytes, so every length is one byte, and room for all, so that no copy is left behind.
        let length = |bytes: usize| u8::try_from(bytes).ok();
        let mut der = Zeroizing::new(Vec::with_capacity(128));
        let whole = 3 + 2 + scalar.len() + 4 + oid.len();
        der.extend([0x30, length(whole)?, 0x02, 0x01, 0x01]);
        der.extend([0x04, length(scalar.len())?]);
        der.extend_from_slice(scalar);
        der.extend([0xa0, length(oid.len() + 2)?, 0x06, length(oid.len())?]);
        der.extend_from_slice(oid);
        let pair = EcdsaKeyPair::from_private_key_der(algorithm, &der).ok()?;
        let point = pair.public_key().as_ref().to_vec();
        Some((Self::Ecdsa(pair), point))
    }

    pub(super) fn ed25519(seed: &[u8; 32]) -> Option<(Self, [u8; 32])> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let point = pair.public_key().as_ref().try_into().ok()?;
        Some((Self::Ed25519(pair), point))
    }

    pub(super) fn rsa(
        padding: Padding,
        hash: Hash,
        numbers: &RsaNumbers<'_>,
    ) -> Result<Self, SignFault> {
        let components = aws_lc_rs::rsa::KeyPairComponents {
            public_key: PublicKeyComponents {
                n: numbers.n,
                e: numbers.e,
            },
            d: numbers.d,
            p: numbers.p,
            q: numbers.q,
            dP: numbers.dp,
            dQ: numbers.dq,
            qInv: numbers.qi,
        };
        let pair = RsaKeyPair::from_components(&components).map_err(|_| SignFault::Invalid)?;
        Ok(Self::Rsa(pair, encoding(padding, hash)))
    }

    pub(super) fn generate_rsa(padding: Padding, hash: Hash) -> Result<(Self, Vec<u8>), SignFault> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SignFault::Invalid)?;
        let public = pair.public_key().as_ref().to_vec();
        Ok((Self::Rsa(pair, encoding(padding, hash)), public))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hmac(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Self::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).ok()?;
                Some(signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(*encoding, &random, message, &mut signature)
                    .ok()?;
                Some(signature)
            }
        }
    }
}

fn encoding(padding: Padding, hash: Hash) -> &'static dyn RsaEncoding {
    match (padding, hash) {
        (Padding::Pkcs1, Hash::Sha256) => &RSA_PKCS1_SHA256,
        (Padding::Pkcs1, Hash::Sha384) => &RSA_PKCS1_SHA384,
        (Padding::Pkcs1, Hash::Sha512) => &RSA_PKCS1_SHA512,
        (Padding::Pss, Hash::Sha256) => &RSA_PSS_SHA256,
        (Padding::Pss, Hash::Sha384) => &RSA_PSS_SHA384,
        (Padding::Pss, Hash::Sha512) => &RSA_PSS_SHA512,
    }
}

pub(super) struct Mac(hmac::Key);

impl Mac {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub(super) fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}
