//! The text of a refresh token, and how one follows from another.
//!
//! ```text
//! family (24 bytes) | generation (4, big-endian) | nonce (32) | previous nonce, masked (32) | tag (16)
//! ```
//!
//! The first nonce of a family is random, and each next one is an HMAC of the one before it under the
//! server's key. So the successor of a token is always the same, and whoever presents the token again can be
//! handed the same successor again, without any token being kept: a store has only their hashes. To follow
//! a token to its successor takes the token and the key; a copy of the store and the key together give
//! neither.
//!
//! The nonce before is there for a store that has lost a rotation: a Redis master that dies may take along
//! the last moment's, which its replica never heard of. From it, the hash of the token before is made; if that
//! is the one the store holds to be live, the rotation that was lost is done again. It is masked by an HMAC
//! of its own under the key, so that a token opens nothing but what its holder could open anyhow. Whoever has
//! the key alone, or the key and a copy of the store, knows no nonce and can make no token that a store takes.
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

const LENGTH: usize = 24 + 4 + 32 + 32 + 16;
/// Of what is hashed: family, generation, nonce.
const HASHED: usize = 24 + 4 + 32;
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
    /// The text: 144 characters of base64url.
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
    /// The nonce of the token before; none of the first.
    previous: Option<Zeroizing<[u8; 32]>>,
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
            previous: None,
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
            previous: Some(self.nonce.clone()),
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
        let (nonce, rest) = rest.split_first_chunk()?;
        let (masked, tag): (&[u8; 32], _) = rest.split_first_chunk()?;
        let mut parts = Self {
            family: FamilyId(*family),
            generation: u32::from_be_bytes(*generation),
            nonce: Zeroizing::new(*nonce),
            previous: None,
        };
        let is_tag = |key: &&MacKey| -> bool { parts.tag(key, masked).ct_eq(tag).into() };
        let key = keys.into_iter().find(is_tag)?;
        if parts.generation > 0 {
            parts.previous = Some(Zeroizing::new(parts.masked(key, masked)));
        }
        Some(parts)
    }

    fn tag(&self, key: &MacKey, masked: &[u8; 32]) -> [u8; 16] {
        let number = self.generation.to_be_bytes();
        let whole = key.tag(&[b"mark", &self.family.0, &number, &*self.nonce, masked]);
        let mut tag = [0; 16];
        tag.copy_from_slice(&whole[..16]);
        tag
    }

    /// The bytes under the mask, or with it if they are without.
    fn masked(&self, key: &MacKey, bytes: &[u8; 32]) -> [u8; 32] {
        let number = self.generation.to_be_bytes();
        let mut mask = key.tag(&[b"prev", &self.family.0, &number, &*self.nonce]);
        mask.iter_mut()
            .zip(bytes)
            .for_each(|(mask, byte)| *mask ^= byte);
        mask
    }

    /// The hash of the token before.
    pub(super) fn predecessor(&self) -> Option<TokenHash> {
        let previous = Self {
            family: self.family,
            generation: self.generation.checked_sub(1)?,
            nonce: self.previous.clone()?,
            previous: None,
        };
        Some(previous.hash())
    }

    /// What stands for the token in a store. It does not depend on the tag, and so not on the key that
    /// tagged it.
    pub(super) fn hash(&self) -> TokenHash {
        let mut bytes = Zeroizing::new([0; HASHED]);
        self.write(&mut bytes[..]);
        crypto::sha256(&*bytes)
    }

    pub(super) fn token(&self, key: &MacKey) -> RefreshToken {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        self.write(&mut bytes[..HASHED]);
        // The first has none: then the mask alone is there, which says so to nobody without the key.
        let none = Zeroizing::new([0; 32]);
        let masked = self.masked(key, self.previous.as_deref().unwrap_or(&none));
        bytes[HASHED..HASHED + 32].copy_from_slice(&masked);
        bytes[HASHED + 32..].copy_from_slice(&self.tag(key, &masked));
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
