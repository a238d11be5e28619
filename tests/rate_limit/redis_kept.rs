//! What was read a moment ago is not read again: what that saves, and what others see of it.

use std::time::{Duration, SystemTime};

use portcullis::{
    rate_limit::{Decision, Hit, Quota, RateLimitStore, RedisRateLimits},
    store::{RedisStore, StoreErrorKind},
};
use tokio::task::JoinSet;

use crate::{
    redis::{now, patient, servers::RedisServer},
    support::after,
};

const MINUTE: Quota = Quota::new(1_000, Duration::from_secs(60)).segments(10);
const MILLI: u64 = 1_000_000;

fn limits(server: &RedisServer) -> RedisRateLimits {
    patient(RedisStore::new(&server.url()).unwrap()).by_the_callers_clock()
}

async fn hit(store: &RedisRateLimits, cost: u32, at: SystemTime) -> Decision {
    let hits = [Hit::new(b"kept", MINUTE, cost)];
    let decisions = now(store.hit(&hits, at)).await.unwrap();
    *decisions.iter().next().unwrap()
}

/// How often a command was called.
fn calls(server: &RedisServer, command: &str) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]);
    let line = format!("cmdstat_{command}:calls=");
    let calls = stats
        .text()
        .lines()
        .find_map(|text| text.strip_prefix(&line));
    calls.map_or(0, |text| text.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_key_that_was_just_read_costs_one_command_a_decision() {
    let server = RedisServer::start();
    let store = limits(&server);
    for taken in 0..900 {
        assert_eq!(
            hit(&store, 1, after(taken * MILLI)).await.remaining,
            999 - taken as u32
        );
    }
    assert_eq!(
        (calls(&server, "mget"), calls(&server, "bitfield")),
        (1, 900)
    );
    // A second later, or in the next segment, it is read again.
    for at in [1_000, 6_000] {
        let before = calls(&server, "mget");
        hit(&store, 1, after(at * MILLI)).await;
        hit(&store, 1, after(at * MILLI)).await;
        assert_eq!(calls(&server, "mget") - before, 1);
    }
    // It is refused like any other, and what finds no room is given back.
    assert!(!hit(&store, 97, after(6_001 * MILLI)).await.allowed);
    let exactly = hit(&store, 96, after(6_001 * MILLI)).await;
    assert!(exactly.allowed && exactly.remaining == 0);
}

#[tokio::test]
async fn what_others_let_in_is_seen_at_once_and_what_they_give_back_a_second_later() {
    let server = RedisServer::start();
    let (one, other) = (limits(&server), limits(&server));
    let always = limits(&server).ask_always();
    assert_eq!(hit(&one, 1, after(0)).await.remaining, 999);
    assert_eq!(hit(&other, 100, after(MILLI)).await.remaining, 899);
    assert_eq!(hit(&one, 1, after(2 * MILLI)).await.remaining, 898);
    // Into the next segment, so that what was counted lies in one that is over.
    let next = |millis: u64| after((6_000 + millis) * MILLI);
    for store in [&one, &other] {
        assert!(hit(store, 1, next(0)).await.allowed);
    }
    let whole = [Hit::new(b"kept", MINUTE, 100)];
    now(other.refund(&whole, after(MILLI), next(1)))
        .await
        .unwrap();
    assert_eq!(hit(&other, 0, next(2)).await.remaining, 998 - 2);
    assert_eq!(hit(&other, 1, next(2)).await.remaining, 998 - 3);
    assert_eq!(hit(&always, 1, next(2)).await.remaining, 998 - 4);
    assert_eq!(hit(&one, 1, next(999)).await.remaining, 898 - 5);
    assert_eq!(hit(&one, 1, next(1_000)).await.remaining, 998 - 6);
    let until = next(500_000);
    now(other.block(b"kept", &MINUTE, until, next(1_001)))
        .await
        .unwrap();
    assert!(!hit(&other, 1, next(1_002)).await.allowed);
    assert!(!hit(&always, 1, next(1_002)).await.allowed);
    assert!(hit(&one, 1, next(1_999)).await.allowed);
    assert!(!hit(&one, 1, next(2_000)).await.allowed);
}

#[tokio::test]
async fn a_key_that_others_deleted_meanwhile_expires_again() {
    let server = RedisServer::start();
    let (one, other) = (limits(&server), limits(&server));
    for _ in 0..3 {
        hit(&one, 1, after(0)).await;
    }
    // Whose clock is the callers' has no other time to go by.
    hit(&other, 1, after(0)).await;
    now(other.reset(b"kept", &MINUTE)).await.unwrap();
    // It goes by what it read: the rest of the window is empty all the same.
    assert_eq!(hit(&one, 1, after(MILLI)).await.remaining, 999);
    assert_eq!(hit(&one, 1, after(2 * MILLI)).await.remaining, 998);
    server.assert_every_key_expires();
}

#[tokio::test]
async fn a_key_that_holds_something_else_spoils_nothing_for_others() {
    let server = RedisServer::start();
    let store = limits(&server);
    let ask = |key: usize, at: SystemTime| {
        let store = store.clone();
        async move {
            let name = format!("key-{key}");
            let hits = [Hit::new(name.as_bytes(), MINUTE, 1)];
            (key, now(store.hit(&hits, at)).await)
        }
    };
    // Read in full the first time, and kept the second.
    for round in 0..3 {
        let asked: JoinSet<_> = (0..40).map(|key| ask(key, after(round * MILLI))).collect();
        for (key, answer) in asked.join_all().await {
            match answer {
                Ok(decisions) => {
                    assert!(round == 0 || key != 7);
                    let left = decisions.iter().next().unwrap().remaining;
                    assert_eq!(left, 999 - round as u32, "key {key}, round {round}");
                }
                Err(error) => {
                    assert!(round > 0 && key == 7, "key {key}: {error:?}");
                    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
                }
            }
        }
        if round == 0 {
            let names = server.keys();
            let name = names.iter().find(|name| name.contains("{key-7}")).unwrap();
            server.command(&["DEL", name]);
            server.command(&["RPUSH", name, "a list"]);
        }
    }
}
