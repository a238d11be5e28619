//! [`Busy`]: a key that is asked about much, and the units that are there for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::LIFE;
use crate::rate_limit::{
    identity::Identity,
    redis::{group::Group, time::Now},
};

/// A key that is asked about much.
pub(super) struct Busy {
    pub(super) id: Identity,
    /// What each request costs.
    pub(super) cost: u32,
    /// When it last was.
    pub(super) seen: Instant,
    /// The trips with several requests, up to as many as matter.
    pub(super) trips: u32,
    /// For how many requests the next trip takes units.
    pub(super) next: u32,
    /// The room that was left lately.
    pub(super) room: Option<u32>,
    /// The trip that takes units.
    pub(super) away: Option<u64>,
    pub(super) held: Option<Held>,
}

/// Units that were counted, and may be had.
pub(super) struct Held {
    pub(super) units: u32,
    /// As many as there were at first.
    pub(super) taken: u32,
    pub(super) until: Instant,
    /// The room in front of whoever has the first of them, and how long it takes until nothing is counted.
    pub(super) room: u32,
    pub(super) reset_after: Duration,
    pub(super) counted: CountedAt,
}

/// Where units were counted.
#[derive(Clone, Debug)]
pub(in crate::rate_limit::redis) struct CountedAt {
    pub(super) group: Arc<Group>,
    pub(super) segment: u64,
    /// The time that the trip went by, and no later than when it read it.
    pub(super) now: Now,
    pub(super) asked: Instant,
}

/// Units that nobody had.
#[derive(Debug)]
pub(in crate::rate_limit::redis) struct Left {
    pub(super) units: u32,
    pub(super) counted: CountedAt,
}

impl Busy {
    /// What was had of units whose time is over, or of which there are none any more, says how many to take next.
    pub(super) fn settle(&mut self, now: Instant, most: u32) -> Option<Left> {
        let held = self.held.as_ref()?;
        if held.lasts(self.cost, now) {
            return None;
        }
        let held = self.held.take()?;
        let had = (held.taken - held.units) / self.cost.max(1);
        if held.units == 0 {
            self.next = had.saturating_mul(2).min(most);
            self.seen = self.seen.max(held.until.min(now));
        } else if had == 0 {
            self.calm();
        } else {
            self.next = had;
        }
        self.room = Some(held.room);
        held.left()
    }

    /// It has to be asked about much again before anything is taken.
    pub(super) fn calm(&mut self) {
        (self.trips, self.next) = (0, 0);
    }

    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.seen);
        self.held.is_none() && self.away.is_none() && since > LIFE
    }
}

impl Held {
    /// Whether there are units for one more request.
    pub(super) fn lasts(&self, cost: u32, now: Instant) -> bool {
        cost > 0 && cost <= self.units && now < self.until
    }

    pub(super) fn left(self) -> Option<Left> {
        (self.units > 0).then_some(Left {
            units: self.units,
            counted: self.counted,
        })
    }
}
