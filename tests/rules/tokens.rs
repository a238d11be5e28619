//! Rules: tokens, scopes and roles.

use std::{
    convert::Infallible,
    sync::{Arc, Barrier},
    time::Duration,
};

use http::{Request, Response, StatusCode, header};
use portcullis::{
    authz::{RequireRoleLayer, RequireScopeLayer},
    clock::ManualClock,
    principal::Principal,
    tokens::{RefreshErrorKind, RefreshTokens, Refreshed, ReuseKind},
};
use tower::{Layer, ServiceExt, service_fn};

const HOUR: Duration = Duration::from_secs(3600);

fn refresh() -> (RefreshTokens, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at_unix(1_800_000_000));
    let refresh = RefreshTokens::new("a secret key of the service, of 32 bytes or more").unwrap();
    (refresh.with_clock(clock.clone()), clock)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// What a hundred threads are answered that refresh with one token at once.
fn at_once(refresh: &RefreshTokens, token: &str) -> Vec<Refreshed> {
    let barrier = Arc::new(Barrier::new(100));
    let threads: Vec<_> = (0..100)
        .map(|_| {
            let (refresh, barrier) = (refresh.clone(), Arc::clone(&barrier));
            let token = token.to_owned();
            std::thread::spawn(move || {
                barrier.wait();
                block_on(refresh.rotate(&token)).unwrap()
            })
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}

/// The half of the rule that is about those who are known: the token layer's half stands beside it.
#[test]
fn rule_25_403_names_the_insufficient_scope() {
    let answer = |layer: portcullis::authz::RequireLayer| {
        let inner =
            service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
        let mut request = Request::new(());
        request
            .extensions_mut()
            .insert(Principal::new("user-7").add_scope("orders:read"));
        block_on(layer.layer(inner).oneshot(request)).unwrap()
    };
    let response = answer(RequireScopeLayer::new("orders:write").unwrap().into());
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let challenge = response.headers()[header::WWW_AUTHENTICATE]
        .to_str()
        .unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"insufficient_scope\""),
        "{challenge}"
    );
    assert!(
        challenge.ends_with(" scope=\"orders:write\""),
        "{challenge}"
    );
    let response = answer(RequireRoleLayer::new("admin").unwrap().into());
    let challenge = response.headers()[header::WWW_AUTHENTICATE]
        .to_str()
        .unwrap();
    assert!(
        challenge.contains("insufficient_scope") && !challenge.contains(" scope="),
        "{challenge}"
    );
}

#[test]
fn rule_36_refresh_reuse_outside_the_grace_window_revokes_the_family() {
    let (refresh, clock) = refresh();
    let first = block_on(refresh.begin("user-7", "")).unwrap();
    let second = block_on(refresh.rotate(first.expose())).unwrap();
    clock.advance(HOUR);
    let reused = block_on(refresh.rotate(first.expose())).unwrap_err();
    assert_eq!(
        reused.kind(),
        RefreshErrorKind::Reused(ReuseKind::Predecessor)
    );
    for token in [first.expose(), second.token().expose()] {
        let dead = block_on(refresh.rotate(token)).unwrap_err();
        assert_eq!(dead.kind(), RefreshErrorKind::Revoked);
    }
}

#[test]
fn rule_37_parallel_refreshes_neither_log_out_nor_fork() {
    let (refresh, clock) = refresh();
    let first = block_on(refresh.begin("user-7", "")).unwrap();
    let answers = at_once(&refresh, first.expose());
    assert!(
        answers
            .iter()
            .all(|answer| answer.token() == answers[0].token())
    );
    clock.advance(HOUR);
    assert!(block_on(refresh.rotate(answers[0].token().expose())).is_ok());
}

#[test]
fn rule_38_refresh_tokens_expire_however_often_they_are_used() {
    let (refresh, clock) = refresh();
    let refresh = refresh.absolute(24 * HOUR).unwrap();
    let mut token = block_on(refresh.begin("user-7", "")).unwrap();
    for _ in 0..23 {
        clock.advance(HOUR);
        token = block_on(refresh.rotate(token.expose()))
            .unwrap()
            .token()
            .clone();
    }
    clock.advance(HOUR);
    let expired = block_on(refresh.rotate(token.expose())).unwrap_err();
    assert_eq!(expired.kind(), RefreshErrorKind::Unknown);
}

#[test]
fn rule_39_of_a_hundred_refreshes_with_one_token_one_rotates_it() {
    let (refresh, _) = refresh();
    let first = block_on(refresh.begin("user-7", "")).unwrap();
    let answers = at_once(&refresh, first.expose());
    assert_eq!(
        answers.iter().filter(|answer| !answer.is_again()).count(),
        1
    );
    assert!(
        answers
            .iter()
            .all(|answer| answer.token().generation() == 1)
    );
}
