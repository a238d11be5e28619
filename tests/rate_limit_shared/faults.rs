//! What breaks while requests are coming in.
//!
//! The table in the docs of `portcullis::rate_limit` is made of what the long runs print.

use std::{
    future::Future,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant, SystemTime},
};

use portcullis::{
    rate_limit::{Hit, Quota, RateLimitStore, RedisRateLimits},
    store::{RedisSentinel, RedisStore, Reply},
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    alone, is_long,
    load::{Answer, Asked, Load, Policy},
    redis::{RedisCluster, RedisSentinels, RedisServer, eventually},
};

fn node(server: &RedisServer) -> impl Fn() -> RedisStore + use<> {
    let url = server.url();
    move || RedisStore::new(&url).unwrap()
}

#[test]
fn a_server_that_is_killed_and_started_anew() {
    let _alone = alone();
    let mut server = RedisServer::start();
    let load = Load::start("killed", 20, node(&server));
    let injected = Instant::now();
    server.kill();
    load.until_out();
    load.follows_the_policies();
    server.restart();
    let whole = Instant::now();
    load.until_back();
    server.assert_every_key_expires();
    load.stop(injected, whole, 1);
}

#[test]
fn a_server_that_stands_still() {
    let _alone = alone();
    let server = RedisServer::start();
    let load = Load::start("paused", 20, node(&server));
    let injected = Instant::now();
    let span = Duration::from_millis(if is_long() { 10_000 } else { 1_500 });
    server.pause();
    load.until_out();
    load.follows_the_policies();
    thread::sleep(span.saturating_sub(injected.elapsed()));
    server.resume();
    let whole = Instant::now();
    load.until_back();
    server.assert_every_key_expires();
    load.stop(injected, whole, 0);
}

/// Does it again and again for a while.
fn repeatedly(mut inject: impl FnMut()) {
    let injected = Instant::now();
    while injected.elapsed() < Duration::from_secs(1) {
        inject();
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn scripts_that_are_forgotten_cost_nothing() {
    let _alone = alone();
    let server = RedisServer::start();
    let load = Load::start("scripts", 20, node(&server));
    let injected = Instant::now();
    repeatedly(|| {
        server.command(&["SCRIPT", "FLUSH"]);
    });
    let whole = Instant::now();
    load.until_back();
    server.assert_every_key_expires();
    for seen in load.stop(injected, whole, 0) {
        // Only the machine itself can have been late.
        assert!(seen.by_policy() * 20 < seen.answers.len());
    }
}

#[test]
fn connections_that_are_killed_are_made_anew() {
    let _alone = alone();
    let server = RedisServer::start();
    let load = Load::start("connections", 20, node(&server));
    let injected = Instant::now();
    repeatedly(|| {
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    });
    let whole = Instant::now();
    load.until_back();
    server.assert_every_key_expires();
    load.stop(injected, whole, 0);
}

/// Of the Cluster: enough that each master has some.
const CLIENTS: u8 = 60;

#[test]
fn a_master_of_a_cluster_that_is_killed() {
    let _alone = alone();
    let mut cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = || RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    let load = Load::start("cluster", CLIENTS, store);
    let injected = Instant::now();
    cluster.kill(0);
    load.until_out();
    let (replica, others) = (&cluster.nodes[3], &cluster.nodes[1]);
    eventually("a replica takes over", || {
        let role = replica.command(&["ROLE"]);
        let known = others
            .command(&["CLUSTER", "INFO"])
            .field("cluster_slots_ok");
        (role.list()[0].text() == "master" && known.as_deref() == Some("16384")).then_some(())
    });
    let whole = Instant::now();
    load.until_back();
    cluster.assert_every_key_expires();
    for seen in load.stop(injected, whole, 1) {
        if seen.policy == Policy::Local {
            continue;
        }
        // The others' masters answered all the while, but for what the machine itself was late with.
        let mut hit = 0;
        for client in 0..CLIENTS {
            let is_theirs =
                |answer: &&Answer| answer.client == client && answer.asked == Asked::Wide;
            let answers: Vec<_> = seen.answers.iter().filter(is_theirs).collect();
            let by_policy = answers
                .iter()
                .filter(|answer| answer.is_by_policy(seen.policy));
            hit += usize::from(by_policy.count() * 10 > answers.len());
        }
        eprintln!("  {:?}: {hit} of {CLIENTS} clients", seen.policy);
        assert!(
            hit > 0 && hit < usize::from(CLIENTS) * 2 / 3,
            "{hit} clients"
        );
    }
}

#[test]
fn a_master_that_sentinels_replace() {
    let _alone = alone();
    let mut set = RedisSentinels::start();
    let urls = set.urls();
    let sentinel = RedisSentinel::new(urls.iter().map(String::as_str), RedisSentinels::MASTER);
    let load = Load::start("sentinel", 20, || RedisStore::sentinel(&sentinel).unwrap());
    let injected = Instant::now();
    set.fail_over();
    let whole = Instant::now();
    load.until_back();
    set.nodes[1].assert_every_key_expires();
    load.stop(injected, whole, 1);
}

#[tokio::test]
async fn nobody_waits_with_the_one_who_asks_whether_it_is_over() {
    let server = RedisServer::start();
    let deadline = Duration::from_secs(5);
    let limits = RedisRateLimits::new(RedisStore::new(&server.url()).unwrap());
    let limits = limits.deadline(deadline).unwrap();
    let quota = Quota::per_hour(1_000_000);
    let ask = |key: &'static str| {
        let limits = limits.clone();
        Box::pin(async move {
            let hits = [Hit::new(key.as_bytes(), quota, 1)];
            match limits.hit(&hits, SystemTime::now()) {
                Reply::Ready(decided) => decided,
                Reply::Wait(decided) => decided.await,
            }
        })
    };
    assert!(ask("hot").await.unwrap().allowed());
    server.pause();
    let first: JoinSet<_> = ["a", "b", "c"].map(ask).into_iter().collect();
    assert!(first.join_all().await.iter().all(Result::is_err));
    // The first that is not answered at once is the one that asks.
    let mut probe = loop {
        let mut asking = ask("hot");
        if timeout(deadline / 20, &mut asking).await.is_err() {
            break asking;
        }
    };
    for _ in 0..1_000 {
        let mut asking = Context::from_waker(Waker::noop());
        let answer = ask("hot").as_mut().poll(&mut asking);
        assert!(matches!(answer, Poll::Ready(Err(_))), "it waits");
    }
    server.resume();
    assert!(probe.as_mut().await.unwrap().allowed());
    assert!(ask("hot").await.unwrap().allowed());
}
