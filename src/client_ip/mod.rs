//! Whose request it is: the client's address, when proxies stand before the server.
//!
//! A forwarding header is believed only as far as trusted proxies have written it, so lists are read from
//! the right, where the nearest proxy appends, and never further than asked. An address that cannot be
//! determined is an error that refuses the request; there is no empty or guessed address.
//!
//! | the server stands | choose |
//! |---|---|
//! | on the internet itself | [`ClientIp::peer`] |
//! | behind proxies of known addresses | [`ClientIp::trusted_ranges`] |
//! | behind a fixed number of proxies, reachable through them only | [`ClientIp::trusted_count`], [`ClientIp::rightmost`] |
//! | behind a service that sets a header of its own | [`ClientIp::header`] with [`ClientIp::trusted_peers`] |
//!
//! - An IPv4-mapped IPv6 address is the IPv4 address it stands for (RFC 4291 section 2.5.5.2), in headers,
//!   ranges, keys and for the peer alike. A dotted quad at the end of another IPv6 address is only notation.
//! - Several lines of a header are one list (RFC 9110 section 5.2).
//! - An empty element is malformed. To skip it, as RFC 9110 section 5.6.1 has it for lists in general, would
//!   put in its place what stands to its left, and that may be the client's.
//! - A rate limit counts by [`IpKey`], which holds IPv4 addresses whole and IPv6 addresses by their network.
//!
//! # What it rests on
//!
//! The server must know its peer: see [`PeerAddr`]. On a Unix socket there is none; let the application put
//! in `127.0.0.1` if only the proxy can open the socket. A proxy must append to the chosen header or
//! overwrite it; one that passes it on untouched passes on the client's word.
//!
//! # Behind a proxy
//!
//! What a service must be told is told once, as [`TrustedProxies`], and handed to everything that asks who
//! the client is or how it came:
//!
//! ```
//! use portcullis::client_ip::{ClientIp, ForwardedHeader, RequestScheme, TrustedProxies};
//!
//! let proxies = TrustedProxies::new(["10.0.0.0/8"])?;
//! let scheme = RequestScheme::x_forwarded_proto(proxies.clone());
//! let client = ClientIp::trusted_ranges(ForwardedHeader::XForwardedFor, proxies);
//! # Ok::<(), portcullis::config::ConfigError>(())
//! ```
//!
//! | given to | without it |
//! |---|---|
//! | `RateLimitLayer::key(RateLimitKey::client_ip(client))` | all clients share the proxy's quota |
//! | `HttpsRedirectLayer::scheme(scheme)` | every request is redirected for ever |
//! | `axum::Extension(client)` as a layer, for the extractor `ClientAddr` | the extractor answers 500 |
//!
//! # Example
//!
//! ```
//! use http::Request;
//! use portcullis::client_ip::{ClientIp, ForwardedHeader, PeerAddr, TrustedProxies};
//!
//! let proxies = TrustedProxies::new(["10.0.0.0/8"])?;
//! let client = ClientIp::trusted_ranges(ForwardedHeader::XForwardedFor, proxies);
//!
//! let request = |peer: &str| {
//!     Request::builder()
//!         .header("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.0.0.2")
//!         .extension(PeerAddr(peer.parse().unwrap()))
//!         .body(())
//!         .unwrap()
//! };
//! // Through a proxy: the nearest address that is none of ours. What stands to its left is its own claim.
//! let proxied = client.resolve((&request("10.0.0.1:4711")).into());
//! assert_eq!(proxied, Ok("198.51.100.7".parse().unwrap()));
//! // Past the proxies: the peer, whatever it claims.
//! let direct = client.resolve((&request("192.0.2.1:4711")).into());
//! assert_eq!(direct, Ok("192.0.2.1".parse().unwrap()));
//! # Ok::<(), portcullis::config::ConfigError>(())
//! ```

mod error;
#[cfg(feature = "axum")]
mod extract;
mod forwarded;
mod header;
mod hops;
mod key;
mod node;
mod proxies;
mod scheme;
mod strategy;

use std::net::{IpAddr, SocketAddr};

use http::Extensions;

#[cfg(feature = "axum")]
pub use self::extract::ClientAddr;
pub use self::{
    error::{ClientIpError, ClientIpErrorKind},
    header::ForwardedHeader,
    hops::MAX_HOPS,
    key::{IpKey, Ipv6Prefix},
    proxies::TrustedProxies,
    scheme::{RequestScheme, TlsConnection},
    strategy::ClientIp,
};
use crate::head::RequestHead;

/// The address on the other end of the connection, for servers that leave it to the application.
///
/// Put it into the request's extensions. Under axum, `into_make_service_with_connect_info::<SocketAddr>()`
/// does the same and is understood too (feature `axum`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// The address of the peer, if the server or the application put it into the extensions.
#[must_use]
#[inline]
pub fn peer_addr(extensions: &Extensions) -> Option<SocketAddr> {
    let own = extensions.get::<PeerAddr>().map(|peer| peer.0);
    #[cfg(feature = "axum")]
    let own = own.or_else(|| {
        extensions
            .get::<axum::extract::ConnectInfo<SocketAddr>>()
            .map(|peer| peer.0)
    });
    own
}

/// The IP address of the peer, IPv4-mapped IPv6 as IPv4, and only if it is somebody's.
#[inline]
fn peer_ip(request: RequestHead<'_>) -> Option<IpAddr> {
    let ip = peer_addr(request.extensions())?.ip().to_canonical();
    (!ip.is_unspecified()).then_some(ip)
}
