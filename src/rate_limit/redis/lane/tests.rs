//! Who goes when, played through.

use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;
use crate::{
    rate_limit::{
        Hit, Quota,
        identity::Identities,
        redis::{
            group::{Costs, group_identity},
            together::Answer,
        },
    },
    store::RedisStore,
};

const TRIP: Duration = Duration::from_millis(1);

struct Street {
    lane: Lane,
    store: RedisStore,
    identities: Identities,
    now: Instant,
    tickets: u64,
    /// Who is on the way, and how many groups with him.
    away: Vec<(u64, usize)>,
    /// Who has not heard yet.
    waits: Vec<oneshot::Receiver<Answer>>,
}

impl Street {
    fn new() -> Self {
        Self {
            lane: Lane::default(),
            store: RedisStore::new("redis://localhost").unwrap(),
            identities: Identities::new(),
            now: Instant::now(),
            tickets: 0,
            away: Vec::new(),
            waits: Vec::new(),
        }
    }

    /// How many leave because one more has come.
    fn come(&mut self, key: u64, at_once: u32) -> usize {
        let (now, tickets) = (self.now, &mut self.tickets);
        let mut ticket = || {
            *tickets += 1;
            *tickets
        };
        if let Some(ticket) = self.lane.go_alone(&mut ticket, now, at_once) {
            self.away.push((ticket, 1));
            return 1;
        }
        let bytes = key.to_le_bytes();
        let hits = [Hit::new(&bytes, Quota::per_second(1), 1)];
        let id = group_identity(&self.identities, &hits);
        let (answer, waits) = oneshot::channel();
        let caller = Caller {
            costs: Costs::of(&hits),
            said: 0,
            since: now,
            answer,
        };
        let group = || Group::new(id, &self.identities, &self.store, &hits);
        self.lane.wait(id, group, caller);
        self.waits.push(waits);
        let beside = self.lane.go_beside(&mut ticket, now, at_once);
        self.gone(beside)
    }

    fn gone(&mut self, gone: Option<(u64, Vec<Together>)>) -> usize {
        let Some((ticket, next)) = gone else {
            return 0;
        };
        self.away.push((ticket, next.len()));
        for together in &next {
            assert!(!together.callers.is_empty());
        }
        // They hear at once, which is of no matter here.
        self.waits.retain_mut(|waits| waits.try_recv().is_err());
        next.len()
    }

    /// How many leave because the one at this place is back: before he is heard, and afterwards.
    fn back(&mut self, at: usize, at_once: u32, again: &[u64]) -> (usize, usize) {
        let (ticket, groups) = self.away.swap_remove(at);
        let ahead = self.lane.go_ahead(ticket, self.now, groups);
        let before = ahead.len();
        if before > 0 {
            self.away.push((ticket, before));
        }
        for key in again {
            self.come(*key, at_once);
        }
        let next = match before {
            0 => self.lane.go_on(ticket, self.now, at_once),
            _ => Vec::new(),
        };
        let mut after = next.len();
        if after > 0 {
            self.away.push((ticket, after));
        }
        let tickets = &mut self.tickets;
        let ticket = || {
            *tickets += 1;
            *tickets
        };
        let others = self.lane.go_after(ticket, self.now, at_once);
        after += self.gone(others);
        (before, after)
    }
}

#[test]
fn one_goes_at_once_and_those_under_one_limit_go_as_one_when_he_is_back() {
    let mut street = Street::new();
    assert_eq!(street.come(0, 2), 1);
    for _ in 0..63 {
        assert_eq!(street.come(7, 2), 0);
    }
    street.now += TRIP;
    // Who asks again meanwhile goes with them.
    assert_eq!(street.back(0, 2, &[7]), (0, 1));
    assert!(street.lane.is_clear() && street.away.len() == 1);
}

#[test]
fn of_many_one_half_goes_and_then_the_other() {
    let mut street = Street::new();
    street.come(0, 2);
    for key in 1..64 {
        assert_eq!(street.come(key, 2), 0);
    }
    street.now += TRIP;
    assert_eq!(street.back(0, 2, &[0]), (32, 32));
    let groups: Vec<_> = street.away.iter().map(|(_, groups)| *groups).collect();
    assert_eq!(groups, [32, 32]);
    // Where one is on the way at a time, nobody goes beside him.
    let mut street = Street::new();
    for key in 0..64 {
        street.come(key, 1);
    }
    street.now += TRIP;
    assert_eq!(street.back(0, 1, &[]), (32, 0));
}

