//! Bad answers, none of which changes anything.

use std::fmt::Write;

use http::header;
use portcullis::jwt::{Algorithm::Ed25519, JwksErrorKind, RemoteJwksBuilder};

use crate::{
    flight::verifier,
    support::{Answer, Endpoint, SECOND, World, public, set, settle, token},
};

/// An endpoint that was good answers this now: the error, after which the keys are what they were.
async fn after_good(answer: Answer) -> JwksErrorKind {
    after_good_with(answer, |builder| builder).await
}

async fn after_good_with(
    answer: Answer,
    settings: impl FnOnce(RemoteJwksBuilder) -> RemoteJwksBuilder,
) -> JwksErrorKind {
    let (world, mut events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys_with(&endpoint, settings);
    let verifier = verifier(&keys);
    keys.refresh().await.expect("keys");
    let _ = events.recv().await;
    endpoint.answer(answer);
    let error = keys.refresh().await.expect_err("it is bad");
    let told = events.recv().await.expect("it tells");
    assert_eq!((told.name, told.code), ("jwks_stale", Some(error.code())));
    assert_eq!(keys.generation(), 1);
    assert!(verifier.verify(token(Ed25519, "one"), world.now()).is_ok());
    error.kind()
}

#[tokio::test]
async fn only_200_is_an_answer() {
    let good = set(&[(Ed25519, "two")]);
    for status in [
        201, 203, 204, 206, 400, 401, 403, 404, 410, 429, 500, 502, 503,
    ] {
        let kind = after_good(Answer::status(status, good.clone())).await;
        assert_eq!(kind, JwksErrorKind::Status, "{status}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Endpoint::of(&[(Ed25519, "two")]).await;
    for status in [300, 301, 302, 303, 307, 308] {
        let answer = Answer::status(status, set(&[(Ed25519, "two")]));
        let answer = answer.with(header::LOCATION, &elsewhere.uri("/keys"));
        assert_eq!(after_good(answer).await, JwksErrorKind::Status, "{status}");
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn garbage_is_no_set_of_keys() {
    for garbage in [
        "",
        " ",
        "null",
        "[]",
        "{}",
        "<html>busy</html>",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":[]"#,
        r#"{"keys":[],"keys":[]}"#,
        "\u{feff}{\"keys\":[]}",
    ] {
        let kind = after_good(Answer::ok(garbage)).await;
        assert_eq!(kind, JwksErrorKind::Malformed, "{garbage}");
    }
    let not_text = Answer::ok(vec![0xff, 0xfe, 0x00]);
    assert_eq!(after_good(not_text).await, JwksErrorKind::Malformed);
}

#[tokio::test]
async fn a_set_of_which_nothing_verifies_is_not_gone_by() {
    for empty in [
        r#"{"keys":[]}"#,
        r#"{"keys":[{"kty":"oct","k":"c2l4dHktZm91ciBieXRlcyBvZiBhIHNlY3JldCB0aGF0"}]}"#,
        r#"{"keys":[{"kty":"RSA","use":"enc","n":"AQ","e":"AQAB"}]}"#,
    ] {
        let kind = after_good(Answer::ok(empty)).await;
        assert_eq!(kind, JwksErrorKind::NoKeys, "{empty}");
    }
}

#[tokio::test]
async fn a_set_and_a_body_have_a_largest_size() {
    let many = |count: usize| {
        let kids: Vec<_> = (0..count).map(|number| number.to_string()).collect();
        let keys: Vec<_> = kids.iter().map(|kid| (Ed25519, kid.as_str())).collect();
        set(&keys)
    };
    assert_eq!(
        after_good(Answer::ok(many(65))).await,
        JwksErrorKind::TooManyKeys
    );
    let tight = |builder: RemoteJwksBuilder| builder.max_keys(1);
    let kind = after_good_with(Answer::ok(many(2)), tight).await;
    assert_eq!(kind, JwksErrorKind::TooManyKeys);

    let mut huge = set(&[(Ed25519, "two")]);
    write!(huge, "{}", " ".repeat(512 * 1024)).expect("it is text");
    assert_eq!(
        after_good(Answer::ok(huge)).await,
        JwksErrorKind::Unanswered
    );
    assert_eq!(after_good(Answer::Endless).await, JwksErrorKind::Unanswered);

    let (world, _events) = World::new();
    let endpoint = Endpoint::start(Answer::ok(many(64))).await;
    let keys = world
        .keys(&endpoint)
        .refresh()
        .await
        .expect("as many as may be");
    assert_eq!(keys.keys().len(), 64);
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_answer() {
    assert_eq!(after_good(Answer::Break).await, JwksErrorKind::Unanswered);
}

#[tokio::test]
async fn an_endpoint_that_is_slow_is_given_up_at_the_deadline() {
    let (world, mut events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys(&endpoint);
    let verifier = verifier(&keys);
    keys.refresh().await.expect("keys");
    let _ = events.recv().await;
    endpoint.answer(Answer::Hold);
    let waiting = {
        let keys = keys.clone();
        tokio::spawn(async move { keys.refresh().await })
    };
    endpoint.asked(2).await;
    world.advance(5 * SECOND - SECOND / 2);
    settle().await;
    assert!(!waiting.is_finished());
    assert!(
        verifier.verify(token(Ed25519, "one"), world.now()).is_ok(),
        "nobody else waits"
    );
    world.advance(SECOND);
    let error = waiting
        .await
        .expect("it ends")
        .expect_err("it was too late");
    assert_eq!(error.kind(), JwksErrorKind::Late);
    assert_eq!(
        events.recv().await.expect("it tells").code,
        Some("jwks_late")
    );
}

#[tokio::test]
async fn one_bad_key_takes_no_other_with_it() {
    let (world, _events) = World::new();
    let bad = serde_json::json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "bad"});
    let body = serde_json::json!({"keys": [bad, public(Ed25519, "one"), 7]});
    let endpoint = Endpoint::start(Answer::ok(body.to_string())).await;
    let keys = world.keys(&endpoint);
    let set = keys.refresh().await.expect("keys");
    assert_eq!((set.keys().len(), set.left_out().len()), (1, 2));
    assert!(
        verifier(&keys)
            .verify(token(Ed25519, "one"), world.now())
            .is_ok()
    );
}

#[tokio::test]
async fn only_keys_of_the_algorithms_asked_for_are_taken() {
    use portcullis::jwt::Algorithm::Es256;
    let (world, _events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one"), (Es256, "two")]).await;
    let keys = world.keys_with(&endpoint, |builder| builder.algorithms([Es256]));
    let set = keys.refresh().await.expect("keys");
    assert_eq!(set.keys().len(), 1);
    assert!(
        verifier(&keys)
            .verify(token(Ed25519, "one"), world.now())
            .is_err()
    );
}
