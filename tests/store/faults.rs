//! What the store does while Redis does not.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use portcullis::{
    replay::ReplayStore,
    store::{RedisStore, StoreErrorKind},
};

use crate::{
    patient,
    redis::{RedisCluster, RedisServer, eventually_async},
    replay::{KEEP, answer, now},
};

/// What a short deadline is kept within by the quickest of some: less than the default deadline. A machine
/// that is busy with other tests is late, but not every time.
const SLACK: Duration = Duration::from_millis(800);

async fn consume(store: &RedisStore, key: &[u8]) -> Result<bool, StoreErrorKind> {
    let reply = answer(store.consume(key, now(), KEEP)).await;
    reply.map_err(|error| error.kind())
}

#[tokio::test]
async fn nobody_there_is_unreachable_at_once_and_works_when_somebody_comes() {
    let mut server = RedisServer::start();
    server.kill();
    let store = RedisStore::new(&server.url()).unwrap();
    // Not a timeout: nobody waits for the deadline.
    for _ in 0..3 {
        assert_eq!(
            consume(&store, b"key").await,
            Err(StoreErrorKind::Unreachable)
        );
    }
    server.restart();
    let won = eventually_async("the store connects", async || {
        consume(&store, b"key").await.ok()
    });
    assert!(won.await);
}

#[tokio::test]
async fn a_listener_that_says_nothing_is_a_timeout_at_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let deadline = Duration::from_millis(100);
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let store = RedisStore::new(&url).unwrap().deadline(deadline).unwrap();
        let started = Instant::now();
        assert_eq!(consume(&store, b"key").await, Err(StoreErrorKind::Timeout));
        quickest = quickest.min(started.elapsed());
    }
    assert!((deadline..deadline + SLACK).contains(&quickest));
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_shown() {
    let server = RedisServer::start_with_password("the-right-one");
    RedisStore::new(&server.url())
        .unwrap()
        .ping()
        .await
        .unwrap();
    for url in [
        format!("redis://:the-wrong-one@127.0.0.1:{}", server.port()),
        format!("redis://user:the-wrong-one@127.0.0.1:{}", server.port()),
        format!("redis://127.0.0.1:{}", server.port()),
    ] {
        let error = RedisStore::new(&url).unwrap().ping().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{url}");
        let source = std::error::Error::source(&error).unwrap();
        let shown = format!("{error} {error:?} {source} {source:?}");
        assert!(!shown.contains("-one"), "{shown}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_refused() {
    let server = RedisServer::start();
    server.command(&[
        "ACL",
        "SETUSER",
        "reader",
        "on",
        ">secret",
        "~*",
        "+@read",
        "+@connection",
    ]);
    let url = format!("redis://reader:secret@127.0.0.1:{}", server.port());
    let store = patient(RedisStore::new(&url).unwrap());
    store.ping().await.unwrap();
    assert_eq!(consume(&store, b"key").await, Err(StoreErrorKind::Refused));
}

#[tokio::test]
async fn a_server_without_room_is_full() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    assert_eq!(consume(&store, b"before").await, Ok(true));
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(consume(&store, b"key").await, Err(StoreErrorKind::Full));
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(consume(&store, b"key").await, Ok(true));
}

#[tokio::test]
async fn another_type_under_the_key_is_corrupt() {
    let server = RedisServer::start();
    server.command(&["LPUSH", "replay:{key}", "not a text"]);
    let store = patient(RedisStore::new(&server.url()).unwrap());
    assert_eq!(consume(&store, b"key").await, Err(StoreErrorKind::Corrupt));
}

#[tokio::test]
async fn a_server_that_was_restarted_is_found_again_by_the_first_command() {
    let mut server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    for round in 0..3_u8 {
        assert_eq!(consume(&store, &[round]).await, Ok(true));
        server.restart();
    }
    assert_eq!(consume(&store, b"after").await, Ok(true));
    assert_eq!(consume(&store, b"after").await, Ok(false));
}

#[tokio::test]
async fn a_killed_connection_costs_no_command() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    for round in 0..20_u8 {
        assert_eq!(consume(&store, &[round]).await, Ok(true));
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    server.assert_every_key_expires();
}

#[tokio::test]
async fn flushed_scripts_are_sent_again() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    for round in 0..5_u8 {
        assert_eq!(consume(&store, &[round]).await, Ok(true));
        server.command(&["SCRIPT", "FLUSH"]);
        assert_eq!(consume(&store, &[round]).await, Ok(false));
        server.command(&["SCRIPT", "FLUSH"]);
    }
}

#[tokio::test]
async fn a_paused_server_is_a_timeout_at_the_deadline_and_goes_on_afterwards() {
    let server = RedisServer::start();
    let deadline = Duration::from_millis(50);
    let store = patient(RedisStore::new(&server.url()).unwrap());
    assert_eq!(consume(&store, b"before").await, Ok(true));
    let hasty = store.clone().deadline(deadline).unwrap();
    server.pause();
    let mut quickest = Duration::MAX;
    for round in 0..5_u8 {
        let started = Instant::now();
        let reply = consume(&hasty, &[round]).await;
        assert_eq!(reply, Err(StoreErrorKind::Timeout));
        quickest = quickest.min(started.elapsed());
    }
    assert!((deadline..deadline + SLACK).contains(&quickest));
    server.resume();
    let answered = eventually_async("it goes on", async || consume(&hasty, b"after").await.ok());
    // A command that ran out of time may have been done all the same: then the key is used by now.
    let _ = answered.await;
    assert_eq!(consume(&store, b"after").await, Ok(false));
    assert_eq!(consume(&store, b"new").await, Ok(true));
}

#[tokio::test]
async fn a_connection_that_has_died_without_a_word_is_given_up() {
    let server = RedisServer::start();
    let patient = patient(RedisStore::new(&server.url()).unwrap());
    patient.ping().await.unwrap();
    let store = patient.clone().deadline(Duration::from_millis(20));
    let store = store.unwrap();
    server.pause();
    // After three seconds without any answer it connects anew; nothing of that is seen but that it works.
    let gave_up = eventually_async("the store gives the connection up", async || {
        let _ = store.ping().await;
        format!("{store:?}")
            .contains("connected: false")
            .then_some(())
    });
    gave_up.await;
    server.resume();
    eventually_async("it connects anew", async || patient.ping().await.ok()).await;
}

#[tokio::test]
async fn a_caller_that_gives_up_takes_nothing_from_the_others() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    // The first starts to connect, and is dropped meanwhile.
    let first = tokio::spawn({
        let store = store.clone();
        async move { consume(&store, b"first").await }
    });
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(consume(&store, b"second").await, Ok(true));
}

#[test]
fn a_runtime_that_ends_takes_only_its_connection() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap());
    for round in 0..3_u8 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(consume(&store, &[round])), Ok(true));
    }
    let cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    for round in 0..3_u8 {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(consume(&store, &[round])), Ok(true));
    }
}
