//! The store behind Sentinels: the common suite, and a failover.

use std::{sync::Arc, time::Duration};

use portcullis::{
    replay::ReplayStore,
    store::{RedisSentinel, RedisStore, StoreErrorKind},
};

use crate::{
    patient,
    redis::{RedisSentinels, eventually_async},
    replay::{self, KEEP, answer, now},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_its_promises_and_follows_the_master() {
    let mut set = RedisSentinels::start();
    let urls = set.urls();
    let sentinels = RedisSentinel::new(urls.iter().map(String::as_str), RedisSentinels::MASTER);
    let store = patient(RedisStore::sentinel(&sentinels.database(1)).unwrap());
    replay::keeps_its_promises(Arc::new(store.clone()), "sentinel").await;

    set.fail_over();
    let won = eventually_async("the store follows", async || {
        answer(store.consume(b"after", now(), KEEP)).await.ok()
    });
    assert!(won.await);
    assert!(!answer(store.consume(b"after", now(), KEEP)).await.unwrap());

    // One Sentinel is enough to ask, and one that is down is passed over.
    set.sentinels[0].kill();
    let store = RedisStore::sentinel(&RedisSentinel::new(
        urls.iter().map(String::as_str),
        RedisSentinels::MASTER,
    ));
    patient(store.unwrap()).ping().await.unwrap();

    let unknown = RedisSentinel::new(urls.iter().map(String::as_str), "nobody");
    let error = RedisStore::sentinel(&unknown).unwrap().ping().await;
    assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Unreachable);
}

#[tokio::test]
async fn a_master_that_hangs_is_left_for_the_new_one() {
    let set = RedisSentinels::start();
    let urls = set.urls();
    let sentinels = RedisSentinel::new(urls.iter().map(String::as_str), RedisSentinels::MASTER);
    let store = patient(RedisStore::sentinel(&sentinels).unwrap());
    store.ping().await.unwrap();
    let store = store.deadline(Duration::from_millis(200)).unwrap();
    // Its connections stay open, so nothing says that it is gone but its silence.
    set.watch_closely();
    set.nodes[0].pause();
    let won = eventually_async("the store follows", async || {
        answer(store.consume(b"after", now(), KEEP)).await.ok()
    });
    assert!(won.await);
    assert!(!set.nodes[1].keys().is_empty());
    set.nodes[0].resume();
}
