//! The memory store: the pure window's decisions, for every interleaving, in bounded memory.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use portcullis::{
    rate_limit::{Quota, RateLimitStore, SlidingWindow},
    store::{MemoryStore, Reply},
};
use proptest::prelude::*;

use crate::support::{after, hit, start};

/// One of each size that counts are kept in.
fn quotas() -> Vec<Quota> {
    [
        (3, 16),
        (1_000, 1),
        (3, 60),
        (1_000, 16),
        (1_000, 60),
        (100_000, 16),
        (100_000, 32),
        (100_000, 60),
    ]
    .into_iter()
    .map(|(limit, segments)| Quota::per_minute(limit).segments(segments))
    .collect()
}

proptest! {
    #[test]
    fn it_decides_as_the_pure_window_does(
        hits in prop::collection::vec((0..8_usize, 0..5_u8, 0..110_u32, 0..20_000_u64), 1..300),
    ) {
        let (store, quotas) = (MemoryStore::new(), quotas());
        let mut windows: HashMap<(usize, u8), SlidingWindow> = HashMap::new();
        let mut at = 0;
        for (index, key, share, wait) in hits {
            at += wait * 1_000_000;
            let quota = quotas[index];
            let cost = quota.limit() / 100 * share + share % 3;
            let window = windows.entry((index, key)).or_default();
            prop_assert_eq!(
                hit(&store, [key], quota, cost, after(at)),
                window.hit(&quota, cost, after(at))
            );
        }
    }
}

#[test]
fn callers_at_once_never_jointly_pass_the_limit() {
    for quota in quotas() {
        let quota =
            Quota::new(quota.limit().min(5_000), quota.window()).segments(quota.segment_count());
        let store = MemoryStore::new();
        let admitted = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..quota.limit() / 4 + 1 {
                        if hit(&store, "one key", quota, 1, start()).allowed {
                            admitted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), quota.limit(), "{quota:?}");
    }
}

#[test]
fn many_more_keys_than_there_is_room_for_take_no_more_room() {
    for most in [1_u32, 64, 100, 4_096] {
        let store = MemoryStore::bounded(most as usize);
        assert!(store.max_keys() >= 64 && store.max_keys().is_power_of_two());
        let quota = Quota::per_hour(10);
        for key in 0..store.max_keys() as u32 * 10 {
            hit(&store, key.to_be_bytes(), quota, 1, start());
            assert!(store.rate_limit_keys() <= store.max_keys());
        }
        assert!(store.rate_limit_keys() * 3 > store.max_keys() * 2);
        // Half a line and the eighth of another, and a few for every thousand keys.
        let lines = store.max_keys().div_ceil(1_024) * 512;
        assert!(store.rate_limit_bytes() <= store.max_keys() * 40 + lines);
    }
}

/// Counts that a place has no room for lie elsewhere; what a forgotten key had there is the next one's.
#[test]
fn large_counts_of_many_more_keys_than_there_is_room_for_take_no_more_room() {
    for (quota, record) in [
        (Quota::per_hour(1_000), 48),
        (Quota::per_hour(100_000).segments(60), 256),
        (Quota::per_hour(60).exact(), 512),
    ] {
        let store = MemoryStore::bounded(1_024);
        let cost = if quota.limit() == 60 { 1 } else { 300 };
        let mut first = 0;
        for round in 1..=5_u32 {
            // Long after, for every other round: all that was counted is over.
            let now = start() + Duration::from_secs(7_300) * (round / 2);
            for key in 0..store.max_keys() as u32 * 4 {
                let key = [round, key].map(u32::to_be_bytes).concat();
                let decision = hit(&store, key, quota, cost, now);
                assert_eq!(decision.remaining, quota.limit() - cost);
            }
            first = if round == 1 {
                store.rate_limit_bytes()
            } else {
                first
            };
        }
        assert_eq!(store.rate_limit_bytes(), first);
        assert!(
            first <= store.max_keys() * (40 + record) + 1_024,
            "{first} bytes of {quota:?}"
        );
    }
}

