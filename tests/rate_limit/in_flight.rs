//! How many requests may be in flight at once.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use portcullis::{
    client_ip::PeerAddr,
    problem::Rejection,
    rate_limit::{InFlightLayer, Quota, RateLimitFields, RateLimitKey, RateLimitLayer},
};
use tower::{Layer, Service, ServiceExt, service_fn};

fn from(peer: &str) -> Request<()> {
    let peer = PeerAddr(format!("{peer}:40000").parse().unwrap());
    Request::builder().extension(peer).body(()).unwrap()
}

fn echo()
-> impl Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send> + Clone
{
    service_fn(async |_: Request<()>| Ok(Response::new(Full::from("hello"))))
}

#[tokio::test]
async fn a_request_is_in_flight_until_its_body_ends() {
    let layer = InFlightLayer::new(2).unwrap();
    let service = layer.layer(echo());
    let ask = |peer: &str| service.clone().oneshot(from(peer));
    let (one, two) = (
        ask("192.0.2.1").await.unwrap(),
        ask("192.0.2.1").await.unwrap(),
    );
    assert_eq!(ask("192.0.2.1").await.unwrap().status(), 429);
    assert_eq!(ask("192.0.2.2").await.unwrap().status(), 200);

    let (_, mut body) = one.into_parts();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert_eq!(
        ask("192.0.2.1").await.unwrap().status(),
        429,
        "it may go on"
    );
    assert!(body.frame().await.is_none());
    let third = ask("192.0.2.1").await.unwrap();
    assert_eq!(
        third.status(),
        200,
        "the body has ended, though it is still held"
    );

    assert_eq!(ask("192.0.2.1").await.unwrap().status(), 429);
    drop(two);
    assert_eq!(ask("192.0.2.1").await.unwrap().status(), 200);
    drop((third, body));
    assert_eq!(layer.keys_in_flight(), 0);
}

/// A body that fails at once.
struct Broken;

impl Body for Broken {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(Some(Err("broken")))
    }
}

#[tokio::test]
async fn what_fails_or_goes_away_is_not_in_flight_any_more() {
    let layer = InFlightLayer::new(1).unwrap();

    let failing = layer.layer(service_fn(async |_: Request<()>| {
        Err::<Response<Full<Bytes>>, _>("the service failed")
    }));
    for _ in 0..3 {
        assert!(failing.clone().oneshot(from("192.0.2.1")).await.is_err());
    }

    let broken = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Broken))
    }));
    let mut response = broken.clone().oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(layer.keys_in_flight(), 1);
    assert!(response.body_mut().frame().await.unwrap().is_err());
    assert_eq!(layer.keys_in_flight(), 0);

    let mut waiting = layer.layer(service_fn(async |_: Request<()>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
    }));
    let mut call = Box::pin(waiting.call(from("192.0.2.1")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    assert_eq!(layer.keys_in_flight(), 1);
    drop(call);
    assert_eq!(layer.keys_in_flight(), 0);
}

#[tokio::test]
async fn clients_are_told_in_the_same_lists_as_of_their_rate() {
    let rate = RateLimitLayer::new(Quota::per_minute(60));
    let service = InFlightLayer::new(2).unwrap().layer(rate.layer(echo()));
    let response = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
    let lines = |response: &Response<_>, name: &str| {
        let lines = response.headers().get_all(name).iter();
        lines
            .map(|line| line.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&response.map(drop), "ratelimit-policy"),
        [
            r#""default";q=60;w=60"#,
            r#""in-flight";q=2;qu="concurrent-requests""#
        ]
    );

    let ask = || service.clone().oneshot(from("192.0.2.9"));
    let held = (ask().await.unwrap(), ask().await.unwrap());
    let refused = ask().await.unwrap();
    assert_eq!(refused.status(), 429);
    let rejection = refused.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.code(), "too_many_in_flight");
    assert_eq!(
        rejection.to_json()["type"],
        "https://iana.org/assignments/http-problem-types#quota-exceeded"
    );
    assert_eq!(rejection.to_json()["violated-policies"][0], "in-flight");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["ratelimit"], r#""in-flight";r=0"#);
    drop(held);
}

#[tokio::test]
async fn a_service_that_is_full_says_so_to_everybody() {
    let layer = InFlightLayer::of_service(1)
        .unwrap()
        .name("all")
        .unwrap()
        .fields(RateLimitFields::None)
        .exempt(|request| request.headers().contains_key("x-probe"));
    let service = layer.layer(echo());
    let held = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
    assert!(held.headers().is_empty());
    let refused = service.clone().oneshot(from("192.0.2.2")).await.unwrap();
    let rejection = refused.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (refused.status().as_u16(), rejection.code()),
        (503, "overloaded")
    );
    let mut probe = from("192.0.2.3");
    probe.headers_mut().insert("x-probe", "1".parse().unwrap());
    assert_eq!(service.oneshot(probe).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_shadow_tells_and_lets_in() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let layer = InFlightLayer::new(1)
        .unwrap()
        .key(RateLimitKey::named("all"))
        .dangerous_shadow()
        .on_event(move |event| {
            sink.lock()
                .unwrap()
                .push((event.kind.as_str(), event.policy.to_owned()))
        });
    let service = layer.layer(echo());
    let held = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(
        service.oneshot(from("192.0.2.2")).await.unwrap().status(),
        200
    );
    assert_eq!(
        *told.lock().unwrap(),
        [("would_refuse", "in-flight".to_owned())]
    );
    drop(held);
}

#[tokio::test]
async fn a_key_that_is_not_there_is_refused_and_mistakes_are_found() {
    let service = InFlightLayer::new(1)
        .unwrap()
        .key(RateLimitKey::principal())
        .layer(echo());
    let refused = service.oneshot(from("192.0.2.1")).await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(InFlightLayer::new(0).is_err());
    assert!(InFlightLayer::of_service(0).is_err());
    assert!(InFlightLayer::new(1).unwrap().name("a\"b").is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_at_once_never_are_more_than_the_limit() {
    let layer = InFlightLayer::new(3).unwrap();
    let at_once = Arc::new(Mutex::new((0_u32, 0_u32)));
    let counted = Arc::clone(&at_once);
    let service = layer.layer(service_fn(move |_: Request<()>| {
        let counted = Arc::clone(&counted);
        async move {
            {
                let mut counted = counted.lock().unwrap();
                counted.0 += 1;
                counted.1 = counted.1.max(counted.0);
            }
            tokio::task::yield_now().await;
            counted.lock().unwrap().0 -= 1;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
        }
    }));
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    let response = service.clone().oneshot(from("192.0.2.1")).await.unwrap();
                    response.into_body().collect().await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let most = at_once.lock().unwrap().1;
    assert!((1..=3).contains(&most), "{most} at once");
    assert_eq!(layer.keys_in_flight(), 0);
}
