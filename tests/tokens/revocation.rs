//! Tokens that are taken back.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, Barrier, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use http::{Request, Response, StatusCode, header};
use portcullis::{
    audit::AuditEvent,
    body::ResponseBody,
    clock::ManualClock,
    jwt::{Algorithm, Claims, JwtAuthLayer, RevocationStore, Revocations, TokenRef},
    problem::Rejection,
    store::{MemoryStore, Reply, StoreError, StoreErrorKind},
};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::mint::{self, ISSUER, NOW, now};

const HOUR: Duration = Duration::from_secs(3600);
const MOST_LEEWAY: Duration = Duration::from_secs(600);

pub(crate) fn claims(changes: Value) -> Claims {
    let token = mint::token(Algorithm::Hs256, &mint::claims_with(changes));
    mint::verifier(Algorithm::Hs256)
        .verify(token, now())
        .unwrap()
}

/// The answer of a store in memory, which is there at once.
fn at_once<T>(reply: Reply<T>) -> T {
    match reply {
        Reply::Ready(reply) => reply.unwrap(),
        Reply::Wait(_) => panic!("memory does not wait"),
    }
}

pub(crate) async fn settled<T>(reply: Reply<T>) -> T {
    match reply {
        Reply::Ready(reply) => reply.unwrap(),
        Reply::Wait(reply) => reply.await.unwrap(),
    }
}

fn is_revoked(store: &impl RevocationStore, claims: &Claims, at: SystemTime) -> bool {
    at_once(store.is_revoked(&TokenRef::from(claims), at))
}

fn revocations(store: &MemoryStore) -> (Revocations, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at_unix(NOW));
    (
        Revocations::new(store.clone(), HOUR).with_clock(clock.clone()),
        clock,
    )
}

