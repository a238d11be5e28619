//! Refunds, charges, resets and blocks in memory.

use std::time::{Duration, SystemTime};

use portcullis::{
    rate_limit::{Hit, Quota, RateLimitStore},
    store::{MemoryStore, Reply},
};
use proptest::prelude::*;

use crate::support::{Log, after, hit, nanos, start};

fn done(reply: Reply<()>) {
    assert!(matches!(reply, Reply::Ready(Ok(()))), "{reply:?}");
}

fn refund(store: &MemoryStore, quota: Quota, cost: u32, counted: SystemTime, now: SystemTime) {
    done(store.refund(&[Hit::new(b"k", quota, cost)], counted, now));
}

fn ways() -> [Quota; 3] {
    let quota = Quota::new(10, Duration::from_secs(10));
    [quota, quota.exact(), quota.burst(10)]
}

#[test]
fn what_is_refunded_can_be_used_again() {
    for quota in ways() {
        let store = MemoryStore::new();
        assert!(hit(&store, "k", quota, 10, start()).allowed);
        refund(&store, quota, 4, start(), after(500_000_000));
        let now = after(500_000_000);
        assert!(hit(&store, "k", quota, 4, now).allowed, "{quota:?}");
        assert!(!hit(&store, "k", quota, 1, now).allowed, "{quota:?}");
    }
}

proptest! {
    /// Had it never been counted, there would be at least as much room: for windows and logs, whose plain
    /// account is kept beside.
    #[test]
    fn a_refund_never_makes_room_for_more_than_the_limit(
        exact in any::<bool>(),
        steps in prop::collection::vec((0..4_000_u64, 1..4_u32, any::<bool>()), 1..80),
    ) {
        let quota = if exact { ways()[1] } else { ways()[0] };
        let (store, mut at) = (MemoryStore::new(), 0);
        let mut counted: Vec<(u64, u32)> = Vec::new();
        for (wait, cost, gives_back) in steps {
            at += wait * 1_000_000;
            if gives_back && !counted.is_empty() {
                let (when, units) = counted.remove(cost as usize % counted.len());
                refund(&store, quota, units, after(when), after(at));
            }
            if hit(&store, "k", quota, cost, after(at)).allowed {
                counted.push((at, cost));
            }
            let mut log = Log::default();
            for (when, units) in &counted {
                log.push(after(*when), *units);
            }
            let window = log.since(nanos(after(at)) - 10_000_000_000, false);
            prop_assert!(window <= 10, "{window} in a window");
        }
    }
}

#[test]
fn a_pace_gives_nothing_back_that_came_back_by_itself() {
    let quota = Quota::per_second(1).burst(2);
    let store = MemoryStore::new();
    assert!(hit(&store, "k", quota, 1, start()).allowed);
    let later = start() + Duration::from_secs(5);
    assert!(hit(&store, "k", quota, 2, later).allowed);
    refund(&store, quota, 1, start(), later);
    assert!(!hit(&store, "k", quota, 1, later).allowed);
}

#[test]
fn a_charge_counts_but_never_past_the_limit() {
    for quota in ways() {
        let store = MemoryStore::new();
        let charge = |cost| done(store.charge(&[Hit::new(b"k", quota, cost)], start()));
        charge(3);
        assert_eq!(
            hit(&store, "k", quota, 0, start()).remaining,
            7,
            "{quota:?}"
        );
        charge(100);
        let full = hit(&store, "k", quota, 1, start());
        assert!(!full.allowed && full.remaining == 0, "{quota:?}");
        // No more than a whole limit was counted: it is all back after a window and a segment.
        let later = start() + Duration::from_secs(11);
        assert_eq!(hit(&store, "k", quota, 0, later).remaining, 10, "{quota:?}");
    }
}

#[test]
fn a_reset_forgets_one_key_under_one_quota() {
    for quota in ways() {
        let store = MemoryStore::new();
        for key in ["k", "other"] {
            assert!(hit(&store, key, quota, 10, start()).allowed);
        }
        let keys = store.rate_limit_keys();
        done(store.reset(b"k", &quota));
        assert_eq!(store.rate_limit_keys(), keys - 1);
        assert!(hit(&store, "k", quota, 10, start()).allowed);
        assert!(!hit(&store, "other", quota, 1, start()).allowed);
        done(store.reset(b"nobody", &quota));
    }
}

#[test]
fn a_block_refuses_whatever_it_costs_until_it_is_over_or_lifted() {
    let (store, quota) = (MemoryStore::new(), Quota::per_minute(10));
    let until = start() + Duration::from_secs(3_600);
    done(store.block(b"k", &quota, until, start()));
    for cost in [0, 1, 11] {
        let refused = hit(&store, "k", quota, cost, start());
        assert!(!refused.allowed && refused.remaining == 0);
        assert_eq!(refused.retry_after, Some(Duration::from_secs(3_600)));
    }
    assert!(hit(&store, "other", quota, 1, start()).allowed);
    // Together with others it refuses all, and costs none anything.
    let both = [Hit::new(b"free", quota, 1), Hit::new(b"k", quota, 1)];
    let Reply::Ready(Ok(decisions)) = store.hit(&both, start()) else {
        panic!("memory answers at once");
    };
    assert!(!decisions.allowed());
    assert_eq!(hit(&store, "free", quota, 0, start()).remaining, 10);

    assert!(!hit(&store, "k", quota, 1, until - Duration::from_nanos(1)).allowed);
    assert!(hit(&store, "k", quota, 1, until).allowed);
    done(store.reset(b"k", &quota));
    assert!(hit(&store, "k", quota, 1, start()).allowed);
}
