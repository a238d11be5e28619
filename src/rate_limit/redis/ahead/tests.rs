//! One step after the other.

use super::{
    play::{START, group, quota},
    *,
};
use crate::{
    rate_limit::{
        Hit,
        redis::{
            Inner, RedisRateLimits,
            group::{Costs, Group, group_identity},
            time::{Now, ServerTime},
            together::{Caller, Together},
            trip::Asking,
            wire::Placed,
        },
    },
    store::RedisStore,
};

/// A key of which a trip has just taken units, and when.
struct Taken {
    ahead: Ahead,
    group: Arc<Group>,
    start: Instant,
}

impl Taken {
    const LIMIT: u32 = 1_000;

    fn new() -> Self {
        let taken = Self {
            ahead: Ahead::of_at_most(10),
            group: group(quota(Self::LIMIT)),
            start: Instant::now(),
        };
        let mut units = Vec::new();
        for _ in 0..TRIPS {
            units.push(taken.trip(8, 1, taken.start));
        }
        assert_eq!(units, [0, 8]);
        taken
    }

    fn ask(&self, requests: u32, cost: u32, now: Instant) -> (Option<Ticket>, Option<Left>) {
        let wish = Wish {
            id: self.group.id,
            limit: Self::LIMIT,
            cost,
            requests,
            until: now + LIFE,
        };
        self.ahead.ask(&wish, now)
    }

    fn found(&self, room: u32, now: Instant) -> Found {
        Found {
            limit: Self::LIMIT,
            room,
            reset_after: Duration::from_secs(1),
            until: now + LIFE,
            counted: CountedAt {
                group: Arc::clone(&self.group),
                segment: 7,
                now: ServerTime::the_callers().known(START).unwrap(),
                asked: now,
            },
        }
    }

    fn trip(&self, requests: u32, cost: u32, now: Instant) -> u32 {
        let (ticket, _) = self.ask(requests, cost, now);
        ticket.map_or(0, |ticket| ticket.found(self.found(900, now), now))
    }

    fn take(&self, cost: u32, now: Instant) -> Option<Decision> {
        self.ahead.take(self.group.id, Self::LIMIT, cost, now)
    }
}

#[test]
fn a_unit_is_had_once_in_its_time_at_its_cost_and_says_what_is_left() {
    let taken = Taken::new();
    let later = taken.start + Duration::from_millis(5);
    let first = taken.take(1, later).unwrap();
    assert_eq!((first.remaining, first.limit), (899, 1_000));
    assert_eq!(first.reset_after, Duration::from_millis(995));
    assert!(taken.take(2, later).is_none() && taken.take(0, later).is_none());
    for _ in 1..8 {
        assert!(taken.take(1, later).is_some());
    }
    assert!(taken.take(1, later).is_none());
    // All were had: next there are more, as far as is allowed.
    assert_eq!(taken.trip(1, 1, later), 10);
    assert!(taken.take(1, later + LIFE).is_none());
    let (ticket, left) = taken.ask(1, 1, later + LIFE);
    assert_eq!(left.unwrap().units, 10);
    assert_eq!(ticket.unwrap().units, 0);
}

#[test]
fn what_nobody_comes_for_is_swept_once_and_the_key_forgotten() {
    let taken = Taken::new();
    assert!(taken.take(1, taken.start).is_some());
    let (left, more) = taken.ahead.sweep(taken.start + LIFE / 2);
    assert!(left.is_empty() && more);
    let (left, _) = taken.ahead.sweep(taken.start + LIFE);
    assert!(matches!(&left[..], [one] if one.units == 7 && one.counted.segment == 7));
    let (left, more) = taken.ahead.sweep(taken.start + 3 * LIFE);
    assert!(left.is_empty() && !more);
}

#[test]
fn what_is_ended_is_had_no_more_nor_what_was_on_its_way() {
    let taken = Taken::new();
    assert_eq!(taken.ahead.end(taken.group.id).unwrap().units, 8);
    assert!(taken.take(1, taken.start).is_none());
    assert!(taken.ahead.end(taken.group.id).is_none());
    let taken = Taken::new();
    for _ in 0..8 {
        assert!(taken.take(1, taken.start).is_some());
    }
    let (ticket, _) = taken.ask(8, 1, taken.start);
    let ticket = ticket.unwrap();
    assert_eq!(ticket.units, 10);
    // Beside a trip that takes units, no other does.
    assert!(taken.ask(8, 1, taken.start).0.is_none());
    taken.ahead.end(taken.group.id);
    // They stay counted, as nobody knows in what.
    assert_eq!(ticket.found(taken.found(900, taken.start), taken.start), 10);
    assert!(taken.take(1, taken.start).is_none());
}

#[test]
fn nothing_is_taken_unless_half_of_the_limit_is_left() {
    for (room, held) in [(510, 10), (509, 0)] {
        let taken = Taken::new();
        for _ in 0..8 {
            assert!(taken.take(1, taken.start).is_some());
        }
        let (ticket, _) = taken.ask(1, 1, taken.start);
        let found = taken.found(room, taken.start);
        assert_eq!(ticket.unwrap().found(found, taken.start), held, "{room}");
        // The next knows before it goes.
        let taken_then = taken.take(1, taken.start).is_some();
        assert_eq!(taken_then, held > 0);
        if held == 0 {
            for _ in 0..TRIPS {
                let (ticket, _) = taken.ask(8, 1, taken.start);
                assert_eq!(ticket.unwrap().units, 0);
            }
        }
    }
}