#[test]
fn who_comes_a_while_after_the_last_goes_beside_him() {
    let mut street = Street::new();
    street.come(0, 2);
    street.now += TRIP;
    street.back(0, 2, &[]);
    assert_eq!(street.come(1, 2), 1);
    assert_eq!(street.come(2, 2), 0);
    street.now += TRIP / 2;
    assert_eq!(street.come(3, 2), 2);
    street.now += TRIP;
    // Two are all.
    assert_eq!(street.come(4, 2), 0);
}

#[test]
fn whoever_comes_goes_with_all_in_place_of_those_who_stand_still() {
    for at_once in [1, 2] {
        let mut street = Street::new();
        street.come(0, at_once);
        // He stands still, and more and more come who are under one limit: somebody always waits.
        street.lane.away[0].since -= Duration::from_secs(60);
        for _ in 0..9 {
            assert_eq!(street.come(7, at_once), 0);
        }
        let places = street.lane.waiting[0].callers.iter_mut();
        for caller in places.take(4) {
            caller.since -= Duration::from_secs(60);
        }
        street.lane.sweep(Duration::from_secs(30));
        assert_eq!(street.come(7, at_once), 1);
        assert!(street.lane.is_clear());
        // When he is back after all, he has nothing to say.
        assert_eq!(street.back(0, at_once, &[]), (0, 0));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Come(u64),
    Back(usize, Vec<u64>),
    /// So many of those who wait go away.
    Away(usize),
    Later(u64),
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn somebody_always_sees_to_those_who_wait(
        at_once in 1..3_u32,
        steps in prop::collection::vec(prop_oneof![
            8 => (0..40_u64).prop_map(Step::Come),
            4 => (0..9_usize, prop::collection::vec(0..40_u64, 0..40))
                .prop_map(|(at, again)| Step::Back(at, again)),
            2 => (0..30_usize).prop_map(Step::Away),
            1 => (0..2_000_u64).prop_map(Step::Later),
        ], 0..200),
    ) {
        let mut street = Street::new();
        for step in steps {
            match step {
                Step::Come(key) => drop(street.come(key, at_once)),
                Step::Back(at, again) if !street.away.is_empty() => {
                    let at = at % street.away.len();
                    street.back(at, at_once, &again);
                }
                Step::Away(many) => drop(street.waits.drain(..many.min(street.waits.len()))),
                Step::Later(micros) => street.now += Duration::from_micros(micros),
                Step::Back(..) => {}
            }
            prop_assert!(street.away.len() <= at_once as usize);
            prop_assert_eq!(street.away.len(), street.lane.away.len());
            let waiting = &street.lane.waiting;
            let callers = waiting.iter().map(|together| together.callers.len()).sum::<usize>();
            prop_assert_eq!(callers, street.lane.callers);
            prop_assert!(!street.away.is_empty() || waiting.is_empty());
        }
    }
}

#[test]
fn of_very_many_each_leaves_once_and_who_comes_later_finds_his_group() {
    const KEYS: u64 = 40_000;
    let mut street = Street::new();
    assert_eq!(street.come(0, 1), 1);
    for key in 0..KEYS {
        street.come(key, 1);
    }
    let mut left = 0;
    // Once some have left, the rest come a second time, and then the first: as one more group each.
    let ticket = street.away[0].0;
    let gone = street.lane.go_on(ticket, street.now, 1);
    left += gone.len();
    for key in (gone.len() as u64..KEYS).chain(0..gone.len() as u64) {
        street.come(key, 1);
    }
    drop(gone);
    loop {
        let gone = street.lane.go_on(ticket, street.now, 1);
        if gone.is_empty() {
            break;
        }
        for together in &gone {
            let first = left < KEYS as usize;
            assert_eq!(together.callers.len(), if first { 2 } else { 1 });
            left += 1;
        }
    }
    assert_eq!(left, KEYS as usize + MOST);
    assert!(street.lane.is_empty() && street.lane.callers == 0 && street.lane.places.is_empty());
}
