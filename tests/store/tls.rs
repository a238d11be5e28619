//! TLS: whom the store trusts, and as whom it is known. The certificates beside this file are the tests' own.

use portcullis::{
    replay::ReplayStore,
    store::{RedisCertificates, RedisSentinel, RedisStore, StoreErrorKind},
};

use crate::{
    patient,
    redis::{A_PORT, RedisServer},
    replay::{KEEP, answer, now},
};

const ROOT: &str = include_str!("tls/ca.pem");
const CLIENT: &str = include_str!("tls/client.pem");
const CLIENT_KEY: &str = include_str!("tls/client.key.pem");

/// A server that also listens for TLS, and its URL for that.
fn start(client_certificates: &str) -> (RedisServer, String) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/tls/");
    let file = |name: &str| format!("{folder}{name}");
    let server = RedisServer::start_with(&[
        "--tls-port",
        A_PORT,
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key.pem"),
        "--tls-ca-cert-file",
        &file("ca.pem"),
        "--tls-auth-clients",
        client_certificates,
    ]);
    let port = server.port_of("--tls-port");
    (server, format!("rediss://localhost:{port}"))
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let (_server, url) = start("no");
    let ours = RedisCertificates::new().root(ROOT);
    let store = patient(RedisStore::new(&url).unwrap())
        .certificates(&ours)
        .unwrap();
    assert!(answer(store.consume(b"key", now(), KEEP)).await.unwrap());
    assert!(!answer(store.consume(b"key", now(), KEEP)).await.unwrap());

    // The operating system's authorities did not sign it.
    let error = patient(RedisStore::new(&url).unwrap())
        .ping()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unreachable);
    // Nor is it for any other name of the same server.
    let other = url.replace("localhost", "127.0.0.1");
    let store = patient(RedisStore::new(&other).unwrap())
        .certificates(&ours)
        .unwrap();
    assert_eq!(
        store.ping().await.unwrap_err().kind(),
        StoreErrorKind::Unreachable
    );
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_one() {
    let (_server, url) = start("yes");
    let anonymous = RedisCertificates::new().root(ROOT);
    let store = patient(RedisStore::new(&url).unwrap())
        .certificates(&anonymous)
        .unwrap();
    assert_eq!(
        store.ping().await.unwrap_err().kind(),
        StoreErrorKind::Unreachable
    );

    let known = anonymous.client(CLIENT, CLIENT_KEY);
    let store = patient(RedisStore::new(&url).unwrap())
        .certificates(&known)
        .unwrap();
    store.ping().await.unwrap();
    assert!(!format!("{known:?} {store:?}").contains("BEGIN"));
}

#[test]
fn certificates_go_with_tls_and_are_certificates() {
    let ours = RedisCertificates::new().root(ROOT);
    let plain = RedisStore::new("redis://localhost").unwrap();
    assert!(plain.certificates(&ours).is_err());
    let plain = RedisStore::cluster(["redis://localhost"]).unwrap();
    assert!(plain.certificates(&ours).is_err());
    let sentinel = RedisSentinel::new(["redis://localhost"], "main");
    assert!(
        RedisStore::sentinel(&sentinel)
            .unwrap()
            .certificates(&ours)
            .is_err()
    );
    let sentinel = sentinel.tls();
    assert!(
        RedisStore::sentinel(&sentinel)
            .unwrap()
            .certificates(&ours)
            .is_ok()
    );
    let cluster = RedisStore::cluster(["rediss://localhost"]).unwrap();
    assert!(cluster.certificates(&ours).is_ok());

    let tls = RedisStore::new("rediss://localhost").unwrap();
    let broken = RedisCertificates::new().client("no certificate", "no key");
    let error = tls.clone().certificates(&broken).unwrap_err();
    assert!(!error.to_string().contains("no key"), "{error}");
    let no_root = RedisCertificates::new().root("no certificate");
    assert!(tls.certificates(&no_root).is_err());
}