/// What every store must do.
pub(crate) async fn a_store_revokes(store: impl RevocationStore + Clone) {
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let revocations = Revocations::new(store.clone(), HOUR).with_clock(clock.clone());
    let asked =
        async |claims: &Claims| settled(store.is_revoked(&TokenRef::from(claims), now())).await;
    let (one, two) = (claims(json!({"jti": "one"})), claims(json!({"jti": "two"})));
    assert!(!asked(&one).await);
    assert!(revocations.revoke(&one).await.unwrap());
    assert!(revocations.revoke(&one).await.unwrap());
    assert!(asked(&one).await && !asked(&two).await);
    // Ids of another issuer are other ids.
    revocations
        .revoke_token("https://other.example.com", "two", now() + HOUR)
        .await
        .unwrap();
    revocations
        .revoke_subject("https://other.example.com", "user-7")
        .await
        .unwrap();
    assert!(!asked(&two).await);
    // Names that only together are the same.
    revocations
        .revoke_token(&format!("{ISSUER}t"), "wo", now() + HOUR)
        .await
        .unwrap();
    assert!(!asked(&two).await);

    revocations.revoke_subject(ISSUER, "user-7").await.unwrap();
    assert!(asked(&two).await);
    assert!(asked(&claims(json!({"iat": NOW - 1, "jti": "x"}))).await);
    assert!(!asked(&claims(json!({"iat": NOW, "jti": "x"}))).await);
    assert!(asked(&claims(json!({"iat": null, "jti": null}))).await);
    assert!(!asked(&claims(json!({"sub": "user-8", "iat": NOW - 1}))).await);
    // An earlier moment does not take back what a later one has said.
    clock.set(now() - HOUR);
    revocations.revoke_subject(ISSUER, "user-7").await.unwrap();
    assert!(asked(&two).await);
    clock.set(now() + Duration::from_secs(1));
    revocations.revoke_subject(ISSUER, "user-7").await.unwrap();
    assert!(asked(&claims(json!({"iat": NOW, "jti": "x"}))).await);
    // Whatever is issued, ever.
    let end_of_time = SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64);
    let banned = claims(json!({"sub": "user-9", "iat": NOW, "jti": "y"}));
    assert!(!asked(&banned).await);
    settled(store.revoke_subject(ISSUER, "user-9", end_of_time, now() + HOUR, now())).await;
    assert!(asked(&banned).await);

    // Neither jti nor exp: cannot be revoked alone.
    assert!(
        !revocations
            .revoke(&claims(json!({"jti": null})))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn memory_revokes() {
    a_store_revokes(MemoryStore::new()).await;
}

#[tokio::test]
async fn entries_expire_with_what_they_revoke() {
    let store = MemoryStore::new();
    let (revocations, _) = revocations(&store);
    let token = claims(json!({"exp": NOW + 60}));
    revocations.revoke(&token).await.unwrap();
    let end = now() + Duration::from_secs(60) + MOST_LEEWAY;
    assert!(is_revoked(&store, &token, end - Duration::from_nanos(1)));
    assert!(!is_revoked(&store, &token, end));

    revocations.revoke_subject(ISSUER, "user-7").await.unwrap();
    let end = now() + HOUR + MOST_LEEWAY;
    assert!(is_revoked(&store, &token, end - Duration::from_nanos(1)));
    assert!(!is_revoked(&store, &token, end));
}

#[tokio::test]
async fn a_subject_is_revoked_for_as_long_as_was_said_however_long() {
    for longest_life in [Duration::MAX, Duration::from_secs(u64::MAX / 4)] {
        let store = MemoryStore::new();
        let revocations = Revocations::new(store.clone(), longest_life);
        let revocations = revocations.with_clock(ManualClock::at_unix(NOW));
        let year = 365 * 24 * HOUR;
        let token = claims(json!({"iat": NOW - 1, "exp": NOW + 3600}));
        revocations.revoke_subject(ISSUER, "user-7").await.unwrap();
        assert!(is_revoked(&store, &token, now() + 99 * year));
    }
}

#[tokio::test]
async fn memory_is_bounded_and_refuses_rather_than_forgets() {
    let store = MemoryStore::bounded(64);
    let (revocations, clock) = revocations(&store);
    for id in 0..64 {
        revocations
            .revoke_token(ISSUER, &format!("token-{id}"), now() + HOUR)
            .await
            .unwrap();
    }
    let full = revocations
        .revoke_token(ISSUER, "token-64", now() + HOUR)
        .await
        .unwrap_err();
    assert_eq!(full.kind(), StoreErrorKind::Full);
    assert!(revocations.revoke_subject(ISSUER, "user-7").await.is_err());
    // What is there can still be said again.
    revocations
        .revoke_token(ISSUER, "token-0", now() + 2 * HOUR)
        .await
        .unwrap();
    for id in 0..64 {
        let token = claims(json!({"jti": format!("token-{id}")}));
        assert!(is_revoked(&store, &token, now()), "{id}");
    }
    clock.advance(HOUR + MOST_LEEWAY);
    revocations.revoke_subject(ISSUER, "user-8").await.unwrap();
    let later = now() + HOUR + MOST_LEEWAY;
    assert!(is_revoked(
        &store,
        &claims(json!({"jti": "token-0"})),
        later
    ));
    assert!(!is_revoked(
        &store,
        &claims(json!({"jti": "token-1"})),
        later
    ));
    // What has expired already takes no room.
    for id in 0..100 {
        revocations
            .revoke_token(ISSUER, &format!("old-{id}"), now() - HOUR)
            .await
            .unwrap();
    }
}

#[test]
fn threads_that_fill_a_store_never_pass_its_bound() {
    let store = MemoryStore::bounded(64);
    let barrier = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let (store, barrier) = (store.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                // Half of the ids are everyone's.
                let ids = (0..64).map(|id| match id % 2 {
                    0 => format!("all-{id}"),
                    _ => format!("{thread}-{id}"),
                });
                let kept =
                    ids.filter(
                        |id| match store.revoke_token(ISSUER, id, now() + HOUR, now()) {
                            Reply::Ready(reply) => reply.is_ok(),
                            Reply::Wait(_) => false,
                        },
                    );
                kept.collect::<Vec<_>>()
            })
        })
        .collect();
    let kept: std::collections::HashSet<_> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    assert!(kept.len() <= 64, "{}", kept.len());
    for id in kept {
        let token = claims(json!({ "jti": id }));
        assert!(is_revoked(&store, &token, now()));
    }
}

/// Answers later, with this.
#[derive(Clone)]
struct Slow(Result<bool, StoreErrorKind>);

impl RevocationStore for Slow {
    fn is_revoked(&self, _: &TokenRef<'_>, _: SystemTime) -> Reply<bool> {
        let answer = self.0.map_err(StoreError::new);
        Reply::Wait(Box::pin(async move {
            tokio::task::yield_now().await;
            answer
        }))
    }

