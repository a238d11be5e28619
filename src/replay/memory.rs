//! [`ReplayStore`] for [`MemoryStore`]: bounded, and nothing that still counts is ever forgotten.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{
    Claim, ClaimToken, ReplayStore,
    slots::Fingerprint,
    table::{Entry, Fate, Nanos, Table},
};
use crate::{
    clock::since_epoch,
    store::{Domain, MemoryStore, Reply, StoreError, StoreErrorKind},
};

/// Enough that the threads of a machine seldom meet at one lock.
const SHARDS: usize = 16;

struct Replays {
    hashers: [RandomState; 2],
    shards: [Mutex<Table>; SHARDS],
    /// The entries of all shards, those included whose time is over.
    entries: AtomicUsize,
    most: usize,
}

/// What a verb makes of an entry.
enum Change {
    Nothing,
    Put(Entry),
    Remove,
}

impl ReplayStore for MemoryStore {
    fn consume(&self, key: &[u8], now: SystemTime, keep: Duration) -> Reply<bool> {
        self.replays(key, now, |entry, now| match entry {
            Some(_) => (Change::Nothing, false),
            None => (put(Fate::Consumed, end(now, keep)), true),
        })
    }

    fn claim(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        lease: Duration,
    ) -> Reply<Claim> {
        self.replays(key, now, |entry, now| match entry.map(|entry| entry.fate) {
            Some(Fate::Used(_) | Fate::Consumed) => (Change::Nothing, Claim::Used),
            Some(Fate::Held(holder)) if holder != *token => (Change::Nothing, Claim::InFlight),
            _ => (put(Fate::Held(*token), end(now, lease)), Claim::Claimed),
        })
    }

    fn commit(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        keep: Duration,
    ) -> Reply<bool> {
        self.replays(key, now, |entry, now| {
            let end = end(now, keep);
            let Some(entry) = entry else {
                return (put(Fate::Consumed, end), false);
            };
            match entry.fate {
                Fate::Held(holder) if holder == *token => (put(Fate::Used(*token), end), true),
                // Used, though the claim was lost: said again if it is asked again.
                Fate::Held(_) => (put(Fate::Consumed, end), false),
                // Never remembered for less than it was already promised.
                fate => (put(fate, end.max(entry.end)), fate == Fate::Used(*token)),
            }
        })
    }

    fn release(&self, key: &[u8], token: &ClaimToken, now: SystemTime) -> Reply<bool> {
        self.replays(key, now, |entry, _| {
            match entry.is_some_and(|entry| entry.fate == Fate::Held(*token)) {
                true => (Change::Remove, true),
                false => (Change::Nothing, false),
            }
        })
    }
}

impl MemoryStore {
    /// Does something about the entry of a key, if it has one that still counts. It is done again if there was
    /// no room and some could be made.
    #[inline]
    fn replays<T>(
        &self,
        key: &[u8],
        now: SystemTime,
        verb: impl Fn(Option<Entry>, Nanos) -> (Change, T),
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
        let now = nanos(since_epoch(now));
        let mut outcome = replays.act(key, now, &verb);
        if outcome.is_none() && replays.make_room(now) {
            outcome = replays.act(key, now, &verb);
        }
        Reply::Ready(outcome.ok_or_else(|| StoreError::new(StoreErrorKind::Full)))
    }
}

impl Replays {
    /// None, and nothing is changed, if there is no room.
    #[inline]
    fn act<T>(
        &self,
        key: Fingerprint,
        now: Nanos,
        verb: impl Fn(Option<Entry>, Nanos) -> (Change, T),
    ) -> Option<T> {
        let mut table = self.shard(key.0[0] as usize % SHARDS);
        self.give_back(table.forget(now));
        let found = table.find(key);
        let counts = found.filter(|(_, entry)| entry.end > now);
        let (change, outcome) = verb(counts.map(|(_, entry)| entry), now);
        match (change, found) {
            (Change::Nothing, _) | (Change::Remove, None) => {}
            // An entry whose time is over makes room for the next of its key.
            (Change::Put(entry), Some((slot, _))) => table.replace(slot, entry),
            (Change::Put(entry), None) if table.has_room() && self.take_room() => {
                table.add(key, entry);
            }
            (Change::Put(_), None) => return None,
            (Change::Remove, Some((slot, _))) => {
                table.remove(slot);
                self.give_back(1);
            }
        }
        Some(outcome)
    }

    fn shard(&self, at: usize) -> MutexGuard<'_, Table> {
        // Nothing panics halfway through a change, so a poisoned lock guards whole entries.
        let table = self.shards[at].lock();
        table.unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets some entries of every shard whose time is over; false, if there is no room then either. One
    /// lock is held at a time.
    #[cold]
    fn make_room(&self, now: Nanos) -> bool {
        for at in 0..SHARDS {
            self.give_back(self.shard(at).forget(now));
        }
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

    fn give_back(&self, entries: usize) {
        if entries > 0 {
            self.entries.fetch_sub(entries, Ordering::Relaxed);
        }
    }
}

fn put(fate: Fate, end: Nanos) -> Change {
    Change::Put(Entry { end, fate })
}

fn nanos(time: Duration) -> Nanos {
    time.as_nanos().try_into().unwrap_or(Nanos::MAX)
}

/// A moment later at least, so that nothing ends as it begins.
fn end(now: Nanos, lifetime: Duration) -> Nanos {
    now.saturating_add(nanos(lifetime).max(1))
}
