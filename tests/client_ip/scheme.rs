//! Whether the client asked over HTTPS.

use http::{Request, Uri};
use portcullis::client_ip::{RequestScheme, TlsConnection, TrustedProxies};

use crate::support::{PROXY, STRANGER, proxies, request};

const XFP: &str = "x-forwarded-proto";

fn trusted() -> TrustedProxies {
    proxies(&["10.0.0.0/8"])
}

fn is_https(scheme: &RequestScheme, peer: &str, name: &str, lines: &[&str]) -> bool {
    scheme.is_https((&request(peer, name, lines)).into())
}

#[test]
fn a_direct_request_is_https_if_its_connection_or_its_target_is() {
    let of = |uri: &'static str| {
        let mut request = Request::new(());
        *request.uri_mut() = Uri::from_static(uri);
        RequestScheme::direct().is_https((&request).into())
    };
    assert!(!of("/"));
    assert!(!of("http://example.com/"));
    assert!(of("https://example.com/"));
    assert!(of("HTTPS://example.com/"));
    let marked = Request::builder()
        .extension(TlsConnection)
        .body(())
        .unwrap();
    assert!(RequestScheme::default().is_https((&marked).into()));
}

#[test]
fn a_direct_request_is_not_made_https_by_a_header() {
    for scheme in [RequestScheme::direct(), RequestScheme::default()] {
        assert!(!is_https(&scheme, PROXY, XFP, &["https"]));
        assert!(!is_https(
            &scheme,
            PROXY,
            "forwarded",
            &["for=192.0.2.1;proto=https"]
        ));
    }
}

#[test]
fn a_server_that_only_tls_can_reach_may_say_so() {
    assert!(RequestScheme::always_https().is_https((&Request::new(())).into()));
}

#[test]
fn x_forwarded_proto_is_read_from_trusted_peers() {
    let scheme = RequestScheme::x_forwarded_proto(trusted());
    let of = |lines: &[&str]| is_https(&scheme, PROXY, XFP, lines);
    assert!(of(&["https"]));
    assert!(of(&["HTTPS "]));
    assert!(of(&["wss"]));
    // The nearest proxy has the last word.
    assert!(of(&["http, https"]));
    assert!(of(&["http", "https"]));
    assert!(!of(&["https, http"]));
    assert!(!of(&["https", "http"]));
    for other in [
        "http",
        "ws",
        "",
        "https,",
        "httpss",
        "https;",
        "\"https\"",
        "on",
        "https://",
    ] {
        assert!(!of(&[other]), "{other:?}");
    }
    assert!(!of(&[]));
    assert!(!is_https(&scheme, STRANGER, XFP, &["https"]));
    // The other header is not what this proxy writes: it is the client's.
    assert!(!is_https(
        &scheme,
        PROXY,
        "forwarded",
        &["for=192.0.2.1;proto=https"]
    ));
}

#[test]
fn forwarded_is_read_from_trusted_peers() {
    let scheme = RequestScheme::forwarded(trusted());
    let of = |lines: &[&str]| is_https(&scheme, PROXY, "forwarded", lines);
    assert!(of(&["for=192.0.2.1;proto=https"]));
    assert!(of(&[r#"PROTO="HTTPS";for=192.0.2.1"#]));
    assert!(of(&["for=unknown;proto=https"]));
    assert!(of(&["proto=https"]));
    for other in [
        "for=192.0.2.1;proto=http",
        "for=192.0.2.1",
        "proto=https;proto=https",
        "proto=https;proto",
        "proto=\"\"",
        "for=192.0.2.1;proto=\"https",
        "",
        "https",
        r#"for=192.0.2.1;host=";proto=https""#,
    ] {
        assert!(!of(&[other]), "{other:?}");
    }
    assert!(!of(&[]));
    assert!(!is_https(
        &scheme,
        STRANGER,
        "forwarded",
        &["for=192.0.2.1;proto=https"]
    ));
    assert!(!is_https(&scheme, PROXY, XFP, &["https"]));
}

#[test]
fn the_outermost_trusted_proxy_says_how_the_client_asked() {
    let scheme = RequestScheme::forwarded(trusted());
    let of = |lines: &[&str]| is_https(&scheme, PROXY, "forwarded", lines);
    assert!(of(&["for=192.0.2.1;proto=https, for=10.0.0.2;proto=http"]));
    assert!(!of(&["for=192.0.2.1;proto=http, for=10.0.0.2;proto=https"]));
    // What the client wrote itself, to the left of its own address, is not looked at.
    assert!(!of(&[
        "for=1.1.1.1;proto=https, for=192.0.2.1;proto=http, for=10.0.0.2"
    ]));
    assert!(!of(&["for=10.0.0.9;proto=https, for=192.0.2.1;proto=http"]));
    assert!(!of(&["for=10.0.0.9;proto=https, for=unknown;proto=http"]));
    assert!(!of(&[
        "for=10.0.0.9;proto=https",
        "nonsense",
        "for=10.0.0.2;proto=http"
    ]));
    // All of them trusted: the leftmost asked.
    assert!(of(&["for=10.0.0.9;proto=https, for=10.0.0.2;proto=http"]));
    let long = vec!["for=10.0.0.2;proto=https"; 33];
    assert!(of(&long[1..]));
    assert!(!of(&long));
}

#[test]
fn a_stranger_with_tls_of_its_own_is_believed_for_the_tls() {
    for scheme in [
        RequestScheme::x_forwarded_proto(trusted()),
        RequestScheme::forwarded(trusted()),
    ] {
        let mut direct = request(STRANGER, XFP, &["http"]);
        direct.extensions_mut().insert(TlsConnection);
        assert!(scheme.is_https((&direct).into()));
        // A proxy that asks over TLS for a client without it does not hide that.
        let mut proxied = request(PROXY, XFP, &["http"]);
        proxied.extensions_mut().insert(TlsConnection);
        assert!(!scheme.is_https((&proxied).into()));
        // Without a peer, nobody is trusted.
        let nobody = Request::builder().header(XFP, "https").body(()).unwrap();
        assert!(!scheme.is_https((&nobody).into()));
    }
}
