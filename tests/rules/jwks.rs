//! Rules: key sets that are fetched, issuers, and where tokens stand.

use std::sync::Arc;

use http::{HeaderValue, Request, StatusCode, header};
use portcullis::jwt::{
    Algorithm::{Ed25519, Es256, Hs256},
    JwksErrorKind, JwtAuthLayer, JwtErrorKind, JwtVerifier, JwtVerifiers, RemoteJwks, TokenSource,
};
use tower::{Layer, ServiceExt, service_fn};

use super::jwt::mint::{self, AUDIENCE, ISSUER};

#[path = "../jwt_remote/support.rs"]
mod support;

use self::support::{Answer, Endpoint, HOUR, SECOND, World, set, settle, token, token_of_nobody};

fn verifier(keys: &RemoteJwks) -> JwtVerifier {
    JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE)
}

async fn status(layer: &JwtAuthLayer, name: header::HeaderName, value: &[u8]) -> StatusCode {
    let value = HeaderValue::from_bytes(value).unwrap();
    let request = Request::builder().header(name, value).body(()).unwrap();
    let inner = service_fn(async |_: Request<()>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
    });
    layer.layer(inner).oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn rule_12_the_keys_of_an_issuer_are_for_its_tokens_only() {
    let (world, _events) = World::new();
    let own = Endpoint::of(&[(Ed25519, "1")]).await;
    let other = Endpoint::of(&[(Es256, "1")]).await;
    let elsewhere = JwtVerifier::builder(world.keys(&other)).issuer("https://other.example");
    let verifiers =
        JwtVerifiers::by_issuer([verifier(&world.keys(&own)), elsewhere.audience(AUDIENCE)]);
    let verifiers = verifiers.unwrap();
    // In the name of the one, with the key of the other, which has the same id.
    for (algorithm, accepted) in [(Ed25519, true), (Es256, false)] {
        let verified = verifiers
            .verify_async(token(algorithm, "1"), world.now())
            .await;
        assert_eq!(verified.is_ok(), accepted, "{algorithm}");
    }
}

#[tokio::test]
async fn rule_19_random_kids_cause_one_fetch_a_cooldown() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "1")]).await;
    let keys = world.keys(&endpoint);
    keys.refresh().await.unwrap();
    let verifier = verifier(&keys);
    for cooldown in 1..=3 {
        for number in 0..100 {
            let refused = verifier
                .verify_async(token_of_nobody(number), world.now())
                .await;
            assert_eq!(refused.unwrap_err().kind(), JwtErrorKind::KeyUnknown);
        }
        assert_eq!(world.fetched(), cooldown);
        world.advance(30 * SECOND);
    }
}

#[tokio::test]
async fn rule_20_keys_come_over_https_from_a_200_in_time_and_size() {
    let plain = "http://login.example.com";
    assert!(RemoteJwks::builder(plain).build().is_err());
    assert!(RemoteJwks::discover(plain).build().is_err());
    let elsewhere = Endpoint::of(&[(Ed25519, "1")]).await;
    let good = set(&[(Ed25519, "1")]);
    for (answer, kind) in [
        (
            Answer::status(302, good.clone()).with(header::LOCATION, &elsewhere.uri("/")),
            JwksErrorKind::Status,
        ),
        (Answer::status(203, good), JwksErrorKind::Status),
        (Answer::Endless, JwksErrorKind::Unanswered),
    ] {
        let (world, _events) = World::new();
        let endpoint = Endpoint::start(answer).await;
        let error = world.keys(&endpoint).refresh().await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
    assert_eq!(elsewhere.count(), 0);

    let (world, _events) = World::new();
    let endpoint = Endpoint::start(Answer::Hold).await;
    let keys = world.keys(&endpoint);
    let waiting = tokio::spawn(async move { keys.refresh().await });
    endpoint.asked(1).await;
    world.advance(5 * SECOND);
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), JwksErrorKind::Late);
}

#[tokio::test]
async fn rule_21_an_outage_is_bridged_for_a_bounded_time_and_told() {
    let (world, mut events) = World::new();
    let mut endpoint = Endpoint::of(&[(Ed25519, "1")]).await;
    let keys = world.keys(&endpoint);
    keys.refresh().await.unwrap();
    endpoint.die().await;
    let (verifier, good) = (verifier(&keys), token(Ed25519, "1"));
    world.advance(6 * HOUR);
    assert!(verifier.verify(&good, world.now()).is_ok());
    settle().await;
    while events.recv().await.unwrap().name != "jwks_stale" {}
    world.advance(HOUR);
    let refused = verifier.verify(&good, world.now()).unwrap_err();
    assert_eq!(refused.kind(), JwtErrorKind::KeysUnavailable);
}

#[tokio::test]
async fn rule_24_a_malformed_token_is_401_while_keys_cannot_be_had_too() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::start(Answer::status(500, "")).await;
    let layer = JwtAuthLayer::new(verifier(&world.keys(&endpoint)));
    let layer = layer.with_clock(Arc::clone(&world.clock));
    for bad in [
        &b""[..],
        b"Bearer",
        b"Bearer a.b.c",
        b"Bearer \xff",
        b"\xff\xfe",
        b"Bearer .",
    ] {
        let status = status(&layer, header::AUTHORIZATION, bad).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{bad:?}");
    }
}

#[tokio::test]
async fn rule_93_a_malformed_cookie_is_nobody() {
    let source = TokenSource::cookie("token").unwrap();
    let layer = JwtAuthLayer::new(mint::verifier(Hs256))
        .with_clock(portcullis::clock::ManualClock::new(mint::now()))
        .token_source(source);
    let good = mint::token(Hs256, &mint::claims());
    let text = |text: &str| text.as_bytes().to_vec();
    for malformed in [
        text(""),
        text("="),
        text(";;;"),
        text("token"),
        text("token;"),
        text("token=="),
        text(&format!("token=\"{good}\"")),
        text(&format!("token={good},token={good}")),
        text(&format!("token={good}; token=x")),
        text(&format!("token {good}")),
        b"token=\xff\xfe; \x80".to_vec(),
    ] {
        let status = status(&layer, header::COOKIE, &malformed).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{malformed:?}");
    }
    let status = status(&layer, header::COOKIE, format!("token={good}").as_bytes()).await;
    assert_eq!(status, StatusCode::OK);
}
