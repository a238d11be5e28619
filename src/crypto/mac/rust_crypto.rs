//! Streamed HMAC with the backend `rust-crypto`.

use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::{MacHash, Tag};

#[derive(Clone)]
pub(super) enum Mac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

pub(super) struct Key(Mac);

impl Key {
    pub(super) fn new(hash: MacHash, secret: &[u8]) -> Self {
        Self(match hash {
            MacHash::Sha1 => Mac::Sha1(keyed(secret)),
            MacHash::Sha256 => Mac::Sha256(keyed(secret)),
            MacHash::Sha384 => Mac::Sha384(keyed(secret)),
            MacHash::Sha512 => Mac::Sha512(keyed(secret)),
        })
    }

    pub(super) fn begin(&self) -> Mac {
        self.0.clone()
    }
}

impl Mac {
    pub(super) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(piece),
            Self::Sha256(mac) => mac.update(piece),
            Self::Sha384(mac) => mac.update(piece),
            Self::Sha512(mac) => mac.update(piece),
        }
    }

    pub(super) fn finish(self) -> Tag {
        match self {
            Self::Sha1(mac) => Tag::new(&mac.finalize().into_bytes()),
            Self::Sha256(mac) => Tag::new(&mac.finalize().into_bytes()),
            Self::Sha384(mac) => Tag::new(&mac.finalize().into_bytes()),
            Self::Sha512(mac) => Tag::new(&mac.finalize().into_bytes()),
        }
    }
}

fn keyed<M: KeyInit>(secret: &[u8]) -> M {
    M::new_from_slice(secret).expect("HMAC takes keys of every length")
}
