//! The layer over keys that are fetched.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, StatusCode, header};
use portcullis::{
    audit::{AuditEvent, AuditKind},
    body::ResponseBody,
    jwt::{
        Algorithm::{Ed25519, Es256},
        Claims, JwtAuthLayer,
    },
    problem::Rejection,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{
    flight::verifier,
    support::{Answer, Endpoint, HOUR, SECOND, World, once, set, settle, token, token_of_nobody},
};

pub(crate) fn bearer(token: &str) -> Request<()> {
    let builder = Request::builder().header(header::AUTHORIZATION, format!("Bearer {token}"));
    builder.body(()).expect("a request")
}

/// The status, the code of a refusal, and the challenge.
pub(crate) async fn answer(
    layer: &JwtAuthLayer,
    request: Request<()>,
) -> (StatusCode, Option<&'static str>, Option<String>) {
    let response = respond(layer, request).await;
    let code = response
        .extensions()
        .get::<Rejection>()
        .map(Rejection::code);
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    let challenge = challenge.map(|value| value.to_str().expect("text").to_owned());
    (response.status(), code, challenge)
}

async fn respond(layer: &JwtAuthLayer, request: Request<()>) -> Response<ResponseBody<String>> {
    let inner = service_fn(async |request: Request<()>| {
        let claims = request.extensions().get::<Claims>();
        let subject = claims.map(|claims| claims.subject().to_owned());
        Ok::<_, Infallible>(Response::new(subject.unwrap_or_default()))
    });
    match layer.layer(inner).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

#[tokio::test]
async fn a_token_whose_key_is_known_is_decided_at_once() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys(&endpoint);
    keys.refresh().await.expect("keys");
    endpoint.answer(Answer::Hold);
    let layer = JwtAuthLayer::new(verifier(&keys)).with_clock(Arc::clone(&world.clock));
    let good = token(Ed25519, "one");
    // While a fetch for an unknown key is under way, too.
    world.advance(30 * SECOND);
    let mut unknown = Box::pin(answer(&layer, bearer(&token_of_nobody(1))));
    assert!(once(&mut unknown).await.is_none());
    endpoint.asked(2).await;
    for _ in 0..3 {
        let mut known = Box::pin(answer(&layer, bearer(&good)));
        assert_eq!(once(&mut known).await.expect("at once").0, StatusCode::OK);
    }
    endpoint.answer(Answer::ok(set(&[(Ed25519, "one")])));
    let (status, code, _) = unknown.await;
    assert_eq!(
        (status, code),
        (StatusCode::UNAUTHORIZED, Some("jwt_key_unknown"))
    );
}

#[tokio::test]
async fn a_first_token_and_an_unknown_key_wait_and_get_in() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys(&endpoint);
    let layer = JwtAuthLayer::new(verifier(&keys)).with_clock(Arc::clone(&world.clock));
    let (status, ..) = answer(&layer, bearer(&token(Ed25519, "one"))).await;
    assert_eq!(status, StatusCode::OK);
    endpoint.answer(Answer::ok(set(&[(Es256, "two")])));
    world.advance(30 * SECOND);
    let (status, ..) = answer(&layer, bearer(&token(Es256, "two"))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(world.fetched(), 2);
}

#[tokio::test]
async fn without_keys_the_answer_is_503_and_nobody_gets_in() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::start(Answer::status(500, "")).await;
    let keys = world.keys(&endpoint);
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let layer = JwtAuthLayer::new(verifier(&keys))
        .optional()
        .with_clock(Arc::clone(&world.clock))
        .with_audit(move |event: &AuditEvent<'_>| {
            seen.lock().expect("a lock").push((event.kind, event.code));
        });
    let unavailable = (
        StatusCode::SERVICE_UNAVAILABLE,
        Some("jwt_keys_unavailable"),
        None,
    );
    for _ in 0..3 {
        assert_eq!(
            answer(&layer, bearer(&token(Ed25519, "one"))).await,
            unavailable
        );
    }
    assert_eq!(
        told.lock().expect("a lock").as_slice(),
        [(AuditKind::SysDependencyFail, "jwt_keys_unavailable"); 3]
    );
    // What no key could make good is the client's fault all the same.
    let (status, code, _) = answer(&layer, bearer("a.b.c")).await;
    assert_eq!(
        (status, code),
        (StatusCode::UNAUTHORIZED, Some("jwt_malformed"))
    );
    assert_eq!(answer(&layer, Request::new(())).await.0, StatusCode::OK);

    // And past the time in which the last good keys are gone by.
    endpoint.answer(Answer::ok(set(&[(Ed25519, "one")])));
    keys.refresh().await.expect("keys");
    assert_eq!(
        answer(&layer, bearer(&token(Ed25519, "one"))).await.0,
        StatusCode::OK
    );
    endpoint.answer(Answer::status(500, ""));
    world.advance(7 * HOUR);
    settle().await;
    assert_eq!(
        answer(&layer, bearer(&token(Ed25519, "one"))).await,
        unavailable
    );
}

