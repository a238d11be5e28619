//! The log and the pace against plain references, alone and in the memory store.

use std::{collections::HashMap, time::Duration};

use portcullis::{
    rate_limit::{Gcra, Quota, SlidingLog},
    store::MemoryStore,
};
use proptest::prelude::*;

use crate::support::{Log, after, hit, nanos, start};

/// Waits in thousandths of the window, costs in hundredths of the limit.
fn arrivals() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let wait = prop_oneof![3 => Just(0), 4 => 0..60_u64, 2 => 900..1_100_u64, 1 => 0..3_000_u64];
    let cost = prop_oneof![4 => Just(0), 3 => 0..30_u32, 1 => 0..130_u32];
    prop::collection::vec((wait, cost), 1..150)
}

proptest! {
    #[test]
    fn a_log_lets_in_exactly_what_its_window_has_room_for(
        limit in prop_oneof![1..8_u32, 90..140_u32, 900..=1_000_u32],
        window in 1_000_000..20_000_000_000_u64,
        arrivals in arrivals(),
    ) {
        let quota = Quota::new(limit, Duration::from_nanos(window)).exact();
        let (mut log, mut plain, mut at) = (SlidingLog::new(), Log::default(), 0);
        let store = MemoryStore::new();
        for (wait, cost) in arrivals {
            at += wait * window / 1_000;
            let cost = (limit * cost / 100).max(1);
            let held = plain.since(nanos(after(at)) - u128::from(window), false);
            let decision = log.hit(&quota, cost, after(at));
            prop_assert_eq!(decision.allowed, held + u64::from(cost) <= u64::from(limit));
            let counted = if decision.allowed { u64::from(cost) } else { 0 };
            prop_assert_eq!(u64::from(decision.remaining), u64::from(limit) - held - counted);
            prop_assert_eq!(hit(&store, "k", quota, cost, after(at)), decision);
            if decision.allowed {
                plain.push(after(at), cost);
            }
            if let Some(wait) = decision.retry_after {
                let ask = |later: Duration| log.clone().hit(&quota, cost, after(at) + later).allowed;
                prop_assert!(ask(wait) && !ask(wait - Duration::from_nanos(1)));
                prop_assert!(decision.reset_after <= wait);
            }
        }
    }

    #[test]
    fn a_pace_is_kept_to_the_nanosecond_and_its_burst_is_never_passed(
        limit in prop_oneof![1..8_u32, 90..5_000_u32, any::<u32>().prop_map(|limit| limit.max(1))],
        window in 1_000_000..20_000_000_000_u64,
        burst in 1..50_u32,
        arrivals in arrivals(),
    ) {
        let quota = Quota::new(limit, Duration::from_nanos(window)).burst(burst);
        let (mut pace, store) = (Gcra::new(), MemoryStore::new());
        // A bucket in exact fractions: what is missing, in units of a nanosecond over the limit.
        let (mut missing, mut at) = (0_u128, 0);
        for (wait, cost) in arrivals {
            let wait = wait * window / 200 / u64::from(limit.min(1_000));
            at += wait;
            missing = missing.saturating_sub(u128::from(wait) * u128::from(limit));
            let cost = (burst * cost / 100).max(1);
            let full = u128::from(burst) * u128::from(window);
            let fits = missing + u128::from(cost) * u128::from(window) <= full;
            let decision = pace.hit(&quota, cost, after(at));
            prop_assert_eq!(decision.allowed, fits);
            prop_assert_eq!(hit(&store, "k", quota, cost, after(at)), decision);
            if fits {
                missing += u128::from(cost) * u128::from(window);
            }
            prop_assert_eq!(u128::from(decision.remaining), (full - missing) / u128::from(window));
            prop_assert_eq!(decision.reset_after.as_nanos(), missing.div_ceil(u128::from(limit)));
            if let Some(wait) = decision.retry_after {
                let ask = |later: Duration| pace.clone().hit(&quota, cost, after(at) + later).allowed;
                prop_assert!(ask(wait) && !ask(wait - Duration::from_nanos(1)));
            }
        }
    }

    #[test]
    fn no_time_and_no_cost_panics(
        hits in prop::collection::vec((any::<u64>(), any::<u32>(), any::<bool>()), 1..60),
        burst in 1..=u32::MAX,
    ) {
        let store = MemoryStore::bounded(64);
        let exact = Quota::new(1_000, Duration::from_millis(1)).exact();
        let paced = Quota::new(u32::MAX, Duration::from_millis(1)).burst(burst);
        let (mut log, mut pace) = (SlidingLog::new(), Gcra::new());
        for (nanos, cost, paces) in hits {
            let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
            let (quota, decision) = if paces {
                (paced, pace.hit(&paced, cost, now))
            } else {
                (exact, log.hit(&exact, cost, now))
            };
            prop_assert_eq!(hit(&store, "k", quota, cost, now), decision);
            prop_assert!(decision.retry_after != Some(Duration::ZERO));
        }
    }
}

#[test]
fn a_corrected_clock_shuts_nobody_out_for_long() {
    let year = Duration::from_secs(86_400 * 365);
    for quota in [Quota::per_minute(5).exact(), Quota::per_minute(5).burst(5)] {
        let store = MemoryStore::new();
        for _ in 0..5 {
            assert!(hit(&store, "k", quota, 1, start() + year).allowed);
        }
        assert!(!hit(&store, "k", quota, 1, start()).allowed);
        let later = start() + Duration::from_secs(61);
        assert!(hit(&store, "k", quota, 5, later).allowed, "{quota:?}");
    }
}

#[test]
fn a_refused_request_costs_nothing() {
    for quota in [
        Quota::per_minute(10).exact(),
        Quota::per_minute(10).burst(10),
    ] {
        let store = MemoryStore::new();
        assert!(hit(&store, "k", quota, 9, start()).allowed);
        for _ in 0..50 {
            assert!(!hit(&store, "k", quota, 2, start()).allowed);
        }
        assert_eq!(hit(&store, "k", quota, 1, start()).remaining, 0);
    }
}

#[test]
fn each_way_of_counting_counts_apart() {
    let store = MemoryStore::new();
    let quota = Quota::per_minute(1);
    let ways = [
        quota,
        quota.exact(),
        quota.burst(1),
        quota.burst(2),
        quota.segments(1),
    ];
    let names: HashMap<_, _> = ways.iter().map(|way| (*way, way.algorithm())).collect();
    assert_eq!(names.len(), ways.len());
    for way in ways {
        assert!(hit(&store, "k", way, 1, start()).allowed, "{way:?}");
    }
}

#[test]
fn what_cannot_be_counted_so_is_a_configuration_error() {
    let error = Quota::per_minute(1_001).try_exact().unwrap_err();
    assert_eq!((error.setting(), error.given()), ("limit", "1001"));
    let error = Quota::per_minute(1).try_burst(0).unwrap_err();
    assert_eq!((error.setting(), error.given()), ("burst", "0"));
    assert!(Quota::per_minute(1).try_burst(366 * 24 * 60).is_ok());
    assert!(Quota::per_minute(1).try_burst(366 * 24 * 60 + 1).is_err());
    let quota = Quota::sign_in();
    assert_eq!((quota.limit(), quota.window().as_secs()), (5, 900));
    assert_eq!(
        (Quota::general().limit(), Quota::transaction().limit()),
        (100, 20)
    );
}
