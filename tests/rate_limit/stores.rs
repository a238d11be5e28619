//! Stores that answer later, wrongly, with an error, or never.

use std::{
    future::{Future, pending},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use portcullis::{
    audit::AuditEvent,
    rate_limit::{Decision, Decisions, Hit, Quota, RateLimitLayer, RateLimitStore, StoreFailure},
    store::{MemoryStore, Reply, StoreError, StoreErrorKind},
};
use tokio::sync::Notify;

use crate::support::{Door, from, from_nowhere};

const QUOTA: Quota = Quota::per_minute(2);

/// The verbs that these stores are not asked for.
macro_rules! only_hit {
    () => {
        fn refund(&self, _: &[Hit<'_>], _: SystemTime, _: SystemTime) -> Reply<()> {
            Reply::Ready(Err(unreachable()))
        }

        fn charge(&self, _: &[Hit<'_>], _: SystemTime) -> Reply<()> {
            Reply::Ready(Err(unreachable()))
        }

        fn reset(&self, _: &[u8], _: &Quota) -> Reply<()> {
            Reply::Ready(Err(unreachable()))
        }

        fn block(&self, _: &[u8], _: &Quota, _: SystemTime, _: SystemTime) -> Reply<()> {
            Reply::Ready(Err(unreachable()))
        }
    };
}

/// Answers as memory does, when it is told to.
#[derive(Clone, Default)]
struct Later {
    memory: MemoryStore,
    go: Arc<Notify>,
}

impl RateLimitStore for Later {
    fn hit(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<Decisions> {
        let Reply::Ready(reply) = self.memory.hit(hits, now) else {
            panic!("memory answers at once");
        };
        let go = Arc::clone(&self.go);
        Reply::Wait(Box::pin(async move {
            go.notified().await;
            reply
        }))
    }

    only_hit!();
}

/// Answers with what it was made with.
struct Answers(fn() -> Reply<Decisions>);

impl RateLimitStore for Answers {
    fn hit(&self, _hits: &[Hit<'_>], _now: SystemTime) -> Reply<Decisions> {
        (self.0)()
    }

    only_hit!();
}

fn unreachable() -> StoreError {
    StoreError::new(StoreErrorKind::Unreachable)
}

#[tokio::test]
async fn a_request_waits_for_a_store_that_answers_later() {
    let store = Later::default();
    let door = Door::new(RateLimitLayer::new(QUOTA).with_store(store.clone()));
    for (status, left) in [(200, "r=1"), (200, "r=0"), (429, "r=0")] {
        let mut asked = Box::pin(door.ask(from("192.0.2.1")));
        let calls = door.calls();
        let mut context = Context::from_waker(Waker::noop());
        assert!(asked.as_mut().poll(&mut context).is_pending());
        assert_eq!(
            door.calls(),
            calls,
            "nothing is called before the store has answered"
        );
        store.go.notify_one();
        let answer = asked.await;
        assert_eq!(answer.status, status);
        assert!(answer.field("ratelimit").unwrap().contains(left));
    }
    assert_eq!(door.calls(), 2);
}

#[tokio::test]
async fn a_store_that_fails_refuses_unless_told_otherwise() {
    let failures: [fn() -> Reply<Decisions>; 4] = [
        || Reply::Ready(Err(unreachable())),
        || Reply::Wait(Box::pin(async { Err(unreachable()) })),
        || {
            Reply::Ready(Ok(Decisions::several(
                Decision::pass(2, 1, std::time::Duration::ZERO),
                vec![],
            )))
        },
        || {
            let pass = Decision::pass(2, 1, std::time::Duration::ZERO);
            Reply::Wait(Box::pin(async move {
                Ok(Decisions::several(pass, vec![pass; 2]))
            }))
        },
    ];
    for failure in failures {
        // Two limits: one decision, and three, are no answer.
        let layer = RateLimitLayer::new(QUOTA)
            .add_quota(QUOTA.name("other"))
            .with_store(Answers(failure));
        let door = Door::new(layer.clone());
        let answer = door.ask(from("192.0.2.1")).await;
        assert_eq!((answer.status, door.calls()), (503, 0));
        assert_eq!(answer.json()["code"], "rate_limit_store_unavailable");
        assert_eq!(answer.field("retry-after"), Some("1"));

        let door = Door::new(layer.on_store_error(StoreFailure::Allow));
        let answer = door.ask(from("192.0.2.1")).await;
        assert_eq!((answer.status, door.calls()), (200, 1));
        assert!(
            answer.headers.is_empty(),
            "nothing is known that could be told"
        );
        // Without a key there is nothing to ask the store; that is no failure of its.
        assert_eq!(door.ask(from_nowhere()).await.status, 500);
    }
}

#[tokio::test]
async fn a_failure_is_audited_as_one() {
    let told = Arc::new(std::sync::Mutex::new(String::new()));
    let sink = Arc::clone(&told);
    let layer = RateLimitLayer::new(QUOTA)
        .with_store(Answers(|| Reply::Ready(Err(unreachable()))))
        .with_audit(move |event: &AuditEvent<'_>| *sink.lock().unwrap() = event.kind.to_string());
    Door::new(layer).ask(from("192.0.2.1")).await;
    assert_eq!(*told.lock().unwrap(), "sys_dependency_fail");
}

#[tokio::test]
async fn a_store_that_never_answers_is_let_go_with_the_request() {
    struct Never(Arc<AtomicUsize>);
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    impl RateLimitStore for Never {
        fn hit(&self, _hits: &[Hit<'_>], _now: SystemTime) -> Reply<Decisions> {
            let dropped = Dropped(Arc::clone(&self.0));
            Reply::Wait(Box::pin(async move {
                let _dropped = dropped;
                pending().await
            }))
        }

        only_hit!();
    }
    let dropped = Arc::default();
    let layer = RateLimitLayer::new(QUOTA).with_store(Never(Arc::clone(&dropped)));
    let door = Door::new(layer);
    let mut asked = Box::pin(door.ask(from("192.0.2.1")));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(matches!(asked.as_mut().poll(&mut context), Poll::Pending));
    }
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(asked);
    assert_eq!((dropped.load(Ordering::Relaxed), door.calls()), (1, 0));
}

#[test]
fn a_store_error_says_why_and_keeps_its_cause() {
    let cause = std::io::Error::other("connection reset");
    let error = StoreError::caused_by(StoreErrorKind::Timeout, cause);
    assert_eq!(error.kind(), StoreErrorKind::Timeout);
    assert_eq!(error.to_string(), "the store did not answer in time");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "connection reset");
}
