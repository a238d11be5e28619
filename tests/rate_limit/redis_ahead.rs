//! Units that are taken ahead of the requests that need them, on servers of the tests' own.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use portcullis::{
    rate_limit::{Hit, Quota, RateLimitStore, RedisRateLimits},
    store::RedisStore,
};
use tokio::{runtime::Builder, task::JoinSet};

use crate::redis::{
    now, patient,
    servers::{RedisCluster, RedisServer, eventually_async},
};

const KEY: &[u8] = b"hot";
const AHEAD: u32 = 500;

fn process(server: &RedisServer) -> RedisRateLimits {
    patient(RedisStore::new(&server.url()).unwrap()).units_ahead(AHEAD)
}

async fn hit(limits: &RedisRateLimits, quota: Quota, cost: u32) -> bool {
    let hits = [Hit::new(KEY, quota, cost)];
    let decided = now(limits.hit(&hits, SystemTime::now())).await;
    decided.is_ok_and(|decisions| decisions.allowed())
}

/// What is counted, as another process sees it.
async fn counted(limits: &RedisRateLimits, quota: Quota) -> u32 {
    let hits = [Hit::new(KEY, quota, 0)];
    let seen = now(limits.hit(&hits, SystemTime::now())).await.unwrap();
    quota.limit() - seen.iter().next().unwrap().remaining
}

/// Asks as often as it can, so many at once for so long, and says when each was let in.
async fn load(limits: &RedisRateLimits, quota: Quota, many: usize, long: Duration) -> Vec<Instant> {
    let (mut tasks, until) = (JoinSet::new(), Instant::now() + long);
    for _ in 0..many {
        let limits = limits.clone();
        tasks.spawn(async move {
            let mut passed = Vec::new();
            while Instant::now() < until {
                if hit(&limits, quota, 1).await {
                    passed.push(Instant::now());
                }
                // As a request would, once it is decided about.
                tokio::task::yield_now().await;
            }
            passed
        });
    }
    tasks.join_all().await.concat()
}

/// Two processes, each with a runtime and a connection of its own.
fn load_two(server: &RedisServer, quota: Quota, long: Duration) -> Vec<Instant> {
    let process = || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = RedisStore::new(&server.url()).unwrap();
            let limits = RedisRateLimits::new(store).deadline(Duration::from_millis(500));
            let limits = limits.unwrap().units_ahead(AHEAD);
            let passed = load(&limits, quota, 48, long).await;
            // Whoever gives back does so while his runtime runs.
            tokio::time::sleep(Duration::from_millis(60)).await;
            passed
        })
    };
    let mut passed = std::thread::scope(|scope| {
        let processes = [scope.spawn(process), scope.spawn(process)];
        processes.map(|process| process.join().unwrap()).concat()
    });
    passed.sort_unstable();
    passed
}

fn most_in_a_window(passed: &[Instant], window: Duration) -> usize {
    let mut first = 0;
    let held = passed.iter().enumerate().map(|(last, at)| {
        while *at - passed[first] >= window {
            first += 1;
        }
        last + 1 - first
    });
    held.max().unwrap_or(0)
}

#[test]
fn two_processes_at_full_load_never_pass_the_limit() {
    let server = RedisServer::start();
    // In each window some units are taken ahead, until half of the limit is left; then each is asked for.
    let quota = Quota::new(30_000, Duration::from_secs(1));
    let passed = load_two(&server, quota, Duration::from_secs(4));
    let most = most_in_a_window(&passed, quota.window());
    assert!(most <= 30_000, "{most}");
    assert!(passed.len() > 60_000, "{}", passed.len());
    server.assert_every_key_expires();
}

#[test]
fn after_the_load_what_is_counted_is_what_was_let_in() {
    let server = RedisServer::start();
    let quota = Quota::per_hour(100_000_000);
    let passed = load_two(&server, quota, Duration::from_millis(800));
    let stats = server.command(&["INFO", "commandstats"]);
    let counts = stats.field("cmdstat_bitfield").unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let limits = process(&server);
    runtime.block_on(eventually_async("all is given back", async || {
        (counted(&limits, quota).await as usize == passed.len()).then_some(())
    }));
    // Most of them without a command.
    let calls = counts.split("calls=").nth(1).unwrap().split(',').next();
    let calls: usize = calls.unwrap().parse().unwrap();
    assert!(calls * 100 < passed.len(), "{calls} for {}", passed.len());
}

