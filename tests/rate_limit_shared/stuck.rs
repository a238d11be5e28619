//! Futures that are kept but not polled, and runtimes that end or stand idle: whatever becomes of those who
//! ask, nobody else is stuck for it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use portcullis::{
    rate_limit::{Decisions, Hit, Quota, RateLimitStore, RedisRateLimits},
    store::{RedisStore, Reply, StoreError},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::redis::{RedisServer, eventually, eventually_async};

const DEADLINE: Duration = Duration::from_millis(400);

type Asking = Pin<Box<dyn Future<Output = Result<Decisions, StoreError>> + Send>>;

fn limits(server: &RedisServer) -> RedisRateLimits {
    let limits = RedisRateLimits::new(RedisStore::new(&server.url()).unwrap());
    limits.deadline(DEADLINE).unwrap()
}

fn ask(limits: &RedisRateLimits, key: &str, quota: Quota) -> Asking {
    let hits = [Hit::new(key.as_bytes(), quota, 1)];
    let reply = limits.hit(&hits, SystemTime::now());
    Box::pin(async {
        match reply {
            Reply::Ready(decided) => decided,
            Reply::Wait(decided) => decided.await,
        }
    })
}

/// Polls it once, no more.
fn begin(asking: &mut Asking) {
    let mut context = Context::from_waker(Waker::noop());
    let polled = asking.as_mut().poll(&mut context);
    assert!(matches!(polled, Poll::Pending), "{polled:?}");
}

fn idle_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

const QUOTA: Quota = Quota::per_hour(1_000_000);
/// Each of its keys has a lane of its own, so each asks for itself.
const LOG: Quota = Quota::per_hour(1_000).exact();

#[tokio::test]
async fn those_who_stand_still_do_not_stop_all_the_others_for_ever() {
    let server = RedisServer::start();
    let limits = limits(&server);
    assert!(ask(&limits, "warm", QUOTA).await.unwrap().allowed());
    // As many as are on their way at a time, and then some.
    let mut still: Vec<_> = (0..8).map(|_| ask(&limits, "still", QUOTA)).collect();
    for one in &mut still {
        begin(one);
    }
    // Somebody always waits: each of those who come is answered long after the next has come.
    let mut coming = JoinSet::new();
    let started = Instant::now();
    let mut passed = 0;
    while passed < 20 {
        assert!(started.elapsed() < DEADLINE * 20, "nobody is let in");
        coming.spawn(ask(&limits, "coming", QUOTA));
        sleep(DEADLINE / 40).await;
        while let Some(decided) = coming.try_join_next() {
            passed += u32::from(decided.unwrap().is_ok_and(|decided| decided.allowed()));
        }
    }
    drop(still);
}

#[tokio::test]
async fn who_waits_behind_many_who_went_away_is_not_left_behind() {
    let server = RedisServer::start();
    let limits = limits(&server).deadline(DEADLINE * 20).unwrap();
    assert!(ask(&limits, "warm", QUOTA).await.unwrap().allowed());
    server.pause();
    let mut first = [ask(&limits, "one", QUOTA), ask(&limits, "other", QUOTA)];
    for one in &mut first {
        begin(one);
    }
    // More than ever travel together.
    for key in 0..2_000 {
        begin(&mut ask(&limits, &key.to_string(), QUOTA));
    }
    let mut last = ask(&limits, "last", QUOTA);
    begin(&mut last);
    server.resume();
    for one in first.into_iter().chain([last]) {
        assert!(one.await.unwrap().allowed());
    }
}

#[tokio::test]
async fn nobody_waits_for_one_who_asks_the_time_and_stands_still() {
    let server = RedisServer::start();
    let limits = limits(&server);
    let mut first = ask(&limits, "first", LOG);
    begin(&mut first);
    let other = timeout(DEADLINE * 20, ask(&limits, "other", LOG)).await;
    assert!(other.expect("it waits").unwrap().allowed());
    assert!(first.await.is_ok());
}

