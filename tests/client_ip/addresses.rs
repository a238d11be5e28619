//! How proxies write an address.

use std::net::IpAddr;

use portcullis::client_ip::{ClientIp, ClientIpErrorKind as Kind};

use crate::support::{STRANGER, XFF, ip, last_xff, request, resolve};

/// One address in all the ways it is written, in a list and alone.
#[track_caller]
fn all_name(wanted: &str, written: &[&str]) {
    let one = ClientIp::header("x-real-ip").expect("a header");
    for text in written {
        assert_eq!(last_xff(text), Ok(ip(wanted)), "{text:?}");
        assert_eq!(
            last_xff(format!("6.6.6.6 ,\t{text} ")),
            Ok(ip(wanted)),
            "{text:?}"
        );
        let request = request(STRANGER, "x-real-ip", &[text]);
        assert_eq!(resolve(&one, &request), Ok(ip(wanted)), "{text:?}");
    }
}

#[test]
fn ipv4_with_and_without_a_port() {
    all_name(
        "203.0.113.9",
        &[
            "203.0.113.9",
            "203.0.113.9:80",
            "203.0.113.9:0",
            "203.0.113.9:65535",
        ],
    );
}

#[test]
fn ipv6_with_and_without_brackets_port_and_zone() {
    all_name(
        "2001:db8::17",
        &[
            "2001:db8::17",
            "2001:DB8::17",
            "2001:db8:0:0:0:0:0:17",
            "[2001:db8::17]",
            "[2001:db8::17]:4711",
        ],
    );
    all_name(
        "fe80::1",
        &["fe80::1%eth0", "[fe80::1%eth0.7]", "[fe80::1%3]:80"],
    );
}

#[test]
fn ipv4_mapped_ipv6_is_ipv4_in_every_notation() {
    let written = [
        "::ffff:203.0.113.9",
        "::FFFF:203.0.113.9",
        "::ffff:cb00:7109",
        "0:0:0:0:0:ffff:203.0.113.9",
        "0:0:0:0:0:FFFF:CB00:7109",
        "0000:0000:0000:0000:0000:ffff:cb00:7109",
        "[::ffff:203.0.113.9]",
        "[::ffff:cb00:7109]:443",
    ];
    all_name("203.0.113.9", &written);
    for peer in &written[..6] {
        let request = request(peer, XFF, &["6.6.6.6"]);
        assert_eq!(
            resolve(&ClientIp::peer(), &request),
            Ok(ip("203.0.113.9")),
            "{peer}"
        );
    }
}

#[test]
fn a_dotted_quad_in_another_ipv6_address_is_only_notation() {
    all_name(
        "2001:db8::102:304",
        &["2001:db8::1.2.3.4", "[2001:db8::1.2.3.4]:80"],
    );
    all_name("64:ff9b::102:304", &["64:ff9b::1.2.3.4"]);
    all_name("::102:304", &["::1.2.3.4"]);
    all_name("::ffff:0:102:304", &["::ffff:0:1.2.3.4"]);
    for text in [
        "2001:db8::1.2.3.4",
        "64:ff9b::1.2.3.4",
        "::1.2.3.4",
        "::ffff:0:1.2.3.4",
    ] {
        assert!(matches!(last_xff(text), Ok(IpAddr::V6(_))), "{text}");
    }
}

#[test]
fn what_is_no_address_is_malformed() {
    let not = [
        "",
        "nobody",
        "localhost",
        "example.com",
        "proxy",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "0x1.2.3.4",
        "1.2.3.4/8",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:123456",
        "1.2.3.4:+1",
        "1.2.3.4%eth0",
        "[1.2.3.4]",
        "1.2.3.4]",
        "[1.2.3.4",
        "1 .2.3.4",
        "1.2.3.4 5",
        "\"1.2.3.4\"",
        "2001:db8::17::1",
        "2001:db8::17]",
        "[2001:db8::17",
        "[[2001:db8::17]]",
        "[]",
        "[",
        "]",
        "[2001:db8::17]80",
        "[2001:db8::17]:",
        "[2001:db8::17]:x",
        "[2001:db8::17]:80:80",
        "2001:db8::12345",
        "fe80::1%",
        "fe80::1%eth 0",
        "fe80::1%eth0%1",
        "[fe80::1]%eth0",
        "%eth0",
        "::ffff:1.2.3.4%eth0",
        "::ffff:1.2.3.4.5",
        "::8:8:8:8:8:8:8:8:8",
        "for=1.2.3.4",
        "_",
        "_ x",
        "_x:",
        "unknown:",
        "1.2.3.4;5.6.7.8",
    ];
    for text in not {
        assert_eq!(last_xff(text), Err(Kind::Malformed), "{text:?}");
    }
    for bytes in [
        &b"\xff\xfe"[..],
        b"1.2.3.4\xa0",
        "１.2.3.4".as_bytes(),
        "\u{a0}1.2.3.4".as_bytes(),
    ] {
        assert_eq!(last_xff(bytes), Err(Kind::Malformed), "{bytes:?}");
    }
}

#[test]
fn a_hidden_client_is_told_apart_from_nonsense() {
    for text in [
        "unknown",
        "UNKNOWN",
        "unknown:80",
        "_hidden",
        "_SEVKISEK",
        "_a.b-c_d:80",
        "_x:_port",
    ] {
        assert_eq!(last_xff(text), Err(Kind::Undisclosed), "{text:?}");
    }
}

#[test]
fn the_unspecified_address_is_nobodys() {
    for text in [
        "0.0.0.0",
        "0.0.0.0:80",
        "::",
        "[::]:80",
        "::ffff:0.0.0.0",
        "0:0:0:0:0:0:0:0",
    ] {
        assert_eq!(last_xff(text), Err(Kind::Unspecified), "{text:?}");
    }
}
