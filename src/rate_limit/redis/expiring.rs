//! [`Expiring`]: the keys that are known to have an expiry.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

/// More keys than this are not remembered, and are given an expiry once more.
const MOST: usize = 65_536;

/// Hashes of the keys that this process has given an expiry. A key that was deleted since is told by its
/// counts, which begin again.
#[derive(Clone, Default)]
pub(super) struct Expiring {
    known: Arc<Mutex<HashSet<u64>>>,
    hash: RandomState,
}

impl Expiring {
    /// Whether a key is known.
    pub(super) fn knows(&self, key: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&self.hash.hash_one(key))
    }

    /// Remembers a key that has been given an expiry.
    pub(super) fn remember(&self, key: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(self.hash.hash_one(key));
    }
}
