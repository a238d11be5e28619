//! Clocks that are set: backwards, far ahead and back again, to the ends of time.

use std::time::{Duration, SystemTime};

use portcullis::{
    rate_limit::{Quota, SlidingWindow},
    store::MemoryStore,
};
use proptest::prelude::*;

use crate::support::{after, hit, start};

const MINUTE: Duration = Duration::from_secs(60);

proptest! {
    /// A unit leaves no earlier than a window after the latest time that anybody had shown when it was let
    /// in, as long as clocks differ by less than a minute.
    #[test]
    fn clocks_that_disagree_let_nothing_in_early(
        segments in 1..=60_u32,
        times in prop::collection::vec(0..20_000_000_000_u64, 1..200),
    ) {
        let quota = Quota::new(7, Duration::from_secs(5)).segments(segments);
        let (mut window, mut latest, mut admitted) = (SlidingWindow::new(), 0, Vec::new());
        for at in times {
            latest = latest.max(at);
            let decision = window.hit(&quota, 1, after(at));
            if decision.allowed {
                admitted.push(latest);
                let recent = admitted.iter().filter(|seen| latest - **seen < 5_000_000_000);
                prop_assert!(recent.count() <= 7);
            } else {
                prop_assert!(!decision.retry_after.unwrap().is_zero());
            }
        }
    }

    #[test]
    fn no_time_and_no_cost_panics(
        segments in 1..=60_u32,
        hits in prop::collection::vec((any::<u64>(), any::<u32>()), 1..100),
    ) {
        let quota = Quota::new(1_000, Duration::from_millis(1)).segments(segments);
        let (mut window, store) = (SlidingWindow::new(), MemoryStore::bounded(64));
        for (nanos, cost) in hits {
            let now = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
            prop_assert_eq!(window.hit(&quota, cost, now), hit(&store, "k", quota, cost, now));
        }
    }
}

#[test]
fn a_corrected_clock_frees_nothing_early_and_shuts_nobody_out_for_long() {
    for window in [Duration::from_secs(1), Duration::from_secs(600)] {
        for jump in [
            window / 2,
            window * 3,
            MINUTE * 2,
            Duration::from_secs(86_400 * 3_650),
        ] {
            let quota = Quota::new(5, window);
            let view = quota.segment_length() * 17;
            let store = MemoryStore::new();
            let ask = |now| hit(&store, "k", quota, 1, now);
            // All of the quota is used while the clock is ahead; then the clock is corrected.
            for _ in 0..5 {
                assert!(ask(start() + jump).allowed);
            }
            let mut now = start();
            while now < start() + window {
                assert!(!ask(now).allowed, "window {window:?}, jump {jump:?}");
                now += window / 20;
            }
            // It is asked for all the time, and let in within the bound that is promised.
            while !ask(now).allowed {
                now += window / 20;
                let bound = view + view.max(MINUTE) + window / 20;
                assert!(now <= start() + bound, "window {window:?}, jump {jump:?}");
            }
        }
    }
}

#[test]
fn times_before_the_epoch_and_after_the_year_2554_are_times() {
    let quota = Quota::per_second(1);
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let mut window = SlidingWindow::new();
    assert!(window.hit(&quota, 1, before).allowed);
    assert!(!window.hit(&quota, 1, before).allowed);

    let late = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000_000_000);
    let mut window = SlidingWindow::new();
    assert!(window.hit(&quota, 1, late).allowed);
    let refused = window.hit(&quota, 1, late);
    assert!(!refused.allowed && refused.retry_after > Some(Duration::ZERO));
}

#[test]
fn a_caller_that_read_the_clock_before_another_counts_with_it() {
    let quota = Quota::new(2, Duration::from_secs(10));
    let mut window = SlidingWindow::new();
    assert!(window.hit(&quota, 1, after(9_000_000_000)).allowed);
    assert!(window.hit(&quota, 1, after(2_000_000_000)).allowed);
    let third = window.hit(&quota, 1, after(2_000_000_000));
    assert!(!third.allowed);
    // By its own clock, the wait is until both leave: neither may leave before the later one's window ends.
    assert!(third.retry_after.unwrap() >= Duration::from_secs(17));
}
