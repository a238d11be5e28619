//! Units ahead, played through: counts by segment instead of Redis, and processes whose clocks are wrong within
//! their bounds.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use proptest::prelude::*;

use super::*;
use crate::{
    rate_limit::{
        Hit,
        identity::Identities,
        redis::{
            group::{Group, group_identity},
            time::{AHEAD, ServerTime, Times},
            view::{Span, View},
        },
    },
    store::RedisStore,
};

const MILLI: u64 = 1_000_000;
const SEGMENT: u64 = 100 * MILLI;
const SEGMENTS: u32 = 8;
pub(super) const START: u64 = 1_000 * SEGMENT;
const PROCESSES: usize = 3;

/// Whoever hears later is not let in.
const DEADLINE: Duration = Duration::from_millis(50);

pub(super) fn quota(limit: u32) -> Quota {
    let window = Duration::from_nanos(SEGMENT * u64::from(SEGMENTS));
    Quota::new(limit, window).segments(SEGMENTS)
}

pub(super) fn group(quota: Quota) -> Arc<Group> {
    let store = RedisStore::new("redis://localhost").expect("a URL");
    let (identities, hits) = (Identities::new(), [Hit::new(b"key", quota, 1)]);
    let id = group_identity(&identities, &hits);
    Arc::new(Group::new(id, &identities, &store, &hits))
}

/// To a process, so long after the ones before, so many at once; by a clock that is wrong by so much and may be
/// by so much more; on their way there and back for so long.
#[derive(Clone, Debug)]
struct Requests {
    process: usize,
    wait: u64,
    many: usize,
    cost: u32,
    error: i64,
    slack: u64,
    there: u64,
    back: u64,
    /// Nobody is there any more when the answer comes.
    lost: bool,
}

fn requests() -> impl Strategy<Value = Vec<Requests>> {
    let wait = prop_oneof![
        30 => 0..2 * MILLI,
        4 => 0..30 * MILLI,
        1 => 0..2 * SEGMENT,
    ];
    let most = AHEAD as i64 / 2;
    let error = prop_oneof![2 => Just(0), 2 => -most..=most, 1 => Just(most), 1 => Just(-most)];
    let way = || prop_oneof![9 => 0..MILLI, 1 => 0..40 * MILLI];
    let cost = prop_oneof![9 => Just(1_u32), 1 => 1..4_u32];
    let requests = (
        0..PROCESSES,
        wait,
        1..9_usize,
        cost,
        error,
        0..10 * MILLI,
        (way(), way()),
        prop::bool::weighted(0.03),
    )
        .prop_map(
            |(process, wait, many, cost, error, slack, (there, back), lost)| Requests {
                process,
                wait,
                many,
                cost,
                error,
                slack: slack.min(AHEAD / 2 - error.unsigned_abs()),
                there,
                back,
                lost,
            },
        );
    prop::collection::vec(requests, 1..400)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Asked(usize),
    Counted(usize),
    Answered(usize),
    GivenBack(u64, u32),
    Swept,
}

/// What is known of requests that are on their way.
#[derive(Default)]
struct OnTheirWay {
    asked: u64,
    many: usize,
    units: u32,
    times: Option<Times>,
    ticket: Option<Ticket>,
    view: Option<View>,
}

struct Play<'r> {
    quota: Quota,
    most: u32,
    group: Arc<Group>,
    base: Instant,
    requests: &'r [Requests],
    ways: Vec<OnTheirWay>,
    processes: Vec<Ahead>,
    /// The units that a process has ahead, and those on their way.
    ahead: [u32; PROCESSES],
    counts: BTreeMap<u64, u32>,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    log: Vec<(u64, u32)>,
    /// Decisions without a trip.
    at_once: usize,
    /// Units that stay counted, as nobody heard of them.
    lost: u32,
}

fn times(requests: &Requests, at: u64) -> Times {
    let told = at.checked_add_signed(requests.error).expect("a time");
    let bound = requests.error.unsigned_abs() + requests.slack;
    Times {
        asked: told - bound,
        early: told - bound,
        late: told + bound,
    }
}

