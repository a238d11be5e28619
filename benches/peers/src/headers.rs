//! The default security headers: twelve stacked layers of tower-http, axum-helmet, and one layer.

use std::convert::Infallible;

use axum_helmet::{Helmet, HelmetLayer};
use http::{HeaderName, HeaderValue, Request, Response, header};
use portcullis::headers::SecurityHeadersLayer;
use tower::{Layer, ServiceBuilder, service_fn};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::{Step, Table, call_now};

/// helmet 8.3's response headers.
const TWELVE: [(&str, &str); 12] = [
    (
        "content-security-policy",
        "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';\
         frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';\
         script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("referrer-policy", "no-referrer"),
    (
        "strict-transport-security",
        "max-age=31536000; includeSubDomains",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-dns-prefetch-control", "off"),
    ("x-download-options", "noopen"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
];

type Bare =
    tower::util::ServiceFn<fn(Request<()>) -> std::future::Ready<Result<Response<()>, Infallible>>>;

fn bare() -> Bare {
    service_fn(|_| {
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        std::future::ready(Ok(response))
    })
}

fn step<S, R>(mut service: S) -> Step
where
    S: tower::Service<Request<()>, Response = Response<R>, Error = Infallible> + 'static,
{
    Box::new(move || {
        std::hint::black_box(call_now(&mut service, Request::new(())));
    })
}

fn set(index: usize) -> SetResponseHeaderLayer<HeaderValue> {
    let (name, value) = TWELVE[index];
    SetResponseHeaderLayer::overriding(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )
}

pub(crate) fn tables() -> Vec<Table> {
    let twelve = ServiceBuilder::new()
        .layer((set(0), set(1), set(2), set(3)))
        .layer((set(4), set(5), set(6), set(7)))
        .layer((set(8), set(9), set(10), set(11)))
        .service(bare());
    let helmet: HelmetLayer = Helmet::default().try_into().expect("helmet's own defaults");
    vec![Table {
        title: "default security headers",
        contenders: vec![
            ("bare service", step(bare())),
            (
                "portcullis",
                step(SecurityHeadersLayer::new().layer(bare())),
            ),
            ("tower-http, 12 SetResponseHeaderLayers", step(twelve)),
            ("axum-helmet", step(helmet.layer(bare()))),
        ],
    }]
}
