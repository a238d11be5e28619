//! [`Ahead`]: units that were counted before anybody asked for them.
//!
//! Where many ask about one key, a trip that goes anyway counts some units more than its requests need, and
//! whoever comes next has them at once. Such a request is one that was on that trip and hears its answer late:
//! what the trip promises holds for it, as long as it could still be answered without being moved.
//!
//! 1. Units are counted in Redis before anybody has one, and each is had once.
//! 2. One is had only while the latest time that it may be still lies in the segment that it was counted in, and
//!    no longer than [`LIFE`] or the deadline after its trip set out.
//! 3. A process has at most so many of a key as it was allowed, those on their way included.
//! 4. Some are taken only where at least half of the limit is left besides, and no more than a sixteenth of it:
//!    so what eight processes take at once was there. And only if the last trips carried several requests, or the
//!    last units were all had in time: the first time as many as there were requests, then up to twice as many
//!    as last time; where some were left, as many as were had.
//! 5. What is left is given back: by the next trip, and by who looks after it in the background. Nobody waits
//!    for that. What cannot be given back stays counted until its segment leaves.
//! 6. A reset or a block by this process ends all that it has, which is given back before, and those on their
//!    way, which stay counted: they may be gone already.
//!
//! So a unit is asked for by a trip that is *away*, *held* once it is counted, and then either had by a request or
//! *left*, and what is left goes back.

mod busy;
mod carry;
#[cfg(test)]
mod play;
#[cfg(test)]
mod tests;

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use self::busy::{Busy, CountedAt, Held, Left};
pub(super) use self::carry::{Carers, Out};
use crate::rate_limit::{Decision, Quota, identity::Identity};

/// So long a unit may wait for whoever has it.
pub(super) const LIFE: Duration = Duration::from_millis(20);

/// For less than that none are taken.
const WORTH: Duration = Duration::from_millis(1);

/// So many requests on a trip are several.
const SEVERAL: usize = 4;

/// After so many trips with several, the next takes units ahead.
const TRIPS: u32 = 2;

/// Of a limit, no more than one part in so many is taken ahead.
const SHARE: u32 = 16;

/// Keys are looked after in so many places of so many; one that finds all taken has no units ahead.
const PLACES: usize = 64;
const WAYS: usize = 4;

/// The keys that are asked about much, and what is left of the units that were taken for them.
#[derive(Clone)]
pub(super) struct Ahead {
    /// The most units of a key. With 0 nothing is looked up, nor remembered.
    most: u32,
    table: Arc<Table>,
}

struct Table {
    places: [Mutex<Vec<Busy>>; PLACES],
    turns: AtomicU64,
}

/// A trip about a busy key. If it is lost, so is what it took, and the key must be asked about much again.
pub(super) struct Ticket {
    table: Arc<Table>,
    id: Identity,
    turn: u64,
    /// The units that it takes.
    pub(super) units: u32,
}

/// What a trip found, after its own requests.
pub(super) struct Found {
    pub(super) limit: u32,
    /// The units more that fit.
    pub(super) room: u32,
    pub(super) reset_after: Duration,
    pub(super) until: Instant,
    pub(super) counted: CountedAt,
}

/// What a trip is about to ask.
pub(super) struct Wish {
    pub(super) id: Identity,
    pub(super) limit: u32,
    pub(super) cost: u32,
    pub(super) requests: u32,
    /// Until when units that it takes might be had.
    pub(super) until: Instant,
}

/// Until when units may be had that were counted in a segment, by a trip that knew the time at that moment or
/// later.
pub(super) fn until(
    quota: &Quota,
    (late, segment): (u64, u64),
    asked: Instant,
    deadline: Duration,
) -> Instant {
    let over = (segment.saturating_add(1)).saturating_mul(quota.segment_nanos());
    let left = over.saturating_sub(late);
    // What is unknown of the time grows by less than that.
    let left = left - left / 1_000;
    asked + Duration::from_nanos(left).min(LIFE).min(deadline)
}

impl Ahead {
    pub(super) fn of_at_most(most: u32) -> Self {
        Self {
            most,
            table: Arc::new(Table {
                places: std::array::from_fn(|_| Mutex::default()),
                turns: AtomicU64::new(0),
            }),
        }
    }

    pub(super) fn most(&self) -> u32 {
        self.most
    }

    pub(super) fn is_on(&self) -> bool {
        self.most > 0
    }

    /// Lets a request in, if there are units for it.
    pub(super) fn take(
        &self,
        id: Identity,
        limit: u32,
        cost: u32,
        now: Instant,
    ) -> Option<Decision> {
        let mut ways = self.table.ways(id);
        let busy = ways.iter_mut().find(|busy| busy.id == id)?;
        if busy.cost != cost {
            return None;
        }
        let held = busy.held.as_mut().filter(|held| held.lasts(cost, now))?;
        held.units -= cost;
        held.room = held.room.saturating_sub(cost);
        let since = now.saturating_duration_since(held.counted.asked);
        let reset_after = held.reset_after.saturating_sub(since);
        Some(Decision::pass(limit, held.room, reset_after))
    }

    /// Whether the next trip about a key may take units: it is then worth it that many go with it.
    pub(super) fn is_busy(&self, id: Identity) -> bool {
        let ways = self.table.ways(id);
        ways.iter().any(|busy| busy.id == id && busy.next > 0)
    }

