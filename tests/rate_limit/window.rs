//! The window's promises, against a plain log of what it let in.

use std::time::Duration;

use portcullis::rate_limit::{Quota, SlidingWindow};
use proptest::prelude::*;

use crate::support::{Log, after, nanos, start, view_start};

fn quotas() -> impl Strategy<Value = Quota> {
    let windows = prop_oneof![
        1_000_000..20_000_000_000_u64,
        Just(1_000_000_000),
        Just(60_000_000_000),
    ];
    (
        prop_oneof![1..20_u32, 200..300_u32, 65_000..70_000_u32],
        windows,
        1..=60_u32,
    )
        .prop_map(|(limit, window, segments)| {
            Quota::new(limit, Duration::from_nanos(window)).segments(segments)
        })
}

/// Waits as shares of the window in thousandths, and costs as shares of the limit in hundredths: bursts,
/// steady streams, pauses of about one window.
fn arrivals() -> impl Strategy<Value = (u64, Vec<(u64, u32)>)> {
    let wait = prop_oneof![
        3 => Just(0),
        4 => 0..40_u64,
        2 => 900..1_100_u64,
        1 => 0..3_000_u64,
    ];
    let cost = prop_oneof![4 => Just(0), 3 => 0..30_u32, 1 => 0..130_u32];
    (
        any::<u32>().prop_map(u64::from),
        prop::collection::vec((wait, cost), 1..200),
    )
}

proptest! {
    #[test]
    fn no_window_holds_more_than_the_limit_and_none_is_refused_without_need(
        quota in quotas(),
        (offset, arrivals) in arrivals(),
    ) {
        let length = u64::try_from(quota.window().as_nanos()).unwrap();
        let (mut window, mut log, mut at) = (SlidingWindow::new(), Log::default(), offset);
        for (wait, cost) in arrivals {
            at += wait * length / 1_000;
            let now = after(at);
            let cost = (u64::from(quota.limit()) * u64::from(cost) / 100).max(1) as u32;
            let decision = window.hit(&quota, cost, now);
            let in_window = log.since(nanos(now) - u128::from(length), false);
            let in_view = log.since(view_start(&quota, now), true);
            prop_assert!(in_window <= in_view, "the view covers the window");
            if decision.allowed {
                prop_assert!(in_window + u64::from(cost) <= u64::from(quota.limit()));
                log.push(now, cost);
                prop_assert_eq!(
                    u64::from(decision.remaining),
                    u64::from(quota.limit()) - in_view - u64::from(cost)
                );
            } else {
                // What was refused before is not in the log: had it cost anything, this would fail.
                prop_assert!(in_view + u64::from(cost) > u64::from(quota.limit()));
                prop_assert_eq!(u64::from(decision.remaining), u64::from(quota.limit()) - in_view);
            }
        }
    }

    #[test]
    fn room_comes_exactly_when_it_is_said_to(
        quota in quotas(),
        (offset, arrivals) in arrivals(),
        wanted in 1..130_u64,
    ) {
        let length = u64::try_from(quota.window().as_nanos()).unwrap();
        let (mut window, mut at) = (SlidingWindow::new(), offset);
        for (wait, cost) in arrivals {
            at += wait * length / 1_000;
            let cost = (u64::from(quota.limit()) * u64::from(cost) / 100).max(1) as u32;
            window.hit(&quota, cost, after(at));
        }
        let ask = |cost, later: Duration| window.clone().hit(&quota, cost, after(at) + later);
        let instant = Duration::from_nanos(1);

        let cost = (u64::from(quota.limit()) * wanted / 100).max(1) as u32;
        let decision = ask(cost, Duration::ZERO);
        match decision.retry_after {
            Some(wait) => {
                prop_assert!(!decision.allowed && !wait.is_zero());
                prop_assert!(!ask(cost, wait - instant).allowed);
                prop_assert!(ask(cost, wait).allowed);
                prop_assert!(decision.reset_after <= wait);
            }
            None => prop_assert_eq!(decision.allowed, cost <= quota.limit()),
        }

        let idle = ask(0, Duration::ZERO);
        prop_assert!(idle.allowed);
        if idle.remaining == quota.limit() {
            prop_assert_eq!(idle.reset_after, Duration::ZERO);
        } else {
            prop_assert_eq!(ask(0, idle.reset_after - instant).remaining, idle.remaining);
            prop_assert!(ask(0, idle.reset_after).remaining > idle.remaining);
        }
    }

    #[test]
    fn sustained_demand_gets_its_share(
        limit in 1..200_u32,
        segments in 1..=60_u32,
        length in 1_000_000..10_000_000_000_u64,
        ticks in 1..5_u64,
    ) {
        let quota = Quota::new(limit, Duration::from_nanos(length)).segments(segments);
        let segment = u64::try_from(quota.segment_length().as_nanos()).unwrap();
        let (mut window, mut log) = (SlidingWindow::new(), Log::default());
        let views = 5;
        // Every tick more is asked for than could ever be let in.
        let tick = (segment / ticks).max(1);
        let until = views * (u64::from(segments) + 1) * segment;
        let mut at = 0;
        while at < until {
            while window.hit(&quota, 1, after(at)).allowed {
                log.push(after(at), 1);
            }
            at += tick;
        }
        // The limit in each view of N + 1 segments, so N / (N + 1) of it in each window.
        prop_assert!(log.total() >= views * u64::from(limit), "{} in {views} views", log.total());
    }
}

