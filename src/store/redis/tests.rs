//! The door, on a server of its own: what a domain can rely on.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

#[path = "../../../tests/support/redis/mod.rs"]
mod servers;

use std::time::{Duration, Instant};

use redis::{Pipeline, Value, cmd};

use self::servers::{RedisCluster, RedisServer, eventually_async};
use super::{Call, Expiry, Key, RedisStore, Script};
use crate::store::StoreErrorKind;

fn start() -> (RedisServer, RedisStore) {
    let server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    (server, store)
}

fn count(key: &Key) -> Pipeline {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("INCRBY").arg(key).arg(3);
    pipeline
        .cmd("PEXPIRE")
        .arg(key)
        .arg(Expiry::after(Duration::from_secs(60)));
    pipeline.cmd("GET").arg(key);
    pipeline
}

#[tokio::test]
async fn a_pipeline_answers_in_order_and_in_any_type() {
    let (server, store) = start();
    let key = store.key("count", &[b"a"]);
    let call = Call::idempotent();
    let (sum, expires, text): (u32, bool, String) =
        store.pipeline(&count(&key), call).await.unwrap();
    assert_eq!((sum, expires, text.as_str()), (3, true, "3"));
    let values: Vec<Value> = store.pipeline(&count(&key), call).await.unwrap();
    let six = Value::BulkString(b"6".to_vec());
    assert_eq!(values, [Value::Int(6), Value::Int(1), six]);
    server.assert_every_key_expires();

    // Of another type than asked for, without a word of what it was.
    let wrong: Result<(Vec<u8>, u8), _> = store.pipeline(&count(&key), call).await;
    let error = wrong.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(!format!("{error:?}").contains('9'));
}

#[tokio::test]
async fn one_refused_command_is_an_error_of_the_pipeline_and_the_others_are_done() {
    let (server, store) = start();
    let key = store.key("count", &[b"a"]);
    server.command(&["LPUSH", "list", "x"]);
    let mut pipeline = Pipeline::new();
    pipeline.cmd("INCR").arg("list");
    pipeline
        .cmd("SET")
        .arg(&key)
        .arg("secret-value")
        .arg("PX")
        .arg(60_000);
    let answer: Result<Vec<Value>, _> = store.pipeline(&pipeline, Call::idempotent()).await;
    assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(
        server.command(&["GET", key.as_str()]).text(),
        "secret-value"
    );

    // A server that quotes what it does not understand is not quoted.
    let answer: Result<Value, _> = store
        .command(cmd("NOSUCH").arg("secret-value"), Call::once())
        .await;
    let error = answer.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        !format!("{error} {error:?} {source}").contains("secret"),
        "{source}"
    );
}

#[tokio::test]
async fn a_script_has_its_keys_and_arguments_and_outlives_a_flush() {
    let (server, store) = start();
    let script = Script::new("return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], #KEYS, #ARGV}");
    let key = store.key("some", &[b"}{"]);
    let other = key.with_suffix(":more");
    for _ in 0..3 {
        let arguments = (&b"\xff\0"[..], Expiry::after(Duration::from_secs(1)));
        let answer: (String, String, Vec<u8>, u64, usize, usize) = store
            .script(&script, &[&key, &other], &arguments, Call::once())
            .await
            .unwrap();
        let keys = ("some:{%7D%7B}".to_owned(), "some:{%7D%7B}:more".to_owned());
        assert_eq!(answer, (keys.0, keys.1, b"\xff\0".to_vec(), 1_000, 2, 2));
        server.command(&["SCRIPT", "FLUSH"]);
    }
}

#[tokio::test]
async fn a_call_has_a_deadline_of_its_own() {
    let (server, store) = start();
    let store = store.deadline(Duration::from_secs(60)).unwrap();
    store.ping().await.unwrap();
    server.pause();
    let started = Instant::now();
    let call = Call::idempotent().within(Duration::from_millis(20));
    let answer: Result<Value, _> = store.command(&cmd("PING"), call).await;
    assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Timeout);
    assert!(started.elapsed() < Duration::from_secs(30));
    server.resume();
}

#[tokio::test]
async fn once_is_not_sent_again_and_idempotent_is() {
    let (server, store) = start();
    let key = store.key("count", &[b"a"]);
    let mut sure = 0;
    for _ in 0..10 {
        store.ping().await.unwrap();
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        let answer: Result<Vec<Value>, _> = store.pipeline(&count(&key), Call::once()).await;
        match answer {
            Ok(_) => sure += 1,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unreachable),
        }
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        let answer: Result<Vec<Value>, _> = store.pipeline(&count(&key), Call::idempotent()).await;
        answer.unwrap();
        sure += 1;
    }
    let counted = server.command(&["GET", key.as_str()]).text().parse::<u32>();
    // Nothing was on its way when the connections were killed, so nothing was counted that was an error.
    assert_eq!(counted, Ok(3 * sure));
}

#[tokio::test]
async fn a_future_that_is_dropped_leaves_the_answers_of_others_in_place() {
    let (_server, store) = start();
    let call = Call::idempotent();
    for round in 0..200_u32 {
        let key = store.key("count", &[&round.to_be_bytes()]);
        let pipeline = count(&key);
        let dropped = store.pipeline::<Vec<Value>>(&pipeline, call);
        let _ = tokio::time::timeout(Duration::from_micros(u64::from(round)), dropped).await;
        let mine: String = store.command(cmd("ECHO").arg(round), call).await.unwrap();
        assert_eq!(mine, round.to_string());
    }
}

#[tokio::test]
async fn pipelines_follow_their_slot_on_a_cluster() {
    let mut cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    let call = Call::idempotent();
    for index in 0..50_u8 {
        let key = store.key("count", &[&[index]]);
        let answer: (u32, bool, u32) = store.pipeline(&count(&key), call).await.unwrap();
        assert_eq!(answer, (3, true, 3));
    }
    cluster.assert_every_key_expires();

    // A slot whose master dies is served again, by whoever has taken it over.
    let key = store.key("count", &[b"dies"]);
    let master = cluster.master_of(key.as_str());
    cluster.kill(master);
    let answer = eventually_async("a replica takes over", async || {
        store
            .pipeline::<(u32, bool, u32)>(&count(&key), call)
            .await
            .ok()
    });
    assert_eq!(answer.await.2 % 3, 0);
}
