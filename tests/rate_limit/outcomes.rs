//! What happens around a request: outcomes, chosen quotas, events, shadow mode, the older fields.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use portcullis::{
    client_ip::PeerAddr,
    clock::ManualClock,
    principal::Principal,
    rate_limit::{
        Plan, Quota, RateLimitEvent, RateLimitFields, RateLimitKey, RateLimitLayer, StoreFailure,
    },
    store::{StoreError, StoreErrorKind},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Door, START, from, from_nowhere};

/// Answers with the status that the request asks for.
async fn statuses(layer: RateLimitLayer, asked: &[u16]) -> Vec<u16> {
    let service = layer
        .with_clock(ManualClock::at_unix(START))
        .layer(service_fn(async |request: Request<u16>| {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::from_u16(*request.body()).unwrap();
            Ok::<_, Infallible>(response)
        }));
    let mut answered = Vec::new();
    for status in asked {
        let mut request = Request::new(*status);
        let peer = PeerAddr("192.0.2.1:1".parse().unwrap());
        request.extensions_mut().insert(peer);
        let response = service.clone().oneshot(request).await.unwrap();
        answered.push(response.status().as_u16());
    }
    answered
}

#[tokio::test]
async fn only_failed_sign_ins_count() {
    let layer = RateLimitLayer::new(Quota::sign_in()).count_if(|status, _| status == 401);
    let asked = [200, 401, 200, 401, 401, 200, 200, 200, 401, 401, 200, 401];
    let answered = statuses(layer, &asked).await;
    assert_eq!(answered[..10], asked[..10]);
    assert_eq!(answered[10..], [429, 429]);
}

#[tokio::test]
async fn what_a_request_really_cost_is_charged_afterwards() {
    let layer = RateLimitLayer::new(Quota::per_minute(10))
        .settle(|cost, status, _| if status == 201 { cost + 4 } else { 0 });
    assert_eq!(
        statuses(layer, &[200, 201, 204, 201, 200]).await,
        [200, 201, 204, 201, 429]
    );
}

#[tokio::test]
async fn a_refund_reaches_every_limit() {
    let layer = RateLimitLayer::new(Quota::per_minute(1))
        .add_quota_by(Quota::per_hour(1), RateLimitKey::named("all"))
        .count_if(|status, _| status != 404);
    assert_eq!(
        statuses(layer, &[404, 404, 200, 404]).await,
        [404, 404, 200, 429]
    );
}

