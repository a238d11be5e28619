//! Requests, and what is found out about them.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderName, HeaderValue, Request};
use portcullis::client_ip::{
    ClientIp, ClientIpErrorKind, ForwardedHeader, IpKey, Ipv6Prefix, PeerAddr, TrustedProxies,
};

/// What a strategy finds.
pub(crate) type Found = Result<IpAddr, ClientIpErrorKind>;

/// The nearest proxy in most of these tests.
pub(crate) const PROXY: &str = "10.0.0.1";

/// Somebody who is no proxy.
pub(crate) const STRANGER: &str = "192.0.2.77";

pub(crate) const XFF: &str = "x-forwarded-for";

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

/// A request from `peer` with lines of one header.
pub(crate) fn request<V: AsRef<[u8]>>(peer: &str, name: &str, lines: &[V]) -> Request<()> {
    let mut request = Request::new(());
    let peer = SocketAddr::new(ip(peer), 4711);
    request.extensions_mut().insert(PeerAddr(peer));
    let name: HeaderName = name.parse().expect("a header name");
    for line in lines {
        let line = HeaderValue::from_bytes(line.as_ref()).expect("a header value");
        request.headers_mut().append(name.clone(), line);
    }
    request
}

pub(crate) fn resolve(client: &ClientIp, request: &Request<()>) -> Found {
    client.resolve(request.into()).map_err(|error| error.kind())
}

/// What a strategy finds in lines of one header that a trusted proxy sent.
pub(crate) fn found<V: AsRef<[u8]>>(client: &ClientIp, name: &str, lines: &[V]) -> Found {
    resolve(client, &request(PROXY, name, lines))
}

/// What the last element of an `X-Forwarded-For` names.
pub(crate) fn last_xff(line: impl AsRef<[u8]>) -> Found {
    let client = ClientIp::rightmost(ForwardedHeader::XForwardedFor);
    found(&client, XFF, &[line])
}

/// Whom the last element of a `Forwarded` names.
pub(crate) fn last_forwarded(line: impl AsRef<[u8]>) -> Found {
    let client = ClientIp::rightmost(ForwardedHeader::Forwarded);
    found(&client, "forwarded", &[line])
}

pub(crate) fn proxies(ranges: &[&str]) -> TrustedProxies {
    TrustedProxies::new(ranges).expect("ranges")
}

/// The walk over `X-Forwarded-For` with `10.0.0.0/8` trusted.
pub(crate) fn walk() -> ClientIp {
    ClientIp::trusted_ranges(ForwardedHeader::XForwardedFor, proxies(&["10.0.0.0/8"]))
}

pub(crate) fn key(address: &str, bits: u8) -> IpKey {
    IpKey::new(ip(address), Ipv6Prefix::new(bits).expect("a prefix"))
}
