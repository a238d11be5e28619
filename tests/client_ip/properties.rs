//! What holds for every header, whoever wrote it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis::client_ip::{
    ClientIp, ClientIpErrorKind as Kind, ForwardedHeader, RequestScheme, TrustedProxies,
};
use proptest::{collection::vec, prelude::*};

use crate::support::{
    PROXY, STRANGER, XFF, found, ip, key, last_forwarded, last_xff, proxies, request, resolve,
};

/// Bytes that a header value can hold, mostly those that mean something here.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let meaningful = proptest::sample::select(b"\"\\,;=:[]%._ \tfor0123456789abcdef".to_vec());
    let any = any::<u8>().prop_filter("a header value", |&byte| {
        byte == b'\t' || (byte >= b' ' && byte != 0x7f)
    });
    vec(prop_oneof![6 => meaningful, 1 => any], 0..80)
}

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(line(), 0..4)
}

/// Addresses with trusted ones among them, and IPv4 both ways.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits | 1))),
        (0..4_u32).prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001 + bits))),
        (0..4_u32).prop_map(|bits| {
            IpAddr::V6(Ipv4Addr::from_bits(0x0a00_0001 + bits).to_ipv6_mapped())
        }),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits | 1))),
        (0..4_u128).prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) + bits))),
    ]
}

fn trusted() -> TrustedProxies {
    proxies(&["10.0.0.0/8", "2001:db8::/32"])
}

fn strategies() -> Vec<(ClientIp, &'static str)> {
    let mut all = vec![(
        ClientIp::header("x-real-ip").expect("a header"),
        "x-real-ip",
    )];
    for (header, name) in [
        (ForwardedHeader::XForwardedFor, XFF),
        (ForwardedHeader::Forwarded, "forwarded"),
    ] {
        all.push((ClientIp::rightmost(header.clone()), name));
        all.push((
            ClientIp::trusted_count(header.clone(), 2).expect("a count"),
            name,
        ));
        all.push((ClientIp::trusted_ranges(header, trusted()), name));
    }
    all
}

/// An address as a proxy may write it.
fn written(address: IpAddr, style: u8) -> String {
    match (address, style % 3) {
        (IpAddr::V4(ip), 0) => ip.to_string(),
        (IpAddr::V4(ip), 1) => format!("{ip}:80"),
        (IpAddr::V4(ip), _) => format!("[{}]:80", ip.to_ipv6_mapped()),
        (IpAddr::V6(ip), 0) => ip.to_string(),
        (IpAddr::V6(ip), 1) => format!("[{ip}]"),
        (IpAddr::V6(ip), _) => format!("[{ip}]:65535"),
    }
}

