//! Rules: tokens, scopes and roles.

use std::{
    any::Any,
    convert::Infallible,
    sync::{Arc, Barrier},
    time::Duration,
};

use http::{Request, Response, StatusCode, header};
use portcullis::{
    authz::{RequireRoleLayer, RequireScopeLayer},
    clock::ManualClock,
    principal::Principal,
    tokens::{RefreshErrorKind, RefreshToken, RefreshTokens, Refreshed, ReuseKind},
};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt, service_fn};

const HOUR: Duration = Duration::from_secs(3600);

/// Refresh tokens under a clock that stands, on a runtime of their own.
struct Bench {
    refresh: RefreshTokens,
    clock: Arc<ManualClock>,
    runtime: Runtime,
}

/// One of each store.
fn benches() -> Vec<(Bench, Box<dyn Any>)> {
    let with = |set: &dyn Fn(RefreshTokens) -> RefreshTokens| {
        let clock = Arc::new(ManualClock::at_unix(1_800_000_000));
        let refresh = RefreshTokens::new("a secret key of the service, of 32 bytes or more");
        let refresh = set(refresh.unwrap().with_clock(clock.clone()));
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        Bench {
            refresh,
            clock,
            runtime,
        }
    };
    #[allow(unused_mut, reason = "memory is there without features")]
    let mut benches = vec![(with(&|refresh| refresh), Box::new(()) as Box<dyn Any>)];
    #[cfg(feature = "redis")]
    {
        let server = crate::redis::RedisServer::start();
        let store = portcullis::store::RedisStore::new(&server.url()).unwrap();
        let store = store.deadline(Duration::from_secs(20)).unwrap();
        let bench = with(&|refresh| refresh.with_store(store.clone()));
        benches.push((bench, Box::new(server)));
    }
    benches
}

impl Bench {
    fn begin(&self) -> RefreshToken {
        let begun = self.refresh.begin("user-7", "");
        self.runtime.block_on(begun).unwrap()
    }

    fn rotate(&self, token: &RefreshToken) -> Result<Refreshed, RefreshErrorKind> {
        let rotated = self.runtime.block_on(self.refresh.rotate(token.expose()));
        rotated.map_err(|error| error.kind())
    }

    /// What a hundred threads are answered that refresh with one token at once.
    fn at_once(&self, token: &RefreshToken) -> Vec<Refreshed> {
        let barrier = Arc::new(Barrier::new(100));
        let threads: Vec<_> = (0..100)
            .map(|_| {
                let (refresh, barrier) = (self.refresh.clone(), Arc::clone(&barrier));
                let (token, runtime) = (token.clone(), self.runtime.handle().clone());
                std::thread::spawn(move || {
                    barrier.wait();
                    runtime.block_on(refresh.rotate(token.expose())).unwrap()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
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
    for (bench, _server) in benches() {
        let first = bench.begin();
        let second = bench.rotate(&first).unwrap();
        bench.clock.advance(HOUR);
        let reused = RefreshErrorKind::Reused(ReuseKind::Predecessor);
        assert_eq!(bench.rotate(&first).unwrap_err(), reused);
        for token in [&first, second.token()] {
            assert_eq!(bench.rotate(token).unwrap_err(), RefreshErrorKind::Revoked);
        }
    }
}

#[test]
fn rule_37_parallel_refreshes_neither_log_out_nor_fork() {
    for (bench, _server) in benches() {
        let answers = bench.at_once(&bench.begin());
        let successor = answers[0].token();
        assert!(answers.iter().all(|answer| answer.token() == successor));
        bench.clock.advance(HOUR);
        assert!(bench.rotate(successor).is_ok());
    }
}

#[test]
fn rule_38_refresh_tokens_expire_however_often_they_are_used() {
    for (mut bench, _server) in benches() {
        bench.refresh = bench.refresh.absolute(24 * HOUR).unwrap();
        let mut token = bench.begin();
        for _ in 0..23 {
            bench.clock.advance(HOUR);
            token = bench.rotate(&token).unwrap().token().clone();
        }
        bench.clock.advance(HOUR);
        let expired = bench.rotate(&token).unwrap_err();
        assert_eq!(expired, RefreshErrorKind::Unknown);
    }
}

#[test]
fn rule_39_of_a_hundred_refreshes_with_one_token_one_rotates_it() {
    for (bench, _server) in benches() {
        let answers = bench.at_once(&bench.begin());
        let rotated = answers.iter().filter(|answer| !answer.is_again());
        assert_eq!(rotated.count(), 1);
        let generation = |answer: &Refreshed| answer.token().generation();
        assert!(answers.iter().all(|answer| generation(answer) == 1));
    }
}

#[cfg(feature = "redis")]
#[test]
fn rule_40_a_refresh_that_cannot_be_decided_about_gives_nothing_out() {
    for (bench, server) in benches() {
        let Ok(mut server) = server.downcast::<crate::redis::RedisServer>() else {
            // Memory has always an answer.
            continue;
        };
        let first = bench.begin();
        server.kill();
        let refused = bench.rotate(&first).unwrap_err();
        assert_eq!(refused, RefreshErrorKind::StoreUnavailable);
        let begun = bench.runtime.block_on(bench.refresh.begin("user-8", ""));
        assert!(begun.is_err());
        return;
    }
    panic!("there was no Redis");
}
