//! Access tokens.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use portcullis::{
    clock::ManualClock,
    jwt::{Algorithm, JwtErrorKind, JwtVerifier, KeySet},
    tokens::{Grant, IssueErrorKind, SigningKey, SigningKeys, TokenIssuer},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::mint::{AUDIENCE, ISSUER, NOW, decode, now};

fn issuer() -> TokenIssuer {
    TokenIssuer::new(
        ISSUER,
        AUDIENCE,
        SigningKey::generate(Algorithm::Es256).unwrap(),
    )
    .unwrap()
    .with_clock(ManualClock::at_unix(NOW))
}

fn verifier(keys: KeySet) -> JwtVerifier {
    JwtVerifier::builder(keys)
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .typ("at+jwt")
}

fn part(token: &str, at: usize) -> Value {
    serde_json::from_slice(&decode(token.split('.').nth(at).unwrap())).unwrap()
}

#[test]
fn a_token_has_the_shape_of_rfc_9068() {
    let issuer = issuer();
    let grant = Grant::new("user-7", "web-app")
        .scopes(["orders:read", "orders:write"])
        .unwrap()
        .authenticated_as("gold")
        .authenticated_at(now())
        .methods(["pwd", "otp"])
        .claim("roles", json!(["admin"]))
        .unwrap();
    let token = issuer.issue(&grant).unwrap();
    let kid = issuer.verifying_keys().keys()[0]
        .key_id()
        .unwrap()
        .to_owned();
    assert_eq!(
        part(token.expose(), 0),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": kid})
    );
    assert_eq!(
        part(token.expose(), 1),
        json!({
            "iss": ISSUER, "sub": "user-7", "aud": AUDIENCE, "client_id": "web-app",
            "iat": NOW, "exp": NOW + 300, "jti": token.jwt_id(), "scope": "orders:read orders:write",
            "acr": "gold", "auth_time": NOW, "amr": ["pwd", "otp"], "roles": ["admin"],
        })
    );
    assert_eq!(token.expires_at(), now() + Duration::from_secs(300));
    assert_eq!(token.expires_in(), Duration::from_secs(300));
    let claims = verifier(issuer.verifying_keys())
        .verify(token.expose(), now())
        .unwrap();
    let principal = claims.principal().unwrap();
    assert!(principal.has_role("admin") && principal.has_scope("orders:write"));
    assert_eq!(
        (principal.acr(), principal.auth_time()),
        (Some("gold"), Some(now()))
    );
    let late = verifier(issuer.verifying_keys()).verify(token.expose(), token.expires_at());
    assert_eq!(late.unwrap_err().kind(), JwtErrorKind::Expired);
}

#[test]
fn ids_differ_and_tokens_do_not_show() {
    let issuer = issuer();
    let issued: Vec<_> = (0..64)
        .map(|_| issuer.issue(&Grant::new("u", "c")).unwrap())
        .collect();
    let ids: std::collections::HashSet<_> = issued.iter().map(|token| token.jwt_id()).collect();
    assert_eq!(ids.len(), 64);
    assert!(ids.iter().all(|id| decode(id).len() == 16));
    let shown = format!("{:?} {issuer:?}", issued[0]);
    assert!(!shown.contains(issued[0].expose()), "{shown}");
}

#[test]
fn several_audiences_are_a_list() {
    let grant = Grant::new("u", "c").audience(["one", "two"]);
    let token = issuer().issue(&grant).unwrap();
    assert_eq!(part(token.expose(), 1)["aud"], json!(["one", "two"]));
    let one = issuer()
        .issue(&Grant::new("u", "c").audience(["one"]))
        .unwrap();
    assert_eq!(part(one.expose(), 1)["aud"], "one");
}