#[test]
fn no_more_is_taken_than_a_sixteenth_of_the_limit() {
    let taken = Taken {
        ahead: Ahead::of_at_most(1_000),
        group: group(quota(Taken::LIMIT)),
        start: Instant::now(),
    };
    let units = [(); 2].map(|()| taken.trip(100, 1, taken.start));
    assert_eq!(units, [0, Taken::LIMIT / SHARE]);
}

#[test]
fn a_trip_that_is_lost_ends_it() {
    let taken = Taken::new();
    for _ in 0..8 {
        assert!(taken.take(1, taken.start).is_some());
    }
    let (ticket, _) = taken.ask(8, 1, taken.start);
    drop(ticket);
    assert_eq!(taken.trip(8, 1, taken.start), 0);
}

#[test]
fn what_was_taken_for_nobody_is_given_back_unless_it_was_ended() {
    for ended in [false, true] {
        let taken = Taken::new();
        for _ in 0..8 {
            assert!(taken.take(1, taken.start).is_some());
        }
        let (ticket, _) = taken.ask(8, 1, taken.start);
        if ended {
            taken.ahead.end(taken.group.id);
        }
        // After a reset it would be taken off what was counted since.
        assert_eq!(ticket.unwrap().lost(), if ended { 10 } else { 0 });
        assert_eq!(taken.trip(8, 1, taken.start), 0);
    }
}

#[test]
fn whoever_stands_still_keeps_nobody_waiting_for_him() {
    let taken = Taken::new();
    for _ in 0..8 {
        assert!(taken.take(1, taken.start).is_some());
    }
    let (ticket, _) = taken.ask(8, 1, taken.start);
    let (left, more) = taken.ahead.sweep(taken.start + 3 * LIFE);
    assert!(left.is_empty() && !more);
    // He is known all the same, when he is back.
    let found = taken.found(900, taken.start);
    assert_eq!(ticket.unwrap().found(found, taken.start), 10);
    assert!(taken.ahead.sweep(taken.start).1);
}

/// The units that a trip would take of what a process has seen, and whether that was changed since.
fn units_of_a_trip(inner: &Arc<Inner>, changes: bool) -> Option<u32> {
    const REQUESTS: u32 = 8;
    let quota = quota(Taken::LIMIT);
    let hit = Hit::new(b"key", quota, 1);
    let id = group_identity(&inner.identities, &[hit]);
    let mut together = Together::new(Group::new(id, &inner.identities, &inner.store, &[hit]));
    for _ in 0..REQUESTS {
        let (answer, _) = tokio::sync::oneshot::channel();
        together.callers.push(Caller {
            costs: Costs::of(&[hit]),
            said: 0,
            since: Instant::now(),
            answer,
        });
    }
    let limit = &together.group.limits[0];
    let out = Out {
        now: Now::exactly(START),
        started: Instant::now(),
        drives: true,
    };
    let times = out.now.times(&quota);
    let fresh = Placed::new(limit, &times, REQUESTS, &inner.expiring, None);
    inner.expiring.remember(id, fresh.part());
    let mut placed = Placed::new(limit, &times, REQUESTS, &inner.expiring, None);
    placed.change = inner.kept.change(id);
    if changes {
        inner.discard_ahead(limit);
    }
    // What the last trip found.
    for _ in 0..TRIPS {
        let wish = Wish {
            id,
            limit: Taken::LIMIT,
            cost: 1,
            requests: REQUESTS,
            until: out.started,
        };
        let (ticket, _) = inner.ahead.ask(&wish, out.started);
        let found = Found {
            limit: Taken::LIMIT,
            room: 900,
            reset_after: Duration::ZERO,
            until: out.started,
            counted: CountedAt {
                group: Arc::clone(&together.group),
                segment: 7,
                now: out.now,
                asked: out.started,
            },
        };
        ticket?.found(found, out.started);
    }
    let mut asking = [Asking::Window(placed)];
    let ticket = inner.take_ahead(&together, &mut asking, &[times], out);
    let [Asking::Window(placed)] = asking else {
        return None;
    };
    assert_eq!(
        placed.units,
        REQUESTS + ticket.as_ref().map_or(0, |ticket| ticket.units)
    );
    ticket.map(|ticket| ticket.units)
}

#[test]
fn who_looked_before_a_block_takes_nothing_after_it() {
    let store = RedisStore::new("redis://localhost").unwrap();
    let inner = RedisRateLimits::new(store).units_ahead(10).0;
    assert_eq!(units_of_a_trip(&inner, false), Some(8));
    assert_eq!(units_of_a_trip(&inner, true), None);
}

#[test]
fn keys_are_bounded() {
    let (ahead, now) = (Ahead::of_at_most(10), Instant::now());
    let ask = |key: u64, now| {
        let id = Identity {
            first: key.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            second: key << 20 | 1,
        };
        let wish = Wish {
            id,
            limit: 1_000,
            cost: 1,
            requests: 8,
            until: now + LIFE,
        };
        ahead.ask(&wish, now).0
    };
    let away: Vec<_> = (0..10_000).filter_map(|key| ask(key, now)).collect();
    let held = || {
        let ways = (0..PLACES).map(|place| ahead.table.at(place).len());
        ways.sum::<usize>()
    };
    assert_eq!(held(), away.len());
    assert!((PLACES..=PLACES * WAYS).contains(&held()));
    drop(away);
    assert_eq!(held(), 0);
}
