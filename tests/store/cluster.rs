//! The store on a Cluster: the common suite, and a master that dies.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis::{
    replay::ReplayStore,
    store::{RedisStore, StoreErrorKind},
};

use crate::{
    patient,
    redis::{RedisCluster, RedisServer, eventually_async},
    replay::{self, KEEP, answer, now},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_its_promises_and_survives_a_master() {
    let mut cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = patient(RedisStore::cluster(urls[..1].iter().map(String::as_str)).unwrap());
    store.ping().await.unwrap();
    replay::keeps_its_promises(Arc::new(store.clone()), "cluster").await;
    // The suite's keys lie on several masters.
    let used = |node: &RedisServer| !node.keys().is_empty();
    assert!(cluster.nodes[..3].iter().filter(|node| used(node)).count() > 1);
    cluster.assert_every_key_expires();

    // Scripts are kept by each node for itself, and a promoted replica knows none. The first master of a
    // slot dies; those of the others answer all the while.
    let key = |name: &str| format!("replay:{{{name}}}");
    let names: Vec<_> = (0..100).map(|index| format!("key-{index}")).collect();
    let dying = cluster.master_of(&key(&names[0]));
    let elsewhere = |name: &&String| cluster.master_of(&key(name)) != dying;
    let others: Vec<_> = names.iter().filter(elsewhere).cloned().collect();
    assert!(others.len() > 20);
    cluster.kill(dying);
    let mut others = others.iter();
    let won = eventually_async("a replica takes over", async || {
        if let Some(other) = others.next() {
            assert!(
                answer(store.consume(other.as_bytes(), now(), KEEP))
                    .await
                    .unwrap()
            );
        }
        answer(store.consume(names[0].as_bytes(), now(), KEEP))
            .await
            .ok()
    });
    assert!(won.await);
    assert!(
        !answer(store.consume(names[0].as_bytes(), now(), KEEP))
            .await
            .unwrap()
    );
    cluster.assert_every_key_expires();
}

#[tokio::test]
async fn a_paused_master_costs_its_own_slots_their_deadline_and_the_others_nothing() {
    let cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = patient(RedisStore::cluster(urls.iter().map(String::as_str)).unwrap());
    store.ping().await.unwrap();
    let deadline = Duration::from_millis(100);
    let hasty = store.clone().deadline(deadline).unwrap();
    let key = |name: &str| format!("replay:{{{name}}}");
    let names: Vec<_> = (0..60).map(|index| format!("key-{index}")).collect();
    let paused = cluster.master_of(&key(&names[0]));
    let (here, elsewhere): (Vec<_>, Vec<_>) = names
        .iter()
        .partition(|name| cluster.master_of(&key(name)) == paused);

    cluster.nodes[paused].pause();
    let mut quickest = Duration::MAX;
    for (here, elsewhere) in here.iter().zip(&elsewhere).take(5) {
        let started = Instant::now();
        let error = answer(hasty.consume(here.as_bytes(), now(), KEEP))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout);
        quickest = quickest.min(started.elapsed());
        assert!(
            answer(store.consume(elsewhere.as_bytes(), now(), KEEP))
                .await
                .unwrap()
        );
    }
    // A machine that is busy is late, but not every time.
    assert!(quickest < deadline + Duration::from_millis(800));
    cluster.nodes[paused].resume();
    let last = here[here.len() - 1].as_bytes();
    eventually_async("it goes on", async || {
        answer(store.consume(last, now(), KEEP)).await.ok()
    })
    .await;
}

#[tokio::test]
async fn nobody_there_is_an_error_by_the_deadline() {
    let mut cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    cluster.nodes.iter_mut().for_each(RedisServer::kill);
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        let error = store.ping().await.unwrap_err();
        assert!(matches!(
            error.kind(),
            StoreErrorKind::Unreachable | StoreErrorKind::Timeout
        ));
        quickest = quickest.min(started.elapsed());
    }
    assert!(quickest < Duration::from_secs(3));
}
