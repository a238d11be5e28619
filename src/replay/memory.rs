//! [`ReplayStore`] for [`MemoryStore`]: bounded, and nothing that still counts is ever forgotten.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{Claim, ClaimToken, ReplayStore};
use crate::{
    clock::since_epoch,
    store::{Domain, MemoryStore, Reply, StoreError, StoreErrorKind},
};

/// What stands for a key: two SipHashes under keys of this process, so that an entry has one size whatever
/// clients send. Two keys that met would be refused, not let through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fingerprint([u64; 2]);

/// The half that does not choose the shard.
impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[1]);
    }
}

/// A fingerprint is a hash under a key that no client knows: to hash it again would only take time.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Nanoseconds since the Unix epoch.
type Nanos = u128;

/// Enough that the threads of a machine seldom meet at one lock.
const SHARDS: usize = 16;

struct Replays {
    hashers: [RandomState; 2],
    shards: [Mutex<Table>; SHARDS],
    /// The entries of all shards, those included whose time is over.
    entries: AtomicUsize,
    most: usize,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Fingerprint, Entry, BuildHasherDefault<AsItIs>>,
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
        self.replays(key, now, |shard, key, now| {
            if shard.entry(key).is_some() {
                return Ok(false);
            }
            shard.put(key, Entry::used(None, end(now, keep)))?;
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
        self.replays(key, now, |shard, key, now| {
            match shard.entry(key) {
                Some(entry) if entry.holder.is_none() => return Ok(Claim::Used),
                Some(entry) if entry.holder != Some(*token) => return Ok(Claim::InFlight),
                _ => {}
            }
            shard.put(key, Entry::held(*token, end(now, lease)))?;
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
        self.replays(key, now, |shard, key, now| {
            let end = end(now, keep);
            let Some(entry) = shard.entry(key) else {
                shard.put(key, Entry::used(Some(*token), end))?;
                return Ok(false);
            };
            let ours = entry.holder == Some(*token) || entry.used_by == Some(*token);
            let (used_by, end) = match entry.holder {
                // Never remembered for less than it was already promised.
                None => (entry.used_by, end.max(entry.end)),
                Some(_) => (Some(*token), end),
            };
            shard.put(key, Entry::used(used_by, end))?;
            Ok(ours)
        })
    }

    fn release(&self, key: &[u8], token: &ClaimToken, now: SystemTime) -> Reply<bool> {
        self.replays(key, now, |shard, key, _| {
            let entry = shard.entry(key);
            let ours = entry.is_some_and(|entry| entry.holder == Some(*token));
            if ours {
                shard.remove(key);
            }
            Ok(ours)
        })
    }
}

impl MemoryStore {
    /// Does something about a key whose entry, if there is one, still counts. It is done again if there was
    /// no room and some could be made.
    fn replays<T>(
        &self,
        key: &[u8],
        now: SystemTime,
        verb: impl Fn(&mut Shard<'_>, Fingerprint, Nanos) -> Result<T, StoreError>,
    ) -> Reply<T> {
        let most = self.max_keys();
        let replays = self.table(Domain::Replay, || Replays {
            hashers: [RandomState::new(), RandomState::new()],
            shards: Default::default(),
            entries: AtomicUsize::new(0),
            most,
        });
        let Some(replays) = replays else {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Corrupt)));
        };
        let hashers = replays.hashers.each_ref();
        let key = Fingerprint(hashers.map(|hasher| hasher.hash_one(key)));
        let now = since_epoch(now).as_nanos();
        let act = || {
            let mut shard = replays.shard(key.0[0] as usize % SHARDS);
            shard.forget(Some(key), now);
            verb(&mut shard, key, now)
        };
        let mut outcome = act();
        let is_full = |outcome: &Result<T, StoreError>| {
            let error = outcome.as_ref().err();
            error.is_some_and(|error| error.kind() == StoreErrorKind::Full)
        };
        if is_full(&outcome) && replays.make_room(now) {
            outcome = act();
        }
        Reply::Ready(outcome)
    }
}

impl Replays {
    fn shard(&self, at: usize) -> Shard<'_> {
        // Nothing panics halfway through a change, so a poisoned lock guards whole entries.
        let table = self.shards[at].lock();
        Shard {
            table: table.unwrap_or_else(PoisonError::into_inner),
            of: self,
        }
    }

    /// Forgets some entries of every shard whose time is over; false, if there is no room then either. One
    /// lock is held at a time.
    fn make_room(&self, now: Nanos) -> bool {
        (0..SHARDS).for_each(|at| self.shard(at).forget(None, now));
        self.entries.load(Ordering::Relaxed) < self.most
    }

    /// Counts one more entry, if there may be one.
    fn take_room(&self) -> bool {
        let one_more = |count: usize| (count < self.most).then_some(count + 1);
        let relaxed = Ordering::Relaxed;
        // Only the number matters: what is counted lies behind a lock.
        self.entries
            .fetch_update(relaxed, relaxed, one_more)
            .is_ok()
    }
}

/// A part of the table, locked.
struct Shard<'a> {
    table: MutexGuard<'a, Table>,
    of: &'a Replays,
}

impl Shard<'_> {
    fn entry(&self, key: Fingerprint) -> Option<Entry> {
        self.table.entries.get(&key).copied()
    }

    fn put(&mut self, key: Fingerprint, entry: Entry) -> Result<(), StoreError> {
        let Table { entries, ends } = &mut *self.table;
        if let Some(old) = entries.get_mut(&key) {
            ends.remove(&(old.end, key));
            *old = entry;
        } else if self.of.take_room() {
            entries.insert(key, entry);
        } else {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        ends.insert((entry.end, key));
        Ok(())
    }

    /// Forgets the key if its time is over, and a few others whose time is: more than one call adds, and so
    /// few that no call is slow.
    fn forget(&mut self, key: Option<Fingerprint>, now: Nanos) {
        if let Some(key) = key
            && self.entry(key).is_some_and(|entry| entry.end <= now)
        {
            self.remove(key);
        }
        for _ in 0..4 {
            match self.table.ends.first().copied() {
                Some((end, key)) if end <= now => self.remove(key),
                _ => break,
            }
        }
    }

    fn remove(&mut self, key: Fingerprint) {
        let Table { entries, ends } = &mut *self.table;
        if let Some(entry) = entries.remove(&key) {
            ends.remove(&(entry.end, key));
            self.of.entries.fetch_sub(1, Ordering::Relaxed);
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

/// A moment later at least, so that nothing ends as it begins.
fn end(now: Nanos, lifetime: Duration) -> Nanos {
    now + lifetime.as_nanos().max(1)
}
