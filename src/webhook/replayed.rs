//! [`Replayed`]: what stands for a delivery in a replay store.

use super::received::LONGEST_ID;
use crate::crypto::{mac::Tag, sha256};

/// The key of a delivery in a replay store.
pub(super) type ReplayKey = [u8; 32];

/// How much of a tag stands for a delivery.
const PART: usize = 16;
/// What a key begins with whose rest is a part of a tag.
const OF_TAG: [u8; PART] = *b"part of an HMAC\0";

/// What stands for a delivery, before keys are made of it.
pub(super) enum Replayed {
    /// The tags of what is signed: of the secret that it was signed with, and where a delivery lists several
    /// signatures, of every secret that is in use.
    Tags(Tags),
    /// A digest of what is signed. Not the signature: one of ECDSA can be made into another without the key.
    Digest([u8; 32]),
    /// A digest of several deliveries in one, each of which can come again alone or with others.
    Several([u8; 32]),
}

/// Half of a tag for each secret; two need no heap.
///
/// The other half, without which nobody can send the delivery again, is not to be had from it: the halves of a
/// tag have nothing to do with each other for who does not have the secret.
#[derive(Default)]
pub(super) struct Tags {
    first: Option<[u8; PART]>,
    second: Option<[u8; PART]>,
    more: Vec<[u8; PART]>,
}

impl Tags {
    #[inline]
    pub(super) fn push(&mut self, tag: &Tag) {
        let tag = tag.expose();
        let part = match tag.first_chunk() {
            Some(part) if tag.len() >= 2 * PART => *part,
            // HMAC-SHA1: half of its tag would be too little.
            _ => digest("mac", tag)
                .first_chunk()
                .copied()
                .unwrap_or_default(),
        };
        match (&self.first, &self.second) {
            (None, _) => self.first = Some(part),
            (_, None) => self.second = Some(part),
            _ => self.more.push(part),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl Replayed {
    /// One key; several of a delivery that lists several signatures, each of which stands for it. The first is
    /// that of the first secret.
    #[inline]
    pub(super) fn keys(&self) -> impl Iterator<Item = ReplayKey> {
        let (digest, tags) = match self {
            Self::Tags(tags) => (None, Some(tags)),
            Self::Digest(digest) | Self::Several(digest) => (Some(*digest), None),
        };
        let parts = tags.into_iter().flat_map(|tags| {
            let two = [&tags.first, &tags.second].into_iter().flatten();
            two.chain(&tags.more)
        });
        digest.into_iter().chain(parts.map(|part| {
            let mut key = [0; 2 * PART];
            key[..PART].copy_from_slice(&OF_TAG);
            key[PART..].copy_from_slice(part);
            key
        }))
    }
}

/// A digest that nobody can take for the digest of something else: `what` is at most seven bytes.
pub(super) fn digest(what: &str, content: &[u8]) -> [u8; 32] {
    let mut text = [0; 8 + LONGEST_ID];
    for (place, byte) in text[..7].iter_mut().zip(what.bytes()) {
        *place = byte;
    }
    if let Some(room) = text[8..].get_mut(..content.len()) {
        room.copy_from_slice(content);
        return sha256(&text[..8 + content.len()]);
    }
    // A long content by its own digest, which is not to be taken for a short one.
    text[7] = 1;
    text[8..40].copy_from_slice(&sha256(content));
    sha256(&text[..40])
}
