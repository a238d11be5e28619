//! Several limits decided together: all or nothing.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use portcullis::{
    rate_limit::{Hit, Quota},
    store::MemoryStore,
};
use proptest::prelude::*;

use crate::support::{Log, after, hit, hit_all, nanos, start};

const BURST: Quota = Quota::per_second(3).name("burst");
const DAILY: Quota = Quota::new(5, Duration::from_secs(86_400)).name("daily");

#[test]
fn what_one_limit_refuses_costs_the_others_nothing() {
    let store = MemoryStore::new();
    let ask = |cost| {
        hit_all(
            &store,
            &[Hit::new(b"k", BURST, cost), Hit::new(b"k", DAILY, cost)],
            start(),
        )
    };
    assert!(ask(3).allowed());
    for _ in 0..10 {
        let decisions = ask(1);
        assert!(!decisions.allowed());
        let each: Vec<_> = decisions.iter().map(|d| (d.allowed, d.remaining)).collect();
        assert_eq!(each, [(false, 0), (true, 2)]);
    }
    assert_eq!(hit(&store, "k", DAILY, 0, start()).remaining, 2);
}

#[test]
fn the_latest_room_is_when_to_come_back() {
    let store = MemoryStore::new();
    let both = |cost| [Hit::new(b"k", BURST, cost), Hit::new(b"k", DAILY, cost)];
    hit(&store, "k", DAILY, 4, start());
    hit(&store, "k", BURST, 3, start());
    let decisions = hit_all(&store, &both(2), start());
    let latest = decisions.iter().filter_map(|d| d.retry_after).max();
    assert_eq!(decisions.retry_after(), latest);
    assert!(latest.unwrap() >= Duration::from_secs(86_400));
    // One of them could never let this in, so there is no such time.
    assert_eq!(hit_all(&store, &both(4), start()).retry_after(), None);
}

#[test]
fn the_same_counts_asked_for_twice_count_twice() {
    let store = MemoryStore::new();
    let twice = [Hit::new(b"k", BURST, 1), Hit::new(b"k", BURST, 1)];
    assert!(hit_all(&store, &twice, start()).allowed());
    assert_eq!(hit(&store, "k", BURST, 0, start()).remaining, 1);
    let refused = hit_all(&store, &twice, start());
    assert!(!refused.allowed());
    assert!(
        refused
            .iter()
            .all(|decision| decision.remaining == 1 || !decision.allowed)
    );
    assert_eq!(hit(&store, "k", BURST, 0, start()).remaining, 1);
}

#[test]
fn callers_at_once_under_crossing_keys_neither_stick_nor_pass_a_limit() {
    let store = MemoryStore::new();
    let quota = Quota::per_hour(1_000);
    let keys: Vec<[u8; 1]> = (0..8).map(|key| [key]).collect();
    let counts: Vec<AtomicU32> = keys.iter().map(|_| AtomicU32::new(0)).collect();
    thread::scope(|scope| {
        for turn in 0..8_usize {
            let (store, keys, counts) = (&store, &keys, &counts);
            scope.spawn(move || {
                for round in 0..2_000_usize {
                    // Any three of the keys, in any order.
                    let chosen = [turn + round, turn * 3 + round / 7, round * 5].map(|n| n % 8);
                    let hits = chosen.map(|key| Hit::new(&keys[key], quota, 1));
                    if hit_all(store, &hits, start()).allowed() {
                        for key in chosen {
                            counts[key].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    for (key, count) in keys.iter().zip(counts) {
        let left = hit(&store, key, quota, 0, start()).remaining;
        assert_eq!(
            count.into_inner(),
            1_000 - left,
            "what was let in is what was counted"
        );
    }
}

proptest! {
    #[test]
    fn each_limit_of_several_holds_by_itself(
        hits in prop::collection::vec((0..3_u8, 1..4_u32, 0..400_u64), 1..200),
    ) {
        let (store, quotas) = (
            MemoryStore::new(),
            [Quota::per_second(4), Quota::new(9, Duration::from_secs(3)).segments(7)],
        );
        let mut logs = [Log::default(), Log::default(), Log::default()];
        let mut at = 0;
        for (key, cost, wait) in hits {
            at += wait * 1_000_000;
            let key_bytes = [key];
            let both = quotas.map(|quota| Hit::new(&key_bytes, quota, cost));
            let allowed = hit_all(&store, &both, after(at)).allowed();
            let log = &mut logs[key as usize];
            for quota in quotas {
                let from = nanos(after(at)) - quota.window().as_nanos();
                prop_assert!(!allowed || log.since(from, false) + u64::from(cost) <= u64::from(quota.limit()));
            }
            if allowed {
                log.push(after(at), cost);
            }
        }
    }
}
