//! TLS and signing in, on every kind of deployment: an authority of one's own, users with rules, and Sentinels
//! with a password of their own.

use std::sync::Arc;

use portcullis::{
    replay::ReplayStore,
    store::{RedisCertificates, RedisSentinel, RedisStore, StoreErrorKind},
};

use crate::{
    patient,
    redis::{RedisCluster, RedisSentinels, RedisServer, Tls, eventually_async},
    replay::{self, KEEP, answer, now},
};

/// May write the crate's keys under its prefix, run scripts, and find its way about a Cluster; nothing else.
const APP: &str = "app on >app-password ~myapp:* +@read +@write +@scripting +@connection -@dangerous \
                   +cluster|slots +role";
const OF_NODES: &str = "password-of-the-nodes";
const OF_SENTINELS: &str = "password-of-the-sentinels";

fn with(tls: &Tls, store: RedisStore) -> RedisStore {
    let ours = RedisCertificates::new().root(tls.root());
    let store = patient(store).certificates(&ours).unwrap();
    store.key_prefix("myapp:").unwrap()
}

async fn is_refused(store: RedisStore, kind: StoreErrorKind) {
    let refused = eventually_async("it says why it refuses", async || {
        let error = answer(store.consume(b"key", now(), KEEP)).await;
        let found = error.unwrap_err().kind();
        // On a busy machine it takes long to shake hands, which says nothing.
        let is_late = [StoreErrorKind::Timeout, StoreErrorKind::Unreachable].contains(&found);
        (found == kind || !is_late).then_some(found)
    });
    assert_eq!(refused.await, kind);
}

#[tokio::test]
async fn a_node_takes_a_user_over_tls() {
    let tls = Tls::new();
    let user: Vec<_> = ["--user"].into_iter().chain(APP.split(' ')).collect();
    let server = RedisServer::start_guarded(&user, OF_NODES, &tls);
    let at = |login: &str| RedisStore::new(&server.tls_url(login)).unwrap();
    let store = with(&tls, at("app:app-password"));
    assert!(answer(store.consume(b"key", now(), KEEP)).await.unwrap());
    // What the user may not touch, whoever else may.
    is_refused(store.key_prefix("other:").unwrap(), StoreErrorKind::Refused).await;
    is_refused(with(&tls, at("app:wrong")), StoreErrorKind::Refused).await;
    is_refused(with(&tls, at(":wrong")), StoreErrorKind::Refused).await;
    // Nobody has signed this server's certificate that the operating system knows.
    is_refused(patient(at("app:app-password")), StoreErrorKind::Unreachable).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_takes_a_user_over_tls_also_when_a_master_dies() {
    let tls = Tls::new();
    let mut cluster = RedisCluster::start_guarded(&[APP], OF_NODES, &tls);
    let at = |login: &str| {
        // The others are found through the first.
        let url = cluster.nodes[0].tls_url(login);
        RedisStore::cluster([url.as_str()]).unwrap()
    };
    let store = with(&tls, at("app:app-password"));
    replay::keeps_its_promises(Arc::new(store.clone()), "tls-cluster").await;
    // The Cluster's client does not say why it could not connect.
    let wrong = with(&tls, at("app:wrong"));
    is_refused(wrong, StoreErrorKind::Unreachable).await;
    is_refused(patient(at("app:app-password")), StoreErrorKind::Unreachable).await;

    let dying = cluster.master_of("myapp:replay:{after}");
    cluster.kill(dying);
    let won = eventually_async("a replica takes over", async || {
        answer(store.consume(b"after", now(), KEEP)).await.ok()
    });
    assert!(won.await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sentinels_have_a_password_of_their_own_and_all_is_over_tls() {
    let tls = Tls::new();
    let mut set = RedisSentinels::start_guarded(&[APP], OF_NODES, OF_SENTINELS, &tls);
    let login = format!(":{OF_SENTINELS}");
    let urls: Vec<_> = set
        .sentinels
        .iter()
        .map(|one| one.tls_url(&login))
        .collect();
    let sentinels =
        RedisSentinel::new(urls.iter().map(String::as_str), RedisSentinels::MASTER).tls();
    let as_app = |password: &str| sentinels.clone().username("app").password(password);
    let store = with(&tls, RedisStore::sentinel(&as_app("app-password")).unwrap());
    replay::keeps_its_promises(Arc::new(store.clone()), "tls-sentinel").await;

    // Either password alone opens nothing, and neither is tried at the other's door.
    let wrong = RedisStore::sentinel(&as_app(OF_SENTINELS)).unwrap();
    is_refused(with(&tls, wrong), StoreErrorKind::Refused).await;
    let urls: Vec<_> = set
        .sentinels
        .iter()
        .map(|one| one.tls_url(":wrong"))
        .collect();
    let unknown = RedisSentinel::new(urls.iter().map(String::as_str), RedisSentinels::MASTER);
    let unknown = unknown.tls().username("app").password("app-password");
    let unknown = with(&tls, RedisStore::sentinel(&unknown).unwrap());
    let error = unknown.ping().await.unwrap_err();
    assert!(matches!(
        error.kind(),
        StoreErrorKind::Refused | StoreErrorKind::Unreachable
    ));

    set.fail_over();
    let won = eventually_async("the store follows", async || {
        answer(store.consume(b"after", now(), KEEP)).await.ok()
    });
    assert!(won.await);
}
