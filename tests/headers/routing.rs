//! Over axum's routers and over other layers.

use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use http::{HeaderMap, Request, Response, StatusCode, header};
use portcullis::headers::{
    ContentSecurityPolicy, CrossOriginEmbedderPolicy, CspNonce, SecurityHeadersLayer, SiteData,
    StrictTransportSecurity, XFrameOptions,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::{compression::CompressionLayer, limit::RequestBodyLimitLayer};

use crate::support::{all, empty, now, text};

fn ask(app: &Router, path: &str) -> Response<Body> {
    let request = Request::get(path).body(Body::empty()).unwrap();
    now(app.clone().oneshot(request)).unwrap()
}

fn headers(app: &Router, path: &str) -> HeaderMap {
    ask(app, path).into_parts().0.headers
}

async fn nonce_of(request: Request<Body>) -> String {
    let nonce = request.extensions().get::<CspNonce>();
    nonce.map_or("none".to_owned(), CspNonce::to_string)
}

#[test]
fn a_router_has_them_on_every_answer() {
    let app = Router::new()
        .route("/", get(async || "page"))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .layer(SecurityHeadersLayer::new());
    for (path, status) in [("/", 200), ("/broken", 500), ("/missing", 404)] {
        let response = ask(&app, path);
        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()["x-frame-options"],
            "SAMEORIGIN",
            "{path}"
        );
        assert_eq!(
            response.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
    }
    let wrong = Request::post("/").body(Body::empty()).unwrap();
    let refused = now(app.oneshot(wrong)).unwrap();
    assert_eq!(refused.status(), 405);
    assert_eq!(refused.headers()["allow"], "GET,HEAD");
    assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
}

#[test]
fn a_route_layer_has_them_on_routes_only() {
    let app = Router::new()
        .route("/", get(async || "page"))
        .route_layer(SecurityHeadersLayer::new());
    assert!(headers(&app, "/").contains_key("x-frame-options"));
    assert!(!headers(&app, "/missing").contains_key("x-frame-options"));
}

#[test]
fn a_nested_router_overrides_field_by_field() {
    let embed = Router::new().route("/card", get(async || "card")).layer(
        empty()
            .content_security_policy("default-src 'self'; frame-ancestors *".parse().unwrap())
            .cross_origin_embedder_policy(CrossOriginEmbedderPolicy::Credentialless)
            .dangerous_without(XFrameOptions::NAME),
    );
    let app = Router::new()
        .route("/", get(async || "page"))
        .nest("/embed", embed)
        .layer(SecurityHeadersLayer::strict());

    let inner = headers(&app, "/embed/card");
    assert_eq!(
        all(&inner, "content-security-policy"),
        ["default-src 'self';frame-ancestors *"]
    );
    assert_eq!(
        all(&inner, "cross-origin-embedder-policy"),
        ["credentialless"]
    );
    assert!(
        !inner.contains_key("x-frame-options"),
        "left out on purpose"
    );
    assert_eq!(
        inner["x-content-type-options"], "nosniff",
        "the outer layer's"
    );

    let outer = headers(&app, "/");
    assert_eq!(outer["x-frame-options"], "DENY");
    assert_eq!(outer["cross-origin-embedder-policy"], "require-corp");
}

#[test]
fn what_is_left_out_stays_out_through_any_number_of_layers() {
    let app = Router::new()
        .route("/", get(async || "page"))
        .layer(empty().dangerous_without(XFrameOptions::NAME))
        .layer(SecurityHeadersLayer::new())
        .layer(SecurityHeadersLayer::api().dangerous_without(StrictTransportSecurity::NAME))
        .layer(SecurityHeadersLayer::strict());
    let headers = headers(&app, "/");
    assert!(!headers.contains_key("x-frame-options"));
    // The layer inside the one that leaves it out has set it: it is a handler to those outside.
    assert_eq!(
        all(&headers, "strict-transport-security"),
        ["max-age=31536000; includeSubDomains"]
    );
    assert_eq!(headers["cross-origin-embedder-policy"], "require-corp");

    let both = Router::new()
        .route("/", get(async || "page"))
        .layer(empty().dangerous_without(XFrameOptions::NAME))
        .layer(empty().dangerous_without(CrossOriginEmbedderPolicy::NAME))
        .layer(SecurityHeadersLayer::strict());
    let headers = self::headers(&both, "/");
    assert!(!headers.contains_key("x-frame-options"));
    assert!(!headers.contains_key("cross-origin-embedder-policy"));
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[test]
fn a_handler_may_set_what_a_layer_leaves_out() {
    let app = Router::new()
        .route("/", get(async || [("x-frame-options", "DENY")]))
        .layer(SecurityHeadersLayer::new().dangerous_without(XFrameOptions::NAME))
        .layer(SecurityHeadersLayer::new());
    assert_eq!(all(&headers(&app, "/"), "x-frame-options"), ["DENY"]);
}

#[test]
fn a_route_that_signs_out_clears_site_data() {
    let sign_out = portcullis::headers::ClearSiteData::new([SiteData::Cookies]).unwrap();
    let app = Router::new()
        .route("/", get(async || "page"))
        .route(
            "/sign-out",
            get(async || "bye").layer(empty().clear_site_data(sign_out)),
        )
        .layer(SecurityHeadersLayer::new());
    assert_eq!(headers(&app, "/sign-out")["clear-site-data"], "\"cookies\"");
    assert_eq!(headers(&app, "/sign-out")["x-frame-options"], "SAMEORIGIN");
    assert!(!headers(&app, "/").contains_key("clear-site-data"));
}

#[test]
fn nested_layers_agree_on_the_nonce() {
    let with_nonce = || SecurityHeadersLayer::strict();
    let twin = ContentSecurityPolicy::strict();
    let app = Router::new()
        .route("/", get(nonce_of))
        .layer(with_nonce())
        .layer(with_nonce().content_security_policy_report_only(twin));
    let response = ask(&app, "/");
    let (head, body) = response.into_parts();
    let seen = now(text(body));
    let nonce = format!("'nonce-{seen}'");
    for name in [
        "content-security-policy",
        "content-security-policy-report-only",
    ] {
        let values = all(&head.headers, name);
        assert_eq!(values.len(), 1);
        assert_eq!(values[0].matches("'nonce-").count(), 2);
        assert_eq!(
            values[0].matches(&nonce).count(),
            2,
            "{name}: {values:?}, seen {seen}"
        );
    }
}

#[test]
fn a_fixed_policy_inside_takes_the_nonce_of_the_layer_outside_away() {
    let app = Router::new()
        .route("/fixed", get(nonce_of).layer(SecurityHeadersLayer::new()))
        .route(
            "/none",
            get(nonce_of).layer(empty().x_frame_options(XFrameOptions::Deny)),
        )
        .layer(SecurityHeadersLayer::strict());
    let (head, body) = ask(&app, "/fixed").into_parts();
    assert_eq!(now(text(body)), "none");
    assert_eq!(
        head.headers["content-security-policy"],
        ContentSecurityPolicy::helmet().as_str()
    );
    let (head, body) = ask(&app, "/none").into_parts();
    let seen = now(text(body));
    let policy = head.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains(&format!("'nonce-{seen}'")),
        "{policy}, seen {seen}"
    );
}

#[cfg(feature = "axum")]
#[test]
fn the_nonce_is_an_extractor() {
    use portcullis::problem::Rejection;

    let page = async |nonce: CspNonce| format!("<script nonce=\"{nonce}\"></script>");
    let app = Router::new().route("/", get(page));
    let without = ask(&app, "/");
    assert_eq!(without.status(), 500);
    let code = without.extensions().get::<Rejection>().map(Rejection::code);
    assert_eq!(code, Some("headers_nonce_missing"));

    let (head, body) = ask(&app.layer(SecurityHeadersLayer::strict()), "/").into_parts();
    let body = now(text(body));
    let nonce = body.split('"').nth(1).unwrap();
    let policy = head.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains(&format!("'nonce-{nonce}'")),
        "{policy}, {body}"
    );
}

