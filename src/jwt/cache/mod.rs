//! Tokens that were verified before: looked up instead of verified again.
//!
//! A client sends the same token with every request until it is renewed. Looking it up costs a thirtieth to a
//! hundredth of a signature, and less than half of an HMAC with the reading of the claims (measured by the
//! bench `jwt`, on a processor that computes SHA-256 in hardware), so tokens of every algorithm are
//! remembered. A token that never comes again costs a quarter more under an HMAC. A hit must therefore be
//! worth exactly what the verification was worth:
//!
//! - **Nothing is accepted that was not verified.** An entry is found by the SipHash-2-4-128 of the whole
//!   token, signature included, under a key of 128 bits that the operating system gave to this cache and
//!   that nobody sees. To be taken for an entry, a token that was not verified must have an entry's hash; to
//!   whoever does not know the key that is a chance of 2^-128 for each entry and attempt, and since neither
//!   hashes nor the key are ever shown, attempts teach nothing for the next one. Only tokens that were
//!   accepted are kept, so nobody fills the cache without the issuer's help.
//! - **Time goes on.** `exp`, `nbf` and the maximum age are judged at every hit with the time of that hit, by
//!   the same code as at first; an entry is never good for longer than its token.
//! - **Keys die.** An entry belongs to the generation of keys it was verified under. When a key is removed or
//!   replaced, when the whole set grows too old, or when there is none, it is not found.
//! - **Settings count.** Every setter of a verifier, and every copy that is changed, starts with an empty
//!   cache. What may come out differently each time is asked each time: the verifier's own checks at every
//!   hit, and revocation after it.
//! - **Time tells nothing of the secret.** A table keyed by the token itself would compare it with others'
//!   tokens byte by byte. Here what is compared, and the place that is looked at, depend on the token only
//!   through the keyed hash. That a token was seen before can be told by the time it takes: by whoever has
//!   that token.
//! - **No token lies in it**, only hashes and claims: neither a dump of the memory nor `Debug` gives one back.
//! - **It is bounded**: as many entries as it was told, of tokens of at most [`LONGEST`] bytes. The one used
//!   longest ago makes room. A claim is held until then, which may be after `exp`; it is not served.
//!
//! It is a row of small sets with a lock each, so that requests seldom wait for each other, and takes no
//! memory before the first token is kept.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
};

use super::claims::Claims;
use crate::{crypto::SipKey, random};

/// How many tokens are remembered unless something else is said.
const CAPACITY: usize = 4096;
/// The most tokens that are remembered: the table for them is made at once, and takes 16 MiB then.
const MOST: usize = 1 << 22;
/// The longest token that is remembered, in bytes. Its claims may take several times as much.
const LONGEST: usize = 4096;
/// How many entries share a lock.
const WAYS: usize = 16;

/// The tokens that one verifier, with one configuration, has accepted.
pub(super) struct Cache {
    capacity: usize,
    /// None within, if the operating system gave no key.
    table: OnceLock<Option<Table>>,
}

struct Table {
    key: SipKey,
    sets: Box<[Mutex<Set>]>,
    /// How many entries a set holds.
    ways: usize,
}

/// On a cache line of its own, or the locks of neighbours would be passed between processors together.
#[derive(Default)]
#[repr(align(64))]
struct Set {
    /// Counts up with every use.
    uses: u64,
    entries: Vec<Entry>,
}

struct Entry {
    token: u128,
    generation: u64,
    used: u64,
    claims: Claims,
}

/// A token, as the cache knows it.
#[derive(Clone, Copy)]
pub(super) struct Digest(u128);

impl Cache {
    /// A cache with room for this many tokens, or for as many as there can be.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.min(MOST),
            table: OnceLock::new(),
        }
    }

    /// The digest of a token that may be remembered.
    pub(super) fn digest(&self, token: &[u8]) -> Option<Digest> {
        if self.capacity == 0 || token.len() > LONGEST {
            return None;
        }
        let table = self.table.get_or_init(|| Table::new(self.capacity));
        table.as_ref().map(|table| Digest(table.key.hash(token)))
    }

    /// What a token was found to say under these keys.
    pub(super) fn find(&self, token: Digest, generation: u64) -> Option<Claims> {
        self.table.get()?.as_ref()?.find(token.0, generation)
    }

    /// Remembers what a token was found to say. `generation` must have been read before the keys were.
    pub(super) fn keep(&self, token: Digest, generation: u64, claims: &Claims) {
        if let Some(Some(table)) = self.table.get() {
            // What had to go is dropped when the lock is open again.
            drop(table.keep(token.0, generation, claims.clone()));
        }
    }
}

impl Table {
    fn new(capacity: usize) -> Option<Self> {
        let mut key = [0; 16];
        random::fill(&mut key).ok()?;
        let sets = capacity.div_ceil(WAYS);
        Some(Self {
            key: SipKey::new(key),
            sets: (0..sets).map(|_| Mutex::default()).collect(),
            ways: capacity / sets,
        })
    }

    fn set(&self, token: u128) -> Option<&Mutex<Set>> {
        // The upper half decides: a fraction of the range, which is that fraction of the sets.
        let place = ((token >> 64) * self.sets.len() as u128) >> 64;
        self.sets.get(place as usize)
    }

    fn find(&self, token: u128, generation: u64) -> Option<Claims> {
        let mut set = lock(self.set(token)?);
        let Set { uses, entries } = &mut *set;
        let entry = entries.iter_mut().find(|entry| entry.token == token)?;
        if entry.generation != generation {
            return None;
        }
        *uses += 1;
        entry.used = *uses;
        Some(entry.claims.clone())
    }

    /// Gives back the entry whose place was taken.
    fn keep(&self, token: u128, generation: u64, claims: Claims) -> Option<Entry> {
        let mut set = lock(self.set(token)?);
        set.uses += 1;
        let entry = Entry {
            token,
            generation,
            used: set.uses,
            claims,
        };
        let full = set.entries.len() >= self.ways;
        // The token's own place; or that of another set of keys; or the one used longest ago.
        let least = |own: &&mut Entry| (own.token != token, own.generation == generation, own.used);
        match set.entries.iter_mut().min_by_key(least) {
            Some(old) if full || old.token == token => Some(std::mem::replace(old, entry)),
            _ => {
                set.entries.push(entry);
                None
            }
        }
    }
}

/// A thread that panicked while it held the lock left the set whole: nothing in between can panic.
fn lock(set: &Mutex<Set>) -> std::sync::MutexGuard<'_, Set> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

/// A copy is of the same size, and empty.
impl Clone for Cache {
    fn clone(&self) -> Self {
        Self::new(self.capacity)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
