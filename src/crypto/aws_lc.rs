//! The backend `aws-lc`: keys are parsed once, verification allocates nothing.

use aws_lc_rs::{
    digest, hmac,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents,
        VerificationAlgorithm,
    },
};

use super::Hash;

pub(super) struct HmacKey(hmac::Key);

impl HmacKey {
    pub(super) fn new(hash: Hash, secret: &[u8]) -> Self {
        let algorithm = match hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        Self(hmac::Key::new(algorithm, secret))
    }

    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, message, tag).is_ok()
    }
}

pub(super) struct PublicKey(ParsedPublicKey);

impl PublicKey {
    pub(super) fn rsa_pkcs1(hash: Hash, n: &[u8], e: &[u8]) -> Option<Self> {
        let algorithm = match hash {
            Hash::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            Hash::Sha384 => &RSA_PKCS1_2048_8192_SHA384,
            Hash::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        };
        let components = RsaPublicKeyComponents { n, e };
        components.to_parsed_public_key(algorithm).ok().map(Self)
    }

    pub(super) fn ecdsa_p256(point: &[u8; 65]) -> Option<Self> {
        Self::parse(&ECDSA_P256_SHA256_FIXED, point)
    }

    pub(super) fn ed25519(point: &[u8; 32]) -> Option<Self> {
        Self::parse(&ED25519, point)
    }

    fn parse(algorithm: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(algorithm, bytes).ok().map(Self)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}
