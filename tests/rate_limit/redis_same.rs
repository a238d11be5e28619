//! Any sequence of requests and of an operator's verbs: memory, Redis and a plain reference say the same.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use portcullis::{
    rate_limit::{Algorithm, Hit, Quota, RateLimitStore},
    store::{MemoryStore, RedisStore, Reply},
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use crate::{
    redis::{now, patient, servers::RedisServer},
    support::{START, after, hit_all},
};

const SECOND: u64 = 1_000_000_000;

fn quotas() -> [Quota; 8] {
    let quota = Quota::new(20, Duration::from_secs(10));
    [
        quota,
        quota.segments(1),
        quota.segments(60),
        Quota::new(100_000, Duration::from_secs(1)),
        Quota::new(7, Duration::from_millis(900)).segments(7),
        quota.exact(),
        quota.burst(5),
        Quota::new(3, Duration::from_secs(7)).burst(9),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    /// Quotas, keys and costs in percent of the limit.
    Hit(Vec<(usize, u8, u32)>),
    /// As before, and how long ago it was counted.
    Refund(usize, u8, u32, u64),
    Charge(usize, u8, u32),
    Reset(usize, u8),
    Block(usize, u8, u64),
}

/// A time span in milliseconds. Where clocks go back, the stores may differ in what they refuse; that neither
/// lets in more than the limit then is a test of its own.
fn wait() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => Just(0_i64),
        4 => 0..700_i64,
        2 => 0..12_000_i64,
        1 => 60_000..100_000_i64,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let at = || (0..8_usize, 0..3_u8);
    let share = || prop_oneof![8 => 1..60_u32, 2 => 60..=100_u32, 1 => Just(0), 1 => 101..130_u32];
    let hits = prop::collection::vec((at(), share()), 1..4);
    prop_oneof![
        12 => hits.prop_map(|hits| {
            Step::Hit(hits.into_iter().map(|((quota, key), share)| (quota, key, share)).collect())
        }),
        6 => (0..8_usize, share()).prop_map(|(quota, share)| Step::Hit(vec![(quota, 0, share)])),
        2 => (at(), share(), 0..8_000_u64)
            .prop_map(|((quota, key), share, age)| Step::Refund(quota, key, share, age)),
        1 => (at(), share()).prop_map(|((quota, key), share)| Step::Charge(quota, key, share)),
        1 => at().prop_map(|(quota, key)| Step::Reset(quota, key)),
        1 => (at(), 1..5_000_u64).prop_map(|((quota, key), span)| Step::Block(quota, key, span)),
    ]
}

/// What was let in: times and units, and nothing clever.
#[derive(Clone, Default)]
struct Counted {
    cells: Vec<(u64, u32)>,
    /// Whether anything was ever counted: from then on time does not go back.
    exists: bool,
    newest: u64,
    back: u128,
}

#[derive(Default)]
struct Reference {
    counted: HashMap<(usize, u8), Counted>,
    blocked: HashMap<(usize, u8), u64>,
}

/// The window in cells, or the log in nanoseconds: what is in view, oldest first.
impl Counted {
    fn cell(quota: &Quota, at: u64) -> u64 {
        match quota.algorithm() {
            Algorithm::SlidingWindow => at / quota.segment_length().as_nanos() as u64,
            _ => at,
        }
    }

    fn room(&mut self, quota: &Quota, at: u64) -> u32 {
        let cell = Self::cell(quota, at);
        let view = match quota.algorithm() {
            Algorithm::SlidingWindow => u64::from(quota.segment_count()),
            Algorithm::SlidingLog => quota.window().as_nanos() as u64 - 1,
            _ => {
                let (unit, limit) = (quota.window().as_nanos(), u128::from(quota.limit()));
                let ahead = self.back.saturating_sub(u128::from(at) * limit);
                let left = u128::from(quota.burst_size()) * unit;
                return (left.saturating_sub(ahead) / unit) as u32;
            }
        };
        if quota.algorithm() == Algorithm::SlidingWindow && self.exists {
            self.newest = self.newest.max(cell);
        }
        let current = self.newest.max(cell);
        let current = if quota.algorithm() == Algorithm::SlidingLog {
            cell
        } else {
            current
        };
        self.cells.retain(|(at, _)| at + view >= current);
        let used: u32 = self.cells.iter().map(|(_, units)| units).sum();
        quota.limit().saturating_sub(used)
    }

