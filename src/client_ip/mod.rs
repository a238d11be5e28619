//! Whose request it is.

use std::net::SocketAddr;

use http::Extensions;

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
