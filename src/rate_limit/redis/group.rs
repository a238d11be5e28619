//! [`Group`]: the limits that are decided about together, named in Redis.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use smallvec::{SmallVec, smallvec};

use super::wire::{self, Shape};
use crate::{
    rate_limit::{
        Algorithm, Hit, Quota,
        identity::{Identities, Identity},
    },
    store::RedisStore,
};

/// One of each limit: most requests are under one.
pub(super) type Few<T> = SmallVec<[T; 1]>;

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

/// Whether a hit is counted in segments.
pub(super) fn is_window(hit: &Hit<'_>) -> bool {
    hit.quota().algorithm() == Algorithm::SlidingWindow
}

impl Limit {
    /// The limit that a hit is under.
    pub(super) fn of(identities: &Identities, store: &RedisStore, hit: &Hit<'_>) -> Self {
        let (id, key) = (identity(identities, hit), hit.key());
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._@:/".contains(byte);
        let readable = !key.is_empty() && key.iter().all(plain);
        let name = if readable {
            store.key("rate", &[key])
        } else {
            // No readable key begins so.
            let mut text = String::with_capacity(1 + key.len().div_ceil(3) * 4);
            text.push('~');
            URL_SAFE_NO_PAD.encode_string(key, &mut text);
            store.key("rate", &[text.as_bytes()])
        };
        let mut text = name.into_string();
        let tag = text.len();
        wire::push_number(&mut text, hit.quota().fingerprint());
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
        wire::joined(&self.name, ":BLOCK")
    }
}