/// RFC 9110 section 10.2.3: a client that comes back then meets keys that were tried for again.
#[tokio::test]
async fn without_keys_the_answer_says_when_they_are_tried_for_again() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::start(Answer::status(500, "")).await;
    let keys = world.keys(&endpoint);
    let layer = JwtAuthLayer::new(verifier(&keys)).with_clock(Arc::clone(&world.clock));
    let good = token(Ed25519, "one");
    let mut told = Vec::new();
    for attempt in 1..=6 {
        let response = respond(&layer, bearer(&good)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let field = response
            .headers()
            .get(header::RETRY_AFTER)
            .expect("it says");
        let seconds: u64 = field.to_str().expect("text").parse().expect("seconds");
        // Sooner there is no attempt, and then there is.
        assert_eq!(world.fetched(), attempt);
        if seconds > 1 {
            world.advance(SECOND / 2);
            respond(&layer, bearer(&good)).await;
            assert_eq!(world.fetched(), attempt);
        }
        world.advance(Duration::from_secs(seconds));
        told.push(seconds);
    }
    // The pauses double, each up to a fifth shorter, and are told rounded up.
    assert_eq!(told[..3], [1, 2, 4]);
    assert!(
        (7..=8).contains(&told[3]) && (24..=30).contains(&told[5]),
        "{told:?}"
    );

    // Who is refused for anything else is not told to come back.
    endpoint.answer(Answer::ok(set(&[(Ed25519, "one")])));
    assert_eq!(
        respond(&layer, bearer(&good)).await.status(),
        StatusCode::OK
    );
    let response = respond(&layer, bearer(&token_of_nobody(1))).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(!response.headers().contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn only_a_missing_key_makes_a_check_wait() {
    /// What the chassis does with the request: `calling`, `answered` or `waiting`.
    fn state(layer: &JwtAuthLayer, request: Request<()>) -> &'static str {
        let inner =
            service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
        let future = layer.layer(inner).call(request);
        let shown = format!("{future:?}");
        let states = ["calling", "answered", "waiting"];
        let state = states.into_iter().find(|state| shown.contains(state));
        state.expect("a state")
    }
    let (world, _events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys(&endpoint);
    let layer = JwtAuthLayer::new(verifier(&keys)).with_clock(Arc::clone(&world.clock));
    let good = token(Ed25519, "one");
    assert_eq!(
        state(&layer, bearer(&good)),
        "waiting",
        "there are no keys yet"
    );
    keys.refresh().await.expect("keys");
    assert_eq!(state(&layer, bearer(&good)), "calling");
    let unknown = token_of_nobody(1);
    assert_eq!(
        state(&layer, bearer(&unknown)),
        "answered",
        "in the cooldown"
    );
    world.advance(30 * SECOND);
    assert_eq!(state(&layer, bearer(&unknown)), "waiting");
    assert_eq!(state(&layer, bearer(&good)), "calling");
}
