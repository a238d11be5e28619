//! Signing with the backend `aws-lc`.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use zeroize::Zeroizing;

use super::{Hash, RsaNumbers, SignFault};

#[allow(
    clippy::large_enum_variant,
    reason = "one a key, which lives as long as the program"
)]
pub(super) enum Signer {
    Hmac(hmac::Key),
    P256(EcdsaKeyPair),
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

    pub(super) fn p256(scalar: &[u8; 32]) -> Option<(Self, [u8; 65])> {
        // ECPrivateKey (RFC 5915) of the scalar and the curve; the point is worked out.
        const HEAD: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
        #[rustfmt::skip]
        const CURVE: [u8; 12] = [
            0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
        ];
        let mut der = Zeroizing::new([0; 51]);
        der[..7].copy_from_slice(&HEAD);
        der[7..39].copy_from_slice(scalar);
        der[39..].copy_from_slice(&CURVE);
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_private_key_der(algorithm, &der[..]).ok()?;
        let point = pair.public_key().as_ref().try_into().ok()?;
        Some((Self::P256(pair), point))
    }

    pub(super) fn ed25519(seed: &[u8; 32]) -> Option<(Self, [u8; 32])> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let point = pair.public_key().as_ref().try_into().ok()?;
        Some((Self::Ed25519(pair), point))
    }

    pub(super) fn rsa(hash: Hash, numbers: &RsaNumbers<'_>) -> Result<Self, SignFault> {
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
        Ok(Self::Rsa(pair, encoding(hash)))
    }

    pub(super) fn generate_rsa(hash: Hash) -> Result<(Self, Vec<u8>), SignFault> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SignFault::Invalid)?;
        let public = pair.public_key().as_ref().to_vec();
        Ok((Self::Rsa(pair, encoding(hash)), public))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hmac(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Self::P256(pair) => {
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

fn encoding(hash: Hash) -> &'static dyn RsaEncoding {
    match hash {
        Hash::Sha256 => &RSA_PKCS1_SHA256,
        Hash::Sha384 => &RSA_PKCS1_SHA384,
        Hash::Sha512 => &RSA_PKCS1_SHA512,
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
