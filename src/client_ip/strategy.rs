//! [`ClientIp`]: how the client's address is found.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderName, header::FORWARDED};

use super::{
    error::{ClientIpError, ClientIpErrorKind},
    header::{ForwardedHeader, X_FORWARDED_FOR, header_name},
    hops::{MAX_ELEMENT, MAX_HOPS},
    key::{IpKey, Ipv6Prefix},
    node, peer_addr, peer_ip,
    proxies::TrustedProxies,
};
use crate::{config::ConfigError, head::RequestHead};

/// How the client's address is found.
///
/// See the [module docs](crate::client_ip) for which one to choose, and for an example.
#[derive(Clone, Debug, Default)]
pub struct ClientIp {
    source: Source,
    trusted_peers: Option<Arc<TrustedProxies>>,
    or_peer: bool,
}

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Peer,
    Header(HeaderName),
    FromRight(ForwardedHeader, usize),
    Ranges(ForwardedHeader, Arc<TrustedProxies>),
}

impl ClientIp {
    /// The address on the other end of the connection; no header is read. The default.
    #[must_use]
    pub fn peer() -> Self {
        Self::default()
    }

    /// The one address in a header that the proxy sets and never passes on: `x-real-ip`,
    /// `cf-connecting-ip`, `true-client-ip`, `fly-client-ip`.
    ///
    /// The header must come once, with one address. Everyone who can reach the server can write it: see to
    /// it that only the proxy can, or name it with [`trusted_peers`](Self::trusted_peers).
    ///
    /// # Errors
    ///
    /// `name` is no header name, or is that of a list (`x-forwarded-for`, `forwarded`).
    pub fn header(name: &str) -> Result<Self, ConfigError> {
        let header = header_name("client_ip_header", name)?;
        if header == X_FORWARDED_FOR || header == FORWARDED {
            return Err(ConfigError::new(
                "client_ip_header",
                name,
                "is a list of addresses: say which one with rightmost, trusted_count or trusted_ranges",
            ));
        }
        Ok(Self::of(Source::Header(header)))
    }

    /// The last element of a list: what the one proxy that stands before the server appended.
    ///
    /// Everyone who can reach the server past that proxy can write it, as with [`header`](Self::header).
    #[must_use]
    pub fn rightmost(header: ForwardedHeader) -> Self {
        Self::of(Source::FromRight(header, 1))
    }

    /// The `count`th element of a list from the right: what the outermost of `count` proxies appended.
    ///
    /// A request that has come through fewer proxies is refused
    /// ([`TooFewHops`](ClientIpErrorKind::TooFewHops)). If it can come through *some* of them only, the
    /// element in that place is the client's word: prefer [`trusted_ranges`](Self::trusted_ranges).
    ///
    /// # Errors
    ///
    /// `count` is 0 or more than [`MAX_HOPS`].
    pub fn trusted_count(header: ForwardedHeader, count: usize) -> Result<Self, ConfigError> {
        if !(1..=MAX_HOPS).contains(&count) {
            return Err(ConfigError::new(
                "trusted_count",
                count.to_string(),
                format!("must be a number of proxies from 1 to {MAX_HOPS}"),
            ));
        }
        Ok(Self::of(Source::FromRight(header, count)))
    }

    /// The nearest address that is not one of `proxies`, going from the peer through a list from the right.
    ///
    /// - A peer that is no trusted proxy is the client, whatever the header says.
    /// - An element that names no address, before an untrusted one is found, is refused and not skipped:
    ///   who wrote what stands to its left is not known.
    /// - If all are trusted, the client is the leftmost: a trusted proxy has said that this one asked.
    /// - A trusted peer that sends no list is refused ([`HeaderMissing`](ClientIpErrorKind::HeaderMissing))
    ///   unless [`or_peer`](Self::or_peer) is set: a proxy that forgets the header would make all its
    ///   clients one, and an internal one.
    /// - At most [`MAX_HOPS`] elements are looked at.
    #[must_use]
    pub fn trusted_ranges(header: ForwardedHeader, proxies: TrustedProxies) -> Self {
        let proxies = Arc::new(proxies);
        Self {
            trusted_peers: Some(Arc::clone(&proxies)),
            ..Self::of(Source::Ranges(header, proxies))
        }
    }