#[tokio::test]
async fn the_quota_goes_by_the_plan() {
    let layer = RateLimitLayer::new(Quota::per_minute(1))
        .key(RateLimitKey::header("x-api-key".parse().unwrap()))
        .quota_by(|request| match request.headers().get("x-plan") {
            Some(_) => Quota::per_minute(2).name("paid"),
            None => Quota::per_minute(1).name("free"),
        });
    let door = Door::new(layer);
    let ask = |key: &str, paid: bool| {
        let mut request = from_nowhere();
        request
            .headers_mut()
            .insert("x-api-key", key.parse().unwrap());
        if paid {
            request.headers_mut().insert("x-plan", "p".parse().unwrap());
        }
        door.ask(request)
    };
    let free = ask("a", false).await;
    assert_eq!(free.field("ratelimit-policy"), Some(r#""free";q=1;w=60"#));
    let refused = ask("a", false).await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.json()["violated-policies"],
        serde_json::json!(["free"])
    );
    let paid = ask("b", true).await;
    assert_eq!(paid.field("ratelimit-policy"), Some(r#""paid";q=2;w=60"#));
    assert_eq!(
        (ask("b", true).await.status, ask("b", true).await.status),
        (200, 429)
    );
}

#[tokio::test]
async fn the_quota_is_looked_up_and_a_lookup_that_fails_refuses() {
    let layer = RateLimitLayer::new(Quota::per_minute(1)).quota_lookup(|request| {
        let broken = request.headers().contains_key("x-broken");
        async move {
            tokio::task::yield_now().await;
            if broken {
                return Err(StoreError::new(StoreErrorKind::Unreachable));
            }
            Ok(Quota::per_minute(3))
        }
    });
    let door = Door::new(layer.clone());
    for status in [200, 200, 200, 429] {
        assert_eq!(door.ask(from("192.0.2.1")).await.status, status);
    }
    let broken = || {
        let mut request = from("192.0.2.1");
        request
            .headers_mut()
            .insert("x-broken", "1".parse().unwrap());
        request
    };
    let answer = door.ask(broken()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["code"], "rate_limit_store_unavailable");
    let door = Door::new(layer.on_store_error(StoreFailure::Allow));
    assert_eq!(door.ask(broken()).await.status, 200);
}

fn told(layer: RateLimitLayer) -> (RateLimitLayer, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let layer = layer.on_event(move |event: &RateLimitEvent<'_>| {
        let left = event.decision.map(|decision| decision.remaining);
        let text = format!("{} {:?} {left:?}", event.kind.as_str(), event.policy);
        sink.lock().unwrap().push(text);
    });
    (layer, told)
}

#[tokio::test]
async fn coming_near_a_limit_is_told_once() {
    let layer = RateLimitLayer::new(Quota::per_minute(10))
        .near_limit(80)
        .unwrap();
    let (layer, told) = told(layer);
    let door = Door::new(layer);
    for _ in 0..12 {
        door.ask(from("192.0.2.1")).await;
    }
    assert_eq!(*told.lock().unwrap(), [r#"near_limit "default" Some(2)"#]);
    for percent in [0, 101] {
        let layer = RateLimitLayer::new(Quota::per_minute(10));
        assert_eq!(
            layer.near_limit(percent).unwrap_err().setting(),
            "near_limit"
        );
    }
}

#[tokio::test]
async fn a_shadow_decides_and_tells_but_refuses_nobody() {
    let layer = RateLimitLayer::new(Quota::per_minute(1)).dangerous_shadow();
    let (layer, told) = told(layer);
    let door = Door::new(layer);
    let first = door.ask(from("192.0.2.1")).await;
    assert!(first.field("ratelimit").is_some());
    for request in [from("192.0.2.1"), from_nowhere()] {
        let answer = door.ask(request).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("ratelimit"), None);
    }
    assert_eq!(
        *told.lock().unwrap(),
        [
            r#"near_limit "default" Some(0)"#,
            r#"would_refuse "default" Some(0)"#,
            r#"would_refuse "" None"#,
        ]
    );
}

#[tokio::test]
async fn the_older_fields_tell_of_the_limit_with_the_least_left() {
    let layer = RateLimitLayer::new(Quota::per_minute(60))
        .add_quota(Quota::per_hour(2).name("hourly"))
        .fields(RateLimitFields::Legacy);
    let door = Door::new(layer);
    let trio = |answer: &crate::support::Answer| {
        ["limit", "remaining", "reset"].map(|name| {
            let value = answer.field(&format!("x-ratelimit-{name}"));
            value.unwrap().parse::<u64>().unwrap()
        })
    };
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!(trio(&answer), [2, 1, START + 3_825]);
    assert_eq!(answer.field("ratelimit"), None);
    door.ask(from("192.0.2.1")).await;
    door.clock.advance(Duration::from_millis(500));
    let refused = door.ask(from("192.0.2.1")).await;
    assert_eq!(refused.status, 429);
    assert_eq!(trio(&refused), [2, 0, START + 3_825]);
}

#[tokio::test]
async fn tenants_headers_and_names_are_keys() {
    let by = |key| Door::new(RateLimitLayer::new(Quota::per_hour(1)).key(key));
    let as_principal = |principal: Principal| {
        let mut request = from_nowhere();
        request.extensions_mut().insert(principal);
        request
    };
    let door = by(RateLimitKey::tenant());
    let acme = |subject: &str| as_principal(Principal::new(subject).tenant("acme"));
    assert_eq!(door.ask(acme("anne")).await.status, 200);
    assert_eq!(door.ask(acme("bob")).await.status, 429);
    let of_another =
        |issuer: &str| as_principal(Principal::new("anne").tenant("acme").issued_by(issuer));
    assert_eq!(door.ask(of_another("https://a.example")).await.status, 200);
    assert_eq!(door.ask(of_another("https://b.example")).await.status, 200);
    assert_eq!(door.ask(of_another("")).await.status, 200);
    assert_eq!(door.ask(of_another("https://a.example")).await.status, 429);
    let alone = as_principal(Principal::new("anne"));
    assert_eq!(door.ask(alone).await.status, 403);

    let door = by(RateLimitKey::header("x-api-key".parse().unwrap()));
    let with = |values: &[&str]| {
        let mut request = from_nowhere();
        for value in values {
            request
                .headers_mut()
                .append("x-api-key", value.parse().unwrap());
        }
        door.ask(request)
    };
    assert_eq!(with(&["a"]).await.status, 200);
    assert_eq!(with(&["a"]).await.status, 429);
    for wrong in [&[][..], &[""], &["a", "b"], &["b", "b"]] {
        assert_eq!(with(wrong).await.status, 403, "{wrong:?}");
    }

    let door = by(RateLimitKey::named("everybody"));
    assert_eq!(door.ask(from("192.0.2.1")).await.status, 200);
    assert_eq!(door.ask(from("192.0.2.2")).await.status, 429);
}

#[tokio::test]
async fn a_lookup_may_say_what_a_request_costs_and_takes_its_time() {
    let layer = RateLimitLayer::new(Quota::per_minute(1)).quota_lookup(|request| {
        let export = request.uri().path() == "/export";
        async move {
            tokio::task::yield_now().await;
            let plan = Plan::new(Quota::per_minute(10).name("team"));
            Ok(if export { plan.cost(8) } else { plan })
        }
    });
    let door = Door::new(layer);
    let ask = async |path: &str| {
        let mut request = from("192.0.2.1");
        *request.uri_mut() = path.parse().unwrap();
        let answer = door.ask(request).await;
        (answer.status, answer.field("ratelimit").unwrap().to_owned())
    };
    assert_eq!(ask("/").await, (200, r#""team";r=9;t=64"#.to_owned()));
    assert_eq!(ask("/export").await, (200, r#""team";r=1;t=64"#.to_owned()));
    assert_eq!(ask("/export").await.0, 429);
}

/// What is looked up may take long: the request counts from when it is let in.
#[tokio::test]
async fn a_request_is_counted_when_its_lookup_is_done() {
    let clock = Arc::new(ManualClock::at_unix(START));
    let slow = Arc::clone(&clock);
    let layer = RateLimitLayer::new(Quota::per_minute(1))
        .with_clock(Arc::clone(&clock))
        .quota_lookup(move |request| {
            let (slow, takes) = (Arc::clone(&slow), request.uri().path() == "/slow");
            async move {
                if takes {
                    slow.advance(Duration::from_secs(30));
                }
                Ok(Quota::per_minute(1).exact())
            }
        });
    let service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(()))
    }));
    let status = async |path: &str| {
        let peer = PeerAddr("192.0.2.1:1".parse().unwrap());
        let request = Request::builder()
            .uri(path)
            .extension(peer)
            .body(())
            .unwrap();
        service
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status("/slow").await, 200);
    clock.advance(Duration::from_secs(59));
    assert_eq!(status("/").await, 429);
    clock.advance(Duration::from_secs(1));
    assert_eq!(status("/").await, 200);
}
