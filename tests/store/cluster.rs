//! The store on a Cluster: the common suite, and a master that dies.

use std::sync::Arc;

use portcullis::{replay::ReplayStore, store::RedisStore};

use crate::{
    redis::{RedisCluster, eventually_async},
    replay::{self, KEEP, answer, now},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_its_promises_and_survives_a_master() {
    let mut cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = RedisStore::cluster(urls[..1].iter().map(String::as_str)).unwrap();
    store.ping().await.unwrap();
    replay::keeps_its_promises(Arc::new(store.clone()), "cluster").await;
    // The suite's keys lie on several masters.
    let used = |node: &crate::redis::RedisServer| !node.keys().is_empty();
    assert!(cluster.nodes[..3].iter().filter(|node| used(node)).count() > 1);
    cluster.assert_every_key_expires();

    // Scripts are kept by each node for itself, and a promoted replica knows none.
    let name = "the key of whose slot the master dies";
    let master = cluster.master_of(&format!("replay:{{{}}}", name.replace(' ', "%20")));
    cluster.nodes[master].kill();
    let won = eventually_async("a replica takes over", async || {
        answer(store.consume(name.as_bytes(), now(), KEEP))
            .await
            .ok()
    });
    assert!(won.await);
    assert!(
        !answer(store.consume(name.as_bytes(), now(), KEEP))
            .await
            .unwrap()
    );
    cluster.assert_every_key_expires();
}
