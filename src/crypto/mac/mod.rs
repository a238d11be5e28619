//! HMAC over a message that comes in pieces (RFC 2104), SHA-1 included.
//!
//! HMAC-SHA1 is still sound as a MAC, broken as the bare hash is, and some senders of webhooks have nothing
//! else. Nothing but them may ask for it, so it is not among the crate's [`Hash`](super::Hash)es.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(all(feature = "rust-crypto", any(test, not(feature = "aws-lc"))))]
mod rust_crypto;
#[cfg(all(test, feature = "aws-lc", feature = "rust-crypto"))]
mod tests;
#[cfg(not(any(feature = "aws-lc", feature = "rust-crypto")))]
mod without;

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

#[cfg(feature = "aws-lc")]
use self::aws_lc as backend;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc")))]
use self::rust_crypto as backend;
#[cfg(not(any(feature = "aws-lc", feature = "rust-crypto")))]
use self::without as backend;

/// The hashes that a MAC is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MacHash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// A secret made ready, from which any number of MACs begin.
pub(crate) struct MacKey(backend::Key);

impl MacKey {
    /// Does the work of the key once.
    pub(crate) fn new(hash: MacHash, secret: &[u8]) -> Self {
        Self(backend::Key::new(hash, secret))
    }

    /// Begins a message. Allocates nothing.
    #[inline]
    pub(crate) fn begin(&self) -> Mac {
        Mac(self.0.begin())
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

/// A message on its way into a MAC.
pub(crate) struct Mac(backend::Mac);

impl Mac {
    /// Takes the next piece.
    #[inline]
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The tag of all pieces.
    #[inline]
    pub(crate) fn finish(self) -> Tag {
        self.0.finish()
    }
}

/// A tag: compared in constant time, wiped when dropped.
pub(crate) struct Tag {
    bytes: [u8; 64],
    length: usize,
}

impl Tag {
    fn new(tag: &[u8]) -> Self {
        let length = tag.len().min(64);
        let mut bytes = [0; 64];
        bytes[..length].copy_from_slice(&tag[..length]);
        Self { bytes, length }
    }

    /// The bytes of the tag: whoever has them can pass for the sender of this one message.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Whether the other is the whole of this tag. Takes the same time for every wrong one of its length.
    pub(crate) fn is(&self, other: &[u8]) -> bool {
        if self.length != other.len() {
            return false;
        }
        // Eight bytes at a time: the comparison is one of the longer parts of a short message's check.
        let (tag, tag_rest) = self.expose().as_chunks::<8>();
        let (other, other_rest) = other.as_chunks::<8>();
        let words = tag.iter().zip(other).map(|(one, two)| {
            let (one, two) = (u64::from_ne_bytes(*one), u64::from_ne_bytes(*two));
            one.ct_eq(&two)
        });
        words
            .fold(tag_rest.ct_eq(other_rest), |same, word| same & word)
            .into()
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        self.bytes[..self.length].zeroize();
    }
}
