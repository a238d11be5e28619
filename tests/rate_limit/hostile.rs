//! What somebody tries who wants more than the limit, or wants others to have less.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use portcullis::{
    rate_limit::{Hit, InFlightLayer, Quota, RateLimitLayer, RateLimitStore},
    store::{MemoryStore, Reply},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Door, after, from, hit, hit_all, start};

const SECOND: u64 = 1_000_000_000;

fn ways() -> [Quota; 3] {
    let quota = Quota::new(10, Duration::from_secs(10));
    [quota, quota.exact(), quota.burst(10)]
}

fn refund(store: &MemoryStore, quota: Quota, cost: u32, counted: u64, now: u64) {
    let reply = store.refund(&[Hit::new(b"k", quota, cost)], after(counted), after(now));
    assert!(matches!(reply, Reply::Ready(Ok(()))));
}

#[test]
fn a_refused_request_costs_nothing_though_the_clock_is_behind() {
    for quota in ways() {
        let store = MemoryStore::new();
        assert!(hit(&store, "k", quota, 1, after(20 * SECOND)).allowed);
        let twice = [Hit::new(b"k", quota, 6), Hit::new(b"k", quota, 6)];
        assert!(!hit_all(&store, &twice, start()).allowed());
        let left = hit(&store, "k", quota, 0, after(20 * SECOND)).remaining;
        assert_eq!(left, 9, "{quota:?}");
    }
}

#[test]
fn a_pace_gives_back_no_more_than_has_not_come_back_by_itself() {
    let quota = Quota::new(10, Duration::from_secs(10)).burst(10);
    let (store, plain) = (MemoryStore::new(), MemoryStore::new());
    assert!(hit(&store, "k", quota, 3, start()).allowed);
    for store in [&store, &plain] {
        assert!(hit(store, "k", quota, 9, after(2_900_000_000)).allowed);
    }
    refund(&store, quota, 3, 0, 2_950_000_000);
    let left = |store| hit(store, "k", quota, 0, after(2_950_000_000)).remaining;
    assert!(
        left(&store) <= left(&plain),
        "{} {}",
        left(&store),
        left(&plain)
    );
}

#[test]
fn a_refund_takes_no_place() {
    for quota in ways() {
        let store = MemoryStore::new();
        refund(&store, quota, 4, 0, 0);
        assert_eq!(store.rate_limit_keys(), 0, "{quota:?}");
    }
}

#[tokio::test]
async fn more_is_never_told_to_come_later_than_retry_after() {
    let pace = Quota::per_minute(60).burst(10).name("pace");
    let door = Door::new(RateLimitLayer::new(pace));
    for _ in 0..10 {
        assert_eq!(door.ask(from("192.0.2.1")).await.status, 200);
    }
    let refused = door.ask(from("192.0.2.1")).await;
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(refused.field("ratelimit"), Some(r#""pace";r=0;t=1"#));
}

#[tokio::test]
async fn a_pace_that_is_nearly_used_up_is_told() {
    for burst in [5, 600] {
        let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let sink = std::sync::Arc::clone(&told);
        let layer = RateLimitLayer::new(Quota::per_minute(60).burst(burst))
            .near_limit(80)
            .unwrap()
            .on_event(move |event| {
                let left = event.decision.map(|decision| decision.remaining);
                sink.lock().unwrap().push(left);
            });
        let door = Door::new(layer);
        for _ in 0..burst {
            assert_eq!(door.ask(from("192.0.2.1")).await.status, 200);
        }
        assert_eq!(*told.lock().unwrap(), [Some(burst / 5)]);
    }
}

/// A clock that is behind for a moment is believed to be wrong, so nothing may be taken to be old by it.
#[test]
fn what_was_asked_for_while_the_clock_was_behind_is_not_forgotten() {
    let store = MemoryStore::new();
    let quota = Quota::per_second(5);
    assert!(hit(&store, "k", quota, 5, after(60 * SECOND)).allowed);
    assert!(!hit(&store, "k", quota, 1, after(30 * SECOND)).allowed);
    for other in 0..20_000_u32 {
        hit(&store, other.to_be_bytes(), quota, 1, after(60 * SECOND));
    }
    assert!(!hit(&store, "k", quota, 1, after(60 * SECOND)).allowed);
}

#[tokio::test]
async fn a_panic_behind_the_limit_leaves_nothing_in_flight() {
    let layer = InFlightLayer::new(1).unwrap();
    let inner = service_fn(async |_: Request<Empty<Bytes>>| {
        assert!(SystemTime::now() < SystemTime::UNIX_EPOCH, "on purpose");
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    for _ in 0..3 {
        let asked = layer.layer(inner).oneshot(from("192.0.2.1"));
        assert!(tokio::spawn(asked).await.unwrap_err().is_panic());
        assert_eq!(layer.keys_in_flight(), 0);
    }
}
