//! The argument of the module's documentation, played through: counts by segment instead of Redis, and
//! processes whose clocks are wrong within their bounds.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::rate_limit::redis::{time::ServerTime, view::View};

const MILLI: u64 = 1_000_000;
const SEGMENT: u64 = 400 * MILLI;
const SEGMENTS: u32 = 8;

/// A request is on its way for so long at most, and whoever hears later is not let in.
const WAY: u64 = 50 * MILLI;

fn quota(limit: u32) -> Quota {
    let window = Duration::from_nanos(SEGMENT * u64::from(SEGMENTS));
    Quota::new(limit, window).segments(SEGMENTS)
}

fn now(nanos: u64) -> Now {
    ServerTime::the_callers().known(nanos).unwrap()
}

fn id() -> Identity {
    Identity {
        first: 3,
        second: 1 << 40 | 5,
    }
}

/// By a process, asked so long after the one before, by a clock that is wrong by so much and may be by so much
/// more; on its way there and back for so long.
#[derive(Clone, Debug)]
struct Request {
    process: usize,
    wait: u64,
    error: i64,
    slack: u64,
    there: u64,
    back: u64,
    cost: u32,
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let wait = prop_oneof![
        12 => 0..2 * MILLI,
        6 => 0..60 * MILLI,
        2 => 0..2 * SEGMENT,
        1 => 0..9 * SEGMENT
    ];
    let most = AHEAD as i64 / 2;
    let error = prop_oneof![2 => Just(0), 2 => -most..=most, 1 => Just(most), 1 => Just(-most)];
    let way = || prop_oneof![6 => 0..MILLI, 2 => 0..WAY, 1 => 0..4 * WAY];
    let request = (
        0..3_usize,
        wait,
        error,
        0..10 * MILLI,
        way(),
        way(),
        1..4_u32,
    )
        .prop_map(|(process, wait, error, slack, there, back, cost)| Request {
            process,
            wait,
            error,
            slack: slack.min(AHEAD / 2 - error.unsigned_abs()),
            there,
            back,
            cost,
        });
    prop::collection::vec(request, 1..300)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Asked(usize),
    Counted(usize),
    Answered(usize),
}

/// What a request knows while it is on its way.
#[derive(Default)]
struct OnItsWay {
    asked: u64,
    read: Option<(Times, u32, Option<Remembered>)>,
    view: Option<View>,
}

struct Played {
    log: Vec<(u64, u32)>,
    /// How many asked for the newest count alone.
    short: usize,
}

fn times(request: &Request, at: u64) -> Times {
    let told = at.checked_add_signed(request.error).unwrap();
    let bound = request.error.unsigned_abs() + request.slack;
    Times {
        asked: told - bound,
        early: told - bound,
        late: told + bound,
    }
}

fn play(quota: &Quota, requests: &[Request]) -> Played {
    let kept = [Kept::default(), Kept::default(), Kept::default()];
    let mut counts = BTreeMap::<u64, u32>::new();
    let mut ways: Vec<_> = requests.iter().map(|_| OnItsWay::default()).collect();
    let (mut log, mut short, mut at) = (Vec::new(), 0, 1_000 * SEGMENT);
    let mut events = BinaryHeap::new();
    for (index, request) in requests.iter().enumerate() {
        at += request.wait;
        events.push(Reverse((at, Event::Asked(index))));
    }
    while let Some(Reverse((at, event))) = events.pop() {
        match event {
            Event::Asked(index) => {
                let (request, way) = (&requests[index], &mut ways[index]);
                let kept = &kept[request.process];
                let times = times(request, at);
                let change = kept.change(id());
                let reading = Reading {
                    quota,
                    times,
                    now: now(times.asked),
                    change,
                };
                way.asked = at;
                let remembered = kept.find(id(), &reading, WAY);
                short += usize::from(remembered.is_some());
                way.read = Some((times, change, remembered));
                events.push(Reverse((at + request.there, Event::Counted(index))));
            }
            Event::Counted(index) => {
                let (request, way) = (&requests[index], &mut ways[index]);
                let (times, _, remembered) = way.read.as_ref().unwrap();
                let span = Span::of(quota, times);
                let held = |segment: u64| counts.get(&segment).copied().unwrap_or(0);
                let mut view = match remembered {
                    Some(remembered) => View::of(span, &remembered.counts),
                    None => View::empty(span),
                };
                match remembered {
                    Some(Remembered { ahead: true, .. }) => {
                        view.ahead_at_least(held(span.place + 1));
                    }
                    Some(_) => {}
                    None => {
                        for (segment, count) in counts.range(span.first..) {
                            view.add(*segment, *count);
                        }
                    }
                }
                view.set_newest(held(span.place));
                way.view = Some(view);
                *counts.entry(span.place).or_default() += request.cost;
                events.push(Reverse((at + request.back, Event::Answered(index))));
            }
            Event::Answered(index) => {
                let (request, way) = (&requests[index], &mut ways[index]);
                let (times, change, remembered) = way.read.take().unwrap();
                let (span, mut view) = (Span::of(quota, &times), way.view.take().unwrap());
                let in_time = at - way.asked <= WAY;
                let allowed = in_time && view.look(quota, request.cost, times.asked).allowed;
                let place = Span::of(quota, &self::times(request, at)).place;
                if !allowed || place > span.place {
                    if allowed {
                        *counts.entry(place).or_default() += request.cost;
                    }
                    *counts.get_mut(&span.place).unwrap() -= request.cost;
                }
                if allowed {
                    view.take(request.cost);
                    log.push((at, request.cost));
                }
                if in_time && remembered.is_none() {
                    let reading = Reading {
                        quota,
                        times,
                        now: now(times.asked),
                        change,
                    };
                    kept[request.process].keep(id(), &reading, view.kept(), WAY);
                }
            }
        }
    }
    log.sort_unstable();
    Played { log, short }
}

