//! [`Counts`]: how many requests of each key are in flight, and [`Permit`], one of them.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::super::identity::{Identities, Identity};

const SHARDS: usize = 64;

type Shard = HashMap<(u64, u64), u32>;

/// The requests in flight. A key is there only while one of its requests is, so there are never more keys than
/// requests.
pub(super) struct Counts {
    shards: [Mutex<Shard>; SHARDS],
    identities: Identities,
}

/// A request in flight, until it is dropped.
pub(super) struct Permit {
    counts: Arc<Counts>,
    key: Identity,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            identities: Identities::new(),
        }
    }

    /// Another request of a key, and how many more there may be; none if there are as many as there may be.
    pub(super) fn enter(self: &Arc<Self>, key: &[u8], limit: u32) -> Option<(Permit, u32)> {
        let key = self.identities.of(0, key);
        let mut shard = self.shard(key);
        let count = shard.entry((key.first, key.second)).or_default();
        // What is refused is there already: with a limit of at least 1, no empty entry is left behind.
        let left = limit.checked_sub(*count + 1)?;
        *count += 1;
        let counts = Arc::clone(self);
        Some((Permit { counts, key }, left))
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }

    fn shard(&self, key: Identity) -> MutexGuard<'_, Shard> {
        #[allow(clippy::cast_possible_truncation, reason = "a few bits are wanted")]
        let shard = &self.shards[key.spread() as usize % SHARDS];
        // Nothing panics halfway through a change, so a poisoned lock guards whole counts.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut shard = self.counts.shard(self.key);
        if let Entry::Occupied(mut count) = shard.entry((self.key.first, self.key.second)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        // What many keys at once have taken is not kept for ever.
        if shard.capacity() > 64 && shard.len() * 8 < shard.capacity() {
            shard.shrink_to_fit();
        }
    }
}
