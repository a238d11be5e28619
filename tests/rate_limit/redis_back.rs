//! Clocks that go back, in memory and in Redis; times are the latest that was told so far.
//!
//! - For a window that is counted the time then stands still, so whatever the stores refuse meanwhile, they let in
//!   no more than the limit.
//! - Of a log a unit leaves earlier by as long as the clock went back when it was counted: no span that is
//!   shorter than the window by that holds more than the limit.
//! - A pace lets in what comes back in a span and what has come back in as long as the clock went back before,
//!   and a burst: no more in any span.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use portcullis::{
    rate_limit::{Algorithm, Hit, Quota, RateLimitStore},
    store::{MemoryStore, RedisStore},
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use crate::{
    redis::{now, patient, servers::RedisServer},
    support::{after, hit_all},
};

const MILLI: i64 = 1_000_000;

fn quotas() -> [Quota; 6] {
    let quota = Quota::new(20, Duration::from_secs(10));
    [
        quota,
        quota.segments(1),
        quota.segments(60),
        quota.exact(),
        quota.burst(20),
        Quota::new(7, Duration::from_secs(3)).burst(12),
    ]
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

/// The most units that any span of this length held.
fn fullest(admitted: &[(i64, u32)], window: i64) -> u32 {
    let held = |from: i64| {
        let within = admitted
            .iter()
            .filter(|(at, _)| (from..from + window).contains(at));
        within.map(|(_, units)| units).sum()
    };
    admitted.iter().map(|(at, _)| held(*at)).max().unwrap_or(0)
}

/// The most units that any span held beyond what comes back in it, in units times the window.
fn fastest(admitted: &[(i64, u32)], quota: &Quota) -> i64 {
    let (mut most, window) = (0, quota.window().as_nanos() as i64);
    for (index, (from, _)) in admitted.iter().enumerate() {
        let mut units = 0;
        for (at, cost) in &admitted[index..] {
            units += i64::from(*cost) * window;
            most = most.max(units - (at - from) * i64::from(quota.limit()));
        }
    }
    most
}

#[test]
fn little_more_passes_than_should_though_the_clock_goes_back() {
    let server = RedisServer::start();
    let runtime = Runtime::new().unwrap();
    let (round, full) = (AtomicU32::new(0), <[AtomicU32; 3]>::default());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 192,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec((wait(), 1..10_u32), 1..80);
    let result = runner.run(
        &(0..6_usize, any::<bool>(), steps),
        |(quota, denies, steps)| {
            let round = round.fetch_add(1, Ordering::Relaxed);
            let redis = RedisStore::new(&server.url()).unwrap();
            let redis = redis.key_prefix(&format!("{round}:")).unwrap();
            let mut redis = patient(redis).by_the_callers_clock();
            if !denies {
                redis = redis.ask_always();
            }
            let (memory, quota, mut at, mut latest, mut back) =
                (MemoryStore::new(), quotas()[quota], 100_000 * MILLI, 0, 0);
            let mut admitted = [Vec::new(), Vec::new()];
            for (wait, cost) in steps {
                at += wait * MILLI;
                if quota.algorithm() != Algorithm::SlidingWindow {
                    // Shorter than a window.
                    at = at.max(latest - 2_500 * MILLI);
                }
                latest = latest.max(at);
                back = back.max(latest - at);
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
                let window = quota.window().as_nanos() as i64;
                let (held, most) = match quota.algorithm() {
                    Algorithm::SlidingWindow => (fullest(admitted, window), quota.limit()),
                    Algorithm::SlidingLog => (fullest(admitted, window - back), quota.limit()),
                    _ => {
                        let most = i64::from(quota.burst_size()) * window;
                        let most = most + back * i64::from(quota.limit());
                        let held = fastest(admitted, &quota);
                        prop_assert!(held <= most, "{held} in {quota:?}: {admitted:?}");
                        full[2].fetch_add(u32::from(held > most / 2), Ordering::Relaxed);
                        continue;
                    }
                };
                let kind = usize::from(quota.algorithm() == Algorithm::SlidingLog);
                full[kind].fetch_add(u32::from(held == most), Ordering::Relaxed);
                prop_assert!(held <= most, "{held} in {quota:?}: {admitted:?}");
            }
            Ok(())
        },
    );
    if let Err(failed) = result {
        panic!("{failed}");
    }
    // The limit was reached, or nothing was tried.
    for full in full {
        assert!(full.into_inner() > 10);
    }
    server.assert_every_key_expires();
}
