//! Ranges.

use portcullis::client_ip::TrustedProxies;

use crate::support::{ip, proxies};

#[track_caller]
fn trusts(ranges: &[&str], inside: &[&str], outside: &[&str]) {
    let proxies = proxies(ranges);
    for address in inside {
        assert!(proxies.trusts(ip(address)), "{ranges:?} hold {address}");
    }
    for address in outside {
        assert!(
            !proxies.trusts(ip(address)),
            "{ranges:?} do not hold {address}"
        );
    }
}

#[test]
fn ranges_hold_their_first_and_last_address() {
    trusts(
        &["10.0.0.0/8", "192.0.2.64/26"],
        &["10.0.0.0", "10.255.255.255", "192.0.2.64", "192.0.2.127"],
        &["9.255.255.255", "11.0.0.0", "192.0.2.63", "192.0.2.128"],
    );
    trusts(
        &["2001:db8::/32", "fe80::/125"],
        &[
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe80::7",
        ],
        &["2001:db7:ffff::", "2001:db9::", "fe80::8"],
    );
}

#[test]
fn a_bare_address_is_a_range_of_one() {
    trusts(
        &["10.0.0.1", "::1"],
        &["10.0.0.1", "::1", "::ffff:10.0.0.1"],
        &["10.0.0.0", "10.0.0.2", "::2", "::"],
    );
}

#[test]
fn host_bits_are_ignored() {
    trusts(&["10.0.0.2/26"], &["10.0.0.0", "10.0.0.63"], &["10.0.0.64"]);
    trusts(&["2001:db8::17/64"], &["2001:db8::"], &["2001:db8:0:1::"]);
}

#[test]
fn an_ipv4_mapped_range_is_the_ipv4_range() {
    assert_eq!(proxies(&["::ffff:10.0.0.0/104"]), proxies(&["10.0.0.0/8"]));
    assert_eq!(proxies(&["::ffff:a00:2/122"]), proxies(&["10.0.0.0/26"]));
    assert_eq!(
        proxies(&["0:0:0:0:0:FFFF:10.0.0.1"]),
        proxies(&["10.0.0.1"])
    );
    assert_eq!(proxies(&["::ffff:0:0/96"]), proxies(&["0.0.0.0/0"]));
    trusts(
        &["::ffff:10.0.0.0/104"],
        &["10.1.2.3", "::ffff:10.1.2.3"],
        &[
            "11.1.2.3",
            "2001:db8::10.1.2.3",
            "64:ff9b::10.1.2.3",
            "::10.1.2.3",
        ],
    );
}

#[test]
fn families_are_kept_apart() {
    trusts(
        &["::/0"],
        &["::1", "2001:db8::1"],
        &["127.0.0.1", "::ffff:127.0.0.1"],
    );
    trusts(
        &["0.0.0.0/0"],
        &["127.0.0.1", "::ffff:127.0.0.1"],
        &["::1", "::7f00:1"],
    );
    trusts(&["::/64"], &["::1.2.3.4"], &["1.2.3.4"]);
}

#[test]
fn overlapping_ranges_hold_what_each_holds() {
    trusts(
        &[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.3",
            "10.1.2.4",
            "9.0.0.0/8",
            "10.0.0.0/8",
        ],
        &["9.1.1.1", "10.0.0.1", "10.1.2.3", "10.200.0.1"],
        &["8.255.255.255", "11.0.0.0"],
    );
}

#[test]
fn what_is_no_range_is_not_built() {
    for range in [
        "",
        " ",
        "blargh",
        "localhost",
        "-1",
        "10",
        "10.0/8",
        "10.0.300.1",
        "10.0.0.1/",
        "10.0.0.1/33",
        "10.0.0.1/-1",
        "10.0.0.1/internet",
        "10.0.0.1/6000",
        "10.0.0.1/255.0.255.0",
        "10.0.0.1/ffc0::",
        "10.0.0.0/8/8",
        "::1/129",
        "::ffff:a00:2/136",
        "::ffff:30.168.1.9000",
        "fe80::/255.255.255.0",
        "fe80::abcd%eth0/64",
        "fe80::1%eth0",
        "[::1]",
        " 10.0.0.0/8",
        "10.0.0.0 /8",
        "10.0.0.1:80",
    ] {
        let error = TrustedProxies::new(["10.0.0.0/8", range]).unwrap_err();
        assert_eq!((error.setting(), error.given()), ("trusted_proxies", range));
        assert!(
            TrustedProxies::default().add_range(range).is_err(),
            "{range}"
        );
    }
}

#[test]
fn presets_hold_what_they_say() {
    let loopback = TrustedProxies::loopback();
    assert_eq!(loopback, proxies(&["127.0.0.0/8", "::1"]));
    assert_eq!(
        TrustedProxies::link_local(),
        proxies(&["169.254.0.0/16", "fe80::/10"])
    );
    let private = TrustedProxies::private();
    assert_eq!(
        private,
        proxies(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"])
    );
    assert!(!private.trusts(ip("127.0.0.1")));
    assert!(!private.trusts(ip("172.32.0.0")));
}

#[test]
fn sets_grow() {
    let both = TrustedProxies::loopback()
        .add_all(&TrustedProxies::private())
        .add_range("203.0.113.7")
        .unwrap();
    for address in ["127.0.0.1", "::1", "10.0.0.1", "fd00::1", "203.0.113.7"] {
        assert!(both.trusts(ip(address)), "{address}");
    }
    assert!(!both.trusts(ip("203.0.113.8")));
    assert!(!both.is_empty());
}

#[test]
fn no_ranges_trust_nobody() {
    let nobody = TrustedProxies::new([] as [&str; 0]).unwrap();
    assert!(nobody.is_empty());
    assert_eq!(nobody, TrustedProxies::default());
    assert!(!nobody.trusts(ip("127.0.0.1")));
    assert!(!nobody.trusts(ip("::1")));
}
