//! [`TrustedProxies`]: whose forwarding headers are believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::ConfigError;

/// The addresses whose forwarding headers are believed.
///
/// Ranges are in CIDR notation; a bare address is a range of one. Host bits are ignored: `10.1.2.3/8` is
/// `10.0.0.0/8`. An IPv4-mapped range is the IPv4 range it stands for (`::ffff:10.0.0.0/104` is
/// `10.0.0.0/8`), and addresses are compared in the same way; no other IPv6 range holds an IPv4 address,
/// `::/0` neither.
///
/// Name the proxies, not the network that they are in: whoever sends from a trusted address may claim any
/// client address. The presets suit a network in which nothing but proxies can reach the server.
///
/// ```
/// use portcullis::client_ip::TrustedProxies;
///
/// let proxies = TrustedProxies::new(["10.0.0.0/8", "2001:db8::7"])?;
/// assert!(proxies.trusts("10.9.8.7".parse().unwrap()));
/// assert!(proxies.trusts("::ffff:10.9.8.7".parse().unwrap()));
/// assert!(!proxies.trusts("2001:db8::8".parse().unwrap()));
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    // Sorted and without overlap, so that one binary search answers.
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

impl TrustedProxies {
    /// The given ranges. None at all is allowed and trusts nobody.
    ///
    /// # Errors
    ///
    /// The first text that is neither an address nor a range.
    pub fn new<R>(ranges: impl IntoIterator<Item = R>) -> Result<Self, ConfigError>
    where
        R: AsRef<str>,
    {
        let nets = ranges
            .into_iter()
            .map(|range| parse(range.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of(nets))
    }

    /// `127.0.0.0/8` and `::1` (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3).
    #[must_use]
    pub fn loopback() -> Self {
        Self::of([
            v4([127, 0, 0, 0], 8),
            v6(Ipv6Addr::LOCALHOST.segments(), 128),
        ])
    }

    /// `169.254.0.0/16` and `fe80::/10` (RFC 3927, RFC 4291 section 2.5.6).
    #[must_use]
    pub fn link_local() -> Self {
        Self::of([
            v4([169, 254, 0, 0], 16),
            v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
        ])
    }

    /// `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16` (RFC 1918) and `fc00::/7` (RFC 4193); not loopback.
    #[must_use]
    pub fn private() -> Self {
        Self::of([
            v4([10, 0, 0, 0], 8),
            v4([172, 16, 0, 0], 12),
            v4([192, 168, 0, 0], 16),
            v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
        ])
    }

    /// Appends a range or an address.
    ///
    /// # Errors
    ///
    /// The text is neither an address nor a range.
    pub fn add_range(self, range: &str) -> Result<Self, ConfigError> {
        let net = parse(range)?;
        Ok(self.with_nets([net]))
    }

    /// Appends everything that `other` trusts.
    #[must_use]
    pub fn add_all(self, other: &Self) -> Self {
        let v4 = other.v4.iter().copied().map(IpNet::V4);
        let v6 = other.v6.iter().copied().map(IpNet::V6);
        self.with_nets(v4.chain(v6))
    }

    /// Is `ip` one of these addresses?
    #[must_use]
    pub fn trusts(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let after = self.v4.partition_point(|net| net.network() <= ip);
                self.v4[..after].last().is_some_and(|net| net.contains(&ip))
            }
            IpAddr::V6(ip) => {
                let after = self.v6.partition_point(|net| net.network() <= ip);
                self.v6[..after].last().is_some_and(|net| net.contains(&ip))
            }
        }
    }

    /// Does it trust nobody?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    fn of(nets: impl IntoIterator<Item = IpNet>) -> Self {
        Self::default().with_nets(nets)
    }

    fn with_nets(mut self, nets: impl IntoIterator<Item = IpNet>) -> Self {
        for net in nets {
            match net {
                IpNet::V4(net) => self.v4.push(net),
                IpNet::V6(net) => self.v6.push(net),
            }
        }
        self.v4 = Ipv4Net::aggregate(&self.v4);
        self.v6 = Ipv6Net::aggregate(&self.v6);
        self
    }
}

/// A range of constants; a prefix that is too long becomes a range of one address.
fn v4(octets: [u8; 4], prefix: u8) -> IpNet {
    let ip = Ipv4Addr::from(octets);
    IpNet::V4(Ipv4Net::new(ip, prefix).unwrap_or_else(|_| ip.into()))
}

fn v6(segments: [u16; 8], prefix: u8) -> IpNet {
    let ip = Ipv6Addr::from(segments);
    IpNet::V6(Ipv6Net::new(ip, prefix).unwrap_or_else(|_| ip.into()))
}

fn parse(range: &str) -> Result<IpNet, ConfigError> {
    let net = if range.contains('/') {
        range.parse::<IpNet>().ok()
    } else {
        range.parse::<IpAddr>().ok().map(IpNet::from)
    };
    let net = net.ok_or_else(|| {
        ConfigError::new(
            "trusted_proxies",
            range,
            "must be an IP address or a range such as 10.0.0.0/8",
        )
    })?;
    Ok(canonical(net))
}

/// The IPv4 range that an IPv4-mapped one stands for (RFC 4291 section 2.5.5.2).
fn canonical(net: IpNet) -> IpNet {
    if let (IpAddr::V4(ip), Some(prefix)) = (
        net.network().to_canonical(),
        net.prefix_len().checked_sub(96),
    ) && let (IpNet::V6(_), Ok(net)) = (net, Ipv4Net::new(ip, prefix))
    {
        return IpNet::V4(net);
    }
    net
}
