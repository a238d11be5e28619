//! The layer polls the inner service as it must be polled.

use std::{
    convert::Infallible,
    future::{Ready, poll_fn, ready},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use portcullis::webhook::WebhookBody;
use tower::{Layer, Service, ServiceExt};

use crate::support::{delivery, stripe};

/// Panics when it is called without having been polled ready; a clone is not ready. Counts its calls.
#[derive(Debug, Default)]
struct Insists {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Insists {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<Request<WebhookBody>> for Insists {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<WebhookBody>) -> Self::Future {
        assert!(self.ready, "called without being ready");
        self.ready = false;
        self.calls.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Response::new(())))
    }
}

/// The service, once it is ready.
async fn polled<S>(service: &mut S) -> &mut S
where
    S: Service<Request<crate::support::Frames>, Error = Infallible>,
{
    ServiceExt::ready(service).await.unwrap()
}

fn forged() -> Request<crate::support::Frames> {
    let mut request = delivery(b"a body", 2);
    request
        .body_mut()
        .frames
        .push_back(Bytes::from_static(b"!"));
    request
}

fn unsigned() -> Request<crate::support::Frames> {
    let mut request = delivery(b"a body", 2);
    request.headers_mut().clear();
    request
}

#[tokio::test]
async fn a_service_that_panics_when_called_unready_never_panics() {
    let inner = Insists::default();
    let calls = Arc::clone(&inner.calls);
    let mut service = stripe().layer(inner);
    let bodies: [&[u8]; 3] = [b"one", b"two", b"three"];
    for body in bodies {
        for request in [delivery(body, 2), forged(), unsigned()] {
            polled(&mut service).await.call(request).await.unwrap();
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3, "a refusal calls nothing");
}

#[tokio::test]
async fn deliveries_side_by_side_each_call_the_service_that_was_polled_for_them() {
    let inner = Insists::default();
    let calls = Arc::clone(&inner.calls);
    let mut service = stripe().layer(inner);
    let first = polled(&mut service).await.call(delivery(b"one", 1));
    let second = polled(&mut service).await.call(delivery(b"two", 1));
    assert_eq!(
        calls.load(Ordering::SeqCst),
        0,
        "a body that is not there yet"
    );
    for response in [second, first] {
        assert_eq!(response.await.unwrap().status(), 200);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_full_inner_service_holds_the_layer_back() {
    let inner =
        tower::service_fn(async |_: Request<WebhookBody>| Ok::<_, Infallible>(Response::new(())));
    let mut service = stripe().layer(tower::limit::ConcurrencyLimit::new(inner, 1));
    let held = polled(&mut service).await.call(delivery(b"one", 1));
    poll_fn(|cx| {
        assert!(
            Service::<Request<crate::support::Frames>>::poll_ready(&mut service, cx).is_pending(),
            "the only place is taken"
        );
        Poll::Ready(())
    })
    .await;
    drop(held);
    // A refusal gives its place back too.
    for request in [unsigned(), forged(), delivery(b"two", 1)] {
        polled(&mut service).await.call(request).await.unwrap();
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_while_the_body_comes_leaves_nothing_behind() {
    let inner = Insists::default();
    let calls = Arc::clone(&inner.calls);
    let mut service = stripe().layer(inner);
    {
        let mut future = pin!(polled(&mut service).await.call(delivery(b"one", 1)));
        poll_fn(|cx| {
            assert!(future.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    polled(&mut service)
        .await
        .call(delivery(b"one", 1))
        .await
        .unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_handed_on_as_it_is() {
    let inner =
        tower::service_fn(async |_: Request<WebhookBody>| Err::<Response<()>, _>("out of order"));
    let service = stripe().layer(inner);
    for _ in 0..2 {
        // Released each time: the second is no copy of one that was dealt with.
        let error = service
            .clone()
            .oneshot(delivery(b"one", 1))
            .await
            .unwrap_err();
        assert_eq!(error, "out of order");
    }
}
