//! Clocks that go back: for a window that is counted the time then stands still, so whatever the stores refuse
//! meanwhile, they let in no more than the limit.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use portcullis::{
    rate_limit::{Hit, Quota, RateLimitStore},
    store::{MemoryStore, RedisStore},
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use crate::{
    redis::{now, patient, servers::RedisServer},
    support::{after, hit_all},
};

const MILLI: i64 = 1_000_000;

fn quotas() -> [Quota; 3] {
    let quota = Quota::new(20, Duration::from_secs(10));
    [quota, quota.segments(1), quota.segments(60)]
}

/// A time span in milliseconds, ahead or a little back.
fn wait() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => Just(0_i64),
        4 => 0..700_i64,
        2 => 0..12_000_i64,
        3 => -3_000..0_i64,
    ]
}

/// The most units that any window held.
fn fullest(admitted: &[(i64, u32)], window: Duration) -> u32 {
    let window = i64::try_from(window.as_nanos()).unwrap();
    let held = |from: i64| {
        let within = admitted
            .iter()
            .filter(|(at, _)| (from..from + window).contains(at));
        within.map(|(_, units)| units).sum()
    };
    admitted.iter().map(|(at, _)| held(*at)).max().unwrap_or(0)
}

#[test]
fn no_window_holds_more_than_the_limit_though_the_clock_goes_back() {
    let server = RedisServer::start();
    let runtime = Runtime::new().unwrap();
    let (round, full) = (AtomicU32::new(0), AtomicU32::new(0));
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec((wait(), 1..10_u32), 1..80);
    let result = runner.run(
        &(0..3_usize, any::<bool>(), steps),
        |(quota, denies, steps)| {
            let round = round.fetch_add(1, Ordering::Relaxed);
            let redis = RedisStore::new(&server.url()).unwrap();
            let redis = redis.key_prefix(&format!("{round}:")).unwrap();
            let mut redis = patient(redis).by_the_callers_clock();
            if !denies {
                redis = redis.ask_always();
            }
            let (memory, quota, mut at, mut latest) =
                (MemoryStore::new(), quotas()[quota], 100_000 * MILLI, 0);
            let mut admitted = [Vec::new(), Vec::new()];
            for (wait, cost) in steps {
                at += wait * MILLI;
                latest = latest.max(at);
                let (hits, time) = ([Hit::new(b"k", quota, cost)], after(at as u64));
                let decided = runtime.block_on(async { now(redis.hit(&hits, time)).await });
                let allowed =
                    [hit_all(&memory, &hits, time), decided.unwrap()].map(|one| one.allowed());
                for (allowed, admitted) in allowed.into_iter().zip(&mut admitted) {
                    if allowed {
                        admitted.push((latest, cost));
                    }
                }
            }
            for admitted in &admitted {
                let held = fullest(admitted, quota.window());
                full.fetch_add(u32::from(held == quota.limit()), Ordering::Relaxed);
                prop_assert!(held <= quota.limit(), "{held} in {quota:?}: {admitted:?}");
            }
            Ok(())
        },
    );
    if let Err(failed) = result {
        panic!("{failed}");
    }
    // The limit was reached, or nothing was tried.
    assert!(full.into_inner() > 10);
    server.assert_every_key_expires();
}
