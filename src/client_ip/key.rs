//! [`IpKey`]: what the requests of one client are counted under.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use crate::config::ConfigError;

/// What one client is counted under: an IPv4 address, or the network of an IPv6 address.
///
/// A host in an IPv6 network has at least 2^64 addresses to speak from (RFC 6177, RFC 7421), so counting
/// single addresses counts nothing. An IPv4 address in an IPv6 notation (`::ffff:192.0.2.1`) has the key
/// of the IPv4 address; no other IPv6 address shares a key with IPv4, however it is written.
///
/// ```
/// use portcullis::client_ip::{IpKey, Ipv6Prefix};
///
/// let key = |ip: &str| IpKey::new(ip.parse().unwrap(), Ipv6Prefix::default());
/// assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:2"));
/// assert_eq!(key("2001:db8::1").to_string(), "2001:db8::/64");
/// assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
/// assert_eq!(key("192.0.2.1").to_string(), "192.0.2.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpKey {
    // IPv4 in its IPv4-mapped form, which no IPv6 network here can have: it was made IPv4 before.
    bits: u128,
    prefix: u8,
}

impl IpKey {
    /// The key of an address.
    #[must_use]
    #[inline]
    pub fn new(ip: IpAddr, ipv6: Ipv6Prefix) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self {
                bits: ip.to_ipv6_mapped().to_bits(),
                prefix: 128,
            },
            IpAddr::V6(ip) => Self {
                bits: ip.to_bits() & (u128::MAX << (128 - ipv6.0)),
                prefix: ipv6.0,
            },
        }
    }

    /// The key as bytes, for a hash or a store: different keys have different bytes.
    ///
    /// Always 17 of them, so what follows needs no separator.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [self.prefix; 17];
        bytes[..16].copy_from_slice(&self.bits.to_be_bytes());
        bytes
    }

    /// What [`IpKey::to_bytes`] says, as numbers.
    #[cfg_attr(
        not(feature = "rate-limit"),
        allow(dead_code, reason = "asked by limits")
    )]
    #[inline]
    pub(crate) fn to_bits(self) -> (u128, u8) {
        (self.bits, self.prefix)
    }

    /// The address, or the first one of the network.
    #[must_use]
    pub fn network(self) -> IpAddr {
        Ipv6Addr::from_bits(self.bits).to_canonical()
    }
}

/// An IPv4 address, or an IPv6 network in CIDR notation.
impl fmt::Display for IpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network() {
            IpAddr::V4(ip) => write!(f, "{ip}"),
            IpAddr::V6(ip) => write!(f, "{ip}/{}", self.prefix),
        }
    }
}

/// How many bits of an IPv6 address tell clients apart: 16 to 128, 64 by default.
///
/// 64 is one network segment. 56 and 48 are what providers hand to a household or a site: use them if
/// clients evade a limit by moving through their segments. Under 32 whole providers are one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv6Prefix(u8);

impl Ipv6Prefix {
    /// A prefix of that many bits.
    ///
    /// # Errors
    ///
    /// `bits` is less than 16 or more than 128.
    pub fn new(bits: u8) -> Result<Self, ConfigError> {
        if (16..=128).contains(&bits) {
            return Ok(Self(bits));
        }
        Err(ConfigError::new(
            "ipv6_prefix",
            bits.to_string(),
            "must be a number of bits from 16 to 128",
        ))
    }

    /// The number of bits.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }
}

impl Default for Ipv6Prefix {
    fn default() -> Self {
        Self(64)
    }
}
