use std::{convert::Infallible, sync::Mutex};

use http::{Request, Response, Uri};
use portcullis::{
    audit::AuditEvent,
    client_ip::{PeerAddr, RequestScheme, TlsConnection, TrustedProxies},
    headers::{HttpsRedirectErrorKind, HttpsRedirectLayer, SecurityHeadersLayer},
    problem::Rejection,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::support::now;

fn request(uri: &str, host: &str) -> Request<()> {
    Request::builder()
        .uri(uri)
        .header("host", host)
        .body(())
        .unwrap()
}

/// Where a request is sent; nothing if it is served.
fn location(layer: &HttpsRedirectLayer, request: &Request<()>) -> Option<String> {
    let location = layer.check(request.into()).unwrap();
    location.map(|location| location.to_str().unwrap().to_owned())
}

fn kind(layer: &HttpsRedirectLayer, request: &Request<()>) -> HttpsRedirectErrorKind {
    layer.check(request.into()).unwrap_err().kind()
}

#[test]
fn every_kind_has_its_code_and_status() {
    let layer = HttpsRedirectLayer::new();
    let ours = layer.clone().add_served_host("www.example").unwrap();
    for (layer, request, code, status) in [
        (&layer, Request::new(()), "https_redirect_host_missing", 400),
        (
            &layer,
            request("/", "two hosts"),
            "https_redirect_host_malformed",
            400,
        ),
        (
            &ours,
            request("/", "other.example"),
            "https_redirect_host_not_served",
            421,
        ),
    ] {
        let error = layer.check((&request).into()).unwrap_err();
        assert_eq!((error.code(), error.kind().code()), (code, code));
        let rejection = Rejection::from(error);
        assert_eq!(
            (rejection.code(), rejection.status().as_u16()),
            (code, status)
        );
    }
}

#[test]
fn http_goes_to_the_same_host_path_and_query_by_https() {
    let layer = HttpsRedirectLayer::new();
    for (uri, host, expected) in [
        ("/", "www.example", "https://www.example/"),
        (
            "/a/b?c=d&e",
            "WWW.Example:8080",
            "https://www.example/a/b?c=d&e",
        ),
        ("/?", "a_b.example.", "https://a_b.example./?"),
        ("/x", "192.0.2.1:80", "https://192.0.2.1/x"),
        ("/x", "[2001:db8::1]:80", "https://[2001:db8::1]/x"),
        ("/x", "[2001:DB8::1]", "https://[2001:db8::1]/x"),
        (
            "//evil.example/x",
            "www.example",
            "https://www.example//evil.example/x",
        ),
        (
            "/\\evil.example",
            "www.example",
            "https://www.example/%5Cevil.example",
        ),
        ("*", "www.example", "https://www.example/*"),
        (
            "http://target.example:8080/x",
            "ignored.example",
            "https://target.example/x",
        ),
    ] {
        let request = request(uri, host);
        assert_eq!(location(&layer, &request).as_deref(), Some(expected));
    }
}

#[test]
fn https_is_served() {
    let layer = HttpsRedirectLayer::new();
    let mut tls = request("/", "www.example");
    tls.extensions_mut().insert(TlsConnection);
    assert_eq!(location(&layer, &tls), None);
}

#[test]
fn a_trusted_proxy_says_what_the_scheme_was_and_nobody_else() {
    let scheme = RequestScheme::x_forwarded_proto(TrustedProxies::loopback());
    let layer = HttpsRedirectLayer::new().scheme(scheme);
    let asked = |peer: &str, proto: &'static str| {
        let mut request = request("/", "www.example");
        let peer = PeerAddr(peer.parse().unwrap());
        request.extensions_mut().insert(peer);
        let proto = http::HeaderValue::from_static(proto);
        request.headers_mut().insert("x-forwarded-proto", proto);
        location(&layer, &request).is_none()
    };
    assert!(asked("127.0.0.1:1", "https"));
    assert!(!asked("127.0.0.1:1", "http"));
    assert!(!asked("192.0.2.1:1", "https"));
}

#[test]
fn a_pinned_host_and_port_are_always_the_ones() {
    let layer = HttpsRedirectLayer::new()
        .host("WWW.example")
        .unwrap()
        .port(8443)
        .unwrap();
    let asked = request("/x?y", "other.example:80");
    assert_eq!(
        location(&layer, &asked).unwrap(),
        "https://www.example:8443/x?y"
    );
    let layer = HttpsRedirectLayer::new().port(443).unwrap();
    assert_eq!(
        location(&layer, &asked).unwrap(),
        "https://other.example/x?y"
    );
}

#[test]
fn hosts_that_are_not_served_are_refused_once_some_are_named() {
    let layer = HttpsRedirectLayer::new()
        .add_served_host("a.example")
        .and_then(|layer| layer.add_served_host("b.example"))
        .unwrap();
    for host in ["a.example", "B.example:80"] {
        assert!(location(&layer, &request("/", host)).is_some());
    }
    for host in ["c.example", "a.example.evil.example", "a.example."] {
        assert_eq!(
            kind(&layer, &request("/", host)),
            HttpsRedirectErrorKind::HostNotServed
        );
    }
}

#[test]
fn exempt_paths_are_exact() {
    let layer = HttpsRedirectLayer::new()
        .add_exempt_path("/healthz")
        .unwrap();
    assert_eq!(location(&layer, &request("/healthz", "a.example")), None);
    assert_eq!(
        location(&layer, &request("/healthz?full", "a.example")),
        None
    );
    for path in [
        "/healthz/",
        "/healthzz",
        "//healthz",
        "/Healthz",
        "/%68ealthz",
        "/",
    ] {
        assert!(
            location(&layer, &request(path, "a.example")).is_some(),
            "{path}"
        );
    }
}