#[test]
fn a_burst_at_a_segments_end_still_counts_at_the_start_of_the_one_n_later() {
    for segments in 1..=60 {
        // 7 s are divided by few of these without a rest: a segment rounded down would end too early.
        let quota = Quota::new(10, Duration::from_secs(7)).segments(segments);
        let segment = u64::try_from(quota.segment_length().as_nanos()).unwrap();
        let boundary = (nanos(start()) as u64 / segment + 2) * segment - nanos(start()) as u64;
        let mut window = SlidingWindow::new();

        let end_of_one = after(boundary - 1);
        assert!(window.hit(&quota, 10, end_of_one).allowed);
        let start_of_the_later = after(boundary + (u64::from(segments) - 1) * segment);
        assert!(
            start_of_the_later < end_of_one + quota.window() || segments > 1,
            "the two are within a window of each other"
        );
        assert!(!window.hit(&quota, 1, start_of_the_later).allowed);
        // One segment more, and the burst has left.
        let gone = start_of_the_later + quota.segment_length();
        assert!(gone > end_of_one + quota.window());
        assert!(window.hit(&quota, 10, gone).allowed);
    }
}

#[test]
fn a_refused_request_costs_nothing() {
    let quota = Quota::per_minute(10);
    let mut window = SlidingWindow::new();
    assert!(window.hit(&quota, 9, start()).allowed);
    // The counter that others ship went to 14 here.
    assert!(!window.hit(&quota, 5, start()).allowed);
    let last = window.hit(&quota, 1, start());
    assert!(last.allowed && last.remaining == 0);
}

#[test]
fn a_request_beyond_the_limit_can_never_pass() {
    let quota = Quota::per_minute(10);
    let decision = SlidingWindow::new().hit(&quota, 11, start());
    assert!(!decision.allowed);
    assert_eq!((decision.retry_after, decision.remaining), (None, 10));
    assert_eq!(decision.reset_after, Duration::ZERO);
    let decision = SlidingWindow::new().hit(&quota, u32::MAX, start());
    assert_eq!((decision.allowed, decision.retry_after), (false, None));
}

#[test]
fn asking_costs_nothing() {
    let quota = Quota::per_second(1);
    let mut window = SlidingWindow::new();
    for _ in 0..5 {
        let decision = window.hit(&quota, 0, start());
        assert!(decision.allowed && decision.remaining == 1);
        assert_eq!(decision.reset_after, Duration::ZERO);
    }
    window.hit(&quota, 1, start());
    let full = window.hit(&quota, 0, start());
    assert!(full.allowed && full.remaining == 0 && !full.reset_after.is_zero());
}

#[test]
fn the_greatest_limit_counts() {
    let quota = Quota::per_second(u32::MAX).segments(60);
    let mut window = SlidingWindow::new();
    assert!(window.hit(&quota, u32::MAX - 1, start()).allowed);
    assert!(!window.hit(&quota, 2, start()).allowed);
    assert!(window.hit(&quota, 1, start()).allowed);
    assert!(!window.hit(&quota, 1, start()).allowed);
}