    /// Replaces the peers whose headers are read: any other peer is itself the client.
    ///
    /// Unset, the headers of every peer are read, but for [`trusted_ranges`](Self::trusted_ranges), where
    /// it is the proxies'. It needs the peer's address.
    ///
    /// ```
    /// use http::Request;
    /// use portcullis::client_ip::{ClientIp, PeerAddr, TrustedProxies};
    ///
    /// let client = ClientIp::header("x-real-ip")?.trusted_peers(TrustedProxies::loopback());
    /// let stranger = PeerAddr("192.0.2.1:4711".parse().unwrap());
    /// let request = Request::builder().header("x-real-ip", "10.0.0.1").extension(stranger);
    /// let request = request.body(()).unwrap();
    /// assert_eq!(client.resolve((&request).into()), Ok(stranger.0.ip()));
    /// # Ok::<(), portcullis::config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn trusted_peers(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_peers = Some(Arc::new(proxies));
        self
    }

    /// Takes a request without the header for one of the peer's own: the health checks of a load balancer,
    /// or callers inside the network.
    ///
    /// A header that is there and not well-formed is refused as before. Do not set it where addresses
    /// decide what is allowed: through a proxy that fails to write the header, everyone comes from the
    /// proxy's address.
    #[must_use]
    pub fn or_peer(mut self) -> Self {
        self.or_peer = true;
        self
    }

    /// The client's address; IPv4-mapped IPv6 as IPv4, never `0.0.0.0` nor `::`, without zone.
    ///
    /// It allocates nothing, unless a `Forwarded` element has escapes in its quoted strings, and looks at
    /// 32 KB of headers at most.
    ///
    /// # Errors
    ///
    /// The address cannot be determined. Refuse the request: see [`ClientIpError::rejection`].
    #[inline]
    pub fn resolve(&self, request: RequestHead<'_>) -> Result<IpAddr, ClientIpError> {
        self.find(request).map_err(ClientIpError::new)
    }

    /// What the client is counted under.
    #[cfg_attr(
        not(feature = "rate-limit"),
        allow(dead_code, reason = "asked by limits")
    )]
    #[inline]
    pub(crate) fn key(
        &self,
        request: RequestHead<'_>,
        ipv6: Ipv6Prefix,
    ) -> Result<IpKey, ClientIpError> {
        // The usual case, straight from the peer's address.
        if let (Source::Peer, None, Some(SocketAddr::V4(peer))) = (
            &self.source,
            &self.trusted_peers,
            peer_addr(request.extensions()),
        ) && !peer.ip().is_unspecified()
        {
            return Ok(IpKey::new(IpAddr::V4(*peer.ip()), ipv6));
        }
        Ok(IpKey::new(self.resolve(request)?, ipv6))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            ..Self::default()
        }
    }

    #[inline]
    fn find(&self, request: RequestHead<'_>) -> Result<IpAddr, ClientIpErrorKind> {
        let peer = || peer_ip(request).ok_or(ClientIpErrorKind::PeerUnknown);
        if let Some(proxies) = &self.trusted_peers {
            let peer = peer()?;
            if !proxies.trusts(peer) {
                return Ok(peer);
            }
        }
        let found = match &self.source {
            Source::Peer => peer(),
            Source::Header(name) => single(request, name),
            Source::FromRight(header, count) => nth(request, header, *count),
            Source::Ranges(header, proxies) => walk(request, header, proxies),
        };
        match found {
            Err(ClientIpErrorKind::HeaderMissing) if self.or_peer => peer(),
            found => found,
        }
    }
}

fn single(request: RequestHead<'_>, name: &HeaderName) -> Result<IpAddr, ClientIpErrorKind> {
    let mut values = request.headers().get_all(name).iter();
    let value = values.next().ok_or(ClientIpErrorKind::HeaderMissing)?;
    if values.next().is_some() {
        return Err(ClientIpErrorKind::HeaderRepeated);
    }
    let value = value.as_bytes();
    if value.len() > MAX_ELEMENT {
        return Err(ClientIpErrorKind::Malformed);
    }
    if value.contains(&b',') {
        return Err(ClientIpErrorKind::HeaderRepeated);
    }
    node::parse(value.trim_ascii())
}

fn nth(
    request: RequestHead<'_>,
    header: &ForwardedHeader,
    count: usize,
) -> Result<IpAddr, ClientIpErrorKind> {
    let mut hops = header.hops(request.headers());
    let mut hop = hops.next().ok_or(ClientIpErrorKind::HeaderMissing)??;
    for _ in 1..count {
        hop = hops.next().ok_or(ClientIpErrorKind::TooFewHops)??;
    }
    hop.address()
}

fn walk(
    request: RequestHead<'_>,
    header: &ForwardedHeader,
    proxies: &TrustedProxies,
) -> Result<IpAddr, ClientIpErrorKind> {
    let mut leftmost = Err(ClientIpErrorKind::HeaderMissing);
    for hop in header.hops(request.headers()) {
        let ip = hop?.address()?;
        if !proxies.trusts(ip) {
            return Ok(ip);
        }
        leftmost = Ok(ip);
    }
    leftmost
}