#[test]
fn what_cannot_be_issued_is_refused() {
    let grant = || Grant::new("u", "c");
    for own in [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "client_id",
        "scope",
        "acr",
        "amr",
        "auth_time",
    ] {
        assert!(grant().claim(own, 1).is_err(), "{own}");
    }
    for scope in ["", "two scopes", "quo\"te", "ü"] {
        assert!(grant().scopes([scope]).is_err(), "{scope}");
    }
    assert!(TokenIssuer::new("", "a", SigningKey::generate(Algorithm::Es256).unwrap()).is_err());
    assert!(TokenIssuer::new("i", "", SigningKey::generate(Algorithm::Es256).unwrap()).is_err());
    for wrong in [
        Duration::ZERO,
        Duration::from_millis(1500),
        Duration::from_secs(86_401),
    ] {
        assert!(issuer().lifetime(wrong).is_err(), "{wrong:?}");
    }
    let end_of_time = Duration::from_secs(i64::MAX as u64 - 1);
    for unset in [
        SystemTime::UNIX_EPOCH - Duration::from_secs(1),
        SystemTime::UNIX_EPOCH + end_of_time,
    ] {
        let error = issuer().issue_at(&grant(), unset).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (IssueErrorKind::ClockUnset, "token_clock_unset")
        );
    }
}

/// Through the whole life of two keys, a verifier that has fetched the published set whenever it changed
/// verifies every token that has not expired.
#[test]
fn a_rotation_loses_no_token() {
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let (one, two) = (
        SigningKey::generate(Algorithm::Es256).unwrap(),
        SigningKey::generate(Algorithm::Ed25519).unwrap(),
    );
    let keys = SigningKeys::new(one);
    let issuer = TokenIssuer::new(ISSUER, AUDIENCE, keys.clone())
        .unwrap()
        .with_clock(clock.clone());
    let handle = issuer.clone();
    let published = || KeySet::from_jwks(issuer.jwks()).unwrap();
    let good = |token: &str| verifier(published()).verify(token, now()).is_ok();

    let first = issuer.issue(&Grant::new("u", "c")).unwrap();
    assert!(good(first.expose()));
    let keys = keys.add_next(two);
    handle.replace_keys(keys.clone()).unwrap();
    let before = published();
    handle.replace_keys(keys.rotate().unwrap()).unwrap();
    let second = issuer.issue(&Grant::new("u", "c")).unwrap();
    assert!(good(first.expose()) && good(second.expose()));
    // A verifier that fetched before the rotation has the new key already.
    assert!(verifier(before).verify(second.expose(), now()).is_ok());
    assert_ne!(
        part(first.expose(), 0)["kid"],
        part(second.expose(), 0)["kid"]
    );
    // Keys that cannot be told apart change nothing.
    let same = SigningKey::generate(Algorithm::Es256).unwrap().kid("same");
    let other = SigningKey::generate(Algorithm::Es256).unwrap().kid("same");
    assert!(
        handle
            .replace_keys(SigningKeys::new(same).add_next(other))
            .is_err()
    );
    assert!(good(second.expose()));
}

#[tokio::test]
async fn the_key_set_is_published_with_its_cache_lifetime() {
    let issuer = issuer();
    let service = issuer.jwks_service();
    let get = |method: Method| Request::builder().method(method).body(()).unwrap();
    let response = service.clone().oneshot(get(Method::GET)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/jwk-set+json"
    );
    assert_eq!(
        response.headers()[header::CACHE_CONTROL],
        "public, max-age=300"
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, issuer.jwks());
    assert_eq!(KeySet::from_jwks(&body).unwrap().keys().len(), 1);

    // The service shows the keys of the moment.
    issuer
        .replace_keys(SigningKey::generate(Algorithm::Ed25519).unwrap())
        .unwrap();
    let service = service.max_age(Duration::from_secs(60));
    let response = service.clone().oneshot(get(Method::GET)).await.unwrap();
    assert_eq!(
        response.headers()[header::CACHE_CONTROL],
        "public, max-age=60"
    );
    assert_ne!(
        response.into_body().collect().await.unwrap().to_bytes(),
        body
    );
    let head = service.clone().oneshot(get(Method::HEAD)).await.unwrap();
    assert_eq!(
        head.headers()[header::CONTENT_LENGTH],
        issuer.jwks().len().to_string()
    );
    assert!(
        head.into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
    let post = service.oneshot(get(Method::POST)).await.unwrap();
    assert_eq!(
        (post.status(), &post.headers()[header::ALLOW]),
        (
            StatusCode::METHOD_NOT_ALLOWED,
            &"GET, HEAD".parse().unwrap()
        )
    );
}
