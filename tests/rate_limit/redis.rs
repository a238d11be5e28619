//! The limits in Redis: on servers of the tests' own, against memory and against a plain log.

#[path = "../support/redis/mod.rs"]
pub(crate) mod servers;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use portcullis::{
    rate_limit::{
        Decisions, Hit, Quota, RateLimitEvent, RateLimitLayer, RateLimitStore, RedisRateLimits,
        StoreFailure,
    },
    store::{MemoryStore, RedisStore, Reply, StoreError, StoreErrorKind},
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use self::servers::{RedisCluster, RedisServer, eventually_async};
use crate::support::{Door, after, from, hit_all, start};

pub(crate) async fn now<T>(reply: Reply<T>) -> Result<T, StoreError> {
    match reply {
        Reply::Ready(reply) => reply,
        Reply::Wait(reply) => reply.await,
    }
}

fn limits(url: &str) -> RedisRateLimits {
    patient(RedisStore::new(url).unwrap())
}

/// Machines that run all tests at once are slow at times.
pub(crate) fn patient(store: RedisStore) -> RedisRateLimits {
    RedisRateLimits::new(store)
        .deadline(Duration::from_secs(20))
        .unwrap()
}

async fn hit(store: &RedisRateLimits, key: &str, quota: Quota, cost: u32, at: SystemTime) -> bool {
    let hits = [Hit::new(key.as_bytes(), quota, cost)];
    now(store.hit(&hits, at)).await.unwrap().allowed()
}

fn quotas() -> [Quota; 7] {
    let quota = Quota::new(20, Duration::from_secs(10));
    [
        quota,
        quota.segments(1),
        quota.segments(60),
        Quota::new(100_000, Duration::from_secs(1)),
        quota.exact(),
        quota.burst(5),
        Quota::new(7, Duration::from_millis(900)).segments(7),
    ]
}

#[test]
fn it_decides_as_memory_does() {
    let server = RedisServer::start();
    let runtime = Runtime::new().unwrap();
    let steps = prop::collection::vec(
        (
            prop::collection::vec((0..7_usize, 0..3_u8), 1..3),
            0..130_u32,
            prop_oneof![Just(0), 0..2_000_u64, 8_000..12_000_u64, Just(100_000)],
        ),
        1..60,
    );
    let round = AtomicU32::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&(any::<bool>(), steps), |(denies, steps)| {
            let round = round.fetch_add(1, Ordering::Relaxed);
            let redis = RedisStore::new(&server.url()).unwrap();
            let redis = redis.key_prefix(&format!("{round}:")).unwrap();
            let mut redis = patient(redis).by_the_callers_clock();
            if !denies {
                redis = redis.ask_always();
            }
            let (memory, mut at) = (MemoryStore::new(), 0);
            for (mut limits, share, wait) in steps {
                at += wait * 1_000_000;
                // One key twice in a request is counted twice, but what is left is told otherwise.
                limits.sort_unstable();
                limits.dedup();
                let hits: Vec<_> = limits
                    .iter()
                    .map(|(quota, key)| {
                        let quota = quotas()[*quota];
                        let cost = quota.limit() * share / 100;
                        Hit::new(&b"abc"[usize::from(*key)..][..1], quota, cost)
                    })
                    .collect();
                let expected = hit_all(&memory, &hits, after(at));
                let decided: Decisions =
                    runtime.block_on(now(redis.hit(&hits, after(at)))).unwrap();
                prop_assert_eq!(decided, expected);
            }
            Ok(())
        })
        .unwrap();
    server.assert_every_key_expires();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_at_once_in_several_processes_never_pass_the_limit_nor_stay_below() {
    let server = RedisServer::start();
    for quota in [
        Quota::per_hour(500),
        Quota::per_hour(100).exact(),
        Quota::per_hour(100).burst(100),
    ] {
        let mut running = Vec::new();
        // Three stores know nothing of each other, as three processes.
        for _ in 0..3 {
            let store = limits(&server.url());
            for _ in 0..400 {
                let store = store.clone();
                running.push(tokio::spawn(async move {
                    hit(&store, "hot", quota, 1, SystemTime::now()).await
                }));
            }
        }
        let mut admitted = 0;
        for one in running {
            admitted += u32::from(one.await.unwrap());
        }
        assert_eq!(admitted, quota.limit(), "{quota:?}");
    }
    server.assert_every_key_expires();
}

#[tokio::test]
async fn clocks_of_machines_that_differ_change_nothing() {
    let server = RedisServer::start();
    let quota = Quota::new(5, Duration::from_secs(3_600));
    let mut admitted = 0;
    for skew in [0, 3, 7_200, 86_400] {
        let store = limits(&server.url());
        for _ in 0..5 {
            let now = SystemTime::now() + Duration::from_secs(skew);
            admitted += u32::from(hit(&store, "k", quota, 1, now).await);
        }
    }
    assert_eq!(admitted, 5);
}

/// The commands that the server has been sent.
fn commands(server: &RedisServer) -> u64 {
    let info = server.command(&["INFO", "stats"]);
    let line = info
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_key_that_is_being_refused_costs_redis_nothing() {
    let server = RedisServer::start();
    let store = limits(&server.url()).by_the_callers_clock();
    let quota = Quota::per_minute(1);
    assert!(hit(&store, "k", quota, 1, start()).await);
    assert!(!hit(&store, "k", quota, 1, start()).await);
    let before = commands(&server);
    for _ in 0..1_000 {
        assert!(!hit(&store, "k", quota, 1, start()).await);
    }
    // The question itself is one.
    assert!(commands(&server) - before <= 1);
    assert!(hit(&store, "k", quota, 1, after(63_750_000_000)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_key_travel_together() {
    let server = RedisServer::start();
    let store = limits(&server.url());
    let quota = Quota::per_hour(1_000_000);
    assert!(hit(&store, "hot", quota, 1, SystemTime::now()).await);
    let before = commands(&server);
    let running: Vec<_> = (0..2_000)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { hit(&store, "hot", quota, 1, SystemTime::now()).await })
        })
        .collect();
    for one in running {
        assert!(one.await.unwrap());
    }
    let sent = commands(&server) - before;
    assert!(sent < 2_000, "{sent} commands for 2,000 decisions");
    let left = now(store.hit(&[Hit::new(b"hot", quota, 0)], SystemTime::now()))
        .await
        .unwrap();
    assert_eq!(left.iter().next().unwrap().remaining, 1_000_000 - 2_001);
}

#[tokio::test]
async fn who_goes_away_takes_nobody_with_him() {
    let server = RedisServer::start();
    let store = limits(&server.url());
    let quota = Quota::per_hour(1_000);
    assert!(hit(&store, "hot", quota, 1, SystemTime::now()).await);
    let ask = || {
        let store = store.clone();
        Box::pin(async move { hit(&store, "hot", quota, 1, SystemTime::now()).await })
    };
    let (mut leader, mut waiting) = (ask(), ask());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(leader.as_mut().poll(&mut context).is_pending());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(leader);
    assert!(waiting.await);
    assert!(ask().await);
}

#[tokio::test]
async fn operators_refund_charge_reset_and_block() {
    let server = RedisServer::start();
    let quota = Quota::new(10, Duration::from_secs(10));
    for quota in [quota, quota.exact(), quota.burst(10)] {
        let store = limits(&server.url()).by_the_callers_clock();
        let other = limits(&server.url()).by_the_callers_clock().ask_always();
        let units = |cost| [Hit::new(b"k", quota, cost)];
        assert!(hit(&store, "k", quota, 10, start()).await);
        assert!(!hit(&other, "k", quota, 1, start()).await);
        now(store.refund(&units(4), start(), start()))
            .await
            .unwrap();
        assert!(hit(&other, "k", quota, 4, start()).await);
        // More than is there is not given back.
        now(store.refund(&units(100), start(), start()))
            .await
            .unwrap();
        now(store.reset(b"k", &quota)).await.unwrap();
        now(store.charge(&units(7), start())).await.unwrap();
        assert!(!hit(&other, "k", quota, 4, start()).await);
        assert!(hit(&other, "k", quota, 3, start()).await, "{quota:?}");
        let until = start() + Duration::from_secs(3_600);
        now(store.reset(b"k", &quota)).await.unwrap();
        now(store.block(b"k", &quota, until, start()))
            .await
            .unwrap();
        for cost in [0, 1] {
            assert!(!hit(&other, "k", quota, cost, start()).await, "{quota:?}");
        }
        server.assert_every_key_expires();
        now(store.reset(b"k", &quota)).await.unwrap();
        assert!(hit(&other, "k", quota, 10, start()).await, "{quota:?}");
    }
    server.assert_every_key_expires();
}

#[tokio::test]
async fn a_block_that_is_remembered_is_over_when_it_is_over() {
    let server = RedisServer::start();
    let quota = Quota::new(10, Duration::from_secs(10));
    for quota in [quota.segments(1), quota.exact(), quota.burst(10)] {
        let store = limits(&server.url()).by_the_callers_clock();
        let over = start() + Duration::from_millis(1);
        now(store.block(b"k", &quota, over, start())).await.unwrap();
        // What refuses is remembered.
        for _ in 0..2 {
            assert!(!hit(&store, "k", quota, 1, start()).await, "{quota:?}");
        }
        assert!(hit(&store, "k", quota, 1, over).await, "{quota:?}");
    }
}

#[tokio::test]
async fn a_key_that_somebody_deleted_expires_again() {
    let server = RedisServer::start();
    let store = limits(&server.url());
    let quota = Quota::per_minute(10);
    assert!(hit(&store, "k", quota, 1, SystemTime::now()).await);
    server.command(&["FLUSHALL"]);
    assert!(hit(&store, "k", quota, 1, SystemTime::now()).await);
    assert!(!server.keys().is_empty());
    server.assert_every_key_expires();
}

#[tokio::test]
async fn limits_on_keys_of_different_slots_are_decided_together_on_a_cluster() {
    let cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    let store = patient(store).by_the_callers_clock();
    let memory = MemoryStore::new();
    let (small, large) = (Quota::per_hour(2), Quota::per_hour(5));
    for round in 0..12_u8 {
        let keys = [[b'a', round % 2], [b'b', round % 3], [b'c', 0]];
        let hits = [
            Hit::new(&keys[0], small, 1),
            Hit::new(&keys[1], large, 1),
            Hit::new(&keys[2], large, 1),
        ];
        let decided = now(store.hit(&hits, start())).await.unwrap();
        assert_eq!(decided, hit_all(&memory, &hits, start()), "round {round}");
    }
    cluster.assert_every_key_expires();
}

#[tokio::test]
async fn an_outage_is_told_and_over_without_a_restart() {
    let mut server = RedisServer::start();
    let edges = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&edges);
    let store = RedisRateLimits::new(RedisStore::new(&server.url()).unwrap())
        .deadline(Duration::from_secs(2))
        .unwrap()
        .on_outage(move |out| told.lock().unwrap().push(out));
    // Never reached: what is known to be refused asks nobody.
    let quota = Quota::per_hour(1_000_000);
    let ask = || now(store.hit(&[Hit::new(b"k", quota, 1)], SystemTime::now()));
    assert!(ask().await.unwrap().allowed());
    server.pause();
    for _ in 0..3 {
        let error = ask().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout);
    }
    // It is known to be away: nobody waits.
    assert_eq!(ask().await.unwrap_err().kind(), StoreErrorKind::Unreachable);
    server.resume();
    eventually_async("an answer", async || ask().await.ok()).await;
    assert_eq!(*edges.lock().unwrap(), [true, false]);

