//! What a client is counted under.

use portcullis::client_ip::{IpKey, Ipv6Prefix};

use crate::support::{ip, key};

#[test]
fn ipv4_addresses_are_kept_whole() {
    for bits in [16, 64, 128] {
        assert_ne!(key("192.0.2.1", bits), key("192.0.2.2", bits));
        assert_eq!(key("192.0.2.1", bits).to_string(), "192.0.2.1");
    }
    // Whatever is said about IPv6.
    assert_eq!(key("192.0.2.1", 16), key("192.0.2.1", 128));
}

#[test]
fn ipv6_addresses_share_the_key_of_their_network() {
    let of = |text| IpKey::new(ip(text), Ipv6Prefix::default());
    assert_eq!(
        of("2001:db8:1:2::1"),
        of("2001:db8:1:2:ffff:ffff:ffff:ffff")
    );
    assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    assert_eq!(of("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    assert_eq!(of("2001:db8:1:2::1").network(), ip("2001:db8:1:2::"));
}

#[test]
fn a_network_ends_at_any_bit() {
    assert_eq!(key("2001:db8:1:2ff::1", 56), key("2001:db8:1:200::1", 56));
    assert_ne!(key("2001:db8:1:2ff::1", 56), key("2001:db8:1:300::1", 56));
    assert_eq!(key("2001:db8:0:2::", 63), key("2001:db8:0:3::", 63));
    assert_ne!(key("2001:db8:0:1::", 63), key("2001:db8:0:2::", 63));
    assert_eq!(key("2001:db8::", 16), key("2001:ffff::", 16));
    assert_ne!(key("2001:db8::1", 128), key("2001:db8::2", 128));
    assert_eq!(key("2001:db8::1", 128).to_string(), "2001:db8::1/128");
}

#[test]
fn ipv4_mapped_ipv6_has_the_key_of_ipv4_and_nothing_else_has() {
    let v4 = key("1.2.3.4", 64);
    for text in ["::ffff:1.2.3.4", "::ffff:102:304", "0:0:0:0:0:FFFF:102:304"] {
        assert_eq!(key(text, 64), v4, "{text}");
        assert_eq!(key(text, 64).to_string(), "1.2.3.4");
    }
    for bits in [16, 32, 64, 96, 128] {
        for text in [
            "2001:db8::1.2.3.4",
            "64:ff9b::1.2.3.4",
            "::1.2.3.4",
            "::ffff:0:1.2.3.4",
            "2002:102:304::",
        ] {
            assert_ne!(key(text, bits), v4, "{text} {bits}");
            assert_ne!(key(text, bits).to_bytes(), v4.to_bytes(), "{text} {bits}");
        }
    }
}

#[test]
fn networks_of_different_lengths_are_different_keys() {
    assert_ne!(key("2001:db8::", 48), key("2001:db8::", 64));
    assert_ne!(
        key("2001:db8::", 48).to_bytes(),
        key("2001:db8::", 64).to_bytes()
    );
    assert_ne!(
        key("2001:db8::", 48).to_string(),
        key("2001:db8::", 64).to_string()
    );
}

#[test]
fn prefixes_have_bounds() {
    for bits in [0, 1, 15, 129, 255] {
        let error = Ipv6Prefix::new(bits).unwrap_err();
        assert_eq!(
            (error.setting(), error.given()),
            ("ipv6_prefix", &*bits.to_string())
        );
    }
    for bits in 16..=128 {
        assert_eq!(Ipv6Prefix::new(bits).map(Ipv6Prefix::bits), Ok(bits));
    }
    assert_eq!(Ipv6Prefix::default().bits(), 64);
}
