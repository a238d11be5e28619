use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::BodyExt;
use portcullis::{
    audit::AuditEvent,
    client_ip::PeerAddr,
    clock::ManualClock,
    guard::{Guarded, Refusals, RefusalsLayer},
    head::RequestHead,
    principal::Principal,
    problem::{Rejection, Responder},
};
use serde_json::{Value, json};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::support::{Insists, TestGuard, TestLayer, wish};

/// What a bodiless inner service answers with, given a body type that can carry a refusal.
async fn answered<S, B>(service: S, request: Request<()>) -> (http::response::Parts, Bytes)
where
    S: tower::Service<Request<()>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

/// [`Insists`], with a body that has data.
fn inner() -> impl tower::Service<
    Request<()>,
    Response = Response<String>,
    Error = std::convert::Infallible,
    Future: Send,
> + Clone {
    Insists::default().map_response(|response: Response<()>| response.map(|()| String::from("in")))
}

fn guarded(refusals: Refusals) -> TestLayer {
    TestLayer(TestGuard { refusals })
}

fn polite(rejection: &Rejection, request: RequestHead<'_>) -> Response<Bytes> {
    let text = format!("{} refused: {}", request.uri().path(), rejection.code());
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
    response
}

fn curt(_rejection: &Rejection, _request: RequestHead<'_>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"no"));
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, header::HeaderValue::from_static("9"));
    response
}

#[tokio::test]
async fn a_refusal_is_problem_json_with_a_stable_code() {
    for what in ["refuse", "refuse-later"] {
        let (parts, body) = answered(guarded(Refusals::new()).layer(inner()), wish(what)).await;
        assert_eq!(parts.status, 403);
        assert_eq!(
            parts.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(parts.headers[header::RETRY_AFTER], "7");
        let wanted = json!({"type": "about:blank", "title": "Forbidden", "status": 403,
            "detail": "You asked for it.", "code": "test_refused"});
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), wanted);
        assert_eq!(
            parts.extensions.get::<Rejection>().map(Rejection::code),
            Some("test_refused")
        );
    }
}

#[tokio::test]
async fn what_passes_keeps_its_body() {
    for what in ["pass", "pass-later"] {
        let (parts, body) = answered(guarded(Refusals::new()).layer(inner()), wish(what)).await;
        assert_eq!((parts.status.as_u16(), &body[..]), (200, &b"in"[..]));
    }
}

#[tokio::test]
async fn a_responder_decides_status_and_body_and_never_loses_the_rejections_headers() {
    let mut refusals = Refusals::new();
    refusals.set_responder(polite);
    let (parts, body) = answered(guarded(refusals).layer(inner()), wish("refuse")).await;
    assert_eq!(
        (parts.status.as_u16(), &body[..]),
        (418, &b"/path refused: test_refused"[..])
    );
    assert_eq!(parts.headers[header::RETRY_AFTER], "7");
    assert!(parts.extensions.get::<Rejection>().is_some());
}

#[tokio::test]
async fn a_responders_own_header_is_not_doubled() {
    let mut refusals = Refusals::new();
    refusals.set_responder(curt);
    let (parts, _) = answered(guarded(refusals).layer(inner()), wish("refuse")).await;
    assert_eq!(
        parts
            .headers
            .get_all(header::RETRY_AFTER)
            .iter()
            .collect::<Vec<_>>(),
        ["9"]
    );
}

#[tokio::test]
async fn one_layer_outside_serves_all_guards_inside_and_a_guards_own_responder_wins() {
    let for_all = || ServiceBuilder::new().layer(RefusalsLayer::new().with_responder(polite));
    let shared = for_all().layer(guarded(Refusals::new())).service(inner());
    assert_eq!(answered(shared, wish("refuse")).await.0.status, 418);

    let mut own = Refusals::new();
    own.set_responder(curt);
    let own = for_all().layer(guarded(own)).service(inner());
    assert_eq!(&answered(own, wish("refuse")).await.1[..], b"no");
}

#[tokio::test]
async fn a_guards_own_audit_wins_over_the_one_outside() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = |name: &'static str| {
        let told = Arc::clone(&told);
        move |_: &AuditEvent<'_>| told.lock().unwrap().push(name)
    };
    let mut own = Refusals::new();
    own.set_audit(sink("own"));
    let service = ServiceBuilder::new()
        .layer(RefusalsLayer::new().with_audit(sink("outside")))
        .layer(guarded(own))
        .service(inner());
    answered(service, wish("refuse")).await;
    assert_eq!(*told.lock().unwrap(), ["own"]);
}