fn most_in_a_window(quota: &Quota, log: &[(u64, u32)]) -> u32 {
    let held = |until: u64| {
        let inside = log
            .iter()
            .filter(|(at, _)| *at <= until && until - at < quota.window_nanos());
        inside.map(|(_, cost)| cost).sum()
    };
    log.iter().map(|(at, _)| held(*at)).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_window_holds_more_though_most_read_only_the_newest(
        requests in requests(),
        limit in 1..60_u32,
    ) {
        let quota = quota(limit);
        let played = play(&quota, &requests);
        prop_assert!(most_in_a_window(&quota, &played.log) <= limit);
    }
}

#[test]
fn most_ask_for_the_newest_count_alone_where_many_come() {
    let request = Request {
        process: 0,
        wait: MILLI,
        error: 0,
        slack: MILLI,
        there: MILLI / 10,
        back: MILLI / 10,
        cost: 1,
    };
    let requests = vec![request; 4_000];
    let played = play(&quota(1_000), &requests);
    // A segment's first 50 ms are read whole, and what is remembered is read again after a second.
    assert!(played.short > 3_300, "{}", played.short);
    assert!(played.log.len() > 1_000);
}

#[test]
fn what_was_read_is_gone_by_for_a_second_in_its_segment_until_a_change() {
    let (kept, quota) = (Kept::default(), Quota::per_minute(100).segments(10));
    let start = 60_000 * 1_000 * MILLI;
    let reading = |nanos: u64, change| Reading {
        quota: &quota,
        times: Times::exactly(start + nanos),
        now: now(start + nanos),
        change,
    };
    let span = Span::of(&quota, &Times::exactly(start));
    let view = View::empty(span);
    let find = |nanos, change| kept.find(id(), &reading(nanos, change), WAY);
    // Somebody may still be on his way to the segment before.
    kept.keep(id(), &reading(WAY - 1, 0), view.kept(), WAY);
    assert!(find(WAY, 0).is_none());
    kept.keep(id(), &reading(WAY, 0), view.kept(), WAY);
    assert!(!find(WAY, 0).unwrap().ahead);
    assert!(find(WAY + READING_TRUSTED - 1, 0).is_some());
    assert!(find(WAY + READING_TRUSTED, 0).is_none());
    assert!(find(WAY - 1, 0).is_none());
    let last = 6_000 * MILLI - 1;
    kept.keep(id(), &reading(last, 0), view.kept(), WAY);
    assert!(find(last, 0).unwrap().ahead);
    assert!(find(last + 1, 0).is_none());
    // Changed since it was read, or since it was last looked at.
    assert_eq!(kept.change(id()), 0);
    kept.changed(id());
    assert!(find(last, kept.change(id())).is_none());
    // Shorter segments are over too soon.
    let short = Quota::per_second(100);
    let at = Reading {
        quota: &short,
        ..reading(50 * MILLI, 1)
    };
    let view = View::empty(Span::of(&short, &at.times));
    kept.keep(id(), &at, view.kept(), WAY);
    assert!(kept.find(id(), &at, WAY).is_none());
}

#[test]
fn what_is_kept_is_bounded() {
    let (kept, quota) = (Kept::default(), Quota::per_minute(100).segments(10));
    let reading = Reading {
        quota: &quota,
        times: Times::exactly(60_001_000 * MILLI),
        now: now(60_001_000 * MILLI),
        change: 0,
    };
    let counts = View::empty(Span::of(&quota, &reading.times)).kept();
    for key in 0..100_000_u64 {
        let id = Identity {
            first: key.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            second: key << 20 | 1,
        };
        kept.keep(id, &reading, Arc::clone(&counts), WAY);
    }
    let ways = kept
        .0
        .places
        .iter()
        .map(|place| place.lock().unwrap().len());
    let held = ways.sum::<usize>();
    assert!((PLACES..=PLACES * WAYS).contains(&held), "{held}");
}
