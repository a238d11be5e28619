use std::{
    convert::Infallible,
    future::{poll_fn, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use portcullis::{
    audit::AuditKind,
    guard::{Check, Guard, Guarded, Refusals, Verdict},
    head::RequestHead,
    problem::Rejection,
};
use tower::{Service, ServiceExt};

use crate::support::{DEPARTED, Insists, TestGuard, wish};

#[tokio::test]
async fn a_service_that_panics_when_called_unready_never_panics() {
    let mut service = Guarded::new(Insists::default(), TestGuard::default());
    for what in [
        "pass",
        "pass-later",
        "refuse",
        "refuse-later",
        "answer",
        "pass-later",
        "pass",
    ] {
        service
            .ready()
            .await
            .unwrap()
            .call(wish(what))
            .await
            .unwrap();
    }
    assert_eq!(service.inner().calls(), 4);
}

#[tokio::test]
async fn checks_that_wait_side_by_side_each_call_the_service_that_was_polled_for_them() {
    let mut service = Guarded::new(Insists::default(), TestGuard::default());
    let first = service.ready().await.unwrap().call(wish("pass-later"));
    let second = service.ready().await.unwrap().call(wish("pass-later"));
    let third = service.ready().await.unwrap().call(wish("pass"));
    assert_eq!(
        service.inner().calls(),
        1,
        "a check that waits has not called yet"
    );
    for response in [second, third, first] {
        assert_eq!(response.await.unwrap().headers()[DEPARTED], "admitted");
    }
    assert_eq!(service.inner().calls(), 3);
}

#[tokio::test]
async fn a_refusal_never_calls_the_inner_service() {
    let service = Guarded::new(Insists::default(), TestGuard::default());
    for what in ["refuse", "refuse-later", "answer", "answer-later"] {
        let response = service.clone().oneshot(wish(what)).await.unwrap();
        assert!(response.status().is_client_error() || response.status().is_redirection());
        assert!(!response.headers().contains_key(DEPARTED));
    }
    assert_eq!(service.inner().calls(), 0);
}

#[tokio::test]
async fn an_answer_is_no_rejection() {
    let service = Guarded::new(Insists::default(), TestGuard::default());
    let response = service.oneshot(wish("answer")).await.unwrap();
    assert_eq!(response.status(), 308);
    assert!(
        response
            .extensions()
            .get::<portcullis::problem::Rejection>()
            .is_none()
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_while_the_check_waits_leaves_nothing_behind() {
    let mut service = Guarded::new(Insists::default(), TestGuard::default());
    {
        let mut future = pin!(service.ready().await.unwrap().call(wish("pass-later")));
        poll_fn(|cx| {
            assert!(future.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    assert_eq!(service.inner().calls(), 0);
    service
        .ready()
        .await
        .unwrap()
        .call(wish("pass"))
        .await
        .unwrap();
    assert_eq!(service.inner().calls(), 1);
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_handed_on_as_it_is() {
    let inner = tower::service_fn(async |_: Request<()>| Err::<Response<()>, _>("out of order"));
    let service = Guarded::new(inner, TestGuard::default());
    for what in ["pass", "pass-later"] {
        assert_eq!(
            service.clone().oneshot(wish(what)).await.unwrap_err(),
            "out of order"
        );
    }
}

#[tokio::test]
async fn a_full_inner_service_holds_the_guard_back() {
    let inner = tower::service_fn(async |_: Request<()>| Ok::<_, &str>(Response::new(())));
    let limited = tower::limit::ConcurrencyLimit::new(inner, 1);
    let mut service = Guarded::new(limited, TestGuard::default());
    let held = service.ready().await.unwrap().call(wish("pass"));
    poll_fn(|cx| {
        assert!(
            service.poll_ready(cx).is_pending(),
            "the only place is taken"
        );
        Poll::Ready(())
    })
    .await;
    drop(held);
    service
        .ready()
        .await
        .unwrap()
        .call(wish("pass"))
        .await
        .unwrap();
}

#[test]
fn a_check_that_is_ready_at_once_allocates_nothing_of_its_own() {
    let bare = tower::service_fn(|request: Request<()>| {
        assert!(!request.headers().is_empty());
        std::future::ready(Ok::<_, Infallible>(Response::new(())))
    });
    let request = wish("pass");
    let same = request.clone();

    let alone = allocations(bare, request);
    let guarded = allocations(Guarded::new(bare, Open::default()), same);
    assert_eq!(guarded, alone);
}

#[test]
fn a_check_that_waits_allocates_its_two_boxes_and_no_more() {
    let service = Guarded::new(
        Insists::default(),
        Open {
            waits: true,
            ..Open::default()
        },
    );
    let mut request = wish("pass");
    request.extensions_mut().insert(crate::support::Admitted);
    assert_eq!(allocations(service, request), 2);
}

/// How often one call allocates, from `call` to the response; freeing is not counted.
fn allocations<S, R>(mut service: S, request: Request<()>) -> u64
where
    S: Service<Request<()>, Response = Response<R>>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let counted = allocation_counter::measure(|| {
        let mut response = pin!(service.call(request));
        assert!(response.as_mut().poll(&mut cx).is_ready());
    });
    counted.count_total
}

/// Lets everything in and touches nothing.
#[derive(Clone, Default)]
struct Open {
    refusals: Refusals,
    waits: bool,
}

impl Guard for Open {
    const NAME: &'static str = "open";
    type Pass = ();

    fn check(&self, _request: RequestHead<'_>) -> Check<()> {
        if self.waits {
            Check::wait(ready(Verdict::Pass(())))
        } else {
            Check::pass(())
        }
    }

    fn audit_kind(&self, _rejection: &Rejection) -> AuditKind {
        unreachable!("it refuses nothing")
    }

    fn refusals(&self) -> &Refusals {
        &self.refusals
    }
}
