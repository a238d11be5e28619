//! The layer: the exact bytes handed on, the limit, refusals.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body, Frame, SizeHint};
use portcullis::{
    audit::{AuditEvent, AuditKind},
    problem::Rejection,
    replay::ReplayStore,
    store::{MemoryStore, Reply},
    webhook::{
        WebhookBody, WebhookErrorKind, WebhookLayer, WebhookScheme, WebhookSigner, WebhookVerifier,
    },
};
use tower::{Layer, ServiceExt};

use crate::{
    schemes::{all, now},
    support::{Handler, SECRET, clock, delivery, fields, stripe},
};

#[tokio::test]
async fn the_handler_has_the_exact_bytes_however_they_came() {
    // Not UTF-8, not JSON, every byte.
    let body: Vec<u8> = (0..=255).cycle().take(50_000).collect();
    for size in [1, 7, 100, 4095, 4096, 4097, 16_384, 50_000] {
        let handler = Handler::default();
        let answer = handler.ask(&stripe(), delivery(&body, size)).await;
        assert_eq!(answer.status, 200, "{size}");
        let seen = handler.seen.lock().unwrap()[0].clone();
        assert_eq!(seen.body, body);
        assert_eq!(seen.webhook.bytes(), &body);
        assert_eq!(seen.webhook.provider(), "stripe");
        assert_eq!(seen.webhook.timestamp(), Some(now()));
        assert_eq!(seen.webhook.secret_index(), 0);
        // Large frames are handed on as they came, small ones put together.
        let most = body.len().div_ceil(size.max(2048)) + 1;
        assert!(seen.frames <= most, "{size}: {} frames", seen.frames);
    }
}

#[tokio::test]
async fn a_body_of_one_frame_is_not_copied() {
    let body = Bytes::from(vec![7; 1000]);
    let mut request = delivery(b"", 1);
    *request.headers_mut() = fields(&body);
    request.body_mut().frames.push_back(body.clone());
    let handler = Handler::default();
    assert_eq!(handler.ask(&stripe(), request).await.status, 200);
    let seen = handler.seen.lock().unwrap()[0].clone();
    assert_eq!(seen.webhook.bytes().as_ptr(), body.as_ptr());
}

#[tokio::test]
async fn an_empty_body_and_trailers_are_handed_on() {
    let mut request = delivery(b"", 1);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("7"));
    request.body_mut().trailers = Some(trailers.clone());
    let handler = Handler::default();
    assert_eq!(handler.ask(&stripe(), request).await.status, 200);
    let seen = handler.seen.lock().unwrap()[0].clone();
    assert_eq!((seen.body.len(), seen.trailers), (0, Some(trailers)));
    assert_eq!(seen.webhook.bytes().len(), 0);
}

#[tokio::test]
async fn every_scheme_passes_through_the_layer() {
    for sender in all() {
        let verifier = sender.verifier();
        let layer = WebhookLayer::new(verifier).with_clock(clock());
        for (size, good) in [(5, true), (1000, true), (5, false)] {
            let mut request = delivery(sender.body, size);
            *request.headers_mut() = sender.headers();
            *request.uri_mut() = "/hooks?shop=7".parse().unwrap();
            if !good {
                request
                    .body_mut()
                    .frames
                    .push_back(Bytes::from_static(b"&x=1"));
            }
            let handler = Handler::default();
            let answer = handler
                .ask(&layer.clone().dangerous_without_replay_check(), request)
                .await;
            let name = sender.scheme.name();
            let passes = good || !sender.signs_body();
            assert_eq!(
                answer.status,
                if passes { 200 } else { 401 },
                "{name} {size}"
            );
            assert_eq!(handler.calls(), usize::from(passes), "{name}");
            if passes && good {
                assert_eq!(handler.seen.lock().unwrap()[0].body, sender.body);
            }
        }
    }
}

