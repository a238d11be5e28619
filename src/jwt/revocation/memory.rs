//! Revocations in memory.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use super::{RevocationStore, TokenRef};
use crate::store::{Domain, MemoryStore, Reply, StoreError, StoreErrorKind};

const SHARDS: usize = 16;

/// What stands for an issuer and an id: two hashes under keys of this process. Two that are taken for one
/// would revoke a token too many, never too few.
type Identity = (u64, u64);

struct Revoked {
    shards: [RwLock<Shard>; SHARDS],
    entries: AtomicUsize,
    keyed: (RandomState, RandomState),
}

#[derive(Default)]
struct Shard {
    entries: HashMap<Identity, Entry>,
    by_expiry: BTreeSet<(SystemTime, Identity)>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Of a subject: tokens issued before this. Of a token: none.
    issued_before: Option<SystemTime>,
    until: SystemTime,
}

#[derive(Hash)]
enum Key<'a> {
    Token(&'a str, &'a str),
    Subject(&'a str, &'a str),
}

impl Revoked {
    fn new() -> Self {
        Self {
            shards: Default::default(),
            entries: AtomicUsize::new(0),
            keyed: (RandomState::new(), RandomState::new()),
        }
    }

    fn identify(&self, key: &Key<'_>) -> Identity {
        (self.keyed.0.hash_one(key), self.keyed.1.hash_one(key))
    }

    fn shard(&self, identity: Identity) -> &RwLock<Shard> {
        &self.shards[identity.0 as usize % SHARDS]
    }

    fn find(&self, key: &Key<'_>, now: SystemTime) -> Option<Entry> {
        let identity = self.identify(key);
        let shard = read(self.shard(identity));
        let entry = shard.entries.get(&identity).copied();
        entry.filter(|entry| now < entry.until)
    }

    fn is_revoked(&self, token: &TokenRef<'_>, now: SystemTime) -> bool {
        // Mostly nothing is revoked at all. An entry is counted before it is there, so this never misses
        // one that somebody was told of.
        if self.entries.load(Ordering::Acquire) == 0 {
            return false;
        }
        let by_id = |id| self.find(&Key::Token(token.issuer, id), now).is_some();
        let by_subject = || {
            let entry = self.find(&Key::Subject(token.issuer, token.subject), now);
            let before = entry.and_then(|entry| entry.issued_before);
            before.is_some_and(|before| token.issued_at.is_none_or(|issued| issued < before))
        };
        token.jwt_id.is_some_and(by_id) || by_subject()
    }

    fn insert(
        &self,
        key: &Key<'_>,
        entry: Entry,
        now: SystemTime,
        most: usize,
    ) -> Result<(), StoreError> {
        if entry.until <= now {
            return Ok(());
        }
        let identity = self.identify(key);
        if self.widen(identity, entry) {
            return Ok(());
        }
        let take = |count: usize| (count < most).then_some(count + 1);
        let taken = || {
            let order = Ordering::AcqRel;
            self.entries
                .fetch_update(order, Ordering::Acquire, take)
                .is_ok()
        };
        if !taken() {
            self.forget_expired(now);
            if !taken() {
                return Err(StoreError::new(StoreErrorKind::Full));
            }
        }
        let mut shard = write(self.shard(identity));
        if let Some(own) = shard.entries.get(&identity).copied() {
            // Somebody else was quicker.
            self.entries.fetch_sub(1, Ordering::AcqRel);
            shard.replace(identity, own.widened(entry), Some(own));
        } else {
            shard.replace(identity, entry, None);
        }
        Ok(())
    }

    /// Widens an entry that is there.
    fn widen(&self, identity: Identity, entry: Entry) -> bool {
        let mut shard = write(self.shard(identity));
        let Some(own) = shard.entries.get(&identity).copied() else {
            return false;
        };
        shard.replace(identity, own.widened(entry), Some(own));
        true
    }

    fn forget_expired(&self, now: SystemTime) {
        for shard in &self.shards {
            let mut shard = write(shard);
            while let Some((until, identity)) = shard.by_expiry.first().copied() {
                if until > now {
                    break;
                }
                shard.by_expiry.remove(&(until, identity));
                shard.entries.remove(&identity);
                self.entries.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}

impl Entry {
    fn widened(self, other: Self) -> Self {
        Self {
            issued_before: self.issued_before.max(other.issued_before),
            until: self.until.max(other.until),
        }
    }
}

impl Shard {
    fn replace(&mut self, identity: Identity, entry: Entry, own: Option<Entry>) {
        if let Some(own) = own {
            self.by_expiry.remove(&(own.until, identity));
        }
        self.by_expiry.insert((entry.until, identity));
        self.entries.insert(identity, entry);
    }
}

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps at most [`MemoryStore::max_keys`] entries, and refuses another when it has as many that have not
/// expired. It answers at once and, when asked, allocates nothing.
impl RevocationStore for MemoryStore {
    fn is_revoked(&self, token: &TokenRef<'_>, now: SystemTime) -> Reply<bool> {
        Reply::Ready(self.revoked().map(|revoked| revoked.is_revoked(token, now)))
    }

    fn revoke_token(
        &self,
        issuer: &str,
        jwt_id: &str,
        until: SystemTime,
        now: SystemTime,
    ) -> Reply<()> {
        let entry = Entry {
            issued_before: None,
            until,
        };
        let key = Key::Token(issuer, jwt_id);
        let insert = |revoked: &Revoked| revoked.insert(&key, entry, now, self.max_keys());
        Reply::Ready(self.revoked().and_then(insert))
    }

    fn revoke_subject(
        &self,
        issuer: &str,
        subject: &str,
        issued_before: SystemTime,
        until: SystemTime,
        now: SystemTime,
    ) -> Reply<()> {
        let entry = Entry {
            issued_before: Some(issued_before),
            until,
        };
        let key = Key::Subject(issuer, subject);
        let insert = |revoked: &Revoked| revoked.insert(&key, entry, now, self.max_keys());
        Reply::Ready(self.revoked().and_then(insert))
    }
}

impl MemoryStore {
    fn revoked(&self) -> Result<&Revoked, StoreError> {
        self.table(Domain::Revocation, Revoked::new)
            .ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt))
    }
}
