//! Rules 60 to 69 where the counts lie in Redis: what others got wrong there.

use std::time::{Duration, SystemTime};

use portcullis::{
    rate_limit::{Decisions, Hit, Quota, RateLimitStore, RedisRateLimits},
    store::{RedisStore, Reply},
};

use crate::redis::{RedisCluster, RedisServer};

fn limits(store: RedisStore) -> RedisRateLimits {
    let limits = RedisRateLimits::new(store);
    limits.deadline(Duration::from_secs(20)).unwrap()
}

async fn hit(limits: &RedisRateLimits, hits: &[Hit<'_>], now: SystemTime) -> Decisions {
    match limits.hit(hits, now) {
        Reply::Ready(decisions) => decisions.unwrap(),
        Reply::Wait(decisions) => decisions.await.unwrap(),
    }
}

fn quotas() -> [Quota; 3] {
    let quota = Quota::per_hour(10);
    [quota, quota.exact(), quota.burst(10)]
}

#[tokio::test]
async fn rule_64_a_refused_request_costs_nothing_in_redis() {
    let server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    for quota in quotas() {
        // Each process asks for itself.
        for process in [limits(store.clone()), limits(store.clone()).ask_always()] {
            let ask = async |cost| {
                let hits = [Hit::new(b"k", quota, cost)];
                hit(&process, &hits, SystemTime::now()).await.allowed()
            };
            ask(9).await;
            for _ in 0..50 {
                // Nine of ten are used: a counter that counts before it compares went to 14 here.
                assert!(!ask(5).await);
            }
        }
        let other = limits(store.clone());
        let last = [Hit::new(b"k", quota, 1)];
        assert!(
            hit(&other, &last, SystemTime::now()).await.allowed(),
            "{quota:?}"
        );
        assert!(
            !hit(&other, &last, SystemTime::now()).await.allowed(),
            "{quota:?}"
        );
    }
}

#[tokio::test]
async fn rule_65_no_key_without_an_expiry_in_redis() {
    let server = RedisServer::start();
    let limits = limits(RedisStore::new(&server.url()).unwrap()).ask_always();
    for quota in quotas() {
        for round in 0..30_u8 {
            // The first time, again, refused, and after somebody deleted everything.
            let key = [b'k', round % 3];
            hit(&limits, &[Hit::new(&key, quota, 4)], SystemTime::now()).await;
            server.assert_every_key_expires();
            if round % 7 == 6 {
                server.command(&["FLUSHALL"]);
            }
        }
    }
}

#[tokio::test]
async fn rule_65_what_is_decided_together_lies_in_one_slot() {
    let cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    let limits = limits(store);
    let [window, log, pace] = quotas();
    for key in 0..20_u8 {
        let key = [key];
        let quotas = [window, Quota::per_second(1_000).name("burst"), log, pace];
        let hits = quotas.map(|quota| Hit::new(&key, quota, 3));
        for allowed in [true, true, true, false] {
            let decided = hit(&limits, &hits, SystemTime::now()).await;
            assert_eq!(decided.allowed(), allowed);
        }
    }
    // All keys of a subject have its tag, and so its slot.
    for node in &cluster.nodes {
        for key in node.keys() {
            let tag = key
                .split_once('{')
                .and_then(|(_, rest)| rest.split_once('}'));
            assert!(tag.is_some_and(|(tag, _)| !tag.is_empty()), "{key}");
        }
    }
    cluster.assert_every_key_expires();
}

#[tokio::test]
async fn rule_69_clocks_of_application_machines_change_nothing() {
    let server = RedisServer::start();
    for quota in quotas() {
        let mut admitted = 0;
        for skew in [0, 3, 7_200, 86_400] {
            let store = RedisStore::new(&server.url()).unwrap();
            let limits = limits(store);
            let now = SystemTime::now() + Duration::from_secs(skew);
            for _ in 0..10 {
                let decided = hit(&limits, &[Hit::new(b"k", quota, 1)], now).await;
                admitted += u32::from(decided.allowed());
            }
        }
        assert_eq!(admitted, 10, "{quota:?}");
    }
}