#[tokio::test]
async fn the_query_of_the_request_is_signed_where_the_url_has_none() {
    let signed = WebhookScheme::square("https://example.com/hooks?shop=7").unwrap();
    let headers = WebhookSigner::new(signed, "key")
        .unwrap()
        .sign("", b"{}", now())
        .unwrap();
    let scheme = WebhookScheme::square("https://example.com/hooks").unwrap();
    let verifier = WebhookVerifier::new(scheme, "key").unwrap();
    let layer = WebhookLayer::new(verifier).dangerous_without_replay_check();
    for (target, status) in [
        ("/?shop=7", 200),
        ("/inner?shop=7", 200),
        ("/?shop=8", 401),
        ("/", 401),
    ] {
        let mut request = delivery(b"{}", 2);
        *request.headers_mut() = headers.clone();
        *request.uri_mut() = target.parse().unwrap();
        let answer = Handler::default().ask(&layer, request).await;
        assert_eq!(answer.status, status, "{target}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_not_read_to_its_end() {
    let limit = 10_000;
    let layer = || stripe().body_limit(limit as u64);
    let handler = Handler::default();
    let body = vec![b'x'; limit + 1];
    assert_eq!(
        handler
            .ask(&layer(), delivery(&body[..limit], 1000))
            .await
            .status,
        200
    );

    let request = delivery(&body, 1000);
    let answer = handler.ask(&layer(), request).await;
    assert_eq!(
        (answer.status, answer.code),
        (413, Some("webhook_body_too_large"))
    );
    assert_eq!(answer.headers["content-type"], "application/problem+json");

    // Of a body that goes on, no more is taken than the limit and a frame.
    let long = delivery(&vec![b'x'; 100 * limit], 1000);
    let taken = Arc::clone(&long.body().taken);
    assert_eq!(handler.ask(&layer(), long).await.status, 413);
    assert_eq!(taken.load(Ordering::SeqCst), 11);

    // Of a body that says how long it is, nothing.
    let mut said = delivery(&body, 1000);
    said.body_mut().hint = SizeHint::with_exact(body.len() as u64);
    let taken = Arc::clone(&said.body().taken);
    assert_eq!(handler.ask(&layer(), said).await.status, 413);
    assert_eq!(taken.load(Ordering::SeqCst), 0);
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn the_default_limit_is_one_mebibyte() {
    let handler = Handler::default();
    let body = vec![b'x'; (1 << 20) + 1];
    let most = &body[..1 << 20];
    assert_eq!(
        handler.ask(&stripe(), delivery(most, 16_384)).await.status,
        200
    );
    assert_eq!(
        handler.ask(&stripe(), delivery(&body, 16_384)).await.status,
        413
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let mut request = delivery(b"half of it", 4);
    request.body_mut().breaks_off = true;
    let handler = Handler::default();
    let answer = handler.ask(&stripe(), request).await;
    assert_eq!(
        (answer.status, answer.code),
        (400, Some("webhook_body_unreadable"))
    );
    assert_eq!(handler.calls(), 0);
}

#[tokio::test]
async fn a_delivery_that_is_refused_by_its_head_is_not_read() {
    let mut request = delivery(b"a body", 1);
    request.headers_mut().clear();
    let taken = Arc::clone(&request.body().taken);
    let answer = Handler::default().ask(&stripe(), request).await;
    assert_eq!(
        (answer.status, answer.code),
        (401, Some("webhook_signature_missing"))
    );
    assert_eq!(taken.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn refusals_are_told_rendered_and_give_nothing_away() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let layer = stripe().with_audit(move |event: &AuditEvent<'_>| {
        sink.lock()
            .unwrap()
            .push((event.kind, event.layer, event.code, event.to_string()));
    });
    let mut request = delivery(b"a body", 1);
    let expected = request.headers()["stripe-signature"]
        .to_str()
        .unwrap()
        .to_owned();
    request
        .body_mut()
        .frames
        .push_back(Bytes::from_static(b"!"));
    let answer = Handler::default().ask(&layer, request).await;
    assert_eq!(
        (answer.status, answer.code),
        (401, Some("webhook_signature_invalid"))
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
    let events = events.lock().unwrap();
    let (kind, name, code, text) = &events[0];
    assert_eq!(
        (*kind, *name, *code),
        (
            AuditKind::AuthnLoginFail,
            "webhook",
            "webhook_signature_invalid"
        )
    );
    for part in [SECRET, &expected[20..40]] {
        assert!(!text.contains(part), "{text}");
    }
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn the_clock_of_the_layer_judges_timestamps() {
    let clock = clock();
    let layer = stripe().with_clock(clock.clone());
    clock.advance(Duration::from_secs(301));
    let answer = Handler::default().ask(&layer, delivery(b"a body", 9)).await;
    assert_eq!((answer.status, answer.code), (401, Some("webhook_too_old")));
}

#[tokio::test]
async fn json_is_read_from_the_exact_bytes() {
    let handler = Handler::default();
    handler
        .ask(&stripe(), delivery(br#"{"id":"evt_1"}"#, 3))
        .await;
    handler.ask(&stripe(), delivery(br#"{"id":"#, 3)).await;
    let seen = handler.seen.lock().unwrap();
    let value: serde_json::Value = seen[0].webhook.json().unwrap();
    assert_eq!(value["id"], "evt_1");
    let error = seen[1].webhook.json::<serde_json::Value>().unwrap_err();
    assert_eq!(error.kind(), WebhookErrorKind::NotJson);
    assert_eq!(error.rejection().status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn the_limit_is_exact_and_what_is_empty_counts_for_nothing() {
    let handler = Handler::default();
    for (length, status) in [(99, 200), (100, 200), (101, 413)] {
        for size in [1, 33, 100, 101] {
            let layer = stripe().body_limit(100);
            let mut request = delivery(&vec![b'x'; length], size);
            // Frames of nothing, before, between and after.
            let frames = &mut request.body_mut().frames;
            for at in [0, frames.len() / 2, frames.len()] {
                frames.insert(at, Bytes::new());
            }
            let answer = handler.ask(&layer, request).await;
            assert_eq!(answer.status, status, "{length} in {size}");
        }
    }
    let seen = handler.seen.lock().unwrap();
    assert!(seen.iter().all(|seen| seen.body == seen.webhook.bytes()));
}

#[tokio::test]
async fn nothing_at_all_can_be_allowed() {
    let layer = stripe().body_limit(0);
    let handler = Handler::default();
    assert_eq!(handler.ask(&layer, delivery(b"", 1)).await.status, 200);
    assert_eq!(handler.ask(&layer, delivery(b"x", 1)).await.status, 413);
}

#[tokio::test]
async fn what_is_encoded_is_verified_and_handed_on_as_it_came() {
    // The first bytes of a gzip member: nobody may unpack it before it is known whose it is.
    let body = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00";
    let mut request = delivery(body, 5);
    let gzip = HeaderValue::from_static("gzip");
    request.headers_mut().insert("content-encoding", gzip);
    let handler = Handler::default();
    assert_eq!(handler.ask(&stripe(), request).await.status, 200);
    assert_eq!(handler.seen.lock().unwrap()[0].body, &body[..]);
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off() {
    let clock = clock();
    let layer = stripe()
        .with_clock(clock.clone())
        .body_time(Duration::from_secs(10));
    for (step, status) in [(2, 200), (3, 408)] {
        let handler = Handler::default();
        let mut request = delivery(b"12345", 1);
        // Each frame is waited for.
        let (ticks, step) = (clock.clone(), Duration::from_secs(step));
        request.body_mut().before_each = Some(Box::new(move || ticks.advance(step)));
        let taken = Arc::clone(&request.body().taken);
        clock.set(now());
        let answer = handler.ask(&layer, request).await;
        assert_eq!(answer.status, status);
        assert_eq!(handler.calls(), usize::from(status == 200));
        if status == 408 {
            assert_eq!(answer.code, Some("webhook_body_too_slow"));
            assert_eq!(taken.load(Ordering::SeqCst), 4);
        }
    }
}

/// A body of pieces without end, each of which is there at once.
struct Endless(Bytes, usize);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.1 += 1;
        assert!(self.1 < 100_000, "nobody else comes to run");
        Poll::Ready(Some(Ok(Frame::data(self.0.clone()))))
    }
}

/// Empty pieces come to no limit of bytes.
#[tokio::test]
async fn a_body_without_end_leaves_the_thread_to_others_and_has_its_time() {
    for piece in [&b""[..], b"1"] {
        let clock = clock();
        let layer = stripe().with_clock(clock.clone());
        let body = Endless(Bytes::from_static(piece), 0);
        let mut request = http::Request::post("/hooks").body(body).unwrap();
        request.headers_mut().extend(fields(b"a piece"));
        let service = layer.layer(tower::service_fn(never));
        let mut call = pin!(service.oneshot(request));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let cx = &mut Context::from_waker(&waker);
        for polls in 1..10 {
            assert!(call.as_mut().poll(cx).is_pending());
            assert_eq!(woken.0.load(Ordering::SeqCst), polls);
        }
        clock.advance(Duration::from_secs(31));
        let Poll::Ready(Ok(response)) = call.as_mut().poll(cx) else {
            panic!("no answer");
        };
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    }
}

/// How often somebody was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A body that gives some pieces at once and nothing more, and wakes nobody.
struct Stalled(usize);

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.0.checked_sub(1) else {
            return Poll::Pending;
        };
        self.0 = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a piece")))))
    }
}

fn never(
    _: http::Request<WebhookBody>,
) -> std::future::Ready<Result<http::Response<()>, Infallible>> {
    unreachable!("the body never comes to its end")
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_cut_off_though_nothing_of_it_comes() {
    for (layer, most) in [
        (stripe(), Duration::from_secs(30)),
        (
            stripe().body_time(Duration::from_secs(3600)),
            Duration::from_secs(3600),
        ),
        (stripe().body_time(Duration::ZERO), Duration::ZERO),
    ] {
        for pieces in [0, 1, 3] {
            let mut request = http::Request::post("/hooks").body(Stalled(pieces)).unwrap();
            request.headers_mut().extend(fields(b"a piece"));
            let begun = tokio::time::Instant::now();
            let service = layer.layer(tower::service_fn(never));
            let response = service.oneshot(request).await.unwrap();
            let code = response.extensions().get::<Rejection>().unwrap().code();
            assert_eq!(
                (response.status(), code),
                (StatusCode::REQUEST_TIMEOUT, "webhook_body_too_slow")
            );
            let took = begun.elapsed();
            // The timer counts in milliseconds.
            assert!(
                took >= most && took < most + Duration::from_millis(5),
                "{took:?}"
            );
        }
    }
}

/// Part of the time is gone by the layer's clock when the body is first waited for, and what comes does not begin
/// it anew.
#[tokio::test(start_paused = true)]
async fn a_body_has_one_time_however_often_it_is_waited_for() {
    let handler = Handler::default();
    let mut request = delivery(b"12345", 1);
    let (send, mut come) = tokio::sync::mpsc::unbounded_channel();
    request.body_mut().gate = Some(Box::new(move |cx| come.poll_recv(cx).map(drop)));
    let asked = tokio::spawn(async move { handler.ask(&stripe(), request).await });
    let begun = tokio::time::Instant::now();
    let sender = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(8)).await;
            if send.send(()).is_err() {
                return;
            }
        }
    });
    let answer = asked.await.unwrap();
    assert_eq!(answer.code, Some("webhook_body_too_slow"));
    assert!(begun.elapsed() >= Duration::from_secs(30));
    assert!(
        begun.elapsed() < Duration::from_secs(31),
        "{:?}",
        begun.elapsed()
    );
    sender.await.unwrap();
}

/// Nothing is there to wake it, and nothing panics.
#[test]
fn a_body_that_stalls_outside_of_a_runtime_is_waited_for() {
    let mut request = http::Request::post("/hooks").body(Stalled(1)).unwrap();
    request.headers_mut().extend(fields(b"a piece"));
    let service = stripe().layer(tower::service_fn(never));
    let mut future = pin!(service.oneshot(request));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
}

#[test]
fn the_body_holds_no_more_than_its_bytes_and_a_frame() {
    // Frames as small as can be: each on its own would cost a handle.
    // What is over is the check itself, and the pages that small frames are put together in.
    for (length, size, over) in [
        (100_000, 1, 12_000),
        (100_000, 100, 12_000),
        (1 << 20, 16_384, 6_000),
        (100_000, 4097, 6_000),
        (1000, 1000, 1_500),
    ] {
        let body = vec![b'x'; length];
        let mut request = http::Request::new(Made {
            body: &body,
            size,
            made: 0,
        });
        *request.headers_mut() = fields(&body);
        let inner = tower::service_fn(async |request: http::Request<WebhookBody>| {
            // It is still there while the handler runs.
            let left = request.body().size_hint().exact();
            Ok::<_, Infallible>(http::Response::new(left))
        });
        // The store is there before.
        let store = MemoryStore::new();
        assert!(matches!(
            store.consume(b"another", now(), Duration::from_secs(1)),
            Reply::Ready(Ok(true))
        ));
        let service = stripe().with_store(store).layer(inner);
        let mut answer = None;
        let counted = allocation_counter::measure(|| {
            let mut future = pin!(service.oneshot(request));
            let mut cx = Context::from_waker(Waker::noop());
            while answer.is_none() {
                answer = match future.as_mut().poll(&mut cx) {
                    Poll::Ready(response) => response.ok(),
                    Poll::Pending => continue,
                };
            }
        });
        assert_eq!(answer.unwrap().status(), 200);
        let most = (length + size + over) as u64;
        assert!(counted.bytes_max <= most, "{length} by {size}: {counted:?}");
    }
}

/// A body whose frames are made when they are asked for, each waited for.
struct Made<'b> {
    body: &'b [u8],
    size: usize,
    made: usize,
}

impl Body for Made<'_> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.made += 1;
        if self.made.is_multiple_of(2) {
            return Poll::Pending;
        }
        let (frame, rest) = self.body.split_at(self.size.min(self.body.len()));
        self.body = rest;
        let frame = (!frame.is_empty()).then(|| Frame::data(Bytes::copy_from_slice(frame)));
        Poll::Ready(frame.map(Ok))
    }
}