    server.kill();
    eventually_async("an outage", async || ask().await.err()).await;
    server.restart();
    eventually_async("an answer", async || ask().await.ok()).await;
}

#[tokio::test]
async fn while_redis_is_away_a_share_of_the_limit_is_counted_here() {
    let mut server = RedisServer::start();
    let told = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&told);
    let layer = RateLimitLayer::new(Quota::per_hour(9))
        .with_store(limits(&server.url()))
        .on_store_error(StoreFailure::Local {
            instances: 3.try_into().unwrap(),
        })
        .on_event(move |event: &RateLimitEvent<'_>| {
            counting.fetch_add(
                u32::from(event.kind.as_str() == "counted_locally"),
                Ordering::Relaxed,
            );
        });
    let door = Door::new(layer);
    for _ in 0..5 {
        assert_eq!(door.ask(from("192.0.2.1")).await.status, 200);
    }
    server.kill();
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(door.ask(from("192.0.2.2")).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(told.load(Ordering::Relaxed), 5);
}

/// A part of the counts whose number reads `block` would otherwise be taken for an operator's block.
#[tokio::test]
async fn no_time_is_taken_for_a_block() {
    let server = RedisServer::start();
    let quota = Quota::new(3, Duration::from_secs(20));
    let store = limits(&server.url()).by_the_callers_clock();
    // In 2027.
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(21_389_995 * 85 + 1);
    let hits = [Hit::new(b"k", quota, 1)];
    for allowed in [true, true, true, false] {
        let decisions = now(store.hit(&hits, at)).await.unwrap();
        assert_eq!(decisions.allowed(), allowed);
    }
}
