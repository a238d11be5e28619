//! [`ReplayStore`] for [`MemoryStore`]: bounded, and nothing that still counts is ever forgotten.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Claim, ClaimToken, ReplayStore};
use crate::{
    clock::since_epoch,
    store::{Domain, MemoryStore, Reply, StoreError, StoreErrorKind},
};

/// What stands for a key: two SipHashes under keys of this process, so that an entry has one size whatever
/// clients send. Two keys that met would be refused, not let through.
type Fingerprint = [u64; 2];

/// Nanoseconds since the Unix epoch.
type Nanos = u128;

struct Replays {
    hashers: [RandomState; 2],
    table: Mutex<Table>,
    most: usize,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Fingerprint, Entry>,
    /// All entries by when they end.
    ends: BTreeSet<(Nanos, Fingerprint)>,
}

#[derive(Clone, Copy)]
struct Entry {
    end: Nanos,
    /// Who holds the claim; `None` once the value was used.
    holder: Option<ClaimToken>,
    /// Who used it.
    used_by: Option<ClaimToken>,
}

impl ReplayStore for MemoryStore {
    fn consume(&self, key: &[u8], now: SystemTime, keep: Duration) -> Reply<bool> {
        self.replays(key, now, |table, key, now| {
            if table.entries.contains_key(&key) {
                return Ok(false);
            }
            table.put(key, Entry::used(None, end(now, keep)))?;
            Ok(true)
        })
    }

    fn claim(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        lease: Duration,
    ) -> Reply<Claim> {
        self.replays(key, now, |table, key, now| {
            match table.entries.get(&key) {
                Some(entry) if entry.holder.is_none() => return Ok(Claim::Used),
                Some(entry) if entry.holder != Some(*token) => return Ok(Claim::InFlight),
                _ => {}
            }
            table.put(key, Entry::held(*token, end(now, lease)))?;
            Ok(Claim::Claimed)
        })
    }

    fn commit(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        keep: Duration,
    ) -> Reply<bool> {
        self.replays(key, now, |table, key, now| {
            let end = end(now, keep);
            let Some(entry) = table.entries.get(&key).copied() else {
                table.put(key, Entry::used(Some(*token), end))?;
                return Ok(false);
            };
            let ours = entry.holder == Some(*token) || entry.used_by == Some(*token);
            let (used_by, end) = match entry.holder {
                // Never remembered for less than it was already promised.
                None => (entry.used_by, end.max(entry.end)),
                Some(_) => (Some(*token), end),
            };
            table.put(key, Entry::used(used_by, end))?;
            Ok(ours)
        })
    }

    fn release(&self, key: &[u8], token: &ClaimToken, now: SystemTime) -> Reply<bool> {
        self.replays(key, now, |table, key, _| {
            let ours = table
                .entries
                .get(&key)
                .is_some_and(|entry| entry.holder == Some(*token));
            if ours {
                table.remove(key);
            }
            Ok(ours)
        })
    }
}

impl MemoryStore {
    /// Does something about a key whose entry, if there is one, still counts.
    fn replays<T>(
        &self,
        key: &[u8],
        now: SystemTime,
        verb: impl FnOnce(&mut Bounded<'_>, Fingerprint, Nanos) -> Result<T, StoreError>,
    ) -> Reply<T> {
        let most = self.max_keys();
        let replays = self.table(Domain::Replay, || Replays {
            hashers: [RandomState::new(), RandomState::new()],
            table: Mutex::default(),
            most,
        });
        let Some(replays) = replays else {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Corrupt)));
        };
        let key = replays
            .hashers
            .each_ref()
            .map(|hasher| hasher.hash_one(key));
        let now = since_epoch(now).as_nanos();
        let mut table = replays.lock();
        table.forget(key, now);
        let mut table = Bounded {
            table: &mut table,
            most: replays.most,
        };
        Reply::Ready(verb(&mut table, key, now))
    }
}

struct Bounded<'a> {
    table: &'a mut Table,
    most: usize,
}

impl std::ops::Deref for Bounded<'_> {
    type Target = Table;

    fn deref(&self) -> &Table {
        self.table
    }
}

impl Bounded<'_> {
    fn put(&mut self, key: Fingerprint, entry: Entry) -> Result<(), StoreError> {
        if let Some(old) = self.table.entries.get_mut(&key) {
            self.table.ends.remove(&(old.end, key));
            self.table.ends.insert((entry.end, key));
            *old = entry;
            return Ok(());
        }
        if self.table.entries.len() >= self.most {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        self.table.entries.insert(key, entry);
        self.table.ends.insert((entry.end, key));
        Ok(())
    }

    fn remove(&mut self, key: Fingerprint) {
        self.table.remove(key);
    }
}

impl Table {
    /// Forgets the key if its time is over, and a few others whose time is: more than one call adds, and so
    /// few that no call is slow.
    fn forget(&mut self, key: Fingerprint, now: Nanos) {
        if self.entries.get(&key).is_some_and(|entry| entry.end <= now) {
            self.remove(key);
        }
        for _ in 0..4 {
            match self.ends.first() {
                Some((end, key)) if *end <= now => {
                    let key = *key;
                    self.remove(key);
                }
                _ => break,
            }
        }
    }

    fn remove(&mut self, key: Fingerprint) {
        if let Some(entry) = self.entries.remove(&key) {
            self.ends.remove(&(entry.end, key));
        }
    }
}

impl Entry {
    fn held(by: ClaimToken, end: Nanos) -> Self {
        Self {
            end,
            holder: Some(by),
            used_by: None,
        }
    }

    fn used(by: Option<ClaimToken>, end: Nanos) -> Self {
        Self {
            end,
            holder: None,
            used_by: by,
        }
    }
}

impl Replays {
    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics halfway through a change, so a poisoned lock guards whole entries.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A moment later at least, so that nothing ends as it begins.
fn end(now: Nanos, lifetime: Duration) -> Nanos {
    now + lifetime.as_nanos().max(1)
}
