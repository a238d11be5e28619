//! Deliveries that come again.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, StatusCode};
use portcullis::{
    audit::{AuditEvent, AuditKind},
    guard::RefusalsLayer,
    replay::ReplayStore,
    store::MemoryStore,
    webhook::{
        StoreFailure, WebhookBody, WebhookLayer, WebhookScheme, WebhookSigner, WebhookVerifier,
    },
};
use tokio::sync::{Barrier, Notify};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    schemes::{BODY, now},
    support::{Answer, Broken, Counting, Handler, SECRET, clock, delivery, stripe},
};

#[tokio::test]
async fn a_delivery_that_was_dealt_with_is_answered_and_not_handed_on() {
    let handler = Handler::default();
    let layer = stripe();
    assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.code, None);
    let again = handler.ask(&layer, delivery(BODY, 9)).await;
    assert_eq!((again.status, again.code), (200, Some("webhook_replayed")));
    assert_eq!(
        again.length,
        Some(0),
        "some providers show the body to their users"
    );
    assert!(again.headers.is_empty());
    assert_eq!(handler.calls(), 1);

    assert_eq!(
        handler.ask(&layer, delivery(b"another", 9)).await.code,
        None
    );
    let accepted = layer
        .clone()
        .duplicate_status(StatusCode::ACCEPTED)
        .unwrap();
    assert_eq!(handler.ask(&accepted, delivery(BODY, 9)).await.status, 202);
    for status in [
        StatusCode::CONFLICT,
        StatusCode::FOUND,
        StatusCode::CONTINUE,
    ] {
        assert!(layer.clone().duplicate_status(status).is_err());
    }
}

#[tokio::test]
async fn a_delivery_that_was_not_answered_well_is_handed_on_again() {
    let handler = Handler::answering(&[500, 404, 302, 204]);
    let layer = stripe();
    for status in [500, 404, 302, 204] {
        let answer = handler.ask(&layer, delivery(BODY, 9)).await;
        assert_eq!((answer.status, answer.code), (status, None));
    }
    let answer = handler.ask(&layer, delivery(BODY, 9)).await;
    assert_eq!(answer.code, Some("webhook_replayed"));
    assert_eq!(handler.calls(), 4);
}

/// A handler that does what `handle` does, and counts.
fn counted<F, H>(
    layer: &WebhookLayer,
    handle: H,
) -> (
    impl tower::Service<
        Request<crate::support::Frames>,
        Response = Response<portcullis::body::ResponseBody<String>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + use<F, H>,
    Arc<AtomicUsize>,
)
where
    F: Future<Output = ()> + Send + 'static,
    H: Fn() -> F + Clone + Send + 'static,
{
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let service = layer.layer(service_fn(move |_: Request<WebhookBody>| {
        count.fetch_add(1, Ordering::SeqCst);
        let handling = handle();
        async move {
            handling.await;
            Ok(Response::new(String::new()))
        }
    }));
    (service, calls)
}

#[tokio::test]
async fn a_delivery_whose_handler_panicked_or_was_given_up_is_handed_on_again() {
    let layer = stripe();
    let (panics, calls) = counted(&layer, async || panic!("on purpose"));
    let panicked = tokio::spawn(panics.oneshot(delivery(BODY, 9))).await;
    assert!(panicked.unwrap_err().is_panic());
    assert_eq!(calls.load(Ordering::SeqCst), 1);

    let (hangs, calls) = counted(&layer, pending);
    let hanging = tokio::spawn(hangs.oneshot(delivery(BODY, 9)));
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());

    let handler = Handler::default();
    assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.code, None);
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn a_copy_of_a_delivery_that_is_being_dealt_with_is_to_come_later() {
    let clock = clock();
    let layer = stripe()
        .with_clock(clock.clone())
        .claim_lease(Duration::from_secs(30));
    let (hangs, calls) = counted(&layer, pending);
    let hanging = tokio::spawn(hangs.oneshot(delivery(BODY, 9)));
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let handler = Handler::default();
    let copy = handler.ask(&layer, delivery(BODY, 9)).await;
    assert_eq!((copy.status, copy.code), (503, Some("webhook_in_flight")));
    assert_eq!(copy.headers["retry-after"], "5");
    assert_eq!(handler.calls(), 0);
    // A handler that takes longer than its lease blocks nobody any more.
    clock.advance(Duration::from_secs(31));
    assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.code, None);
    hanging.abort();
}

