//! Streamed HMAC with the backend `aws-lc`.

use aws_lc_rs::hmac;

use super::{MacHash, Tag};

pub(super) struct Key(hmac::Key);

impl Key {
    pub(super) fn new(hash: MacHash, secret: &[u8]) -> Self {
        let algorithm = match hash {
            MacHash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            MacHash::Sha256 => hmac::HMAC_SHA256,
            MacHash::Sha384 => hmac::HMAC_SHA384,
            MacHash::Sha512 => hmac::HMAC_SHA512,
        };
        Self(hmac::Key::new(algorithm, secret))
    }

    #[inline]
    pub(super) fn begin(&self) -> Mac {
        Mac(hmac::Context::with_key(&self.0))
    }
}

pub(super) struct Mac(hmac::Context);

impl Mac {
    #[inline]
    pub(super) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    #[inline]
    pub(super) fn finish(self) -> Tag {
        Tag::new(self.0.sign().as_ref())
    }
}
