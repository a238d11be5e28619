//! Rules: client_ip.

use std::net::{IpAddr, SocketAddr};

use http::Request;
use portcullis::client_ip::{
    ClientIp, ClientIpError, ForwardedHeader, IpKey, Ipv6Prefix, PeerAddr, TrustedProxies,
};

fn ask(client: &ClientIp, peer: &str, forwarded_for: &str) -> Result<IpAddr, ClientIpError> {
    let peer = PeerAddr(SocketAddr::new(peer.parse().expect("an IP address"), 4711));
    let request = Request::builder()
        .header("x-forwarded-for", forwarded_for)
        .extension(peer)
        .body(())
        .expect("a request");
    client.resolve((&request).into())
}

fn behind_10() -> ClientIp {
    let proxies = TrustedProxies::new(["10.0.0.0/8"]).expect("ranges");
    ClientIp::trusted_ranges(ForwardedHeader::XForwardedFor, proxies)
}

fn key(ip: &str) -> IpKey {
    IpKey::new(ip.parse().expect("an IP address"), Ipv6Prefix::default())
}

#[test]
fn rule_60_xff_is_trusted_only_from_configured_proxies() {
    let stranger = "192.0.2.77".parse().unwrap();
    assert_eq!(ask(&behind_10(), "192.0.2.77", "203.0.113.9"), Ok(stranger));
    assert_eq!(
        ask(&ClientIp::default(), "192.0.2.77", "203.0.113.9"),
        Ok(stranger)
    );
}

#[test]
fn rule_60_xff_is_read_right_to_left() {
    let client = "203.0.113.9".parse().unwrap();
    let claimed = "10.9.9.9, 6.6.6.6, 203.0.113.9, 10.0.0.2";
    assert_eq!(ask(&behind_10(), "10.0.0.1", claimed), Ok(client));
    assert!(ask(&behind_10(), "10.0.0.1", "203.0.113.9, nonsense, 10.0.0.2").is_err());
}

#[test]
fn rule_61_ipv6_is_keyed_by_its_network() {
    assert_eq!(
        key("2001:db8:1:2::1"),
        key("2001:db8:1:2:ffff:ffff:ffff:ffff")
    );
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    let wider = Ipv6Prefix::new(56).unwrap();
    let key_56 = |ip: &str| IpKey::new(ip.parse().unwrap(), wider);
    assert_eq!(key_56("2001:db8:1:2::1"), key_56("2001:db8:1:3::1"));
}

#[test]
fn rule_62_ipv4_mapped_is_ipv4_in_every_notation() {
    let client = "1.2.3.4".parse().unwrap();
    for text in [
        "::ffff:1.2.3.4",
        "::ffff:102:304",
        "0:0:0:0:0:FFFF:0102:0304",
    ] {
        assert_eq!(key(text), key("1.2.3.4"), "{text}");
        assert_eq!(
            ask(&behind_10(), "::ffff:a00:1", text),
            Ok(client),
            "{text}"
        );
        assert_eq!(
            ask(&ClientIp::peer(), text, "6.6.6.6"),
            Ok(client),
            "{text}"
        );
    }
}

#[test]
fn rule_62_a_dotted_quad_in_ordinary_ipv6_is_not_ipv4() {
    for text in ["2001:db8::1.2.3.4", "64:ff9b::1.2.3.4", "::1.2.3.4"] {
        assert_ne!(key(text), key("1.2.3.4"), "{text}");
        assert_eq!(
            ask(&behind_10(), "10.0.0.1", text),
            Ok(text.parse().unwrap()),
            "{text}"
        );
    }
    // Nor is it a proxy's address.
    let dotted = "2001:db8::10.0.0.1";
    assert_eq!(
        ask(&behind_10(), dotted, "6.6.6.6"),
        Ok(dotted.parse().unwrap())
    );
}
