//! The address of the keys, as their issuer names it.

use portcullis::jwt::{Algorithm::Ed25519, JwksErrorKind, RemoteJwks};
use serde_json::{Value, json};

use crate::support::{Answer, Endpoint, HOUR, World, set};

const DOCUMENT: &str = "/.well-known/openid-configuration";

fn documents(path: &str, discovery: &Value) -> Answer {
    let keys: Value = serde_json::from_str(&set(&[(Ed25519, "one")])).expect("JSON");
    Answer::ok(json!({path: discovery, "/jwks": keys}).to_string())
}

/// What becomes of a discovery document.
async fn of(path: &str, document: impl Fn(&str, &str) -> Value) -> Result<usize, JwksErrorKind> {
    let (world, _events) = World::new();
    let endpoint = Endpoint::start(Answer::Hold).await;
    let issuer = endpoint.uri(path);
    let at = format!("{}{DOCUMENT}", path.trim_end_matches('/'));
    endpoint.answer(documents(&at, &document(&issuer, &endpoint.uri("/jwks"))));
    let keys = world.discovered(&issuer).refresh().await;
    keys.map(|set| set.keys().len())
        .map_err(|error| error.kind())
}

#[tokio::test]
async fn the_keys_are_where_the_issuer_says() {
    for path in ["", "/", "/tenant", "/tenant/", "/a/b"] {
        let found = of(
            path,
            |issuer, keys| json!({"issuer": issuer, "jwks_uri": keys}),
        )
        .await;
        assert_eq!(found, Ok(1), "{path}");
    }
}

/// RFC 8414 sections 3.1 and 3.3.
#[tokio::test]
async fn an_authorization_server_says_it_before_its_path() {
    for (path, behind) in [
        ("", ""),
        ("/", ""),
        ("/tenant", "/tenant"),
        ("/a/b/", "/a/b"),
    ] {
        let (world, _events) = World::new();
        let endpoint = Endpoint::start(Answer::Hold).await;
        let issuer = endpoint.uri(path);
        let at = format!("/.well-known/oauth-authorization-server{behind}");
        let document = |issuer: &str| {
            documents(
                &at,
                &json!({"issuer": issuer, "jwks_uri": endpoint.uri("/jwks")}),
            )
        };
        let builder = || world.set_up(RemoteJwks::discover_oauth(issuer.clone()));
        let keys = builder().build_over(world.client()).expect("keys");
        endpoint.answer(document(&issuer));
        assert_eq!(keys.refresh().await.expect("keys").keys().len(), 1);
        assert_eq!(endpoint.heads()[0].0, at);
        endpoint.answer(document(&format!("{issuer}x")));
        let keys = builder().build_over(world.client()).expect("keys");
        let error = keys.refresh().await.expect_err("another issuer");
        assert_eq!(error.kind(), JwksErrorKind::IssuerMismatch);
    }
}

#[tokio::test]
async fn an_issuer_matches_character_by_character() {
    type Change = fn(&str) -> String;
    let changes: [Change; 6] = [
        |issuer| format!("{issuer}/"),
        |issuer| issuer.to_uppercase(),
        |issuer| issuer.replace("http:", "https:"),
        |issuer| format!("{issuer} "),
        |issuer| issuer.trim_end_matches('t').to_owned(),
        |_| "https://login.example.com".to_owned(),
    ];
    for change in changes {
        let found = of(
            "/tenant",
            |issuer, keys| json!({"issuer": change(issuer), "jwks_uri": keys}),
        );
        assert_eq!(found.await, Err(JwksErrorKind::IssuerMismatch));
    }
    let slash = of(
        "/",
        |issuer, keys| json!({"issuer": issuer.trim_end_matches('/'), "jwks_uri": keys}),
    );
    assert_eq!(slash.await, Err(JwksErrorKind::IssuerMismatch));
}

#[tokio::test]
async fn a_document_without_a_usable_address_is_malformed() {
    for address in [
        json!(null),
        json!(7),
        json!(""),
        json!("/jwks"),
        json!("ftp://127.0.0.1/jwks"),
        json!("file:///etc/passwd"),
        json!("https://user:secret@127.0.0.1/jwks"),
        json!("https://127.0.0.1/jwks#fragment"),
        json!(["https://127.0.0.1/jwks"]),
    ] {
        let found = of(
            "",
            |issuer, _| json!({"issuer": issuer, "jwks_uri": address}),
        );
        assert_eq!(
            found.await,
            Err(JwksErrorKind::DiscoveryMalformed),
            "{address}"
        );
    }
    for document in [json!({}), json!([]), json!({"issuer": 7}), json!("text")] {
        let found = of("", |_, _| document.clone());
        assert_eq!(
            found.await,
            Err(JwksErrorKind::DiscoveryMalformed),
            "{document}"
        );
    }
}

#[tokio::test]
async fn an_address_is_believed_for_a_day_and_until_it_fails() {
    let (world, mut events) = World::new();
    let endpoint = Endpoint::start(Answer::Hold).await;
    let keys = world.discovered(&endpoint.uri(""));
    let good = |jwks: &str| {
        documents(
            DOCUMENT,
            &json!({"issuer": endpoint.uri(""), "jwks_uri": jwks}),
        )
    };
    let paths = |from: usize| -> Vec<_> {
        let heads = endpoint.heads();
        heads[from..].iter().map(|(path, _)| path.clone()).collect()
    };
    endpoint.answer(good(&endpoint.uri("/jwks")));
    keys.refresh().await.expect("keys");
    keys.refresh().await.expect("keys");
    assert_eq!(paths(0), [DOCUMENT, "/jwks", "/jwks"]);

    // It fails once, so the issuer is asked where the keys are now.
    endpoint.answer(Answer::status(404, ""));
    keys.refresh().await.expect_err("they are gone");
    endpoint.answer(good(&endpoint.uri("/jwks")));
    keys.refresh().await.expect("keys");
    assert_eq!(paths(3), ["/jwks", DOCUMENT, "/jwks"]);

    world.advance(24 * HOUR);
    while let Ok(told) = events.try_recv() {
        let _ = told;
    }
    keys.refresh().await.expect("keys");
    assert!(paths(6).contains(&DOCUMENT.to_owned()));
}
