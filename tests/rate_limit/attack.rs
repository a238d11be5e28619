//! What somebody would try who wants more than the limit, or the memory of others.

use std::time::{Duration, SystemTime};

use portcullis::{
    rate_limit::{Quota, SlidingWindow},
    store::MemoryStore,
};
use proptest::prelude::*;

use crate::support::{after, hit};

const SECOND: Duration = Duration::from_secs(1);

/// The clock falls back for a moment, in which the key is asked for, and is right again. What was counted before
/// that has not left its window, so nobody may have its place.
#[test]
fn a_clock_that_is_wrong_for_a_moment_gives_nobodys_place_away() {
    for (quota, back, later) in [
        (Quota::new(5, 900 * SECOND), 200, 830),
        (Quota::new(5, 900 * SECOND).exact(), 200, 830),
        (Quota::new(5, 25 * SECOND).segments(1), 62, 3),
        (Quota::new(300, 3_600 * SECOND).segments(60), 700, 3_500),
    ] {
        let store = MemoryStore::bounded(64);
        // Late in a segment of 25 s.
        let counted = after(24_000_000_000);
        assert!(hit(&store, "k", quota, quota.limit(), counted).allowed);
        assert!(!hit(&store, "k", quota, 1, counted - back * SECOND).allowed);
        let now = counted + later * SECOND;
        for other in 0..16_u8 {
            hit(&store, [other], quota, 1, now);
        }
        assert!(!hit(&store, "k", quota, 1, now).allowed, "{quota:?}");
    }
}

/// A unit that is counted exactly takes 8 bytes, and 16 at most with what its record has to spare.
#[test]
fn exact_counts_take_at_most_twice_their_bytes() {
    for limit in [6, 30, 63, 127, 128, 255, 256, 511, 512, 1_000] {
        let quota = Quota::per_hour(limit).exact();
        let store = MemoryStore::bounded(64);
        for key in 0..200_u32 {
            hit(&store, key.to_be_bytes(), quota, 1, after(0));
        }
        let table = 64 * 40 + 512;
        let bytes = store.rate_limit_bytes() - table;
        assert!(
            bytes <= 64 * (16 * limit as usize + 16),
            "{bytes} for {limit}"
        );
    }
}

proptest! {
    /// Whatever the times are within a life, and whatever of the limit is asked for.
    #[test]
    fn no_time_within_sixty_years_makes_a_store_decide_otherwise(
        limit in prop::sample::select(vec![1_u32, 5, 255, 256, 300, 5_000, 65_536, u32::MAX]),
        segments in 1..=60_u32,
        millis in prop::sample::select(vec![1_u64, 1_000, 62_000, 3_600_000, 31_622_400_000]),
        begin in prop::sample::select(vec![0_u64, 1_800_000_000, 4_294_967_200, 16_500_000_000]),
        hits in prop::collection::vec((any::<u64>(), 0..60_u32, 0..=4_u32, any::<u8>()), 1..200),
    ) {
        let quota = Quota::new(limit, Duration::from_millis(millis)).segments(segments);
        let (mut window, store) = (SlidingWindow::new(), MemoryStore::bounded(64));
        let (mut now, mut kept) = (0_u64, false);
        for (jump, bits, part, small) in hits {
            // By less than a power of two, on or back, and never by more than there is.
            let jump = jump >> (63 - bits);
            let most = 60 * 365 * 86_400_000_000_000_u64;
            now = if small % 3 == 0 { now.saturating_sub(jump) } else { now.saturating_add(jump).min(most) };
            let cost = match part {
                0 => 0,
                1 => u32::from(small),
                part => limit / part / part,
            };
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(begin) + Duration::from_nanos(now);
            let decision = window.hit(&quota, cost, at);
            prop_assert_eq!(hit(&store, "k", quota, cost, at), decision);
            // Neither asking nor a refusal takes a place.
            kept |= decision.allowed && cost > 0;
            if !kept {
                window = SlidingWindow::new();
            }
        }
    }
}
