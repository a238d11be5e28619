//! [`MemoryStore`]: everything in this process, bounded and expiring.

use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};

/// The keys that a store remembers in each table unless it is told otherwise.
const DEFAULT_MAX_KEYS: usize = 1 << 20;

/// Less is not worth a table.
const LEAST_MAX_KEYS: usize = 64;

/// A store in this process' memory.
///
/// It implements every store trait. Cloning it gives another handle to the same memory, so that several
/// layers can share what they remember. The tables of a domain are made when the domain is first used, and
/// grow as they fill.
#[derive(Clone)]
pub struct MemoryStore(Arc<Memory>);

struct Memory {
    max_keys: usize,
    tables: [OnceLock<Box<dyn Any + Send + Sync>>; Domain::COUNT],
}

/// The domains that keep something in memory, each in a table of its own type.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each feature has its own")]
pub(crate) enum Domain {
    Replay,
    RateLimit,
    RefreshTokens,
    Revocation,
}

impl Domain {
    const COUNT: usize = 4;
}

impl MemoryStore {
    /// An empty store with the default bound of 1,048,576 keys.
    #[must_use]
    pub fn new() -> Self {
        Self::bounded(DEFAULT_MAX_KEYS)
    }

    /// An empty store that remembers at most this many keys in each of its tables, rounded up to a power
    /// of two of at least 64.
    #[must_use]
    pub fn bounded(max_keys: usize) -> Self {
        let most = 1 << (usize::BITS - 2);
        Self(Arc::new(Memory {
            max_keys: max_keys.clamp(LEAST_MAX_KEYS, most).next_power_of_two(),
            tables: [const { OnceLock::new() }; Domain::COUNT],
        }))
    }

    /// The most keys that a table remembers, a power of two.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.0.max_keys
    }

    /// The table of a domain, made if it is not there yet: `domain` always goes with the same `T`.
    pub(crate) fn table<T: Send + Sync + 'static>(
        &self,
        domain: Domain,
        make: impl FnOnce() -> T,
    ) -> Option<&T> {
        self.0.tables[domain as usize]
            .get_or_init(|| Box::new(make()))
            .downcast_ref()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("max_keys", &self.0.max_keys)
            .finish_non_exhaustive()
    }
}