/// A live key is lost only if the two blocks of a new one are full, and the other blocks of all sixteen keys
/// in them. In a store that is half full not one block in a hundred is: that makes 10^-36 for a new key. Of
/// 200,000 stores of 64 places, where chance weighs most, the first lost a key with its 41st.
#[test]
fn nothing_live_is_forgotten_while_the_store_is_half_empty() {
    let quota = Quota::per_hour(1);
    // Keys in a row, in rows far apart, and each a copy of one bit: a hash that keeps such patterns would
    // put them into few places.
    let patterns: [fn(u32) -> u64; 3] = [
        |key| key.into(),
        |key| u64::from(key) << 40,
        |key| u64::from(key / 64) << 8 | 1 << (key % 64),
    ];
    for (most, stores) in [(64, 50), (1_024, 5), (1 << 14, 1)] {
        for pattern in patterns.into_iter().cycle().take(3 * stores) {
            let store = MemoryStore::bounded(most);
            let keys: BTreeSet<u64> = (0..most as u32 / 2).map(pattern).collect();
            for key in &keys {
                assert!(hit(&store, key.to_be_bytes(), quota, 1, start()).allowed);
            }
            for key in &keys {
                assert!(!hit(&store, key.to_be_bytes(), quota, 1, start()).allowed);
            }
            assert_eq!(store.rate_limit_keys(), keys.len());
        }
    }
}

#[test]
fn places_of_keys_whose_counts_have_left_are_taken_first() {
    let store = MemoryStore::bounded(1_024);
    let quota = Quota::new(1, Duration::from_secs(10));
    for key in 0..2_000_u32 {
        hit(&store, key.to_be_bytes(), quota, 1, start());
    }
    let full = store.rate_limit_bytes();
    // Long after, everybody's counts have left; a few hundred new keys find places and keep them.
    let later = start() + Duration::from_secs(3_600);
    for key in 10_000..10_400_u32 {
        assert!(hit(&store, key.to_be_bytes(), quota, 1, later).allowed);
    }
    for key in 10_000..10_400_u32 {
        assert!(!hit(&store, key.to_be_bytes(), quota, 1, later).allowed);
    }
    assert_eq!(store.rate_limit_bytes(), full);
}

#[test]
fn live_keys_keep_their_places_beside_ones_whose_counts_have_left() {
    let store = MemoryStore::bounded(1_024);
    let (hourly, quick) = (Quota::per_hour(1), Quota::per_second(1));
    for key in 0..100_u32 {
        assert!(hit(&store, key.to_be_bytes(), hourly, 1, start()).allowed);
    }
    // All through most of an hour others come and go. They were all asked for later than the first.
    for key in 0..5_000_u32 {
        hit(
            &store,
            key.to_be_bytes(),
            quick,
            1,
            after(u64::from(key) * 500_000_000),
        );
    }
    let now = start() + Duration::from_secs(2_500);
    for key in 0..100_u32 {
        assert!(!hit(&store, key.to_be_bytes(), hourly, 1, now).allowed);
    }
}

#[test]
fn the_table_does_not_grow_while_keys_only_come_and_go() {
    let store = MemoryStore::new();
    let quota = Quota::per_second(1);
    let mut first = 0;
    for round in 0..50_u32 {
        let now = start() + Duration::from_secs(60) * round;
        for key in 0..10_000_u32 {
            hit(
                &store,
                [round, key].map(u32::to_be_bytes).concat(),
                quota,
                1,
                now,
            );
        }
        if round == 0 {
            first = store.rate_limit_bytes();
        }
    }
    assert!(store.rate_limit_bytes() <= first * 2, "{first} bytes first");
}

