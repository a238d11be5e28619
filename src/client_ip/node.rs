//! One address as proxies write it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str,
};

use super::error::ClientIpErrorKind;

/// Reads one address: bare, with a port, in brackets, with a zone; IPv4-mapped IPv6 as IPv4.
///
/// This is `node` of RFC 7239 section 6, wider by the bare IPv6 address and the zone (RFC 4007 section 11)
/// that are found in the wild. Port and zone are dropped: neither tells clients apart that matter here.
pub(super) fn parse(text: &[u8]) -> Result<IpAddr, ClientIpErrorKind> {
    let text = str::from_utf8(text).map_err(|_| ClientIpErrorKind::Malformed)?;
    let ip = match read(text) {
        Some(ip) => ip.to_canonical(),
        None if is_undisclosed(text) => return Err(ClientIpErrorKind::Undisclosed),
        None => return Err(ClientIpErrorKind::Malformed),
    };
    if ip.is_unspecified() {
        return Err(ClientIpErrorKind::Unspecified);
    }
    Ok(ip)
}

fn read(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']')?;
        if !(rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)) {
            return None;
        }
        return read_v6(ip);
    }
    match text.split_once(':') {
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some((ip, port)) if !port.contains(':') => {
            let ip = ip.parse::<Ipv4Addr>().ok()?;
            is_port(port).then_some(IpAddr::V4(ip))
        }
        Some(_) => read_v6(text),
    }
}

fn read_v6(text: &str) -> Option<IpAddr> {
    let Some((ip, zone)) = text.split_once('%') else {
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    };
    let ip = ip.parse::<Ipv6Addr>().ok()?;
    // Only an address of a link has a zone, and no IPv4 address has one.
    (is_name(zone) && ip.to_ipv4_mapped().is_none()).then_some(IpAddr::V6(ip))
}

/// `unknown` or an obfuscated identifier, with or without a port (RFC 7239 sections 6.2 and 6.3).
fn is_undisclosed(text: &str) -> bool {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let hidden = name.strip_prefix('_').is_some_and(is_name);
    (hidden || name.eq_ignore_ascii_case("unknown")) && port.is_none_or(is_port)
}

/// `node-port` of RFC 7239 section 6: one to five digits, or an obfuscated port.
fn is_port(text: &str) -> bool {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits || text.strip_prefix('_').is_some_and(is_name)
}

/// At least one of the characters that obfuscated identifiers and zones are made of.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text.bytes().all(is_part)
}
