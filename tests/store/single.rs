//! The store on one node: the common suite, what it writes, and that Redis refuses nothing of it.

use std::sync::Arc;

use portcullis::{
    replay::{Claim, ReplayStore},
    store::RedisStore,
};

use crate::{
    patient,
    redis::RedisServer,
    replay::{self, KEEP, LEASE, answer, now, token},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_its_promises_and_every_key_expires() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    let store = store.key_prefix("myapp:").unwrap();
    replay::keeps_its_promises(Arc::new(store), "single").await;
    server.assert_every_key_expires();
    assert!(
        server
            .keys()
            .iter()
            .all(|key| key.starts_with("myapp:replay:{"))
    );
}

#[tokio::test]
async fn claims_and_used_values_are_kept_for_as_long_as_was_said() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    let ours = token();
    let left = || {
        let keys = server.keys();
        assert_eq!(keys.len(), 1);
        u128::try_from(server.command(&["PTTL", &keys[0]]).number()).unwrap()
    };
    answer(store.claim(b"key", &ours, now(), LEASE))
        .await
        .unwrap();
    // 30 s for a machine that stands still meanwhile.
    let near = |left: u128, whole: u128| (whole - 30_000..=whole).contains(&left);
    assert!(near(left(), LEASE.as_millis()));
    answer(store.commit(b"key", &ours, now(), KEEP))
        .await
        .unwrap();
    assert!(near(left(), KEEP.as_millis()));
    // Committed anew for less, it stays; for more, it stays longer.
    answer(store.commit(b"key", &ours, now(), LEASE))
        .await
        .unwrap();
    assert!(near(left(), KEEP.as_millis()));
    answer(store.commit(b"key", &ours, now(), 2 * KEEP))
        .await
        .unwrap();
    assert!(near(left(), 2 * KEEP.as_millis()));
}

#[tokio::test]
async fn a_claim_that_has_run_out_is_free_and_its_late_holder_frees_nothing() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    let (late, other) = (token(), token());
    answer(store.claim(b"key", &late, now(), LEASE))
        .await
        .unwrap();
    // Its time is over: the server is told so, instead of waiting for it.
    let key = server.keys().remove(0);
    server.command(&["PEXPIREAT", &key, "1"]);
    let claim = answer(store.claim(b"key", &other, now(), LEASE)).await;
    assert_eq!(claim.unwrap(), Claim::Claimed);
    assert!(!answer(store.release(b"key", &late, now())).await.unwrap());
    let claim = answer(store.claim(b"key", &late, now(), LEASE)).await;
    assert_eq!(claim.unwrap(), Claim::InFlight);
}

#[tokio::test]
async fn prefixes_and_databases_keep_purposes_apart() {
    let server = RedisServer::start();
    let plain = patient(RedisStore::new(&server.url()).unwrap());
    let prefixed = plain.clone().key_prefix("a:").unwrap();
    let other = plain.clone().key_prefix("b:").unwrap();
    let database = RedisStore::new(&format!("{}/3", server.url())).unwrap();
    for store in [&plain, &prefixed, &other, &database] {
        assert!(answer(store.consume(b"key", now(), KEEP)).await.unwrap());
        assert!(!answer(store.consume(b"key", now(), KEEP)).await.unwrap());
    }
    let mut keys = server.keys();
    keys.sort();
    assert_eq!(keys, ["a:replay:{key}", "b:replay:{key}", "replay:{key}"]);
    let in_three = server.command(&["INFO", "keyspace"]).field("db3");
    assert!(in_three.is_some_and(|space| space.starts_with("keys=1,expires=1")));
}

#[tokio::test]
async fn stores_over_one_connection_open_one() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    let asked = (0..50).map(|index| {
        let store = store.clone().key_prefix(&format!("{index}:")).unwrap();
        tokio::spawn(async move { answer(store.consume(b"key", now(), KEEP)).await.unwrap() })
    });
    for asked in asked.collect::<Vec<_>>() {
        assert!(asked.await.unwrap());
    }
    let clients = server.command(&["CLIENT", "LIST", "TYPE", "normal"]);
    // The other is the one that asks.
    assert_eq!(clients.text().lines().count(), 2);
}

#[tokio::test]
async fn a_script_is_sent_once_and_then_named() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    for index in 0..10_u8 {
        answer(store.consume(&[index], now(), KEEP)).await.unwrap();
    }
    let calls = |command: &str| {
        let statistics = server.command(&["INFO", "commandstats"]);
        let of_command = statistics.field(&format!("cmdstat_{command}"))?;
        let count = of_command.strip_prefix("calls=")?;
        count.split(',').next()?.parse::<u64>().ok()
    };
    // The server did not know the first of them, and was told.
    assert_eq!(calls("evalsha"), Some(10));
    assert_eq!(calls("eval"), Some(1));
}
