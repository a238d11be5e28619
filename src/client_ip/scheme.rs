//! [`RequestScheme`]: whether the client asked over HTTPS.

use std::sync::Arc;

use http::{HeaderName, header::FORWARDED, uri::Scheme};

use super::{forwarded::Element, hops::Hops, node, peer_ip, proxies::TrustedProxies};
use crate::head::RequestHead;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Marks a request that came in over TLS: put it into the request's extensions where TLS is terminated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsConnection;

/// Finds out whether the client asked over HTTPS.
///
/// ```
/// use http::Request;
/// use portcullis::client_ip::{PeerAddr, RequestScheme, TrustedProxies};
///
/// let scheme = RequestScheme::x_forwarded_proto(TrustedProxies::loopback());
/// let request = |peer: &str| {
///     let peer = PeerAddr(peer.parse().unwrap());
///     Request::builder()
///         .header("x-forwarded-proto", "https")
///         .extension(peer)
///         .body(())
///         .unwrap()
/// };
/// assert!(scheme.is_https((&request("127.0.0.1:4711")).into()));
/// assert!(!scheme.is_https((&request("192.0.2.1:4711")).into()));
/// ```
#[derive(Clone, Debug, Default)]
pub struct RequestScheme {
    source: Source,
}

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Direct,
    AlwaysHttps,
    XForwardedProto(Arc<TrustedProxies>),
    Forwarded(Arc<TrustedProxies>),
}

impl RequestScheme {
    /// For a server that clients reach directly: HTTPS if the request is marked by [`TlsConnection`] or its
    /// target has the scheme `https`. The default.
    ///
    /// The target's scheme is there under HTTP/2, and it is the client's word: do not rest on it what a
    /// client must not have over an open connection.
    #[must_use]
    pub fn direct() -> Self {
        Self::default()
    }

    /// For a server that can be reached over HTTPS only: something before it terminates TLS, and nothing
    /// else can connect.
    #[must_use]
    pub fn always_https() -> Self {
        Self {
            source: Source::AlwaysHttps,
        }
    }

    /// For a server behind a proxy that sets `X-Forwarded-Proto`: its last value, if the peer is one of
    /// `proxies`. From any other peer, [`direct`](Self::direct) decides.
    #[must_use]
    pub fn x_forwarded_proto(proxies: TrustedProxies) -> Self {
        Self {
            source: Source::XForwardedProto(Arc::new(proxies)),
        }
    }

    /// For a server behind proxies that append to `Forwarded` (RFC 7239): `proto` of the element in which
    /// the outermost trusted proxy says how it was asked, if the peer is one of `proxies`. From any other
    /// peer, [`direct`](Self::direct) decides.
    ///
    /// The list is read from the right, past the elements whose `for` is a trusted proxy itself, so a proxy
    /// that asks the next one without TLS does not hide that the client had it.
    #[must_use]
    pub fn forwarded(proxies: TrustedProxies) -> Self {
        Self {
            source: Source::Forwarded(Arc::new(proxies)),
        }
    }

    /// Was the request made over HTTPS? What cannot be determined was not.
    #[must_use]
    pub fn is_https(&self, request: RequestHead<'_>) -> bool {
        match &self.source {
            Source::AlwaysHttps => true,
            Source::XForwardedProto(proxies) if is_proxied(request, proxies) => {
                matches!(
                    Hops::new(request.headers(), &X_FORWARDED_PROTO, false).next(),
                    Some(Ok(proto)) if is_tls(proto)
                )
            }
            Source::Forwarded(proxies) if is_proxied(request, proxies) => {
                is_forwarded_tls(request, proxies)
            }
            Source::Direct | Source::XForwardedProto(_) | Source::Forwarded(_) => {
                is_tls_here(request)
            }
        }
    }
}

fn is_tls_here(request: RequestHead<'_>) -> bool {
    request.extensions().get::<TlsConnection>().is_some()
        || request.uri().scheme() == Some(&Scheme::HTTPS)
}

fn is_proxied(request: RequestHead<'_>, proxies: &TrustedProxies) -> bool {
    peer_ip(request).is_some_and(|ip| proxies.trusts(ip))
}

fn is_forwarded_tls(request: RequestHead<'_>, proxies: &TrustedProxies) -> bool {
    let mut https = false;
    for hop in Hops::new(request.headers(), &FORWARDED, true) {
        let Ok(element) = hop.and_then(Element::parse) else {
            return false;
        };
        https = element.proto.is_some_and(|proto| is_tls(&proto));
        let client = element.client.and_then(|client| node::parse(&client).ok());
        if !client.is_some_and(|ip| proxies.trusts(ip)) {
            return https;
        }
    }
    https
}

/// `https`, or `wss` as some proxies call it for WebSocket handshakes.
fn is_tls(proto: &[u8]) -> bool {
    proto.eq_ignore_ascii_case(b"https") || proto.eq_ignore_ascii_case(b"wss")
}
