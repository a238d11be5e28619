//! Units ahead under attack: several runtimes on one value, a server that stands still, connections that break,
//! limits and costs at their ends.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use portcullis::{
    rate_limit::{Hit, Quota, RateLimitStore, RedisRateLimits},
    store::RedisStore,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinSet, yield_now},
};

use crate::redis::{
    now, patient,
    servers::{RedisServer, eventually_async},
};

const KEY: &[u8] = b"hot";

async fn hit(limits: &RedisRateLimits, key: &[u8], quota: Quota, cost: u32) -> bool {
    let hits = [Hit::new(key, quota, cost)];
    let decided = now(limits.hit(&hits, SystemTime::now())).await;
    decided.is_ok_and(|decisions| decisions.allowed())
}

/// What is counted, as another process sees it.
async fn counted(limits: &RedisRateLimits, key: &[u8], quota: Quota) -> u32 {
    let hits = [Hit::new(key, quota, 0)];
    let seen = now(limits.hit(&hits, SystemTime::now())).await.unwrap();
    quota.limit() - seen.iter().next().unwrap().remaining
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = match threads {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder
        .worker_threads(threads.max(1))
        .enable_all()
        .build()
        .unwrap()
}

/// Asks as often as it can, so many at once for so long, each cost for a while, and says when what was let in.
async fn load(
    limits: &RedisRateLimits,
    quota: Quota,
    many: usize,
    long: Duration,
    costs: &'static [u32],
) -> Vec<(Instant, u32)> {
    let (mut tasks, until) = (JoinSet::new(), Instant::now() + long);
    for _ in 0..many {
        let limits = limits.clone();
        tasks.spawn(async move {
            let mut passed = Vec::new();
            for turn in 0.. {
                if Instant::now() >= until {
                    break;
                }
                let cost = costs[turn / 97 % costs.len()];
                if hit(&limits, KEY, quota, cost).await {
                    passed.push((Instant::now(), cost));
                }
                yield_now().await;
            }
            passed
        });
    }
    tasks.join_all().await.concat()
}

/// Three processes, one of them with two runtimes and one with two threads, while something is done to the server.
fn storm(
    server: &RedisServer,
    (quota, deadline): (Quota, Duration),
    long: Duration,
    costs: &'static [u32],
    meanwhile: impl Fn(usize) + Sync,
) -> Vec<(Instant, u32)> {
    let process = |threads: usize, runtimes: usize| {
        let store = RedisStore::new(&server.url()).unwrap();
        let limits = RedisRateLimits::new(store).units_ahead(u32::MAX);
        let limits = limits.deadline(deadline).unwrap();
        let one = || {
            runtime(threads).block_on(async {
                let passed = load(&limits, quota, 24, long, costs).await;
                // The connection and those who give back live in a runtime.
                tokio::time::sleep(Duration::from_millis(400)).await;
                passed
            })
        };
        thread::scope(|scope| {
            let running: Vec<_> = (0..runtimes).map(|_| scope.spawn(one)).collect();
            let passed = running.into_iter().map(|one| one.join().unwrap());
            passed.collect::<Vec<_>>().concat()
        })
    };
    let over = AtomicBool::new(false);
    let mut passed = thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                meanwhile(turn);
                thread::sleep(Duration::from_millis(37));
            }
        });
        let processes = [(0, 1), (0, 2), (2, 1)];
        let processes =
            processes.map(|(threads, runtimes)| scope.spawn(move || process(threads, runtimes)));
        let passed = processes.map(thread::ScopedJoinHandle::join);
        over.store(true, Ordering::Relaxed);
        passed.map(Result::unwrap).concat()
    });
    passed.sort_unstable();
    passed
}

fn most_in_a_window(passed: &[(Instant, u32)], window: Duration) -> u32 {
    let (mut first, mut held, mut most) = (0, 0, 0);
    for (at, cost) in passed {
        held += cost;
        while *at - passed[first].0 >= window {
            held -= passed[first].1;
            first += 1;
        }
        most = most.max(held);
    }
    most
}

fn sum(passed: &[(Instant, u32)]) -> u32 {
    passed.iter().map(|(_, cost)| cost).sum()
}

#[test]
fn a_server_that_stands_still_or_hangs_up_lets_nobody_pass_the_limit() {
    for (limit, window, segments, costs) in [
        (20_000, 1_000, 16, &[1_u32][..]),
        (8_000, 400, 4, &[1, 2, 7]),
        (16_000, 600, 60, &[1, 3]),
    ] {
        let server = RedisServer::start();
        let quota = Quota::new(limit, Duration::from_millis(window)).segments(segments);
        let limits = (quota, Duration::from_millis(100));
        let passed = storm(&server, limits, Duration::from_secs(2), costs, |turn| {
            let command: &[_] = match turn % 4 {
                0 | 1 => &["CLIENT", "PAUSE", "15", "ALL"],
                2 => &["DEBUG", "SLEEP", "0.03"],
                _ => &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
            };
            let _ = server.try_command(command);
        });
        let most = most_in_a_window(&passed, quota.window());
        assert!(most <= limit, "{most} of {limit}");
        assert!(sum(&passed) > limit / 2);
        server.assert_every_key_expires();
    }
}

#[test]
fn slow_answers_lose_no_units() {
    let (server, quota) = (RedisServer::start(), Quota::per_hour(100_000_000));
    let limits = (quota, Duration::from_secs(20));
    let passed = storm(&server, limits, Duration::from_secs(2), &[1, 3], |turn| {
        if turn % 3 == 0 {
            let _ = server.try_command(&["CLIENT", "PAUSE", "20", "ALL"]);
        }
    });
    let other = patient(RedisStore::new(&server.url()).unwrap());
    let counted = runtime(0).block_on(counted(&other, KEY, quota));
    assert_eq!(counted, sum(&passed));
}