#[test]
fn challenges_of_acme_are_served_if_that_is_wanted() {
    let path = "/.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0";
    let asked = |layer: &HttpsRedirectLayer, path: &str| {
        location(layer, &request(path, "a.example")).is_none()
    };
    let layer = HttpsRedirectLayer::new();
    assert!(!asked(&layer, path));
    let layer = layer.exempt_acme_challenges();
    assert!(asked(&layer, path));
    for other in ["", "a/b", "..", "../admin", "%2e%2e", "a.b"] {
        assert!(
            !asked(&layer, &format!("/.well-known/acme-challenge/{other}")),
            "{other}"
        );
    }
}

#[test]
fn a_host_that_is_missing_doubled_or_malformed_is_refused() {
    let layer = HttpsRedirectLayer::new();
    let none = Request::new(());
    assert_eq!(kind(&layer, &none), HttpsRedirectErrorKind::HostMissing);
    assert_eq!(
        kind(&layer, &request("/", "")),
        HttpsRedirectErrorKind::HostMissing
    );

    let mut twice = request("/", "a.example");
    twice
        .headers_mut()
        .append("host", http::HeaderValue::from_static("a.example"));
    assert_eq!(kind(&layer, &twice), HttpsRedirectErrorKind::HostMalformed);

    for host in [
        "evil.example/path",
        "evil.example\\",
        "user@evil.example",
        "a b",
        "a,b",
        "a..b",
        ".a",
        "a:b",
        "a:123456",
        "a:80:80",
        "[::1",
        "::1",
        "[::1]x",
        "[::g]",
        "a?b",
        "a#b",
        "a%2fb",
        "//a",
        "http://a",
        "a\"",
        "<a>",
        "*",
        ":80",
    ] {
        let malformed = HttpsRedirectErrorKind::HostMalformed;
        assert_eq!(kind(&layer, &request("/", host)), malformed, "{host}");
    }
    let mut bytes = request("/", "a");
    bytes
        .headers_mut()
        .insert("host", http::HeaderValue::from_bytes(b"\xffa").unwrap());
    assert_eq!(kind(&layer, &bytes), HttpsRedirectErrorKind::HostMalformed);

    let userinfo = Request::builder()
        .uri("http://user@evil.example/")
        .body(())
        .unwrap();
    assert_eq!(
        kind(&layer, &userinfo),
        HttpsRedirectErrorKind::HostMalformed
    );
    let mut authority = Request::new(());
    *authority.uri_mut() = Uri::from_static("a.example:443");
    assert_eq!(location(&layer, &authority).unwrap(), "https://a.example/");
}

#[test]
fn a_pinned_host_does_not_excuse_a_malformed_one() {
    let layer = HttpsRedirectLayer::new().host("www.example").unwrap();
    assert_eq!(
        kind(&layer, &Request::new(())),
        HttpsRedirectErrorKind::HostMissing
    );
}

#[test]
fn bad_settings_are_refused() {
    for host in [
        "",
        "https://a.example",
        "a.example/",
        "a.example:80",
        "a b",
        "a\r\nb",
        "user@a",
    ] {
        assert_eq!(
            HttpsRedirectLayer::new().host(host).unwrap_err().given(),
            host
        );
        assert_eq!(
            HttpsRedirectLayer::new()
                .add_served_host(host)
                .unwrap_err()
                .given(),
            host
        );
    }
    for path in ["", "healthz", "/a?b", "/a#b"] {
        assert_eq!(
            HttpsRedirectLayer::new()
                .add_exempt_path(path)
                .unwrap_err()
                .given(),
            path
        );
    }
    assert_eq!(
        HttpsRedirectLayer::new().port(0).unwrap_err().setting(),
        "port"
    );
}

#[test]
fn the_layer_answers_308_or_refuses_with_a_code_and_headers_stand_on_both() {
    let told = std::sync::Arc::new(Mutex::new(Vec::new()));
    let audit = {
        let told = told.clone();
        move |event: &AuditEvent<'_>| told.lock().unwrap().push(event.code)
    };
    let served = Mutex::new(0);
    let service = ServiceBuilder::new()
        .layer(SecurityHeadersLayer::new())
        .layer(HttpsRedirectLayer::new().with_audit(audit))
        .service(service_fn(async |_: Request<()>| {
            *served.lock().unwrap() += 1;
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
    let ask = |request| now(service.clone().oneshot(request)).unwrap();

    let moved = ask(request("/a", "a.example"));
    assert_eq!(moved.status(), 308);
    assert_eq!(moved.headers()["location"], "https://a.example/a");
    assert_eq!(moved.headers()["x-content-type-options"], "nosniff");
    assert!(told.lock().unwrap().is_empty());

    let refused = ask(Request::new(()));
    assert_eq!(refused.status(), 400);
    let code = refused.extensions().get::<Rejection>().unwrap().code();
    assert_eq!(code, "https_redirect_host_missing");
    assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
    assert_eq!(*told.lock().unwrap(), ["https_redirect_host_missing"]);
    assert_eq!(*served.lock().unwrap(), 0);

    let strict = HttpsRedirectLayer::new()
        .add_served_host("b.example")
        .unwrap();
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let refused = now(strict.layer(inner).oneshot(request("/", "a.example"))).unwrap();
    assert_eq!(refused.status(), 421);
}
