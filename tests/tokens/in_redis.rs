//! The same suites over real Redis: one node, and a Cluster.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use portcullis::{
    clock::ManualClock,
    jwt::{RevocationStore, Revocations, TokenRef},
    store::{RedisStore, Reply, StoreErrorKind},
    tokens::RefreshErrorKind,
};
use serde_json::json;

use crate::{
    mint::{ISSUER, NOW, now},
    redis::{RedisCluster, RedisServer},
    revocation,
    stores::{self, bench},
};

static NODE: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);

/// Each test has keys of its own.
fn node(prefix: &str) -> RedisStore {
    let store = RedisStore::new(&NODE.url()).unwrap();
    let store = store.deadline(Duration::from_secs(20)).unwrap();
    store.key_prefix(prefix).unwrap()
}

#[tokio::test]
async fn a_family_goes_on_token_by_token() {
    stores::a_family_goes_on_token_by_token(node("a:")).await;
}

#[tokio::test]
async fn a_token_comes_again_within_the_grace_window_only() {
    stores::a_token_comes_again_within_the_grace_window_only(node("b:")).await;
}

#[tokio::test]
async fn an_older_token_within_the_window_leads_to_the_live_one() {
    stores::an_older_token_within_the_window_leads_to_the_live_one(node("c:")).await;
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_hold_the_window_open() {
    stores::a_clock_that_goes_back_does_not_hold_the_window_open(node("j:")).await;
}

#[tokio::test]
async fn reuse_is_named_and_ends_the_family() {
    stores::reuse_is_named_and_ends_the_family(node("d:")).await;
}

#[tokio::test]
async fn a_store_that_lost_a_rotation_does_it_again() {
    stores::a_store_that_lost_a_rotation_does_it_again(node("n:")).await;
}

#[tokio::test]
async fn a_family_ends_idle_and_altogether() {
    stores::a_family_ends_idle_and_altogether(node("e:")).await;
}

#[tokio::test]
async fn one_a_family_and_all_of_a_subject_are_revoked() {
    stores::one_a_family_and_all_of_a_subject_are_revoked(node("f:")).await;
}

#[tokio::test]
async fn what_is_revoked_by_a_clock_ahead_is_dead_by_every_clock() {
    stores::what_is_revoked_by_a_clock_ahead_is_dead_by_every_clock(node("k:")).await;
}

#[test]
fn a_hundred_at_once_get_one_successor() {
    stores::a_hundred_at_once_get_one_successor(node("g:"));
}

#[test]
fn a_hundred_thieves_end_a_family_once() {
    stores::a_hundred_thieves_end_a_family_once(node("h:"));
}

#[tokio::test]
async fn redis_revokes() {
    revocation::a_store_revokes(node("i:")).await;
}

/// One command to one node, whether or not anything was revoked.
#[tokio::test]
async fn a_token_and_its_subject_are_asked_about_in_one_exchange() {
    let server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    let store = store.deadline(Duration::from_secs(20)).unwrap();
    let revocations = Revocations::new(store.clone(), Duration::from_secs(3600));
    let revocations = revocations.with_clock(ManualClock::at_unix(NOW));
    revocations.revoke_subject(ISSUER, "user-8").await.unwrap();
    server.command(&["CONFIG", "RESETSTAT"]);
    for changes in [
        json!({}),
        json!({"jti": null}),
        json!({"sub": "user-8"}),
        json!({"sub": "user-8", "iat": null}),
    ] {
        let claims = revocation::claims(changes);
        let revoked = revocation::settled(store.is_revoked(&TokenRef::from(&claims), now()));
        assert_eq!(revoked.await, claims.subject() == "user-8");
    }
    let statistics = server.command(&["INFO", "commandstats"]);
    let mget = statistics.field("cmdstat_mget").unwrap();
    assert!(mget.starts_with("calls=4,"), "{mget}");
    assert_eq!(statistics.field("cmdstat_get"), None);
}

#[tokio::test]
async fn a_token_and_its_subject_may_lie_on_two_nodes_of_a_cluster() {
    let cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    let store = store.deadline(Duration::from_secs(20)).unwrap();
    let revocations = Revocations::new(store.clone(), Duration::from_secs(3600));
    let mut apart = 0;
    for number in 0..32 {
        let (subject, jwt_id) = (format!("user-{number}"), format!("token-{}", number * 7919));
        let of =
            |name: &str, id: &str| format!("revoked-{name}:{{https://login.example.com,{id}}}");
        let nodes = [of("token", &jwt_id), of("subject", &subject)];
        let [one, two] = nodes.map(|key| cluster.master_of(&key));
        apart += usize::from(one != two);
        let asked = async || {
            let changes = json!({"sub": subject, "jti": jwt_id, "iat": NOW});
            let claims = revocation::claims(changes);
            revocation::settled(store.is_revoked(&TokenRef::from(&claims), now())).await
        };
        assert!(!asked().await);
        match number % 2 {
            0 => {
                let until = SystemTime::now() + Duration::from_secs(3600);
                revocations
                    .revoke_token(ISSUER, &jwt_id, until)
                    .await
                    .unwrap();
            }
            _ => {
                let after = now() + Duration::from_secs(1);
                let until = after + Duration::from_secs(3600);
                let revoked = store.revoke_subject(ISSUER, &subject, after, until, now());
                revocation::settled(revoked).await;
            }
        }
        assert!(asked().await, "{number}");
    }
    assert!(apart > 8, "the keys lay apart {apart} times");
}

#[tokio::test]
async fn the_same_holds_on_a_cluster() {
    let cluster = RedisCluster::start();
    let urls = cluster.urls();
    let store = RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    let store = store.deadline(Duration::from_secs(20)).unwrap();
    stores::reuse_is_named_and_ends_the_family(store.clone()).await;
    let apart = store.clone().key_prefix("apart:").unwrap();
    stores::one_a_family_and_all_of_a_subject_are_revoked(apart).await;
    revocation::a_store_revokes(store).await;
    cluster.assert_every_key_expires();
}

#[tokio::test]
async fn every_key_expires_and_none_holds_a_token() {
    let server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    let store = store.deadline(Duration::from_secs(20)).unwrap();
    let bench = bench(store.clone());
    let first = bench.refresh.begin("user-7", "payload").await.unwrap();
    let second = bench.refresh.rotate(first.expose()).await.unwrap();
    bench.refresh.begin("user-8", "").await.unwrap();
    bench.refresh.revoke_subject("user-8").await.unwrap();
    let revocations = Revocations::new(store, Duration::from_secs(3600));
    revocations.revoke_subject(ISSUER, "user-7").await.unwrap();
    let soon = SystemTime::now() + Duration::from_secs(60);
    revocations
        .revoke_token(ISSUER, "token-1", soon)
        .await
        .unwrap();
    assert_eq!(server.keys().len(), 4);
    server.assert_every_key_expires();

    let key = server.keys().into_iter().find(|key| {
        let held = server.try_command(&["HVALS", key]);
        held.is_ok_and(|held| format!("{held:?}").contains("user-7"))
    });
    let dump = format!("{:?}", server.command(&["HGETALL", &key.unwrap()]));
    for token in [&first, second.token()] {
        assert!(!dump.contains(token.expose()));
    }
}

#[tokio::test]
async fn scripts_survive_a_flush_and_a_restart_signs_nobody_in() {
    let mut server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    let bench = bench(store.deadline(Duration::from_secs(20)).unwrap());
    let first = bench.refresh.begin("user-7", "").await.unwrap();
    server.command(&["SCRIPT", "FLUSH"]);
    let second = bench.refresh.rotate(first.expose()).await.unwrap();
    // Everything is lost: what nobody knows is refused.
    server.kill();
    server.restart();
    let lost = bench
        .refresh
        .rotate(second.token().expose())
        .await
        .unwrap_err();
    assert_eq!(lost.kind(), RefreshErrorKind::Unknown);
}

#[tokio::test]
async fn a_server_that_is_away_accepts_nothing() {
    let server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    let store = store.deadline(Duration::from_millis(300)).unwrap();
    let away = bench(store.clone());
    let token = away.refresh.begin("user-7", "").await.unwrap();
    server.pause();
    let refused = away.refresh.rotate(token.expose()).await.unwrap_err();
    assert_eq!(refused.kind(), RefreshErrorKind::StoreUnavailable);
    let claims = revocation::claims(serde_json::json!({}));
    let Reply::Wait(reply) = store.is_revoked(&TokenRef::from(&claims), now()) else {
        panic!("it cannot know at once");
    };
    assert_eq!(reply.await.unwrap_err().kind(), StoreErrorKind::Timeout);
    server.resume();
}

#[tokio::test]
async fn a_subject_that_signs_in_for_ever_fills_its_own_place() {
    stores::a_subject_that_signs_in_for_ever_fills_its_own_place(node("m:")).await;
}