/// 100 copies at once: how many reached the handler, and how the others were answered.
pub(crate) async fn race(layer: &WebhookLayer) -> (usize, Vec<u16>) {
    let (service, calls) = counted(layer, tokio::task::yield_now);
    let start = Arc::new(Barrier::new(100));
    let attempts: Vec<_> = (0..100)
        .map(|_| {
            let (service, start) = (service.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                Answer::of(service.oneshot(delivery(BODY, 9)).await.unwrap()).status
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for attempt in attempts {
        statuses.push(attempt.await.unwrap());
    }
    (calls.load(Ordering::SeqCst), statuses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_100_copies_at_once_one_reaches_the_handler() {
    let (calls, statuses) = race(&stripe()).await;
    assert_eq!(calls, 1);
    assert!(
        statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_100_copies_at_once_one_reaches_the_handler_with_redis_too() {
    let server = crate::redis::RedisServer::start();
    let store = portcullis::store::RedisStore::new(&server.url()).unwrap();
    let layer = stripe().with_store(store);
    let (calls, statuses) = race(&layer).await;
    assert_eq!(calls, 1);
    assert!(
        statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );
    server.assert_every_key_expires();
    // Another process that shares the server knows of it.
    let other = portcullis::store::RedisStore::new(&server.url()).unwrap();
    let handler = Handler::default();
    let answer = handler
        .ask(&stripe().with_store(other), delivery(BODY, 9))
        .await;
    assert_eq!(answer.code, Some("webhook_replayed"));
}

/// A layer that has a second secret beside that of the deliveries.
fn rotating(first: &str, second: &str) -> WebhookLayer {
    let verifier = WebhookVerifier::new(WebhookScheme::stripe(), first).unwrap();
    WebhookLayer::new(verifier.add_secret(second).unwrap()).with_clock(clock())
}

/// Half of the copies come to a layer that has its secrets in another order.
async fn race_of_two(store: impl ReplayStore + Clone) -> usize {
    let layers = [rotating(SECRET, "another"), rotating("another", SECRET)];
    let layers = layers.map(|layer| layer.with_store(store.clone()));
    let races = layers.map(|layer| tokio::spawn(async move { race(&layer).await }));
    let mut calls = 0;
    for race in races {
        let (reached, statuses) = race.await.unwrap();
        calls += reached;
        assert!(
            statuses.iter().all(|status| [200, 503].contains(status)),
            "{statuses:?}"
        );
    }
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_copies_one_reaches_the_handler_while_a_secret_changes() {
    for _ in 0..20 {
        assert_eq!(race_of_two(MemoryStore::new()).await, 1);
    }
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_copies_one_reaches_the_handler_while_a_secret_changes_with_redis_too() {
    let server = crate::redis::RedisServer::start();
    let store = portcullis::store::RedisStore::new(&server.url()).unwrap();
    assert_eq!(race_of_two(store).await, 1);
    server.assert_every_key_expires();
}

#[tokio::test]
async fn a_delivery_is_handed_on_again_while_a_secret_changes() {
    for waits in [false, true] {
        let store = Counting {
            waits,
            ..Counting::default()
        };
        let layer = rotating(SECRET, "another").with_store(store.clone());
        let handler = Handler::answering(&[500, 404, 200]);
        for (status, code) in [
            (500, None),
            (404, None),
            (200, None),
            (200, Some("webhook_replayed")),
        ] {
            let answer = handler.ask(&layer, delivery(BODY, 9)).await;
            assert_eq!((answer.status, answer.code), (status, code));
        }
        assert_eq!(handler.calls(), 3);
        // A handler that is given up gives both keys back.
        let other = rotating(SECRET, "a third").with_store(store.clone());
        let (hangs, calls) = counted(&other, pending);
        let hanging = tokio::spawn(hangs.oneshot(delivery(b"other", 9)));
        while calls.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        hanging.abort();
        assert!(hanging.await.unwrap_err().is_cancelled());
        while store.held() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(handler.ask(&other, delivery(b"other", 9)).await.code, None);
    }
}

#[tokio::test]
async fn a_store_that_fails_at_one_key_of_a_delivery_gives_the_other_back() {
    for fails in [0, 1] {
        let store = Counting {
            fails_at: Some(fails),
            ..Counting::default()
        };
        let layer = rotating(SECRET, "another").with_store(store.clone());
        let handler = Handler::default();
        let answer = handler.ask(&layer, delivery(BODY, 9)).await;
        assert_eq!(answer.code, Some("webhook_store_unavailable"));
        assert_eq!((handler.calls(), store.held()), (0, 0));
        // It fails once.
        assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.code, None);
        assert_eq!(handler.calls(), 1);
    }
}

#[tokio::test]
async fn a_key_that_is_somebody_elses_leaves_the_others_free() {
    let store = Counting::default();
    let one = stripe().with_store(store.clone());
    let (hangs, calls) = counted(&one, pending);
    let hanging = tokio::spawn(hangs.oneshot(delivery(BODY, 9)));
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.held(), 1);
    // Whichever of its two keys comes first.
    for other in ["another", "a third", "a fourth", "a fifth"] {
        let handler = Handler::default();
        let two = rotating(other, SECRET).with_store(store.clone());
        let answer = handler.ask(&two, delivery(BODY, 9)).await;
        assert_eq!(answer.code, Some("webhook_in_flight"));
        assert_eq!((handler.calls(), store.held()), (0, 1));
    }
    hanging.abort();
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_is_given_up_gives_its_claim_back_to_redis() {
    let server = crate::redis::RedisServer::start();
    let store = portcullis::store::RedisStore::new(&server.url()).unwrap();
    let layer = stripe().with_store(store);
    let (hangs, calls) = counted(&layer, pending);
    let hanging = tokio::spawn(hangs.oneshot(delivery(BODY, 9)));
    crate::redis::eventually_async("the call", async || {
        (calls.load(Ordering::SeqCst) == 1).then_some(())
    })
    .await;
    hanging.abort();
    let _ = hanging.await;
    let handler = Handler::default();
    crate::redis::eventually_async("the release", async || {
        let answer = handler.ask(&layer, delivery(BODY, 9)).await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn a_store_that_fails_refuses_unless_it_was_told_to_let_in() {
    for waits in [false, true] {
        let broken = Broken {
            waits,
            claims: false,
        };
        let handler = Handler::default();
        let layer = stripe().with_store(broken);
        let answer = handler.ask(&layer, delivery(BODY, 9)).await;
        assert_eq!(
            (answer.status, answer.code),
            (503, Some("webhook_store_unavailable"))
        );
        assert_eq!(answer.headers["retry-after"], "5");
        assert_eq!(handler.calls(), 0);
        let allows = layer.on_store_error(StoreFailure::Allow);
        assert_eq!(handler.ask(&allows, delivery(BODY, 9)).await.status, 200);
        assert_eq!(handler.calls(), 1);
        // What was done is done: a failure here would make the provider send it again.
        let later = stripe().with_store(Broken {
            waits,
            claims: true,
        });
        assert_eq!(handler.ask(&later, delivery(BODY, 9)).await.status, 200);
    }
}

/// What an audit sink was told: codes and statuses.
type Told = Arc<Mutex<Vec<(&'static str, u16)>>>;

fn told(layer: WebhookLayer) -> (WebhookLayer, Told) {
    let told = Told::default();
    let sink = Arc::clone(&told);
    let layer = layer.with_audit(move |event: &AuditEvent<'_>| {
        let (kind, layer) = (event.kind, event.layer);
        assert_eq!((kind, layer), (AuditKind::SysDependencyFail, "webhook"));
        assert_eq!((event.method, event.path), ("POST", "/hooks"));
        assert_eq!(event.at, now());
        let mut told = sink.lock().unwrap();
        told.push((event.code, event.status.as_u16()));
    });
    (layer, told)
}

fn take(told: &Told) -> Vec<(&'static str, u16)> {
    std::mem::take(&mut told.lock().unwrap())
}

#[tokio::test]
async fn what_a_store_could_not_be_told_is_told_to_the_audit() {
    for waits in [false, true] {
        let store = Broken {
            waits,
            claims: true,
        };
        let (layer, told) = told(stripe().with_store(store));
        // Dealt with, and the store does not know: the sender is answered well all the same.
        let handler = Handler::answering(&[202, 500]);
        assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.status, 202);
        assert_eq!(take(&told), [("webhook_commit_failed", 202)]);
        assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.status, 500);
        assert_eq!(take(&told), [("webhook_release_failed", 500)]);

        // Given up while the handler runs: nobody is left to answer.
        let (hangs, calls) = counted(&layer, pending);
        let hanging = tokio::spawn(hangs.oneshot(delivery(BODY, 9)));
        while calls.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        hanging.abort();
        assert!(hanging.await.unwrap_err().is_cancelled());
        while told.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(take(&told), [("webhook_release_failed", 500)]);

        // A store that fails at once is told of once.
        let (layer, told) = self::told(stripe().with_store(Broken {
            waits,
            claims: false,
        }));
        assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.status, 503);
        assert_eq!(take(&told), [("webhook_store_unavailable", 503)]);
        let allows = layer.on_store_error(StoreFailure::Allow);
        assert_eq!(handler.ask(&allows, delivery(BODY, 9)).await.status, 200);
        assert_eq!(take(&told), [("webhook_commit_failed", 200)]);
    }
}

#[tokio::test]
async fn a_refusals_layer_outside_is_told_too() {
    let told = Told::default();
    let sink = Arc::clone(&told);
    let outside = RefusalsLayer::new().with_audit(move |event: &AuditEvent<'_>| {
        let mut told = sink.lock().unwrap();
        told.push((event.code, event.status.as_u16()));
    });
    let store = Broken {
        waits: false,
        claims: true,
    };
    let handler = Handler::default();
    let service = outside.layer(handler.service(&stripe().with_store(store)));
    let answer = service.oneshot(delivery(BODY, 9)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(take(&told), [("webhook_commit_failed", 200)]);
}

#[tokio::test]
async fn no_lease_and_no_retention_is_none() {
    let (handler, layer) = (Handler::default(), stripe());
    let layer = layer
        .claim_lease(Duration::ZERO)
        .replay_retention(Duration::ZERO);
    assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.code, None);
    let again = handler.ask(&layer, delivery(BODY, 9)).await;
    assert_eq!(again.code, Some("webhook_replayed"));
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn a_handler_that_outlives_its_lease_still_ends_the_delivery_and_says_so() {
    let clock = clock();
    let lease = Duration::from_secs(30);
    let (layer, told) = told(stripe().claim_lease(lease).with_clock(clock.clone()));
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let (slow, calls) = counted(&layer, move || {
        let wait = Arc::clone(&wait);
        async move { wait.notified().await }
    });
    let first = tokio::spawn(slow.oneshot(delivery(BODY, 9)));
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // The sender comes again after the lease: it is let in, and fails.
    clock.advance(lease + Duration::from_secs(1));
    let failing = Handler::answering(&[500]);
    let second = failing.ask(&layer, delivery(BODY, 9)).await;
    assert_eq!((second.status, failing.calls()), (500, 1));
    // The first is done at last; nobody holds the delivery then.
    clock.set(now());
    go.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(take(&told), [("webhook_claim_lost", 200)]);
    let again = Handler::default();
    let answer = again.ask(&stripe_like(&layer), delivery(BODY, 9)).await;
    assert_eq!((answer.code, again.calls()), (Some("webhook_replayed"), 0));
}

/// The same layer, without what asserts about its events.
fn stripe_like(layer: &WebhookLayer) -> WebhookLayer {
    layer.clone().with_audit(portcullis::audit::NoAudit)
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_a_retry_works_after_a_failure_and_a_replay_does_not() {
    let server = crate::redis::RedisServer::start();
    let store = portcullis::store::RedisStore::new(&server.url()).unwrap();
    let store = store.deadline(Duration::from_secs(20)).unwrap();
    let layer = stripe().with_store(store);
    let handler = Handler::answering(&[500, 200]);
    for (status, code) in [(500, None), (200, None), (200, Some("webhook_replayed"))] {
        let answer = handler.ask(&layer, delivery(BODY, 9)).await;
        assert_eq!((answer.status, answer.code), (status, code));
    }
    assert_eq!(handler.calls(), 2);
    server.assert_every_key_expires();
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_died_holds_a_delivery_in_redis_no_longer_than_its_lease() {
    let server = crate::redis::RedisServer::start();
    let lease = Duration::from_millis(300);
    {
        // It claims, and neither commits nor releases: its runtime ends with it.
        let url = server.url();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            let store = portcullis::store::RedisStore::new(&url).unwrap();
            let layer = stripe().with_store(store).claim_lease(lease);
            let (hangs, calls) = counted(&layer, pending);
            let hanging = runtime.spawn(hangs.oneshot(delivery(BODY, 9)));
            runtime.block_on(async {
                while calls.load(Ordering::SeqCst) == 0 {
                    tokio::task::yield_now().await;
                }
            });
            std::mem::forget(hanging);
            runtime.shutdown_background();
        })
        .join()
        .unwrap();
    }
    let store = portcullis::store::RedisStore::new(&server.url()).unwrap();
    let layer = stripe().with_store(store);
    let handler = Handler::default();
    crate::redis::eventually_async("the end of the lease", async || {
        let answer = handler.ask(&layer, delivery(BODY, 9)).await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(handler.calls(), 1);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_redis_that_is_away_refuses_and_the_sender_is_to_come_again() {
    // A port that nobody listens on, nor comes to while it is taken.
    let port = tokio::net::TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("redis://{}", port.local_addr().unwrap());
    let store = portcullis::store::RedisStore::new(&url).unwrap();
    let layer = stripe().with_store(store);
    let handler = Handler::default();
    let answer = handler.ask(&layer, delivery(BODY, 9)).await;
    assert_eq!(
        (answer.status, answer.code),
        (503, Some("webhook_store_unavailable"))
    );
    assert_eq!(answer.headers["retry-after"], "5");
    assert_eq!(handler.calls(), 0);
}

#[tokio::test]
async fn a_full_store_refuses_and_forgets_nothing() {
    let handler = Handler::default();
    let layer = stripe().with_store(MemoryStore::bounded(64));
    let mut refused = 0;
    for number in 0..80_u32 {
        let answer = handler
            .ask(&layer, delivery(&number.to_be_bytes(), 9))
            .await;
        refused += usize::from(answer.code == Some("webhook_store_unavailable"));
    }
    assert_eq!((handler.calls(), refused), (64, 16));
    let answer = handler.ask(&layer, delivery(&0_u32.to_be_bytes(), 9)).await;
    assert_eq!(answer.code, Some("webhook_replayed"));
}

#[tokio::test]
async fn a_delivery_is_remembered_for_as_long_as_it_could_pass_for_fresh() {
    let clock = clock();
    let hour = Duration::from_secs(3600);
    let scheme = WebhookScheme::stripe().tolerance(hour);
    let verifier = WebhookVerifier::new(scheme, crate::support::SECRET).unwrap();
    let layer = WebhookLayer::new(verifier)
        .with_clock(clock.clone())
        .replay_retention(Duration::from_secs(1));
    let handler = Handler::default();
    clock.set(now() - hour);
    assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.code, None);
    clock.set(now() + hour);
    let answer = handler.ask(&layer, delivery(BODY, 9)).await;
    assert_eq!(answer.code, Some("webhook_replayed"));
}

#[tokio::test]
async fn deliveries_without_a_timestamp_are_remembered_for_the_retention() {
    let clock = clock();
    let verifier = WebhookVerifier::new(WebhookScheme::github(), "secret").unwrap();
    let layer = WebhookLayer::new(verifier).with_clock(clock.clone());
    let signer = WebhookSigner::new(WebhookScheme::github(), "secret").unwrap();
    let github = |id: &str| {
        let mut request = delivery(BODY, 9);
        *request.headers_mut() = signer.sign(id, BODY, now()).unwrap();
        request
    };
    let handler = Handler::default();
    assert_eq!(handler.ask(&layer, github("1")).await.code, None);
    // Under another id, which nobody signed, it is the same one.
    clock.advance(Duration::from_secs(3 * 86_400 - 1));
    assert_eq!(
        handler.ask(&layer, github("2")).await.code,
        Some("webhook_replayed")
    );
    clock.advance(Duration::from_secs(2));
    assert_eq!(handler.ask(&layer, github("1")).await.code, None);
}

#[tokio::test]
async fn two_layers_on_one_store_keep_their_schemes_apart() {
    let store = MemoryStore::new();
    let handler = Handler::default();
    for name in ["one", "two"] {
        let scheme = WebhookScheme::stripe().named(name);
        let verifier = WebhookVerifier::new(scheme, crate::support::SECRET).unwrap();
        let layer = WebhookLayer::new(verifier)
            .with_clock(clock())
            .with_store(store.clone());
        assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.code, None);
    }
    assert_eq!(handler.calls(), 2);
}

#[tokio::test]
async fn without_the_check_a_delivery_is_handed_on_as_often_as_it_comes() {
    let layer = stripe().dangerous_without_replay_check();
    let handler = Handler::default();
    for _ in 0..3 {
        assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.code, None);
    }
    assert_eq!(handler.calls(), 3);
}
