//! The layer: costs, exemptions, audit, responders, sharing.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use portcullis::{
    audit::AuditEvent,
    head::RequestHead,
    problem::Rejection,
    rate_limit::{Quota, RateLimitLayer},
    store::MemoryStore,
};

use crate::support::{Door, from, from_nowhere};

#[tokio::test]
async fn a_limit_is_let_in_and_no_more_until_it_comes_back() {
    let door = Door::new(RateLimitLayer::new(Quota::per_minute(3)));
    for status in [200, 200, 200, 429, 429] {
        assert_eq!(door.ask(from("192.0.2.1")).await.status, status);
    }
    assert_eq!(door.calls(), 3);
    door.clock.advance(Duration::from_millis(63_749));
    assert_eq!(door.ask(from("192.0.2.1")).await.status, 429);
    door.clock.advance(Duration::from_millis(1));
    assert_eq!(door.ask(from("192.0.2.1")).await.status, 200);
}

#[tokio::test]
async fn a_request_costs_what_is_said() {
    let layer = RateLimitLayer::new(Quota::per_minute(10)).cost(|request| {
        let cost = request.headers().get("x-cost");
        cost.and_then(|cost| cost.to_str().ok()?.parse().ok())
            .unwrap_or(1)
    });
    let door = Door::new(layer);
    let ask = |cost: &str| {
        let mut request = from("192.0.2.1");
        request
            .headers_mut()
            .insert("x-cost", cost.parse().unwrap());
        door.ask(request)
    };
    assert_eq!(ask("9").await.status, 200);
    assert_eq!(ask("5").await.status, 429);
    assert_eq!(ask("0").await.status, 200);
    assert_eq!(ask("1").await.status, 200);
    assert_eq!(ask("0").await.status, 200);
    // It can never pass, so it is not told when to come back.
    let never = ask("11").await;
    assert_eq!((never.status, never.field("retry-after")), (429, None));
}

#[tokio::test]
async fn exempt_requests_are_neither_counted_nor_told() {
    let layer = RateLimitLayer::new(Quota::per_minute(1))
        .exempt(|request| request.headers().contains_key("x-probe"));
    let door = Door::new(layer);
    for mut request in [from("192.0.2.1"), from("192.0.2.1"), from_nowhere()] {
        request
            .headers_mut()
            .insert("x-probe", "1".parse().unwrap());
        let answer = door.ask(request).await;
        assert_eq!(answer.status, 200);
        assert!(answer.headers.is_empty());
    }
    assert_eq!(door.ask(from("192.0.2.1")).await.status, 200);
    assert_eq!(door.ask(from("192.0.2.1")).await.status, 429);
}

#[tokio::test]
async fn refusals_are_told_and_rendered() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let layer = RateLimitLayer::new(Quota::per_minute(1))
        .with_audit(move |event: &AuditEvent<'_>| sink.lock().unwrap().push(event.to_string()))
        .with_responder(|rejection: &Rejection, _: RequestHead<'_>| {
            let mut response = Response::new(Bytes::from_static(b"slow down"));
            *response.status_mut() = rejection.status();
            response
        });
    let door = Door::new(layer);
    door.ask(from("192.0.2.1")).await;
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!((answer.status, &*answer.body), (429, "slow down"));
    assert_eq!(answer.field("retry-after"), Some("64"));
    assert_eq!(answer.field("ratelimit"), Some(r#""default";r=0;t=64"#));
    door.ask(from_nowhere()).await;
    assert_eq!(
        *told.lock().unwrap(),
        [
            "event=excess_rate_limit_exceeded layer=rate_limit code=rate_limited status=429 \
             method=\"GET\" path=\"/\" peer=192.0.2.1",
            "event=input_validation_fail layer=rate_limit code=client_ip_peer_unknown status=500 \
             method=\"GET\" path=\"/\"",
        ]
    );
}

#[tokio::test]
async fn the_rejection_is_there_for_outer_layers() {
    let door = Door::new(RateLimitLayer::new(Quota::per_minute(1)));
    door.response(from("192.0.2.1")).await;
    let response = door.response(from("192.0.2.1")).await;
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.code(), "rate_limited");
}

#[tokio::test]
async fn layers_share_counts_if_they_share_the_store() {
    let quota = Quota::per_minute(1);
    let store = MemoryStore::new();
    let one = Door::new(RateLimitLayer::new(quota).with_store(store.clone()));
    let two = Door::new(RateLimitLayer::new(quota).with_store(store.clone()));
    let named = Door::new(RateLimitLayer::new(quota.name("named")).with_store(store));
    let alone = Door::new(RateLimitLayer::new(quota));
    assert_eq!(one.ask(from("192.0.2.1")).await.status, 200);
    assert_eq!(two.ask(from("192.0.2.1")).await.status, 429);
    assert_eq!(named.ask(from("192.0.2.1")).await.status, 200);
    assert_eq!(alone.ask(from("192.0.2.1")).await.status, 200);
}

#[test]
fn a_layer_can_be_looked_at() {
    let layer = RateLimitLayer::new(Quota::per_minute(1)).exempt(|_| false);
    let shown = format!("{layer:?}");
    assert!(
        shown.contains("limit: 1") && shown.contains("exempt: true"),
        "{shown}"
    );
}