    fn revoke_token(&self, _: &str, _: &str, _: SystemTime, _: SystemTime) -> Reply<()> {
        Reply::Ready(Ok(()))
    }

    fn revoke_subject(
        &self,
        _: &str,
        _: &str,
        _: SystemTime,
        _: SystemTime,
        _: SystemTime,
    ) -> Reply<()> {
        Reply::Ready(Ok(()))
    }
}

fn layer(store: impl RevocationStore) -> JwtAuthLayer {
    JwtAuthLayer::new(mint::verifier(Algorithm::Hs256))
        .with_clock(ManualClock::at_unix(NOW))
        .with_revocation(store)
}

fn request() -> Request<()> {
    let token = mint::token(Algorithm::Hs256, &mint::claims());
    let authorization = format!("Bearer {token}");
    Request::builder()
        .header(header::AUTHORIZATION, authorization)
        .body(())
        .unwrap()
}

async fn answer(layer: JwtAuthLayer) -> Response<ResponseBody<String>> {
    let inner = service_fn(async |request: Request<()>| {
        let subject = request
            .extensions()
            .get::<Claims>()
            .unwrap()
            .subject()
            .to_owned();
        Ok::<_, Infallible>(Response::new(subject))
    });
    layer.layer(inner).oneshot(request()).await.unwrap()
}

fn code(response: &Response<ResponseBody<String>>) -> Option<&'static str> {
    response
        .extensions()
        .get::<Rejection>()
        .map(Rejection::code)
}

#[tokio::test]
async fn the_layer_refuses_what_was_revoked() {
    let store = MemoryStore::new();
    assert_eq!(answer(layer(store.clone())).await.status(), StatusCode::OK);
    revocations(&store)
        .0
        .revoke_token(ISSUER, "token-1", now() + HOUR)
        .await
        .unwrap();
    let slow = answer(layer(Slow(Ok(true)))).await;
    for response in [answer(layer(store)).await, slow] {
        assert_eq!(
            (response.status(), code(&response)),
            (StatusCode::UNAUTHORIZED, Some("jwt_revoked"))
        );
        assert_eq!(
            response.headers()[header::WWW_AUTHENTICATE],
            "Bearer error=\"invalid_token\", error_description=\"The token was revoked.\""
        );
    }
    assert_eq!(
        answer(layer(Slow(Ok(false)))).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_token_that_was_seen_before_is_asked_about_again() {
    let store = MemoryStore::new();
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
    let service = layer(store.clone()).layer(inner);
    for _ in 0..3 {
        assert_eq!(
            service.clone().oneshot(request()).await.unwrap().status(),
            StatusCode::OK
        );
    }
    revocations(&store)
        .0
        .revoke_subject(ISSUER, "user-7")
        .await
        .unwrap();
    assert_eq!(
        service.oneshot(request()).await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_store_that_does_not_answer_lets_nobody_in() {
    let told = Arc::new(Mutex::new(Vec::new()));
    for optional in [false, true] {
        let sink = Arc::clone(&told);
        let mut layer =
            layer(Slow(Err(StoreErrorKind::Timeout))).with_audit(move |event: &AuditEvent<'_>| {
                sink.lock().unwrap().push(event.kind.to_string())
            });
        if optional {
            layer = layer.optional();
        }
        let response = answer(layer).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(code(&response), Some("jwt_revocation_unavailable"));
        assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
    assert_eq!(*told.lock().unwrap(), ["sys_dependency_fail"; 2]);
}

/// With a store in memory the check is ready at once, and asking allocates nothing.
#[tokio::test]
async fn asking_memory_neither_waits_nor_allocates() {
    let store = MemoryStore::new();
    revocations(&store)
        .0
        .revoke_token(ISSUER, "another", now() + HOUR)
        .await
        .unwrap();
    let token = claims(json!({}));
    let counted = allocation_counter::measure(|| assert!(!is_revoked(&store, &token, now())));
    assert_eq!(counted.count_total, 0);

    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let mut service = layer(store).layer(inner);
    let mut context = Context::from_waker(Waker::noop());
    let polled = pin!(service.call(request())).poll(&mut context);
    assert!(matches!(polled, Poll::Ready(Ok(response)) if response.status() == StatusCode::OK));
}