impl<'r> Play<'r> {
    fn new(quota: Quota, most: u32, requests: &'r [Requests]) -> Self {
        let mut play = Self {
            quota,
            most,
            group: group(quota),
            base: Instant::now(),
            requests,
            ways: requests.iter().map(|_| OnTheirWay::default()).collect(),
            processes: (0..PROCESSES).map(|_| Ahead::of_at_most(most)).collect(),
            ahead: [0; PROCESSES],
            counts: BTreeMap::new(),
            events: BinaryHeap::new(),
            log: Vec::new(),
            at_once: 0,
            lost: 0,
        };
        let mut at = START;
        for (index, requests) in requests.iter().enumerate() {
            at += requests.wait;
            play.events.push(Reverse((at, Event::Asked(index))));
        }
        // Everybody is swept now and then, and once all is over.
        let end = at + 10 * SEGMENT;
        for at in (START..end).step_by(17 * MILLI as usize) {
            play.events.push(Reverse((at, Event::Swept)));
        }
        while let Some(Reverse((at, event))) = play.events.pop() {
            play.step(at, event);
            assert!(play.ahead.iter().all(|ahead| *ahead <= most));
        }
        play.log.sort_unstable();
        play
    }

    fn instant(&self, at: u64) -> Instant {
        self.base + Duration::from_nanos(at - START)
    }

    fn step(&mut self, at: u64, event: Event) {
        match event {
            Event::Asked(index) => self.ask(at, index),
            Event::Counted(index) => self.count(at, index),
            Event::Answered(index) => self.answer(at, index),
            Event::GivenBack(segment, units) => {
                let count = self.counts.get_mut(&segment).expect("it was counted");
                *count = count.checked_sub(units).expect("it was counted");
            }
            Event::Swept => {
                for process in 0..PROCESSES {
                    let (left, _) = self.processes[process].sweep(self.instant(at));
                    for left in left {
                        self.give_back(process, at, left);
                    }
                }
            }
        }
    }

    fn give_back(&mut self, process: usize, at: u64, left: Left) {
        self.ahead[process] -= left.units;
        let back = Event::GivenBack(left.counted.segment, left.units);
        self.events.push(Reverse((at + MILLI / 10, back)));
    }

    fn ask(&mut self, at: u64, index: usize) {
        let (requests, now) = (&self.requests[index], self.instant(at));
        let (id, limit, cost) = (self.group.id, self.quota.limit(), requests.cost);
        let ahead = self.processes[requests.process].clone();
        let mut many = requests.many;
        while many > 0 && ahead.take(id, limit, cost, now).is_some() {
            self.log.push((at, cost));
            self.ahead[requests.process] -= cost;
            self.at_once += 1;
            many -= 1;
        }
        if many == 0 {
            return;
        }
        let times = times(requests, at);
        let segment = Span::of(&self.quota, &times).place;
        let wish = Wish {
            id,
            limit,
            cost,
            requests: many as u32,
            until: until(&self.quota, (times.late, segment), now, DEADLINE),
        };
        let own = cost * many as u32;
        let (ticket, left) = if self.most > 0 && own <= limit {
            ahead.ask(&wish, now)
        } else {
            (None, None)
        };
        if let Some(left) = left {
            self.give_back(requests.process, at, left);
        }
        let taken = ticket.as_ref().map_or(0, |ticket| ticket.units);
        self.ahead[requests.process] += taken;
        self.ways[index] = OnTheirWay {
            asked: at,
            many,
            units: own.min(limit) + taken,
            times: Some(times),
            ticket,
            view: None,
        };
        let counted = Event::Counted(index);
        self.events.push(Reverse((at + requests.there, counted)));
    }

    fn count(&mut self, at: u64, index: usize) {
        let (requests, way) = (&self.requests[index], &mut self.ways[index]);
        let span = Span::of(&self.quota, &way.times.expect("asked"));
        let mut view = View::empty(span);
        for (segment, count) in self.counts.range(span.first..) {
            view.add(*segment, *count);
        }
        way.view = Some(view);
        *self.counts.entry(span.place).or_default() += way.units;
        let answered = Event::Answered(index);
        self.events.push(Reverse((at + requests.back, answered)));
    }

