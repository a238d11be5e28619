//! [`Denied`]: what is known to be refused.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use super::{
    decide::{self, Seen},
    group::Group,
    time::{Now, ServerTime},
};
use crate::rate_limit::{Decisions, Hit, identity::Identity};

/// Groups are remembered in so many places of so many; what finds all taken takes the one that is over first.
const PLACES: usize = 4_096;
const WAYS: usize = 4;

/// Changes of counts are noticed in so many places: two that share one are only asked about once more.
const CHANGES: usize = 4_096;

/// What was seen of limits when they refused, each until a segment leaves the view: until then what was
/// counted still is, so what had no room has none.
#[derive(Clone)]
pub(super) struct Denied(Arc<Table>);

struct Table {
    places: Box<[Mutex<[Option<Entry>; WAYS]>]>,
    changes: Box<[AtomicU32]>,
    backs: Box<[AtomicU32]>,
    /// Whether anything was ever remembered, so that nothing is looked up before.
    remembered: AtomicBool,
}

struct Entry {
    group: Identity,
    /// By the clock that decides.
    from: u64,
    until: u64,
    limits: Box<[Known]>,
}

/// What was seen of a limit.
pub(super) struct Known {
    pub(super) seen: Seen,
    pub(super) id: Identity,
    /// The changes there were before.
    pub(super) change: Change,
}

/// How often the counts of a limit have been changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) counted: u32,
    /// Units were given back beside which it may have seemed full: that matters where it is what refuses.
    pub(super) back: u32,
}

impl Default for Denied {
    fn default() -> Self {
        Self(Arc::new(Table {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
            changes: (0..CHANGES).map(|_| AtomicU32::new(0)).collect(),
            backs: (0..CHANGES).map(|_| AtomicU32::new(0)).collect(),
            remembered: AtomicBool::new(false),
        }))
    }
}

impl Denied {
    /// Whether nothing was ever remembered.
    pub(super) fn is_empty(&self) -> bool {
        !self.0.remembered.load(Ordering::Acquire)
    }

    /// How often the counts of a limit have been changed by this process.
    pub(super) fn change(&self, id: Identity) -> Change {
        let at = Self::at(id);
        Change {
            counted: self.0.changes[at].load(Ordering::Acquire),
            back: self.0.backs[at].load(Ordering::Acquire),
        }
    }

    /// This process changes the counts of a limit.
    pub(super) fn changed(&self, id: Identity) {
        self.0.changes[Self::at(id)].fetch_add(1, Ordering::AcqRel);
    }

    /// This process gives units back that there was room for.
    pub(super) fn given_back(&self, id: Identity) {
        self.0.backs[Self::at(id)].fetch_add(1, Ordering::AcqRel);
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
    fn at(id: Identity) -> usize {
        id.spread() as usize % CHANGES
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
    fn place(&self, group: Identity) -> &Mutex<[Option<Entry>; WAYS]> {
        &self.0.places[group.spread() as usize % PLACES]
    }

    /// Remembers what was seen of a group that refused.
    pub(super) fn remember(
        &self,
        group: &Group,
        limits: Box<[Known]>,
        time: &ServerTime,
        now: Now,
    ) {
        let (mut from, mut until) = (0, u64::MAX);
        for limit in &group.limits {
            let early = time.of_key(now, &limit.quota, limit.id).early;
            let segment = limit.quota.segment_nanos();
            from = from.max(early / segment * segment);
            until = until.min((early / segment).saturating_add(1).saturating_mul(segment));
        }
        let entry = Entry {
            group: group.id,
            from,
            until,
            limits,
        };
        let place = self.place(group.id);
        let mut ways = place.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |way: &Option<Entry>| way.as_ref().is_some_and(|way| way.group == group.id);
        let at = ways.iter().position(same).or_else(|| {
            let until = |way: &Option<Entry>| way.as_ref().map_or(0, |way| way.until);
            (0..WAYS).min_by_key(|at| until(&ways[*at]))
        });
        if let Some(way) = at.and_then(|at| ways.get_mut(at)) {
            *way = Some(entry);
        }
        self.0.remembered.store(true, Ordering::Release);
    }

    /// The refusal, if there is no doubt about it.
    pub(super) fn look(
        &self,
        group: Identity,
        hits: &[Hit<'_>],
        time: &ServerTime,
        now: Now,
    ) -> Option<Decisions> {
        let place = self.place(group);
        let mut ways = place.lock().unwrap_or_else(PoisonError::into_inner);
        let way = ways
            .iter_mut()
            .find(|way| way.as_ref().is_some_and(|way| way.group == group))?;
        let entry = way.as_mut()?;
        let holds = entry.limits.len() == hits.len()
            && entry.limits.iter().zip(hits).all(|(known, hit)| {
                let times = time.of_key(now, hit.quota(), known.id);
                // A time before that is one of a clock that was set.
                (entry.from..entry.until).contains(&times.early)
                    && known.seen.is_in_force(&times)
                    && self.change(known.id).counted == known.change.counted
            });
        if !holds {
            *way = None;
            return None;
        }
        let refused = decide::refused(&mut entry.limits, hits, time, now)?;
        let doubtful = refused.iter().zip(&entry.limits).any(|(decision, known)| {
            !decision.allowed && self.change(known.id).back != known.change.back
        });
        if doubtful {
            *way = None;
            return None;
        }
        Some(refused)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        rate_limit::{
            Quota,
            identity::Identities,
            redis::{
                group::group_identity,
                time::Times,
                view::{Span, View},
            },
        },
        store::RedisStore,
    };

    #[test]
    fn what_is_remembered_is_bounded_and_over_with_its_segment_or_a_change() {
        let store = RedisStore::new("redis://localhost").unwrap();
        let (denied, identities) = (Denied::default(), Identities::new());
        let (quota, time) = (Quota::per_second(1).segments(1), ServerTime::the_callers());
        let at = |nanos| time.known(nanos).unwrap();
        let remember = |key: u64| {
            let bytes = key.to_le_bytes();
            let hits = [Hit::new(&bytes, quota, 1)];
            let id = group_identity(&identities, &hits);
            let group = Group::new(id, &identities, &store, &hits);
            let span = Span::of(&quota, &Times::exactly(5_000_000_005));
            let mut seen = View::empty(span);
            seen.add(span.place, 1);
            let known = Known {
                seen: Seen::Window(seen),
                id: group.id,
                change: denied.change(group.id),
            };
            denied.remember(&group, Box::new([known]), &time, at(5_000_000_005));
            group.id
        };
        let look = |id, cost, nanos| {
            let hits = [Hit::new(b"", quota, cost)];
            denied.look(id, &hits, &time, at(nanos))
        };
        let id = remember(0);
        let refused = look(id, 1, 5_000_000_006).unwrap();
        let after = Duration::from_nanos(1_999_999_994);
        assert_eq!(refused.retry_after(), Some(after));
        assert!(look(id, 0, 5_000_000_006).is_none());
        denied.changed(id);
        assert!(look(id, 1, 5_000_000_006).is_none());
        let id = remember(0);
        assert!(look(id, 1, 6_000_000_000).is_none());
        let id = remember(0);
        assert!(look(id, 1, 4_999_999_999).is_none());

        let ids: Vec<_> = (0..40_000).map(remember).collect();
        let known = |id: &&Identity| look(**id, 1, 5_000_000_006).is_some();
        let known = ids.iter().filter(known).count();
        assert!((PLACES..=PLACES * WAYS).contains(&known), "{known}");
    }
}
