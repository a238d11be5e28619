//! Rules: webhooks.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use portcullis::{
    clock::ManualClock,
    problem::Rejection,
    replay::{Claim, ClaimToken, ReplayStore},
    store::{MemoryStore, Reply},
    webhook::{
        WebhookBody, WebhookErrorKind as Kind, WebhookLayer, WebhookScheme, WebhookSigner,
        WebhookVerifier,
    },
};
use tokio::sync::Barrier;
use tower::{Layer, ServiceExt, service_fn};

const SECRET: &str = "whsec_test_secret";
const BODY: &[u8] = b"{\"id\":\"evt_test\"}";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn verifier(scheme: WebhookScheme) -> WebhookVerifier {
    WebhookVerifier::new(scheme, SECRET).unwrap()
}

fn signed(scheme: WebhookScheme, body: &[u8]) -> HeaderMap {
    let signer = WebhookSigner::new(scheme, SECRET).unwrap();
    signer.sign("delivery-1", body, now()).unwrap()
}

fn kind(scheme: WebhookScheme, headers: &HeaderMap, body: &[u8], at: SystemTime) -> Option<Kind> {
    let verdict = verifier(scheme).verify(headers, body, at);
    verdict.err().map(|error| error.kind())
}

fn layer(scheme: WebhookScheme) -> WebhookLayer {
    WebhookLayer::new(verifier(scheme)).with_clock(ManualClock::new(now()))
}

fn request(headers: &HeaderMap, body: &'static [u8]) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(body)));
    *request.headers_mut() = headers.clone();
    request
}

/// The status and the code that a delivery is answered with, and what the handler read of it.
async fn ask(
    layer: &WebhookLayer,
    request: Request<Full<Bytes>>,
) -> (u16, Option<&'static str>, Option<Bytes>) {
    let read = Arc::new(Mutex::new(None));
    let handler = Arc::clone(&read);
    let service = layer.layer(service_fn(move |request: Request<WebhookBody>| {
        let read = Arc::clone(&handler);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            *read.lock().unwrap() = Some(body);
            Ok::<_, Infallible>(Response::new(()))
        }
    }));
    let response = service.oneshot(request).await.unwrap();
    let code = response
        .extensions()
        .get::<Rejection>()
        .map(Rejection::code);
    let read = read.lock().unwrap().take();
    (response.status().as_u16(), code, read)
}