#[tokio::test]
async fn many_who_do_not_know_the_time_wait_no_longer_than_one() {
    let server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    store.ping().await.unwrap();
    let limits = RedisRateLimits::new(store).deadline(DEADLINE).unwrap();
    server.pause();
    let started = Instant::now();
    let asking = (0..40).map(|key| ask(&limits, &key.to_string(), LOG));
    let asking: JoinSet<_> = asking.collect();
    assert!(asking.join_all().await.iter().all(Result::is_err));
    // One after the other, they would wait for forty deadlines.
    assert!(started.elapsed() < DEADLINE * 5, "{:?}", started.elapsed());
    server.resume();
    eventually_async("it answers again", async || {
        ask(&limits, "after", QUOTA).await.ok()
    })
    .await;
}

/// How often the server was asked for its time.
fn times_asked(server: &RedisServer) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]);
    let Some(stats) = stats.field("cmdstat_time") else {
        return 0;
    };
    let calls = stats
        .split(',')
        .find_map(|field| field.strip_prefix("calls="));
    calls.unwrap().parse().unwrap()
}

#[test]
fn the_time_is_asked_for_again_though_who_asked_is_gone() {
    let server = RedisServer::start();
    let limits = limits(&server);
    let (gone, other) = (idle_runtime(), Runtime::new().unwrap());
    gone.block_on(ask(&limits, "warm", QUOTA)).unwrap();
    eventually("the time is asked for again", || {
        gone.block_on(ask(&limits, "warm", QUOTA)).unwrap();
        (times_asked(&server) > 1).then_some(())
    });
    // Long enough for it to be due; then the question is on its way, and nobody there hears an answer.
    std::thread::sleep(Duration::from_millis(1_100));
    server.pause();
    let _entered = gone.enter();
    let mut late = ask(&limits, "late", QUOTA);
    begin(&mut late);
    drop(_entered);
    drop(late);
    gone.shutdown_background();
    server.resume();
    let before = times_asked(&server);
    eventually("the time is asked for again", || {
        let _ = other.block_on(ask(&limits, "other", QUOTA));
        (times_asked(&server) > before + 1).then_some(())
    });
}

#[test]
fn a_runtime_that_stands_idle_while_it_connects_keeps_nobody_from_connecting() {
    let server = RedisServer::start();
    let limits = limits(&server);
    let (idle, other) = (idle_runtime(), Runtime::new().unwrap());
    {
        let _entered = idle.enter();
        let mut first = ask(&limits, "first", QUOTA);
        begin(&mut first);
        drop(first);
    }
    eventually("another connects", || {
        let decided = other.block_on(ask(&limits, "other", QUOTA));
        decided.ok()
    });
    drop(idle);
}

#[test]
fn nobody_waits_for_ever_behind_a_runtime_that_stands_idle() {
    let server = RedisServer::start();
    let limits = limits(&server);
    let (idle, other) = (idle_runtime(), Runtime::new().unwrap());
    other.block_on(ask(&limits, "warm", QUOTA)).unwrap();
    // More than may be on their way: some of them wait, and whoever would watch over them does not either.
    let mut still: Vec<_> = (0..8).map(|_| ask(&limits, "still", QUOTA)).collect();
    server.pause();
    {
        let _entered = idle.enter();
        for one in &mut still {
            begin(one);
        }
    }
    server.resume();
    let waits = async { timeout(DEADLINE * 20, ask(&limits, "other", QUOTA)).await };
    assert!(other.block_on(waits).is_ok(), "it waits");
    eventually("another is let in", || {
        other.block_on(ask(&limits, "other", QUOTA)).ok()
    });
    drop(still);
}

#[test]
fn who_goes_away_outside_of_any_runtime_fails_nobody_else() {
    let server = RedisServer::start();
    let limits = limits(&server).deadline(DEADLINE * 20).unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(ask(&limits, "warm", QUOTA)).unwrap();
    server.pause();
    let (first, waits) = {
        let _entered = runtime.enter();
        let mut first = [ask(&limits, "one", QUOTA), ask(&limits, "two", QUOTA)];
        for one in &mut first {
            begin(one);
        }
        let mut waits = ask(&limits, "waits", QUOTA);
        begin(&mut waits);
        (first, waits)
    };
    drop(first);
    server.resume();
    assert!(runtime.block_on(waits).unwrap().allowed());
}