/// A text as a quoted string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn nothing_panics_and_what_is_found_is_somebody(lines in lines()) {
        for (client, name) in strategies() {
            if let Ok(ip) = found(&client, name, &lines) {
                prop_assert!(!ip.is_unspecified());
                prop_assert_eq!(ip, ip.to_canonical());
            }
        }
        let https = RequestScheme::forwarded(trusted());
        let _ = https.is_https((&request(PROXY, "forwarded", &lines)).into());
    }

    #[test]
    fn from_a_stranger_no_header_matters(lines in lines()) {
        let walks = [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded]
            .map(|header| ClientIp::trusted_ranges(header, trusted()))
            .into_iter()
            .zip([XFF, "forwarded"]);
        let gated = strategies()
            .into_iter()
            .map(|(client, name)| (client.trusted_peers(trusted()), name));
        for (client, name) in walks.chain(gated) {
            prop_assert_eq!(resolve(&client, &request(STRANGER, name, &lines)), Ok(ip(STRANGER)));
        }
        for (https, name) in [
            (RequestScheme::forwarded(trusted()), "forwarded"),
            (RequestScheme::x_forwarded_proto(trusted()), "x-forwarded-proto"),
        ] {
            let mut lines = lines.clone();
            lines.push(b"https".to_vec());
            lines.push(b"proto=https".to_vec());
            prop_assert!(!https.is_https((&request(STRANGER, name, &lines)).into()));
        }
    }

    #[test]
    fn what_a_client_wrote_does_not_change_what_a_proxy_appended(
        client in line(), address in address(), style in any::<u8>(), host in "[ -~]{0,20}",
    ) {
        let wanted = Ok(address.to_canonical());
        let address = written(address, style);
        let after = |element: String| [&client[..], b",", element.as_bytes()].concat();
        prop_assert_eq!(last_xff(after(address.clone())), wanted);
        let host = quoted(&format!("h{host}"));
        let element = format!("for=\"{address}\";host={host}");
        prop_assert_eq!(last_forwarded(after(element)), wanted);
        let element = format!("host={host};for=\"{address}\"");
        prop_assert_eq!(last_forwarded(after(element)), wanted);
    }

    #[test]
    fn the_walk_is_the_one_of_the_books(
        hops in vec((address(), any::<u8>(), any::<bool>()), 1..20), is_forwarded in any::<bool>(),
    ) {
        // By the books: drop trusted ones from the right; the next is the client, or else the leftmost.
        let trusted = trusted();
        let chain: Vec<IpAddr> = hops.iter().map(|(ip, ..)| ip.to_canonical()).collect();
        let wanted = chain.iter().rev().find(|ip| !trusted.trusts(**ip)).unwrap_or(&chain[0]);

        let mut lines = vec![String::new()];
        for (address, style, breaks) in hops {
            let address = written(address, style);
            let element = if is_forwarded { format!("for=\"{address}\";host=\"a,b\"") } else { address };
            match lines.last_mut() {
                Some(line) if line.is_empty() => *line = element,
                Some(line) if !breaks => *line += &format!(" , {element}"),
                _ => lines.push(element),
            }
        }
        let (header, name) = if is_forwarded {
            (ForwardedHeader::Forwarded, "forwarded")
        } else {
            (ForwardedHeader::XForwardedFor, XFF)
        };
        let client = ClientIp::trusted_ranges(header, trusted);
        prop_assert_eq!(found(&client, name, &lines), Ok(*wanted));
    }

    #[test]
    fn an_element_that_is_no_address_is_never_passed(
        left in address(), nonsense in "[a-zA-Z!#$&*+-]{1,12}", right in 0..5_u32,
    ) {
        prop_assume!(!nonsense.eq_ignore_ascii_case("unknown"));
        let client = ClientIp::trusted_ranges(ForwardedHeader::XForwardedFor, trusted());
        let line = format!("{left}, {nonsense}{}", ", 10.0.0.2".repeat(right as usize));
        prop_assert_eq!(found(&client, XFF, &[line]), Err(Kind::Malformed));
    }

    #[test]
    fn ranges_hold_what_their_bits_say(
        ranges in vec((any::<u32>(), 0..=32_u32), 0..12), probes in vec(any::<u32>(), 1..20),
    ) {
        let texts = ranges.iter().map(|(bits, prefix)| format!("{}/{prefix}", Ipv4Addr::from_bits(*bits)));
        let proxies = TrustedProxies::new(texts).unwrap();
        let edges = ranges.iter().flat_map(|(bits, _)| [*bits, bits.wrapping_add(1), bits.wrapping_sub(1)]);
        for probe in probes.iter().copied().chain(edges) {
            let same = |(bits, prefix): &(u32, u32)| {
                (probe ^ bits).checked_shr(32 - prefix).unwrap_or(0) == 0
            };
            let address = Ipv4Addr::from_bits(probe);
            prop_assert_eq!(proxies.trusts(address.into()), ranges.iter().any(same));
            prop_assert_eq!(proxies.trusts(address.to_ipv6_mapped().into()), ranges.iter().any(same));
        }
    }

    #[test]
    fn ipv6_ranges_hold_what_their_bits_say(
        ranges in vec((any::<u128>(), 0..=128_u32), 0..8), probe in any::<u128>(),
    ) {
        // The first bit keeps IPv4-mapped addresses out of it.
        let top = 1 << 127;
        let texts = ranges
            .iter()
            .map(|(bits, prefix)| format!("{}/{prefix}", Ipv6Addr::from_bits(bits | top)));
        let proxies = TrustedProxies::new(texts).unwrap();
        let edges = ranges.iter().flat_map(|(bits, prefix)| [*bits, bits ^ (1_u128 << 127 >> (prefix % 128))]);
        for probe in std::iter::once(probe).chain(edges).map(|probe| probe | top) {
            let same = |(bits, prefix): &(u128, u32)| {
                (probe ^ (bits | top)).checked_shr(128 - prefix).unwrap_or(0) == 0
            };
            let address = Ipv6Addr::from_bits(probe);
            prop_assert_eq!(proxies.trusts(address.into()), ranges.iter().any(same));
        }
    }

    #[test]
    fn keys_are_one_exactly_where_networks_are(a in address(), b in address(), flip in 0..128_u32, bits in 16..=128_u8) {
        let near = match a.to_canonical() {
            IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() ^ (1 << (flip % 32)))),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() ^ (1 << flip))),
        };
        for (one, two) in [(a, b), (a, near), (a, a)] {
            let same = match (one.to_canonical(), two.to_canonical()) {
                (IpAddr::V4(one), IpAddr::V4(two)) => one == two,
                (IpAddr::V6(one), IpAddr::V6(two)) => {
                    (one.to_bits() ^ two.to_bits()).leading_zeros() >= u32::from(bits)
                }
                _ => false,
            };
            let (one, two) = (key(&one.to_string(), bits), key(&two.to_string(), bits));
            prop_assert_eq!(one == two, same);
            prop_assert_eq!(one.to_bytes() == two.to_bytes(), same);
            prop_assert_eq!(one.to_string() == two.to_string(), same);
        }
    }
}