#[tokio::test]
async fn rule_39_of_100_parallel_deliveries_one_reaches_the_handler() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let handler = service_fn(move |_: Request<WebhookBody>| {
        count.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Response::new(()))
        }
    });
    let service = layer(WebhookScheme::stripe()).layer(handler);
    let headers = signed(WebhookScheme::stripe(), BODY);
    let start = Arc::new(Barrier::new(100));
    let attempts: Vec<_> = (0..100)
        .map(|_| {
            let (service, start) = (service.clone(), Arc::clone(&start));
            let request = request(&headers, BODY);
            tokio::spawn(async move {
                start.wait().await;
                service.oneshot(request).await.unwrap().status().as_u16()
            })
        })
        .collect();
    for attempt in attempts {
        assert!([200, 503].contains(&attempt.await.unwrap()));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn rule_70_the_mac_is_over_the_exact_bytes_and_they_are_handed_on() {
    // No UTF-8, no JSON, and white space that a parser would drop.
    let body = b"\xff\xfe {\"a\" :  1}\r\n\0";
    let headers = signed(WebhookScheme::github(), body);
    let (status, _, read) = ask(&layer(WebhookScheme::github()), request(&headers, body)).await;
    assert_eq!((status, read.as_deref()), (200, Some(&body[..])));
    let rewritten = b"\xff\xfe{\"a\":1}";
    assert!(kind(WebhookScheme::github(), &headers, rewritten, now()).is_some());
}

#[test]
fn rule_71_every_wrong_tag_is_compared_to_its_end() {
    // Time cannot be measured in a test; that nothing shortens the comparison can: whichever byte of the
    // tag is wrong, and however many, the verdict is the same one.
    let headers = signed(WebhookScheme::github(), BODY);
    let field = headers["x-hub-signature-256"].as_bytes().to_vec();
    for at in "sha256=".len()..field.len() {
        let mut wrong = field.clone();
        wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
        let mut headers = headers.clone();
        headers.insert(
            "x-hub-signature-256",
            HeaderValue::from_bytes(&wrong).unwrap(),
        );
        let verdict = kind(WebhookScheme::github(), &headers, BODY, now());
        assert_eq!(verdict, Some(Kind::SignatureInvalid));
    }
}

#[test]
fn rule_72_missing_headers_empty_secrets_and_empty_lists_are_refused() {
    let missing = kind(WebhookScheme::github(), &HeaderMap::new(), BODY, now());
    assert_eq!(missing, Some(Kind::SignatureMissing));
    for empty in ["", "  ", "\n"] {
        assert!(WebhookVerifier::new(WebhookScheme::github(), empty).is_err());
        assert!(verifier(WebhookScheme::github()).add_secret(empty).is_err());
    }
    // The tag that an empty secret would make.
    let scheme = WebhookScheme::generic("stripe-signature").unwrap();
    let mut headers = signed(scheme, BODY);
    for list in ["t=1800000000", "t=1800000000,", "t=1800000000,v1=", ","] {
        headers.insert("stripe-signature", HeaderValue::from_str(list).unwrap());
        assert!(
            kind(WebhookScheme::stripe(), &headers, BODY, now()).is_some(),
            "{list}"
        );
    }
}

#[test]
fn rule_73_timestamps_are_bounded_in_the_past_and_in_the_future() {
    let headers = signed(WebhookScheme::stripe(), BODY);
    let at = |at| kind(WebhookScheme::stripe(), &headers, BODY, at);
    let (bound, beyond) = (Duration::from_secs(300), Duration::from_secs(301));
    assert_eq!((at(now() + bound), at(now() - bound)), (None, None));
    assert_eq!(at(now() + beyond), Some(Kind::TooOld));
    assert_eq!(at(now() - beyond), Some(Kind::FromFuture));
    assert_eq!(
        at(now() - Duration::from_secs(86_400)),
        Some(Kind::FromFuture)
    );
}

#[test]
fn rule_74_timestamps_are_digits_and_signed_as_received() {
    let headers = signed(WebhookScheme::slack(), BODY);
    let with = |timestamp: &str| {
        let mut headers = headers.clone();
        headers.insert(
            "x-slack-request-timestamp",
            HeaderValue::from_str(timestamp).unwrap(),
        );
        kind(WebhookScheme::slack(), &headers, BODY, now())
    };
    assert_eq!(with("1800000000"), None);
    for wrong in [
        "+1800000000",
        "1800000000.0",
        "1.8e9",
        " 1800000000",
        "",
        "x",
        "01800000000",
    ] {
        assert_eq!(with(wrong), Some(Kind::TimestampMalformed), "{wrong}");
    }
    // Another time is not what was signed.
    assert_eq!(with("1800000001"), Some(Kind::SignatureInvalid));
}

/// Counts the claims.
struct Counting(MemoryStore, Arc<AtomicUsize>);

impl ReplayStore for Counting {
    fn consume(&self, key: &[u8], now: SystemTime, keep: Duration) -> Reply<bool> {
        self.0.consume(key, now, keep)
    }

    fn claim(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        lease: Duration,
    ) -> Reply<Claim> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.claim(key, token, now, lease)
    }

    fn commit(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        keep: Duration,
    ) -> Reply<bool> {
        self.0.commit(key, token, now, keep)
    }

    fn release(&self, key: &[u8], token: &ClaimToken, now: SystemTime) -> Reply<bool> {
        self.0.release(key, token, now)
    }
}