    fn answer(&mut self, at: u64, index: usize) {
        let (requests, now) = (&self.requests[index], self.instant(at));
        let way = std::mem::take(&mut self.ways[index]);
        let (times, mut view) = (way.times.expect("asked"), way.view.expect("counted"));
        let span = Span::of(&self.quota, &times);
        let taken = way.ticket.as_ref().map_or(0, |ticket| ticket.units);
        if requests.lost {
            self.ahead[requests.process] -= taken;
            self.lost += way.units;
            return;
        }
        let in_time = Duration::from_nanos(at - way.asked) <= DEADLINE;
        let mut admitted = 0;
        for _ in 0..way.many {
            let decision = view.look(&self.quota, requests.cost, times.asked);
            if in_time && decision.allowed {
                view.take(requests.cost);
                admitted += requests.cost;
                self.log.push((at, requests.cost));
            }
        }
        let all = admitted == requests.cost * way.many as u32;
        let asked = self.instant(way.asked);
        let found = Found {
            limit: self.quota.limit(),
            room: view.room(&self.quota),
            reset_after: Duration::ZERO,
            until: until(&self.quota, (times.late, span.place), asked, DEADLINE),
            counted: CountedAt {
                group: Arc::clone(&self.group),
                segment: span.place,
                now: ServerTime::the_callers().known(at).expect("a time"),
                asked,
            },
        };
        let ticket = way.ticket.filter(|_| all);
        let held = ticket.map_or(0, |ticket| ticket.found(found, now));
        self.ahead[requests.process] -= taken - held;
        // As the trip does: what is not held goes back, and what was answered late is moved.
        let place = Span::of(&self.quota, &self::times(requests, at)).place;
        let mut back = way.units - admitted - held;
        if place > span.place && admitted > 0 {
            assert_eq!(held, 0);
            *self.counts.entry(place).or_default() += admitted;
            back += admitted;
        }
        *self.counts.get_mut(&span.place).expect("it was counted") -= back;
    }

    fn most_in_a_window(&self) -> u32 {
        let (window, mut first, mut held, mut most) = (self.quota.window_nanos(), 0, 0, 0);
        for (at, cost) in &self.log {
            held += cost;
            while at - self.log[first].0 >= window {
                held -= self.log[first].1;
                first += 1;
            }
            most = most.max(held);
        }
        most
    }

    fn let_in(&self) -> u32 {
        self.log.iter().map(|(_, cost)| cost).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_window_holds_more_and_every_unit_is_had_or_given_back(
        requests in requests(),
        limit in prop_oneof![1..60_u32, 60..4_000_u32],
        most in prop_oneof![1..20_u32, 20..1_000_u32],
    ) {
        let play = Play::new(quota(limit), most, &requests);
        prop_assert!(play.most_in_a_window() <= limit);
        prop_assert_eq!(play.ahead, [0; PROCESSES]);
        prop_assert_eq!(play.counts.values().sum::<u32>(), play.let_in() + play.lost);
    }

    #[test]
    fn with_none_ahead_nothing_is_held_nor_remembered(requests in requests(), limit in 1..2_000_u32) {
        let play = Play::new(quota(limit), 0, &requests);
        prop_assert_eq!(play.at_once, 0);
        for process in &play.processes {
            for place in 0..PLACES {
                prop_assert!(process.table.at(place).is_empty());
            }
        }
    }
}

/// So many requests at once, every 2 ms.
fn busy(many: usize, rounds: usize) -> Vec<Requests> {
    let requests = Requests {
        process: 0,
        wait: 2 * MILLI,
        many,
        cost: 1,
        error: 0,
        slack: MILLI,
        there: MILLI / 10,
        back: MILLI / 10,
        lost: false,
    };
    vec![requests; rounds]
}

#[test]
fn most_requests_about_a_busy_key_need_no_trip() {
    let requests = busy(8, 400);
    let play = Play::new(quota(100_000), 1_000, &requests);
    assert_eq!(play.let_in(), 3_200);
    assert!(play.at_once > 2_600, "{}", play.at_once);
    // Nor where few come at a time.
    let requests = busy(3, 400);
    let play = Play::new(quota(100_000), 1_000, &requests);
    assert_eq!((play.let_in(), play.at_once), (1_200, 0));
    // With more than half of the limit taken, each is asked about.
    let requests = busy(8, 200);
    let play = Play::new(quota(1_000), 1_000, &requests);
    let taken_ahead = play.at_once;
    assert!((1..500).contains(&taken_ahead), "{taken_ahead}");
    assert_eq!(play.most_in_a_window(), 1_000);
}