#[tokio::test]
async fn the_length_of_an_answer_is_known_before_it_is_sent() {
    let service = guarded(Refusals::new()).layer(inner());
    let refusal = service.clone().oneshot(wish("refuse")).await.unwrap();
    let length = refusal.body().size_hint().exact();
    assert!(!refusal.body().is_end_stream());
    let sent = refusal.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(length, Some(sent.len() as u64));

    let mut refusals = Refusals::new();
    refusals.set_responder(|_: &Rejection, _: RequestHead<'_>| Response::new(Bytes::new()));
    let service = guarded(refusals).layer(inner());
    let empty = service.oneshot(wish("refuse")).await.unwrap().into_body();
    assert!(empty.is_end_stream() && empty.size_hint().exact() == Some(0));
}

#[tokio::test]
async fn one_layer_inside_another_takes_over_what_it_has_and_nothing_else() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = |name: &'static str| {
        let told = Arc::clone(&told);
        move |_: &AuditEvent<'_>| told.lock().unwrap().push(name)
    };
    let none = RefusalsLayer::new;
    let full = |responder, name| none().with_responder(responder).with_audit(sink(name));
    type Render = fn(&Rejection, RequestHead<'_>) -> Response<Bytes>;
    let (polite, curt): (Render, Render) = (polite, curt);
    for (outside, inside, expected) in [
        (
            none().with_audit(sink("a")),
            none().with_responder(curt),
            "a",
        ),
        (full(polite, "a"), none().with_responder(curt), "a"),
        (full(curt, "a"), none().with_audit(sink("b")), "b"),
        (full(polite, "a"), full(curt, "b"), "b"),
        (full(curt, "a"), none(), "a"),
    ] {
        let service = ServiceBuilder::new()
            .layer(outside)
            .layer(inside)
            .layer(guarded(Refusals::new()))
            .service(inner());
        let (_, body) = answered(service, wish("refuse")).await;
        assert_eq!(body, "no");
        assert_eq!(std::mem::take(&mut *told.lock().unwrap()), [expected]);
    }
}

#[tokio::test]
async fn a_refusal_is_told_once_with_who_when_and_why_and_nothing_of_the_query() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let clock = Arc::new(ManualClock::at_unix(1_800_000_000));
    let mut refusals = Refusals::new();
    refusals.set_clock(Arc::clone(&clock));
    let log = Arc::clone(&told);
    refusals.set_audit(move |event: &AuditEvent<'_>| {
        log.lock().unwrap().push((event.at, event.to_string()));
    });
    let service = Guarded::new(Insists::default(), TestGuard { refusals });

    clock.advance(Duration::from_secs(1));
    for what in ["pass", "answer", "refuse"] {
        let mut request = wish(what);
        request
            .extensions_mut()
            .insert(Principal::new("eve\nevent=authn_login_success"));
        request
            .extensions_mut()
            .insert(PeerAddr(SocketAddr::from(([192, 0, 2, 7], 1234))));
        service.clone().oneshot(request).await.unwrap();
    }

    let told = told.lock().unwrap();
    let line = "event=authz_fail layer=test code=test_refused status=403 method=\"GET\" path=\"/path\" \
                peer=192.0.2.7 subject=\"eve\\nevent=authn_login_success\"";
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_001);
    assert_eq!(*told, [(at, line.to_owned())]);
}

#[tokio::test]
async fn behind_a_proxy_a_refusal_is_told_with_the_clients_address_if_it_can_be_known() {
    use portcullis::client_ip::{ClientIp, ForwardedHeader, TrustedProxies};

    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let proxies = TrustedProxies::new(["10.0.0.0/8"]).unwrap();
    let for_all = RefusalsLayer::new()
        .client_ip(ClientIp::trusted_ranges(
            ForwardedHeader::XForwardedFor,
            proxies,
        ))
        .with_audit(move |event: &AuditEvent<'_>| {
            let line = event.to_string();
            log.lock()
                .unwrap()
                .push((event.client, line.contains("client=")));
        });
    let service = for_all.layer(guarded(Refusals::new()).layer(inner()));
    for (peer, forwarded) in [
        ([10, 0, 0, 1], "198.51.100.9"),
        ([192, 0, 2, 7], "198.51.100.9"),
        ([10, 0, 0, 1], "nobody"),
    ] {
        let mut request = wish("refuse");
        let forwarded = header::HeaderValue::from_static(forwarded);
        request.headers_mut().insert("x-forwarded-for", forwarded);
        let peer = PeerAddr(SocketAddr::from((peer, 1234)));
        request.extensions_mut().insert(peer);
        service.clone().oneshot(request).await.unwrap();
    }
    let found = |ip: [u8; 4]| (Some(ip.into()), true);
    let wanted = [
        found([198, 51, 100, 9]),
        found([192, 0, 2, 7]),
        (None, false),
    ];
    assert_eq!(*told.lock().unwrap(), wanted);
}

#[test]
fn members_of_a_problem_cannot_replace_those_of_the_rfc() {
    let rejection = Rejection::new(http::StatusCode::CONFLICT, "taken", "Taken.")
        .of_type("https://example.com/problems/taken")
        .add_member("status", 200)
        .add_member("type", "about:nothing")
        .add_member("title", "Fine")
        .add_member("detail", "Free.")
        .add_member("code", "free")
        .add_member("by", "someone");
    let wanted = json!({"type": "https://example.com/problems/taken", "title": "Conflict", "status": 409,
        "detail": "Taken.", "code": "taken", "by": "someone"});
    assert_eq!(rejection.to_json(), wanted);
}

#[test]
fn several_values_of_a_rejections_header_all_reach_the_answer() {
    let challenge = |text| header::HeaderValue::from_static(text);
    let rejection = Rejection::new(http::StatusCode::UNAUTHORIZED, "who", "Who?")
        .add_header(header::WWW_AUTHENTICATE, challenge("Bearer"))
        .add_header(header::WWW_AUTHENTICATE, challenge("DPoP"));
    let response =
        portcullis::problem::ProblemJson.respond(&rejection, RequestHead::from(&Request::new(())));
    let values: Vec<_> = response
        .headers()
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .collect();
    assert_eq!(values, ["Bearer", "DPoP"]);
}