#[test]
fn a_key_that_is_being_refused_stays_refused_through_a_flood() {
    let store = MemoryStore::bounded(1_024);
    let quota = Quota::per_hour(5);
    for _ in 0..5 {
        assert!(hit(&store, "abuser", quota, 1, start()).allowed);
    }
    // Ten times as many live keys as there is room for, 100 a second, while the abuser goes on.
    for flood in 0..10_240_u32 {
        let now = after(u64::from(flood) * 10_000_000);
        hit(&store, flood.to_be_bytes(), quota, 1, now);
        if flood % 10 == 0 {
            assert!(
                !hit(&store, "abuser", quota, 1, now).allowed,
                "after {flood} keys"
            );
        }
    }
    assert!(store.rate_limit_keys() <= 1_024);
}

#[test]
fn keys_from_a_future_that_the_clock_came_back_from_give_way() {
    let store = MemoryStore::bounded(1_024);
    let quota = Quota::per_hour(1);
    let ahead = start() + Duration::from_secs(86_400 * 365);
    for key in 0..10_000_u32 {
        hit(&store, key.to_be_bytes(), quota, 1, ahead);
    }
    for key in 20_000..20_200_u32 {
        hit(&store, key.to_be_bytes(), quota, 1, start());
    }
    let kept = (20_000..20_200_u32).filter(|key| {
        !hit(&store, key.to_be_bytes(), quota, 0, start())
            .remaining
            .eq(&1)
    });
    assert_eq!(kept.count(), 200);
}

#[test]
fn neither_asking_nor_a_refusal_takes_a_place() {
    let store = MemoryStore::new();
    let quota = Quota::per_second(5);
    assert!(hit(&store, "asks", quota, 0, start()).allowed);
    assert!(!hit(&store, "asks for too much", quota, 6, start()).allowed);
    assert_eq!(store.rate_limit_keys(), 0);
}

#[test]
fn equal_quotas_count_together_and_others_apart() {
    let store = MemoryStore::new();
    let quota = Quota::per_minute(1);
    assert!(hit(&store, "k", quota, 1, start()).allowed);
    assert!(!hit(&store.clone(), "k", Quota::per_minute(1), 1, start()).allowed);
    for other in [
        Quota::per_minute(2),
        Quota::per_hour(1),
        quota.segments(15),
        quota.name("other"),
    ] {
        assert!(hit(&store, "k", other, 1, start()).allowed, "{other:?}");
    }
    assert!(hit(&MemoryStore::new(), "k", quota, 1, start()).allowed);
    assert!(hit(&store, "", quota, 1, start()).allowed);
    assert!(hit(&store, "kk", quota, 1, start()).allowed);
}

#[test]
fn it_is_a_store_behind_an_arc_and_says_nothing_of_its_keys() {
    let store: Arc<dyn RateLimitStore> = Arc::new(Arc::new(MemoryStore::new()));
    assert!(matches!(store.hit(&[], start()), Reply::Ready(Err(_))));
    let memory = MemoryStore::new();
    hit(&memory, "the-secret-key", Quota::per_second(1), 1, start());
    assert_eq!(
        format!("{memory:?}"),
        "MemoryStore { max_keys: 1048576, .. }"
    );
}

/// A place knows of a segment only the lower 24 bits of its number.
#[test]
fn counts_of_long_ago_are_not_taken_for_new_ones() {
    for (limit, segments) in [(10, 16), (900, 16), (900, 60), (900, 1)] {
        let quota = Quota::new(limit, Duration::from_millis(1)).segments(segments);
        for bits in 20..32_u32 {
            let store = MemoryStore::new();
            assert!(hit(&store, "k", quota, limit / 2, start()).allowed);
            let later = start() + quota.segment_length() * (1_u32 << bits);
            assert_eq!(hit(&store, "k", quota, 1, later).remaining, limit - 1);
            assert_eq!(hit(&store, "k", quota, 1, later).remaining, limit - 2);
        }
    }
}