#[test]
fn nobody_who_asks_after_a_block_is_let_in_on_any_thread() {
    let (server, quota) = (RedisServer::start(), Quota::per_hour(500_000_000));
    let limits = patient(RedisStore::new(&server.url()).unwrap()).units_ahead(2_000);
    runtime(4).block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        // When each asked, and when it was let in.
        let passed = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for _ in 0..32 {
            let (limits, stop, passed) = (limits.clone(), Arc::clone(&stop), Arc::clone(&passed));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    if hit(&limits, KEY, quota, 1).await {
                        passed.lock().unwrap().push((asked, Instant::now()));
                    }
                    yield_now().await;
                }
            });
        }
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(8)).await;
            let until = SystemTime::now() + Duration::from_secs(60);
            now(limits.block(KEY, &quota, until, SystemTime::now()))
                .await
                .unwrap();
            let blocked = Instant::now();
            tokio::time::sleep(Duration::from_millis(4)).await;
            let lifted = Instant::now();
            now(limits.reset(KEY, &quota)).await.unwrap();
            let passed = std::mem::take(&mut *passed.lock().unwrap());
            let meanwhile = passed
                .iter()
                .filter(|(asked, let_in)| *asked > blocked && *let_in < lifted);
            assert_eq!(meanwhile.count(), 0);
        }
        stop.store(true, Ordering::Relaxed);
        tasks.join_all().await;
    });
}

#[test]
fn who_asks_outside_of_a_runtime_is_answered_in_one() {
    let (server, quota) = (RedisServer::start(), Quota::per_hour(50_000_000));
    let limits = patient(RedisStore::new(&server.url()).unwrap()).units_ahead(500);
    let runtime = runtime(0);
    for _ in 0..20 {
        runtime.block_on(load(&limits, quota, 16, Duration::from_millis(20), &[1]));
        // There are no units ahead at that cost, but the key is still busy.
        let asked = limits.hit(&[Hit::new(KEY, quota, 2)], SystemTime::now());
        let decisions = runtime.block_on(now(asked)).unwrap();
        assert!(decisions.allowed());
    }
}

#[test]
fn limits_and_costs_at_their_ends_hold() {
    let server = RedisServer::start();
    let other = patient(RedisStore::new(&server.url()).unwrap());
    runtime(2).block_on(async {
        for limit in [1, 15, 16, 31, 32, 0x3fff, 0x4000, u32::MAX] {
            for cost in [0, 1, 5, u32::MAX / 2, u32::MAX] {
                let (quota, key) = (Quota::per_hour(limit), format!("{limit}-{cost}"));
                let limits = patient(RedisStore::new(&server.url()).unwrap());
                let limits = limits.units_ahead(u32::MAX);
                let mut tasks = JoinSet::new();
                for _ in 0..40 {
                    let (limits, key) = (limits.clone(), key.clone());
                    tasks.spawn(async move {
                        let mut passed = 0_u64;
                        for _ in 0..25 {
                            passed += u64::from(hit(&limits, key.as_bytes(), quota, cost).await);
                        }
                        passed
                    });
                }
                let passed: u64 = tasks.join_all().await.iter().sum();
                let fit = u64::from(limit).checked_div(u64::from(cost));
                let fit = fit.unwrap_or(u64::MAX).min(1_000);
                assert!(passed <= fit, "{limit}, {cost}: {passed}");
                assert!(passed > 0 || fit == 0, "{limit}, {cost}");
                let used = passed * u64::from(cost);
                eventually_async("all is given back", async || {
                    let counted = counted(&other, key.as_bytes(), quota).await;
                    (u64::from(counted) == used).then_some(())
                })
                .await;
            }
        }
    });
}

#[test]
fn runtimes_that_stand_still_or_end_keep_nobody_waiting() {
    let (server, quota) = (RedisServer::start(), Quota::per_hour(50_000_000));
    let limits = RedisRateLimits::new(RedisStore::new(&server.url()).unwrap()).units_ahead(500);
    let stop = AtomicBool::new(false);
    let longest = thread::scope(|scope| {
        let going = scope.spawn(|| {
            runtime(2).block_on(async {
                let mut longest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    let mut asking = JoinSet::new();
                    for _ in 0..16 {
                        let limits = limits.clone();
                        asking.spawn(async move {
                            let asked = Instant::now();
                            hit(&limits, KEY, quota, 1).await;
                            asked.elapsed()
                        });
                    }
                    let took = asking.join_all().await;
                    longest = took.into_iter().fold(longest, Duration::max);
                }
                longest
            })
        });
        for turn in 0..40 {
            let other = runtime(turn % 3);
            for _ in 0..32 {
                let limits = limits.clone();
                other.spawn(async move {
                    loop {
                        hit(&limits, KEY, quota, 1).await;
                        yield_now().await;
                    }
                });
            }
            other.block_on(async { tokio::time::sleep(Duration::from_millis(15)).await });
            if turn % 2 == 0 {
                // One without a thread of its own stands still.
                thread::sleep(Duration::from_millis(30));
            }
            other.shutdown_background();
        }
        stop.store(true, Ordering::Relaxed);
        going.join().unwrap()
    });
    // The deadline is 50 ms, and machines that run all tests at once are slow at times.
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}
