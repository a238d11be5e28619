use std::time::Duration;

use http::{Request, Uri};
use portcullis::{
    client_ip::{PeerAddr, RequestScheme, TlsConnection, TrustedProxies},
    headers::{SecurityHeadersLayer, StrictTransportSecurity as Hsts},
};

use crate::support::{empty, field, serve_request};

const NAME: &str = "strict-transport-security";
const YEAR: Duration = Duration::from_secs(31_536_000);

#[test]
fn seconds_are_whole_and_subdomains_are_said() {
    for (hsts, text) in [
        (
            Hsts::including_subdomains(YEAR),
            "max-age=31536000; includeSubDomains",
        ),
        (
            Hsts::including_subdomains(2 * YEAR),
            "max-age=63072000; includeSubDomains",
        ),
        (Hsts::excluding_subdomains(YEAR), "max-age=31536000"),
        (
            Hsts::including_subdomains(Duration::ZERO),
            "max-age=0; includeSubDomains",
        ),
        (
            Hsts::excluding_subdomains(Duration::from_millis(123_900)),
            "max-age=123",
        ),
        (
            Hsts::excluding_subdomains(Duration::MAX),
            "max-age=18446744073709551615",
        ),
    ] {
        assert_eq!(hsts.to_string(), text);
        assert_eq!(field(empty().strict_transport_security(hsts), NAME), text);
    }
}

#[test]
fn preloading_takes_a_year_and_subdomains() {
    let text = "max-age=31536000; includeSubDomains; preload";
    let hsts = Hsts::including_subdomains(YEAR).preload().unwrap();
    assert_eq!(field(empty().strict_transport_security(hsts), NAME), text);

    let short = Hsts::including_subdomains(YEAR - Duration::from_secs(1));
    for refused in [short, Hsts::excluding_subdomains(YEAR)] {
        let error = refused.preload().unwrap_err();
        assert_eq!(error.setting(), "Strict-Transport-Security");
        assert_eq!(error.given(), format!("{refused}; preload"));
        assert!(error.to_string().contains("a year"));
    }
}

#[test]
fn it_goes_out_over_https_only_where_it_is_told_so() {
    let sent = |layer: &SecurityHeadersLayer, request: Request<()>| {
        let response = serve_request(layer, request, &[]);
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        response.headers().contains_key(NAME)
    };
    let tls = || {
        Request::builder()
            .extension(TlsConnection)
            .body(())
            .unwrap()
    };
    let always = SecurityHeadersLayer::new();
    assert!(sent(&always, Request::new(())) && sent(&always, tls()));
    let direct = SecurityHeadersLayer::new().hsts_only_over(RequestScheme::direct());
    assert!(!sent(&direct, Request::new(())));
    assert!(sent(&direct, tls()));

    let forwarded = |peer: &str| {
        let peer = PeerAddr(peer.parse().unwrap());
        let mut request = Request::builder().header("x-forwarded-proto", "https");
        request = request.extension(peer);
        request.uri(Uri::from_static("/")).body(()).unwrap()
    };
    let scheme = RequestScheme::x_forwarded_proto(TrustedProxies::loopback());
    let proxied = SecurityHeadersLayer::new().hsts_only_over(scheme);
    assert!(sent(&proxied, forwarded("127.0.0.1:1")));
    assert!(!sent(&proxied, forwarded("192.0.2.1:1")));
}

#[test]
fn a_value_replaced_after_that_stays_off_http_too() {
    let layer = SecurityHeadersLayer::new()
        .hsts_only_over(RequestScheme::direct())
        .strict_transport_security(Hsts::excluding_subdomains(YEAR));
    let response = serve_request(&layer, Request::new(()), &[]);
    assert!(!response.headers().contains_key(NAME));
}
