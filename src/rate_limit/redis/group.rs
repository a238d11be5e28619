//! [`Group`]: the limits that are decided about together, named in Redis.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use smallvec::{SmallVec, smallvec};

use super::{commands, wire::Shape};
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
use crate::crypto::sha256;
use crate::{
    rate_limit::{
        Algorithm, Hit, Quota,
        identity::{Identities, Identity},
    },
    store::{Key, RedisStore},
};

/// One of each limit: most requests are under one.
pub(super) type Few<T> = SmallVec<[T; 1]>;

/// Of what is longer, a name holds the digest: whole it would be as long as a client likes. Without a crypto
/// backend there is none, and names are whole.
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
const LONGEST_NAMED: usize = 200;

/// One quota under one key.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) quota: Quota,
    pub(super) id: Identity,
    /// Its name in Redis, to which more is appended. The hash tag is what is counted by, so that all quotas
    /// under one key lie in one slot.
    pub(super) name: String,
    /// Where the hash tag ends.
    tag: usize,
}

/// Limits that are decided about together, once each.
#[derive(Debug)]
pub(super) struct Group {
    /// Of them all, in their order.
    pub(super) id: Identity,
    pub(super) limits: Few<Limit>,
    /// Which limit each hit is under, if it is not its own.
    under: Option<Vec<usize>>,
}

/// What each hit of a request costs.
#[derive(Clone, Debug)]
pub(super) enum Costs {
    One(u32),
    Several(Box<[u32]>),
}

impl Costs {
    pub(super) fn of(hits: &[Hit<'_>]) -> Self {
        match hits {
            [one] => Self::One(one.cost()),
            _ => Self::Several(hits.iter().map(Hit::cost).collect()),
        }
    }

    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(cost) => std::slice::from_ref(cost),
            Self::Several(costs) => costs,
        }
    }
}

/// What stands for a hit's counts.
pub(super) fn identity(identities: &Identities, hit: &Hit<'_>) -> Identity {
    identities.of(hit.quota().fingerprint(), hit.key())
}

/// What stands for the counts of all these hits together.
pub(super) fn group_identity(identities: &Identities, hits: &[Hit<'_>]) -> Identity {
    match hits {
        [one] => identity(identities, one),
        _ => {
            let bytes: Vec<u8> = hits
                .iter()
                .map(|hit| identity(identities, hit))
                .flat_map(|id| [id.first.to_le_bytes(), id.second.to_le_bytes()])
                .flatten()
                .collect();
            identities.of(u64::MAX, &bytes)
        }
    }
}

impl Group {
    pub(super) fn new(
        id: Identity,
        identities: &Identities,
        store: &RedisStore,
        hits: &[Hit<'_>],
    ) -> Self {
        if let [one] = hits {
            return Self {
                id,
                limits: smallvec![Limit::of(identities, store, one)],
                under: None,
            };
        }
        let mut limits = Few::<Limit>::with_capacity(hits.len());
        let under = hits.iter().map(|hit| {
            let id = identity(identities, hit);
            if let Some(at) = limits.iter().position(|limit| limit.id == id) {
                return at;
            }
            limits.push(Limit::of(identities, store, hit));
            limits.len() - 1
        });
        let under: Vec<_> = under.collect();
        let under = (limits.len() < hits.len()).then_some(under);
        Self { id, limits, under }
    }

    /// The limit that a hit is under.
    pub(super) fn under(&self, hit: usize) -> usize {
        let under = self.under.as_ref();
        under.and_then(|under| under.get(hit)).map_or(hit, |at| *at)
    }

    /// Whether each hit is under a limit of its own.
    pub(super) fn is_plain(&self) -> bool {
        self.under.is_none()
    }
}

/// What is counted by, as a name: as it is, or so that no two names are the same.
fn name(store: &RedisStore, key: &[u8]) -> Key {
    #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
    if key.len() > LONGEST_NAMED {
        return encoded(store, '=', &sha256(key));
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._@:/".contains(byte);
    if !key.is_empty() && key.iter().all(plain) {
        return store.key("rate", &[key]);
    }
    encoded(store, '~', key)
}

/// Bytes after a mark that no readable name begins with.
fn encoded(store: &RedisStore, mark: char, bytes: &[u8]) -> Key {
    let mut text = String::with_capacity(1 + bytes.len().div_ceil(3) * 4);
    text.push(mark);
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    store.key("rate", &[text.as_bytes()])
}

/// Whether a hit is counted in segments.
pub(super) fn is_window(hit: &Hit<'_>) -> bool {
    hit.quota().algorithm() == Algorithm::SlidingWindow
}

impl Limit {
    /// The limit that a hit is under.
    pub(super) fn of(identities: &Identities, store: &RedisStore, hit: &Hit<'_>) -> Self {
        let id = identity(identities, hit);
        let mut text = name(store, hit.key()).into_string();
        let tag = text.len();
        commands::push_number(&mut text, hit.quota().fingerprint());
        Self {
            quota: *hit.quota(),
            id,
            name: text,
            tag,
        }
    }

    pub(super) fn is_window(&self) -> bool {
        self.quota.algorithm() == Algorithm::SlidingWindow
    }

    /// What decides the slot.
    pub(super) fn tag(&self) -> &str {
        &self.name[..self.tag]
    }

    /// How its counts lie in Redis, if it has any.
    pub(super) fn shape(&self) -> Shape {
        Shape::of(&self.quota)
    }

    /// The key of a block.
    pub(super) fn block(&self) -> String {
        // No part of the counts is called so: their digits are of thirty-two, without capitals.
        commands::joined(&self.name, ":BLOCK")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &[u8]) -> String {
        let store = RedisStore::new("redis://localhost").expect("a URL");
        name(&store, key).into_string()
    }

    #[test]
    fn names_are_readable_where_they_can_be() {
        assert_eq!(named(b"10.0.0.1"), "rate:{10.0.0.1}");
        assert_eq!(named(b"a b"), "rate:{~YSBi}");
        assert_eq!(named(b""), "rate:{~}");
        assert_eq!(named(b"~YSBi"), "rate:{~fllTQmk}");
        assert_eq!(named(&[b'a'; 200]).len(), 7 + 200);
    }

    #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
    #[test]
    fn what_is_long_is_named_after_its_digest() {
        for byte in [b'a', b' '] {
            let mut long = vec![byte; 1 << 20];
            let one = named(&long);
            *long.last_mut().expect("a byte") = b'b';
            let other = named(&long);
            assert_ne!(one, other);
            for name in [one, other] {
                assert!(
                    name.starts_with("rate:{=") && name.len() == 7 + 43 + 1,
                    "{name}"
                );
            }
        }
        // The same in every process: SHA-256 of 201 times `a`.
        assert_eq!(
            named(&[b'a'; 201]),
            "rate:{=qS79ghCTc-WPmiBW3uAegH4hbOYHX3BRIHwKn31mblA}"
        );
        // What is called as a digest is named otherwise.
        assert_ne!(
            named(b"=qS79ghCTc-WPmiBW3uAegH4hbOYHX3BRIHwKn31mblA"),
            named(&[b'a'; 201])
        );
    }
}
