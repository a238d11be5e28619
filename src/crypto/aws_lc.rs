//! The backend `aws-lc`: keys are parsed once, verification allocates nothing.

use aws_lc_rs::{
    digest, hmac,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ECDSA_P384_SHA384_FIXED,
        ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents,
        VerificationAlgorithm,
    },
};

use super::{Curve, Hash, Padding};

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
    pub(super) fn rsa(padding: Padding, hash: Hash, n: &[u8], e: &[u8]) -> Option<Self> {
        let algorithm = match (padding, hash) {
            (Padding::Pkcs1, Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
            (Padding::Pkcs1, Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
            (Padding::Pkcs1, Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
            (Padding::Pss, Hash::Sha256) => &RSA_PSS_2048_8192_SHA256,
            (Padding::Pss, Hash::Sha384) => &RSA_PSS_2048_8192_SHA384,
            (Padding::Pss, Hash::Sha512) => &RSA_PSS_2048_8192_SHA512,
        };
        let components = RsaPublicKeyComponents { n, e };
        components.to_parsed_public_key(algorithm).ok().map(Self)
    }

    /// From a point in SEC 1's uncompressed form.
    pub(super) fn ecdsa(curve: Curve, point: &[u8]) -> Option<Self> {
        let algorithm = match curve {
            Curve::P256 => &ECDSA_P256_SHA256_FIXED,
            Curve::P384 => &ECDSA_P384_SHA384_FIXED,
            Curve::P521 => &ECDSA_P521_SHA512_FIXED,
            Curve::Secp256k1 => &ECDSA_P256K1_SHA256_FIXED,
        };
        Self::parse(algorithm, point)
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
