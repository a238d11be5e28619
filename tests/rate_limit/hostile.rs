//! What somebody tries who wants more than the limit, or wants others to have less.

use portcullis::rate_limit::{Quota, RateLimitLayer};

use crate::support::{Door, from};

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
