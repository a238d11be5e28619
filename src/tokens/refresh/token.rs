//! The text of a refresh token, and how one follows from another.
//!
//! ```text
//! family (24 bytes) | generation (4, big-endian) | nonce (32) | tag (16)      as base64url
//! ```
//!
//! The first nonce of a family is random, and each next one is an HMAC of the one before it under the
//! server's key. So the successor of a token is always the same, and whoever presents the token again can be
//! handed the same successor again, without any token being kept: a store has only their hashes. To follow
//! a token to its successor takes the token and the key; a copy of the store and the key together give
//! neither.
//!
//! The tag is an HMAC of the rest under the same key, apart by its label. It keeps texts that nobody was ever
//! given away from the store, and lets an old token be told from an invented one: only the former may end a
//! family.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    config::ConfigError,
    crypto::{self, MacKey},
    random::{self, RandomError},
};

/// SHA-256 of a token: all that a store ever has of it.
pub type TokenHash = [u8; 32];

const LENGTH: usize = 24 + 4 + 32 + 16;
/// Of [`LENGTH`] bytes in base64url.
const TEXT_LENGTH: usize = (LENGTH * 4).div_ceil(3);

/// Which sign-in a refresh token comes from. It is no secret: it opens nothing.
///
/// The first 8 of its 24 bytes are of the hash of the subject, so that a store can keep all families of a
/// subject in one place; the others are random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId([u8; 24]);

impl FamilyId {
    pub(super) fn generate(subject: &str) -> Result<Self, RandomError> {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&subject_tag(subject));
        random::fill(&mut bytes[8..])?;
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }

    /// The 8 bytes that every family of its subject begins with: [`subject_tag`] of it.
    #[must_use]
    pub fn subject_tag(&self) -> [u8; 8] {
        let mut tag = [0; 8];
        tag.copy_from_slice(&self.0[..8]);
        tag
    }
}

/// The bytes that every [`FamilyId`] of the subject begins with. Different subjects may share them.
#[must_use]
pub fn subject_tag(subject: &str) -> [u8; 8] {
    let mut tag = [0; 8];
    tag.copy_from_slice(&crypto::sha256(subject.as_bytes())[..8]);
    tag
}

impl fmt::Display for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FamilyId({self})")
    }
}

impl FromStr for FamilyId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| ConfigError::new("family", text, "must be 32 characters of base64url"))
    }
}

/// A refresh token, to be handed to the client: `refresh_token` of RFC 6749 section 5.1.
///
/// `Debug` shows its family and generation, which open nothing; it is wiped when dropped.
#[derive(Clone)]
pub struct RefreshToken {
    text: String,
    family: FamilyId,
    generation: u32,
}

impl RefreshToken {
    /// The text: 102 characters of base64url.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The sign-in it comes from.
    #[must_use]
    pub fn family(&self) -> FamilyId {
        self.family
    }

    /// How many tokens of its family came before it.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }
}

impl Drop for RefreshToken {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl PartialEq for RefreshToken {
    fn eq(&self, other: &Self) -> bool {
        self.text.as_bytes().ct_eq(other.text.as_bytes()).into()
    }
}

impl Eq for RefreshToken {}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("family", &self.family)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// A token taken apart.
pub(super) struct Parts {
    pub(super) family: FamilyId,
    pub(super) generation: u32,
    nonce: Zeroizing<[u8; 32]>,
}

impl Parts {
    /// The first token of a family.
    pub(super) fn first(family: FamilyId) -> Result<Self, RandomError> {
        let mut nonce = Zeroizing::new([0; 32]);
        random::fill(&mut *nonce)?;
        Ok(Self {
            family,
            generation: 0,
            nonce,
        })
    }

    /// The token after this one; none after four thousand million.
    pub(super) fn successor(&self, key: &MacKey) -> Option<Self> {
        let generation = self.generation.checked_add(1)?;
        let number = generation.to_be_bytes();
        let nonce = key.tag(&[b"next", &self.family.0, &number, &*self.nonce]);
        Some(Self {
            family: self.family,
            generation,
            nonce: Zeroizing::new(nonce),
        })
    }

    /// Reads a text that one of the keys has tagged.
    pub(super) fn read<'k>(text: &str, keys: impl IntoIterator<Item = &'k MacKey>) -> Option<Self> {
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (family, rest) = bytes.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (nonce, tag) = rest.split_first_chunk()?;
        let parts = Self {
            family: FamilyId(*family),
            generation: u32::from_be_bytes(*generation),
            nonce: Zeroizing::new(*nonce),
        };
        let is_tag = |key| -> bool { parts.tag(key).ct_eq(tag).into() };
        keys.into_iter().any(is_tag).then_some(parts)
    }

    fn tag(&self, key: &MacKey) -> [u8; 16] {
        let number = self.generation.to_be_bytes();
        let whole = key.tag(&[b"mark", &self.family.0, &number, &*self.nonce]);
        let mut tag = [0; 16];
        tag.copy_from_slice(&whole[..16]);
        tag
    }

    /// What stands for the token in a store. It does not depend on the tag, and so not on the key that
    /// tagged it.
    pub(super) fn hash(&self) -> TokenHash {
        let mut bytes = Zeroizing::new([0; LENGTH - 16]);
        self.write(&mut bytes[..]);
        crypto::sha256(&*bytes)
    }

    pub(super) fn token(&self, key: &MacKey) -> RefreshToken {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        self.write(&mut bytes[..LENGTH - 16]);
        bytes[LENGTH - 16..].copy_from_slice(&self.tag(key));
        RefreshToken {
            text: URL_SAFE_NO_PAD.encode(*bytes),
            family: self.family,
            generation: self.generation,
        }
    }

    fn write(&self, bytes: &mut [u8]) {
        bytes[..24].copy_from_slice(&self.family.0);
        bytes[24..28].copy_from_slice(&self.generation.to_be_bytes());
        bytes[28..60].copy_from_slice(&*self.nonce);
    }
}