    fn take(&mut self, quota: &Quota, units: u32, at: u64) {
        self.exists = true;
        if quota.algorithm() != Algorithm::SlidingWindow
            && quota.algorithm() != Algorithm::SlidingLog
        {
            let now = u128::from(at) * u128::from(quota.limit());
            self.back = self.back.max(now) + u128::from(units) * quota.window().as_nanos();
            return;
        }
        let newest = self.cells.iter().map(|(at, _)| *at).max().unwrap_or(0);
        let cell = Self::cell(quota, at).max(newest).max(self.newest);
        if quota.algorithm() == Algorithm::SlidingWindow {
            self.newest = cell;
        }
        self.cells.push((cell, units));
    }

    fn refund(&mut self, quota: &Quota, units: u32, counted: u64, at: u64) {
        if !matches!(
            quota.algorithm(),
            Algorithm::SlidingWindow | Algorithm::SlidingLog
        ) {
            let units = u128::from(units) * quota.window().as_nanos();
            let since = u128::from(at - counted) * u128::from(quota.limit());
            self.back = self.back.saturating_sub(units.saturating_sub(since));
            return;
        }
        let cell = Self::cell(quota, counted);
        self.cells.sort_unstable();
        let mut left = units;
        for (at, units) in self.cells.iter_mut().rev() {
            if *at <= cell {
                let taken = left.min(*units);
                *units -= taken;
                left -= taken;
            }
        }
    }
}

impl Reference {
    /// Whether a request is let in, and what then is left under each limit.
    fn hit(&mut self, hits: &[(usize, u8, u32)], at: u64) -> (bool, Vec<u32>) {
        let quotas = quotas();
        let (mut each, mut left) = (true, Vec::new());
        for (quota, key, cost) in hits {
            let counted = self.counted.entry((*quota, *key)).or_default();
            let blocked = self
                .blocked
                .get(&(*quota, *key))
                .is_some_and(|until| *until > at);
            each &= *cost <= counted.room(&quotas[*quota], at) && !blocked;
        }
        if !each {
            return (false, left);
        }
        let mut after = self.counted.clone();
        let mut allowed = true;
        for (quota, key, cost) in hits {
            let counted = after.entry((*quota, *key)).or_default();
            let room = counted.room(&quotas[*quota], at);
            if *cost > room {
                // The same counts, asked for twice.
                allowed = false;
                break;
            }
            if *cost > 0 {
                counted.take(&quotas[*quota], *cost, at);
                let before = self.counted.entry((*quota, *key)).or_default();
                before.exists = true;
                before.room(&quotas[*quota], at);
            }
            left.push(room - cost);
        }
        if allowed {
            self.counted = after;
        }
        (allowed, left)
    }
}