    /// A trip sets out about a key. What is to be given back goes with it.
    pub(super) fn ask(&self, wish: &Wish, now: Instant) -> (Option<Ticket>, Option<Left>) {
        let several = wish.requests as usize >= SEVERAL;
        let mut ways = self.table.ways(wish.id);
        let at = ways.iter().position(|busy| busy.id == wish.id);
        let Some(at) = at.or_else(|| several.then(|| Self::place(&mut ways, wish, now))?) else {
            return (None, None);
        };
        let Some(busy) = ways.get_mut(at) else {
            return (None, None);
        };
        let left = busy.settle(now, self.most);
        if busy.held.is_some() {
            return (None, left);
        }
        if busy.cost != wish.cost || now.saturating_duration_since(busy.seen) > LIFE {
            busy.calm();
            busy.cost = wish.cost;
        }
        if several {
            busy.seen = now;
            busy.trips = TRIPS.min(busy.trips + 1);
            if busy.trips == TRIPS && busy.next == 0 {
                busy.next = wish.requests;
            }
        }
        if busy.away.is_some() {
            return (None, left);
        }
        let own = wish.cost.saturating_mul(wish.requests);
        let room = busy.room.unwrap_or(0).saturating_sub(own);
        let spare = room.saturating_sub(half(wish.limit));
        let most = spare.min(wish.limit / SHARE).min(self.most);
        let requests = busy.next.min(most / wish.cost.max(1));
        let units = if wish.until.saturating_duration_since(now) > WORTH {
            requests * wish.cost
        } else {
            0
        };
        let turn = self.table.turns.fetch_add(1, Ordering::Relaxed);
        busy.away = Some(turn);
        let ticket = Ticket {
            table: Arc::clone(&self.table),
            id: wish.id,
            turn,
            units,
        };
        (Some(ticket), left)
    }

    /// A place for one more key, if there is one.
    fn place(ways: &mut Vec<Busy>, wish: &Wish, now: Instant) -> Option<usize> {
        let busy = Busy {
            id: wish.id,
            cost: wish.cost,
            seen: now,
            trips: 0,
            next: 0,
            room: None,
            away: None,
            held: None,
        };
        if ways.len() < WAYS {
            ways.push(busy);
            return Some(ways.len() - 1);
        }
        let at = ways.iter().position(|busy| busy.is_idle(now))?;
        *ways.get_mut(at)? = busy;
        Some(at)
    }

    /// Ends all that there is about a key, and says what is to be given back.
    pub(super) fn end(&self, id: Identity) -> Option<Left> {
        let mut ways = self.table.ways(id);
        let at = ways.iter().position(|busy| busy.id == id)?;
        let busy = ways.swap_remove(at);
        busy.held.and_then(Held::left)
    }

    /// What is to be given back of all keys, and whether there will be more.
    pub(super) fn sweep(&self, now: Instant) -> (Vec<Left>, bool) {
        let (mut left, mut more) = (Vec::new(), false);
        for place in 0..PLACES {
            let mut ways = self.table.at(place);
            for busy in ways.iter_mut() {
                left.extend(busy.settle(now, self.most));
            }
            ways.retain(|busy| !busy.is_idle(now));
            // Whoever comes back with some looks after them then. He may stand still, and be back never.
            more |= ways.iter().any(|busy| busy.away.is_none());
        }
        (left, more)
    }
}

impl Table {
    #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
    fn ways(&self, id: Identity) -> MutexGuard<'_, Vec<Busy>> {
        self.at(id.spread() as usize % PLACES)
    }

    fn at(&self, place: usize) -> MutexGuard<'_, Vec<Busy>> {
        self.places[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// How many of the units that the trip took are not to be given back: others may have them, or it was ended
    /// meanwhile. All requests on the trip were let in.
    pub(super) fn found(mut self, found: Found, now: Instant) -> u32 {
        let units = mem::take(&mut self.units);
        let mut ways = self.table.ways(self.id);
        let busy = ways.iter_mut().find(|busy| busy.id == self.id);
        let Some(busy) = busy.filter(|busy| busy.away == Some(self.turn)) else {
            // They may have been counted before a reset, and must not be taken off what was counted since.
            return units;
        };
        busy.away = None;
        let left = found.room.checked_sub(units);
        busy.room = left;
        if units == 0 {
            return 0;
        }
        if left.is_none_or(|left| left < half(found.limit)) || now >= found.until {
            busy.calm();
            return 0;
        }
        busy.held = Some(Held {
            units,
            taken: units,
            until: found.until,
            room: found.room,
            reset_after: found.reset_after,
            counted: found.counted,
        });
        units
    }

    /// The trip took nothing that others may have. How many of its units are not to be given back: none, unless it
    /// was ended meanwhile.
    pub(in crate::rate_limit::redis) fn lost(self) -> u32 {
        let ways = self.table.ways(self.id);
        let awaited = |busy: &Busy| busy.id == self.id && busy.away == Some(self.turn);
        if ways.iter().any(awaited) {
            0
        } else {
            self.units
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut ways = self.table.ways(self.id);
        // After `found` it is on the way no more.
        ways.retain(|busy| busy.id != self.id || busy.away != Some(self.turn));
    }
}

/// What must be left of a limit.
fn half(limit: u32) -> u32 {
    limit.div_ceil(2)
}
