//! Rules: headers.

use std::{
    collections::HashSet,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{Router, body::Body, routing::get};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use portcullis::{
    guard::{Check, Guard, Guarded, Refusals},
    head::RequestHead,
    headers::{
        ContentSecurityPolicy, CspNonce, PermissionsAllow, PermissionsFeature, PermissionsPolicy,
        ReportingEndpoints, SecurityHeadersLayer, Source,
    },
    problem::Rejection,
};
use tower::{Layer, ServiceExt, layer::layer_fn, service_fn};

/// The statuses that the door answers itself.
const REFUSALS: [StatusCode; 4] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// Refuses everything with one status.
#[derive(Clone)]
struct Shut(StatusCode, Refusals);

impl Guard for Shut {
    const NAME: &'static str = "shut";
    type Pass = ();

    fn check(&self, _request: RequestHead<'_>) -> Check<()> {
        Check::refuse(Rejection::new(self.0, "shut", "Shut."))
    }

    fn audit_kind(&self, _rejection: &Rejection) -> portcullis::audit::AuditKind {
        portcullis::audit::AuditKind::AuthzFail
    }

    fn refusals(&self) -> &Refusals {
        &self.1
    }
}

async fn ask(app: Router, path: &str) -> Response<Body> {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    app.oneshot(request).await.expect("routers do not fail")
}

#[tokio::test]
async fn rule_83_headers_stand_on_every_response() {
    let stream = async || Body::new(Endless);
    let pages = Router::new()
        .route("/", get(async || "page"))
        .route("/stream", get(stream))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR));
    let app = |layer: SecurityHeadersLayer| pages.clone().layer(layer);
    for layer in [
        SecurityHeadersLayer::new(),
        SecurityHeadersLayer::strict(),
        SecurityHeadersLayer::api(),
    ] {
        let mut answers = Vec::new();
        for (path, status) in [
            ("/", 200),
            ("/stream", 200),
            ("/broken", 500),
            ("/missing", 404),
        ] {
            let response = ask(app(layer.clone()), path).await;
            assert_eq!(response.status(), status);
            answers.push(response);
        }
        for status in REFUSALS {
            let shut = layer_fn(move |inner| Guarded::new(inner, Shut(status, Refusals::new())));
            let response = ask(pages.clone().layer(shut).layer(layer.clone()), "/").await;
            assert_eq!(response.status(), status);
            answers.push(response);
        }
        for response in answers {
            let status = response.status();
            for name in [
                "content-security-policy",
                "strict-transport-security",
                "x-content-type-options",
                "x-frame-options",
            ] {
                let count = response.headers().get_all(name).iter().count();
                assert_eq!(count, 1, "{name} on {status}");
            }
        }
    }
}

/// A body that never ends, so that nothing may wait for its end.
struct Endless;

impl http_body::Body for Endless {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(http_body::Frame::data("tick".into()))))
    }
}

#[tokio::test]
async fn rule_84_an_app_set_header_is_never_silently_doubled() {
    let set_by_layer = SecurityHeadersLayer::strict().layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(()))
    }));
    let names = set_by_layer
        .oneshot(Request::new(()))
        .await
        .expect("a response");
    assert!(names.headers().len() > 12);
    for name in names.headers().keys() {
        let handler = service_fn(async |_: Request<()>| {
            let mut response = Response::new(());
            let own = HeaderValue::from_static("own");
            response.headers_mut().insert(name, own);
            Ok::<_, Infallible>(response)
        });
        // Through two layers, as on a nested router.
        let layer = SecurityHeadersLayer::strict();
        let service = SecurityHeadersLayer::new().layer(layer.layer(handler));
        let response = service.oneshot(Request::new(())).await.expect("a response");
        let values: Vec<_> = response.headers().get_all(name).iter().collect();
        assert_eq!(values, ["own"], "{name}");
        for other in names.headers().keys() {
            assert_eq!(
                response.headers().get_all(other).iter().count(),
                1,
                "{other}"
            );
        }
    }
}

#[tokio::test]
async fn rule_85_nonces_have_128_bits_and_are_fresh_in_every_response() {
    let layer = SecurityHeadersLayer::strict();
    let mut seen = HashSet::new();
    for _ in 0..500 {
        let handler = service_fn(async |request: Request<()>| {
            let nonce = request
                .extensions()
                .get::<CspNonce>()
                .expect("a nonce")
                .clone();
            Ok::<_, Infallible>(Response::new(nonce))
        });
        let response = layer
            .layer(handler)
            .oneshot(Request::new(()))
            .await
            .expect("a response");
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .expect("ASCII");
        let nonce = policy
            .split("'nonce-")
            .nth(1)
            .and_then(|rest| rest.split('\'').next());
        let nonce = nonce.expect("a nonce in the policy").to_owned();
        // Six bits a character of base64url.
        assert!(nonce.len() * 6 >= 128, "{nonce}");
        assert!(
            nonce
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
            "{nonce}"
        );
        assert!(seen.insert(nonce), "a nonce came twice");
    }
}

#[test]
fn rule_85_a_nonce_that_never_changes_cannot_be_configured() {
    let policy = ContentSecurityPolicy::builder().default_src(["'nonce-c3RhdGlj'"]);
    assert!(policy.build().is_err());
}

#[test]
fn rule_86_line_breaks_and_semicolons_in_a_value_are_refused_at_build() {
    for bad in [
        "\r",
        "\n",
        "\r\n",
        ";",
        ",",
        "\0",
        "a;script-src *",
        "a\r\nset-cookie: a=b",
    ] {
        for text in [
            bad.to_owned(),
            format!("https://a.example{bad}"),
            format!("{bad}x"),
        ] {
            let policy = || ContentSecurityPolicy::builder().default_src([Source::SELF]);
            assert!(
                policy().img_src([text.as_str()]).build().is_err(),
                "{text:?}"
            );
            assert!(
                policy().report_uri([text.as_str()]).build().is_err(),
                "{text:?}"
            );
            assert!(policy().report_to(&text).build().is_err(), "{text:?}");
            assert!(
                policy().directive(text.clone(), ["a"]).build().is_err(),
                "{text:?}"
            );
            assert!(
                policy()
                    .add_source("img-src", text.as_str())
                    .build()
                    .is_err(),
                "{text:?}"
            );

            let allow = [PermissionsAllow::from(text.as_str())];
            let permissions = PermissionsPolicy::builder().allow(PermissionsFeature::USB, allow);
            assert!(permissions.build().is_err(), "{text:?}");
            assert!(
                PermissionsFeature::custom(text.as_str()).is_err(),
                "{text:?}"
            );
            assert!(
                ReportingEndpoints::new([(text.as_str(), "/reports")]).is_err(),
                "{text:?}"
            );
        }
        assert!(ReportingEndpoints::new([("csp", format!("/r\"{bad}").as_str())]).is_err());
    }
    // The types of the escape hatch cannot hold a line break either.
    assert!(HeaderValue::from_str("a\r\nb").is_err());
    assert!(HeaderName::from_bytes(b"a\r\nb").is_err());
}