#[tokio::test]
async fn without_load_nothing_is_taken_ahead() {
    let server = RedisServer::start();
    let (limits, quota) = (process(&server), Quota::per_hour(100_000));
    for turn in 1..=200 {
        assert!(hit(&limits, quota, 1).await);
        assert_eq!(counted(&limits, quota).await, turn);
    }
}

#[tokio::test]
async fn a_block_and_a_reset_are_seen_at_once_by_the_process_that_does_them() {
    let server = RedisServer::start();
    let (limits, quota) = (process(&server), Quota::per_hour(50_000_000));
    let stop = Arc::new(AtomicBool::new(false));
    let passed = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let (limits, stop, passed) = (limits.clone(), Arc::clone(&stop), Arc::clone(&passed));
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                if hit(&limits, quota, 1).await {
                    passed.lock().unwrap().push(asked);
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let until = SystemTime::now() + Duration::from_secs(60);
        let blocked = limits.block(KEY, &quota, until, SystemTime::now());
        now(blocked).await.unwrap();
        let at = Instant::now();
        tokio::time::sleep(Duration::from_millis(30)).await;
        let reset = Instant::now();
        now(limits.reset(KEY, &quota)).await.unwrap();
        let passed = std::mem::take(&mut *passed.lock().unwrap());
        // Who asked just before it was reset may be answered afterwards.
        let over = reset - Duration::from_millis(10);
        let late = passed.iter().filter(|one| (at..over).contains(*one));
        assert_eq!(late.count(), 0);
        assert!(passed.iter().any(|one| *one < at));
    }
    stop.store(true, Ordering::Relaxed);
    tasks.join_all().await;
    // When the load ends, some are left.
    load(&limits, quota, 16, Duration::from_millis(50)).await;
    now(limits.reset(KEY, &quota)).await.unwrap();
    let other = process(&server);
    assert_eq!(counted(&other, quota).await, 0);
    // Nor is anything given back afterwards that was counted before.
    assert!(hit(&other, quota, 1_000).await);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(counted(&other, quota).await, 1_000);
}

#[tokio::test]
async fn who_asks_always_takes_none() {
    let server = RedisServer::start();
    let limits = process(&server).ask_always();
    let quota = Quota::per_hour(50_000_000);
    let passed = load(&limits, quota, 16, Duration::from_millis(100)).await;
    let other = process(&server);
    // At once, as there is nothing to give back.
    assert_eq!(counted(&other, quota).await as usize, passed.len());
}

#[tokio::test]
async fn another_cost_is_counted_for_itself_and_a_killed_server_does_no_harm() {
    let mut server = RedisServer::start();
    let limits = RedisRateLimits::new(RedisStore::new(&server.url()).unwrap());
    let limits = limits.units_ahead(AHEAD);
    let quota = Quota::per_hour(50_000_000);
    let mut sum = load(&limits, quota, 16, Duration::from_millis(100))
        .await
        .len();
    assert!(hit(&limits, quota, 7).await);
    sum += 7;
    let other = process(&server);
    eventually_async("all is given back", async || {
        (counted(&other, quota).await as usize == sum).then_some(())
    })
    .await;
    let mut loads = JoinSet::new();
    {
        let limits = limits.clone();
        loads.spawn(async move { load(&limits, quota, 16, Duration::from_secs(2)).await });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    let killed = Instant::now();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let back = Instant::now();
    server.restart();
    let passed = loads.join_all().await.concat();
    // What was there is had for a moment, and nothing without Redis after that.
    let long = killed + Duration::from_millis(100);
    let without = passed.iter().filter(|at| (long..back).contains(*at));
    assert_eq!(without.count(), 0);
    assert!(passed.iter().any(|at| *at > back));
    server.assert_every_key_expires();
}

#[tokio::test]
async fn a_cluster_counts_what_was_let_in() {
    let cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    let limits = patient(store).units_ahead(AHEAD);
    let quota = Quota::per_hour(50_000_000);
    let passed = load(&limits, quota, 16, Duration::from_millis(500)).await;
    let store = RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    let other = patient(store);
    eventually_async("all is given back", async || {
        (counted(&other, quota).await as usize == passed.len()).then_some(())
    })
    .await;
    cluster.assert_every_key_expires();
}
