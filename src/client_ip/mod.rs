//! Whose request it is.

mod error;
mod forwarded;
mod header;
mod hops;
mod node;
mod proxies;
mod scheme;

use std::net::{IpAddr, SocketAddr};

use http::Extensions;

pub use self::{
    error::{ClientIpError, ClientIpErrorKind},
    header::ForwardedHeader,
    hops::MAX_HOPS,
    proxies::TrustedProxies,
    scheme::{RequestScheme, TlsConnection},
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
fn peer_ip(request: RequestHead<'_>) -> Option<IpAddr> {
    let ip = peer_addr(request.extensions())?.ip().to_canonical();
    (!ip.is_unspecified()).then_some(ip)
}
