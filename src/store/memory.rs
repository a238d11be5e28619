//! [`MemoryStore`]: everything in this process, bounded and expiring.

use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};

/// A store in this process' memory.
///
/// It implements every store trait. Cloning it gives another handle to the same memory, so that several
/// layers can share what they remember. The tables of a domain are made when the domain is first used.
#[derive(Clone, Default)]
pub struct MemoryStore {
    tables: Arc<[OnceLock<Box<dyn Any + Send + Sync>>; Domain::COUNT]>,
}

/// The domains that keep something in memory, each in a table of its own type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Domain {
    RateLimit,
}

impl Domain {
    const COUNT: usize = 1;
}

impl MemoryStore {
    /// An empty store with the default bounds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The table of a domain: `domain` always goes with the same `T`.
    pub(crate) fn table<T: Default + Send + Sync + 'static>(&self, domain: Domain) -> Option<&T> {
        self.tables[domain as usize]
            .get_or_init(|| Box::<T>::default())
            .downcast_ref()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore(..)")
    }
}