#[tokio::test]
async fn rule_75_a_delivery_is_claimed_after_its_verification_and_without_an_id_by_a_digest() {
    let claims = Arc::new(AtomicUsize::new(0));
    let store = Counting(MemoryStore::new(), Arc::clone(&claims));
    // GitHub's id is not signed, Stripe sends none.
    let layer = layer(WebhookScheme::github()).with_store(store);
    let headers = signed(WebhookScheme::github(), BODY);
    let forged = ask(&layer, request(&headers, b"forged")).await;
    assert_eq!((forged.0, claims.load(Ordering::SeqCst)), (401, 0));
    assert_eq!(ask(&layer, request(&headers, BODY)).await.1, None);
    assert_eq!(claims.load(Ordering::SeqCst), 1);
    let mut renamed = headers.clone();
    renamed.insert("x-github-delivery", HeaderValue::from_static("delivery-2"));
    for replayed in [headers, renamed] {
        let (status, code, read) = ask(&layer, request(&replayed, BODY)).await;
        assert_eq!((status, code, read), (200, Some("webhook_replayed"), None));
    }
}

#[test]
fn rule_76_unknown_kinds_of_signature_are_ignored_and_none_left_is_a_refusal() {
    let good = signed(WebhookScheme::stripe(), BODY);
    let field = good["stripe-signature"].to_str().unwrap();
    let with = |field: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("stripe-signature", HeaderValue::from_str(field).unwrap());
        kind(WebhookScheme::stripe(), &headers, BODY, now())
    };
    assert_eq!(with(&format!("{field},v0=00,v2=00")), None);
    assert_eq!(
        with(&field.replace("v1=", "v0=")),
        Some(Kind::SignatureUnknown)
    );
}

#[tokio::test]
async fn rule_77_limits_come_before_the_mac_and_odd_signatures_are_inert() {
    let headers = signed(WebhookScheme::github(), BODY);
    let small = layer(WebhookScheme::github()).body_limit(BODY.len() as u64 - 1);
    let (status, code, _) = ask(&small, request(&headers, BODY)).await;
    assert_eq!((status, code), (413, Some("webhook_body_too_large")));

    let field = headers["x-hub-signature-256"].to_str().unwrap();
    let odd = [
        &field[..field.len() - 1],
        &field[..field.len() - 2],
        "sha256=",
        "sha256=zz",
    ];
    for odd in odd
        .map(str::to_owned)
        .into_iter()
        .chain([format!("{field}00")])
    {
        let mut headers = headers.clone();
        headers.insert("x-hub-signature-256", HeaderValue::from_str(&odd).unwrap());
        let verdict = kind(WebhookScheme::github(), &headers, BODY, now());
        assert_eq!(verdict, Some(Kind::SignatureInvalid), "{odd}");
    }
    let mut twice = headers.clone();
    let value = headers["x-hub-signature-256"].clone();
    twice.append("x-hub-signature-256", value);
    let verdict = kind(WebhookScheme::github(), &twice, BODY, now());
    assert_eq!(verdict, Some(Kind::Duplicate));
}

#[tokio::test]
async fn rule_78_every_failure_has_one_generic_status() {
    let headers = signed(WebhookScheme::stripe(), BODY);
    let mut malformed = headers.clone();
    malformed.insert("stripe-signature", HeaderValue::from_static("nonsense"));
    let mut old = headers.clone();
    old.insert("stripe-signature", HeaderValue::from_static("t=1,v1=00"));
    for (headers, body) in [
        (HeaderMap::new(), BODY),
        (malformed, BODY),
        (old, BODY),
        (headers, b"forged"),
    ] {
        let (status, code, read) =
            ask(&layer(WebhookScheme::stripe()), request(&headers, body)).await;
        assert_eq!((status, read), (401, None));
        assert!(code.unwrap().starts_with("webhook_"));
    }
}