#[test]
fn any_sequence_is_decided_alike() {
    let server = RedisServer::start();
    let runtime = Runtime::new().unwrap();
    let round = AtomicU32::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec((wait(), step()), 1..60);
    let result = runner.run(&(any::<bool>(), steps), |(denies, steps)| {
        let round = round.fetch_add(1, Ordering::Relaxed);
        let redis = RedisStore::new(&server.url()).unwrap();
        let redis = redis.key_prefix(&format!("{round}:")).unwrap();
        let mut redis = patient(redis).by_the_callers_clock();
        if !denies {
            redis = redis.ask_always();
        }
        let (memory, mut reference) = (MemoryStore::new(), Reference::default());
        let (quotas, mut at, mut latest) = (quotas(), 100 * SECOND as i64, 0);
        let run = |reply: Box<dyn FnOnce() -> Reply<()> + '_>| {
            runtime.block_on(async { now(reply()).await }).unwrap();
        };
        for (wait, step) in steps {
            at += wait * 1_000_000;
            latest = latest.max(at);
            let time = after(at as u64);
            let nanos = START * SECOND + at as u64;
            match step {
                Step::Hit(mut hits) => {
                    // Under one limit twice, as a pace or at a time that goes back: memory gives back less
                    // exactly.
                    hits.sort_unstable();
                    hits.dedup_by_key(|(quota, key, cost)| {
                        let exact = at >= latest && *quota < 6;
                        (*quota, *key, if exact { *cost } else { 0 })
                    });
                    let costs: Vec<_> = hits
                        .into_iter()
                        .map(|(quota, key, share)| {
                            (quota, key, quotas[quota].burst_size() * share / 100)
                        })
                        .collect();
                    let names: Vec<_> = costs.iter().map(|(_, key, _)| [b'k', *key]).collect();
                    let hits: Vec<_> = costs
                        .iter()
                        .zip(&names)
                        .map(|((quota, _, cost), name)| Hit::new(name, quotas[*quota], *cost))
                        .collect();
                    let expected = hit_all(&memory, &hits, time);
                    let decided = runtime
                        .block_on(async { now(redis.hit(&hits, time)).await })
                        .unwrap();
                    prop_assert_eq!(&decided, &expected);
                    let (allowed, left) = reference.hit(&costs, nanos);
                    prop_assert_eq!(expected.allowed(), allowed);
                    if allowed {
                        let remaining: Vec<_> = expected.iter().map(|one| one.remaining).collect();
                        prop_assert_eq!(remaining, left);
                    }
                }
                Step::Refund(quota, key, share, age) => {
                    let cost = quotas[quota].burst_size() * share / 100;
                    let (name, counted) = ([b'k', key], time - Duration::from_millis(age));
                    let hits = [Hit::new(&name, quotas[quota], cost)];
                    run(Box::new(|| memory.refund(&hits, counted, time)));
                    run(Box::new(|| redis.refund(&hits, counted, time)));
                    let back = reference.counted.entry((quota, key)).or_default();
                    back.refund(&quotas[quota], cost, nanos - age * 1_000_000, nanos);
                }
                Step::Charge(quota, key, share) => {
                    let cost = quotas[quota].burst_size() * share / 100;
                    let name = [b'k', key];
                    let hits = [Hit::new(&name, quotas[quota], cost)];
                    run(Box::new(|| memory.charge(&hits, time)));
                    run(Box::new(|| redis.charge(&hits, time)));
                    let counted = reference.counted.entry((quota, key)).or_default();
                    let fits = cost.min(counted.room(&quotas[quota], nanos));
                    if cost > 0 {
                        counted.take(&quotas[quota], fits, nanos);
                    }
                }
                Step::Reset(quota, key) => {
                    let name = [b'k', key];
                    run(Box::new(|| memory.reset(&name, &quotas[quota])));
                    run(Box::new(|| redis.reset(&name, &quotas[quota])));
                    reference.counted.remove(&(quota, key));
                    reference.blocked.remove(&(quota, key));
                }
                Step::Block(quota, key, span) => {
                    let (name, until) = ([b'k', key], time + Duration::from_millis(span));
                    run(Box::new(|| {
                        memory.block(&name, &quotas[quota], until, time)
                    }));
                    run(Box::new(|| redis.block(&name, &quotas[quota], until, time)));
                    reference
                        .blocked
                        .insert((quota, key), nanos + span * 1_000_000);
                }
            }
        }
        Ok(())
    });
    if let Err(failed) = result {
        panic!("{failed}");
    }
    server.assert_every_key_expires();
}