#[test]
fn it_nests_with_layers_that_change_bodies_on_both_sides() {
    let app = Router::new()
        .route("/", post(async |body: String| body))
        .layer(
            ServiceBuilder::new()
                .layer(CompressionLayer::new())
                .layer(SecurityHeadersLayer::new())
                .layer(RequestBodyLimitLayer::new(4)),
        );
    let request = Request::post("/")
        .header(header::CONTENT_LENGTH, 8)
        .body(Body::from("too long"));
    let response = now(app.oneshot(request.unwrap())).unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
}

#[test]
fn a_stream_is_passed_on_frame_by_frame() {
    use http_body::{Body as _, Frame};

    let handler = service_fn(async |_: Request<()>| {
        let frames = ["one", "two"].map(|text| Ok(Frame::data(Bytes::from(text))));
        let body = Frames(std::sync::Mutex::new(frames.into_iter()));
        Ok::<_, Infallible>(Response::new(body))
    });
    let service = SecurityHeadersLayer::new().layer(handler);
    let response = now(service.oneshot(Request::new(()))).unwrap();
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let mut body = std::pin::pin!(response.into_body());
    let mut seen = Vec::new();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    while let std::task::Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
        seen.push(frame.unwrap().into_data().unwrap());
    }
    assert_eq!(seen, ["one", "two"]);
}

/// A body that gives its frames one at a time.
struct Frames<I>(std::sync::Mutex<I>);

impl<I> http_body::Body for Frames<I>
where
    I: Iterator<Item = Result<http_body::Frame<Bytes>, Infallible>>,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.lock().unwrap().next())
    }
}
