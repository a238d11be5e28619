//! The headers layer against twelve `SetResponseHeaderLayer`s of tower-http that set the same twelve fields,
//! over the same service, in turns.
//!
//! tower-http's layers are stacked twice: overriding, and setting only what is not present (which is what
//! this crate's layer does). The cheaper of the two is what the figures compare with.
//!
//! What the layer allocates is counted by a test (`tests/headers/allocations.rs`): a counting allocator would
//! slow everything down here.

#[allow(unreachable_pub, reason = "shared with the other benches")]
mod support;

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use criterion::Criterion;
use http::{HeaderName, HeaderValue, Request, Response, header};
use portcullis::headers::SecurityHeadersLayer;
use tower::{Layer, Service, service_fn};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::support::{Contender, Figures, Rounds};

const POLICY: &str = "default-src 'self';base-uri 'self';font-src 'self' https: data:;\
    form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';\
    script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests";

const FIELDS: [(HeaderName, &str); 12] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (HeaderName::from_static("origin-agent-cluster"), "?1"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::STRICT_TRANSPORT_SECURITY,
        "max-age=31536000; includeSubDomains",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_DNS_PREFETCH_CONTROL, "off"),
    (HeaderName::from_static("x-download-options"), "noopen"),
    (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    (
        HeaderName::from_static("x-permitted-cross-domain-policies"),
        "none",
    ),
    (header::X_XSS_PROTECTION, "0"),
];

/// The service that every contender stands before: so many fields of its own, and no body.
fn bare(fields: usize) -> impl Fn(Request<()>) -> Ready<Result<Response<()>, Infallible>> + Clone {
    let own = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_LENGTH, "2"),
        (header::ETAG, "\"1\""),
    ];
    move |_| {
        let mut response = Response::new(());
        for (name, value) in &own[..fields] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        ready(Ok(response))
    }
}

/// One layer around another, twelve times.
macro_rules! stacked {
    ($make:expr, $service:expr) => {
        stacked!($make, $service, 11 10 9 8 7 6 5 4 3 2 1 0)
    };
    ($make:expr, $service:expr, $first:literal $($rest:literal)*) => {
        stacked!($make, $make(&FIELDS[$first]).layer($service), $($rest)*)
    };
    ($make:expr, $service:expr,) => {
        $service
    };
}

fn overriding((name, value): &(HeaderName, &'static str)) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name.clone(), HeaderValue::from_static(value))
}

fn if_not_present(
    (name, value): &(HeaderName, &'static str),
) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name.clone(), HeaderValue::from_static(value))
}

/// Calls a service whose futures are ready at once.
fn call<S, B>(service: &mut S) -> Response<B>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut context) else {
        panic!("the service is not ready");
    };
    match pin!(service.call(black_box(Request::new(())))).poll(&mut context) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending => panic!("the future is not ready"),
    }
}

fn fields_of<S, B>(service: &mut S) -> Vec<(String, String)>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let response = call(service);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter();
    let mut fields: Vec<_> = headers.map(|(n, v)| (n.to_string(), text(v))).collect();
    fields.sort_unstable();
    fields
}

fn compare(figures: &mut Figures, fields: usize) {
    let mut bare_service = service_fn(bare(fields));
    let mut layer = SecurityHeadersLayer::new().layer(service_fn(bare(fields)));
    let mut strict = SecurityHeadersLayer::strict().layer(service_fn(bare(fields)));
    let mut override_stack = stacked!(overriding, service_fn(bare(fields)));
    let mut keep_stack = stacked!(if_not_present, service_fn(bare(fields)));
    assert_eq!(fields_of(&mut layer), fields_of(&mut override_stack));
    assert_eq!(fields_of(&mut layer), fields_of(&mut keep_stack));

    let rounds = Rounds::measure(vec![
        Contender::new("bare", || call(&mut bare_service)),
        Contender::new("layer", || call(&mut layer)),
        Contender::new("strict, with a nonce", || call(&mut strict)),
        Contender::new("12 overriding", || call(&mut override_stack)),
        Contender::new("12 if not present", || call(&mut keep_stack)),
    ]);
    let cheaper = ["12 overriding", "12 if not present"]
        .into_iter()
        .min_by(|one, other| rounds.median(one).total_cmp(&rounds.median(other)))
        .unwrap_or("12 overriding");
    println!("\nover a response of {fields} fields; the cheaper stack: {cheaper}");
    let mut add = |name: &str, value: f64, against: Option<(&str, f64)>| {
        figures.add(&format!("{name}, {fields} fields"), value, "ns", against);
    };
    for name in ["bare", "12 overriding", "12 if not present"] {
        add(name, rounds.median(name), None);
    }
    let whole = |name| Some((cheaper, rounds.ratio(name, cheaper)));
    let added = |name| rounds.median(name) - rounds.median("bare");
    let over = |name| Some((cheaper, rounds.added_ratio(name, cheaper, "bare")));
    for name in ["layer", "strict, with a nonce"] {
        add(
            &format!("{name}, the whole call"),
            rounds.median(name),
            whole(name),
        );
        add(&format!("{name}, what it adds"), added(name), over(name));
    }
    // The stack that does the same: what a handler sets stands.
    let same = "12 if not present";
    let whole = rounds.ratio("layer", same);
    add(
        "layer, the whole call",
        rounds.median("layer"),
        Some((same, whole)),
    );
    let over = rounds.added_ratio("layer", same, "bare");
    add("layer, what it adds", added("layer"), Some((same, over)));
}

fn criterion(c: &mut Criterion) {
    let mut group = c.benchmark_group("headers");
    let mut service = service_fn(bare(2));
    group.bench_function("bare", |b| b.iter(|| call(&mut service)));
    let mut service = SecurityHeadersLayer::new().layer(service_fn(bare(2)));
    group.bench_function("layer", |b| b.iter(|| call(&mut service)));
    let mut service = SecurityHeadersLayer::strict().layer(service_fn(bare(2)));
    group.bench_function("strict", |b| b.iter(|| call(&mut service)));
    let mut service = stacked!(overriding, service_fn(bare(2)));
    group.bench_function("12 overriding", |b| b.iter(|| call(&mut service)));
    let mut service = stacked!(if_not_present, service_fn(bare(2)));
    group.bench_function("12 if not present", |b| b.iter(|| call(&mut service)));
    group.finish();
}

fn main() -> std::io::Result<()> {
    let mut figures = Figures::new("headers");
    for fields in [0, 2, 3] {
        compare(&mut figures, fields);
    }
    figures.write()?;
    let mut c = Criterion::default().configure_from_args();
    criterion(&mut c);
    c.final_summary();
    Ok(())
}
