//! Families in memory.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{
    FamilyFacts, FamilyId, NewFamily, RefreshTokenStore, ReuseKind, TokenHash, Turn, Turned,
    store::{MOST_FAMILIES, MOST_SKEW, REMEMBERED_ROTATIONS},
};
use crate::store::{Domain, MemoryStore, Reply, StoreError, StoreErrorKind};

/// A refresh comes once in minutes from each client: one lock is enough.
#[derive(Default)]
struct Families(Mutex<Table>);

#[derive(Default)]
struct Table {
    families: HashMap<FamilyId, Family>,
    subjects: HashMap<Arc<str>, HashSet<FamilyId>>,
    /// By the moment they may be forgotten at.
    by_expiry: BTreeSet<(SystemTime, FamilyId)>,
}

struct Family {
    facts: FamilyFacts,
    live: TokenHash,
    generation: u32,
    /// The moments of the latest rotations, the last one last.
    rotations: VecDeque<SystemTime>,
    touched: SystemTime,
    expires_at: SystemTime,
    revoked: bool,
}

impl Table {
    fn insert(
        &mut self,
        new: &NewFamily<'_>,
        now: SystemTime,
        most: usize,
    ) -> Result<(), StoreError> {
        self.forget_expired(now);
        if self.families.len() >= most || self.families.contains_key(&new.id) {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        let own = self.subjects.get(new.subject).map_or(0, HashSet::len);
        if own >= MOST_FAMILIES {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        let subject: Arc<str> = new.subject.into();
        let family = Family {
            facts: FamilyFacts::new(Arc::clone(&subject), new.payload.into(), new.ends_at),
            live: new.hash,
            generation: 0,
            rotations: VecDeque::new(),
            touched: now,
            expires_at: expiry(now, new.idle, new.ends_at),
            revoked: false,
        };
        self.by_expiry.insert((family.expires_at, new.id));
        self.subjects.entry(subject).or_default().insert(new.id);
        self.families.insert(new.id, family);
        Ok(())
    }

    fn forget_expired(&mut self, now: SystemTime) {
        while let Some((at, id)) = self.by_expiry.first().copied().filter(|(at, _)| *at <= now) {
            self.by_expiry.remove(&(at, id));
            let Some(family) = self.families.remove(&id) else {
                continue;
            };
            if let Some(others) = self.subjects.get_mut(&family.facts.subject) {
                others.remove(&id);
                if others.is_empty() {
                    self.subjects.remove(&family.facts.subject);
                }
            }
        }
    }

    fn turn(&mut self, turn: &Turn, now: SystemTime) -> Turned {
        self.forget_expired(now);
        let Some(family) = self.families.get_mut(&turn.family) else {
            return Turned::Unknown;
        };
        if family.revoked {
            return Turned::Revoked;
        }
        let (clock, now) = (now, now.max(family.touched));
        let is_live = turn.generation == family.generation && turn.presented == family.live;
        let is_next = turn.generation.checked_sub(1) == Some(family.generation)
            && turn.predecessor == Some(family.live);
        if is_live || is_next {
            for _ in 0..1 + usize::from(is_next) {
                family.generation += 1;
                family.rotations.push_back(clock);
            }
            while family.rotations.len() > REMEMBERED_ROTATIONS {
                family.rotations.pop_front();
            }
            family.live = turn.successor;
            family.touched = now;
            let expires_at = expiry(now, turn.idle, family.facts.ends_at);
            self.by_expiry.remove(&(family.expires_at, turn.family));
            self.by_expiry.insert((expires_at, turn.family));
            family.expires_at = expires_at;
            let facts = family.facts.clone();
            return match is_next {
                true => Turned::CaughtUp(facts),
                false => Turned::Rotated(facts),
            };
        }
        // How many rotations ago it was the live one; none if it never was.
        let behind = family
            .generation
            .checked_sub(turn.generation)
            .filter(|ago| *ago > 0);
        let rotated_at = behind.and_then(|ago| {
            let index = family.rotations.len().checked_sub(ago as usize)?;
            family.rotations.get(index)
        });
        let within = |at: &SystemTime| match clock.duration_since(*at) {
            Ok(age) => age <= turn.grace,
            Err(ahead) => ahead.duration() <= MOST_SKEW,
        };
        if rotated_at.is_some_and(within) {
            return Turned::Again {
                facts: family.facts.clone(),
                generation: family.generation,
                live: family.live,
            };
        }
        family.revoked = true;
        let kind = match behind {
            Some(1) => ReuseKind::Predecessor,
            Some(_) => ReuseKind::Ancestor,
            None => ReuseKind::Orphan,
        };
        Turned::Reused(kind, family.facts.clone())
    }

    fn revoke(&mut self, id: FamilyId) -> bool {
        self.families
            .get_mut(&id)
            .is_some_and(|family| !std::mem::replace(&mut family.revoked, true))
    }
}

fn expiry(now: SystemTime, idle: std::time::Duration, ends_at: SystemTime) -> SystemTime {
    now.checked_add(idle).map_or(ends_at, |at| at.min(ends_at))
}

/// Keeps at most [`MemoryStore::max_keys`] families, of a subject [`MOST_FAMILIES`], and refuses to begin
/// another when it has as many that have not expired.
impl RefreshTokenStore for MemoryStore {
    fn begin(&self, family: &NewFamily<'_>, now: SystemTime) -> Reply<()> {
        let most = self.max_keys();
        self.families(|table| table.insert(family, now, most))
    }

    fn rotate(&self, turn: &Turn, now: SystemTime) -> Reply<Turned> {
        self.families(|table| Ok(table.turn(turn, now)))
    }

    fn revoke_family(&self, family: FamilyId, now: SystemTime) -> Reply<bool> {
        self.families(|table| {
            table.forget_expired(now);
            Ok(table.revoke(family))
        })
    }

    fn revoke_subject(&self, subject: &str, now: SystemTime) -> Reply<u64> {
        self.families(|table| {
            table.forget_expired(now);
            let families = table.subjects.get(subject).cloned().unwrap_or_default();
            let revoked = families.into_iter().filter(|id| table.revoke(*id));
            Ok(revoked.count() as u64)
        })
    }
}

impl MemoryStore {
    fn families<T>(&self, act: impl FnOnce(&mut Table) -> Result<T, StoreError>) -> Reply<T> {
        let families: Option<&Families> = self.table(Domain::RefreshTokens, Families::default);
        Reply::Ready(match families {
            Some(families) => act(&mut families.lock()),
            None => Err(StoreError::new(StoreErrorKind::Corrupt)),
        })
    }
}

impl Families {
    /// A panic under the lock leaves no half-written family: what is decided is written last.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
