//! RFC 7239.

use portcullis::client_ip::{ClientIp, ClientIpErrorKind as Kind, ForwardedHeader};

use crate::support::{found, ip, last_forwarded, proxies};

#[test]
fn the_examples_of_the_rfc_are_read() {
    // Section 4, section 6.3 and section 7.1.
    let named = [
        (r#"For="[2001:db8:cafe::17]:4711""#, "2001:db8:cafe::17"),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
        (
            r#"for=192.0.2.43, for="[2001:db8:cafe::17]""#,
            "2001:db8:cafe::17",
        ),
        (r#"for=_gazonk, for="192.0.2.43:47011""#, "192.0.2.43"),
        (
            r#"for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown, for=192.0.2.43"#,
            "192.0.2.43",
        ),
    ];
    for (line, wanted) in named {
        assert_eq!(last_forwarded(line), Ok(ip(wanted)), "{line}");
    }
    let hidden = [
        r#"for="_gazonk""#,
        "for=_hidden, for=_SEVKISEK",
        "for=192.0.2.43, for=unknown",
        r#"for="_mdn:_80""#,
        "proto=https;by=203.0.113.43",
        ";",
    ];
    for line in hidden {
        assert_eq!(last_forwarded(line), Err(Kind::Undisclosed), "{line}");
    }
}

#[test]
fn names_are_read_in_any_case_and_any_order() {
    for line in [
        "FOR=192.0.2.60",
        "fOr=192.0.2.60;PROTO=http",
        "by=_x;host=example.com;proto=https;for=192.0.2.60",
        "secret=abc;for=192.0.2.60;x-y=1;x-y=2",
        "for=192.0.2.60; proto=http ;by=203.0.113.43",
        "for=192.0.2.60;",
        ";for=192.0.2.60",
        "for=192.0.2.60;; ;proto=http",
        r#"host="";for=192.0.2.60;by="""#,
    ] {
        assert_eq!(last_forwarded(line), Ok(ip("192.0.2.60")), "{line}");
    }
}

#[test]
fn quoted_strings_are_unquoted_and_separate_nothing() {
    for line in [
        r#"for="192.0.2.60""#,
        r#"for="192.0.2.\60""#,
        r#"for="\1\9\2.0.2.60""#,
        r#"host="a, for=6.6.6.6";for=192.0.2.60"#,
        r#"for=192.0.2.60;host="a, for=6.6.6.6""#,
        r#"for=192.0.2.60;host="a;for=6.6.6.6""#,
        r#"for=192.0.2.60;host="a\", for=6.6.6.6, \"b""#,
        r#"for=192.0.2.60;host="a\\""#,
        r#"for=192.0.2.60;host="\\\", for=6.6.6.6""#,
        r#"for=6.6.6.6, host="\\";for=192.0.2.60"#,
        r#"for="6.6.6.6, for=7.7.7.7, for=8.8.8.8", for="192.0.2.60""#,
    ] {
        assert_eq!(last_forwarded(line), Ok(ip("192.0.2.60")), "{line}");
    }
}

#[test]
fn a_list_in_quoted_strings_is_counted_by_its_elements() {
    let second = ClientIp::trusted_count(ForwardedHeader::Forwarded, 2).unwrap();
    let lines = [
        r#"for=192.0.2.60;host="a,b,c""#,
        r#"for=10.0.0.2;host="d,\",e""#,
    ];
    assert_eq!(found(&second, "forwarded", &lines), Ok(ip("192.0.2.60")));
    assert_eq!(
        found(&second, "forwarded", &lines[1..]),
        Err(Kind::TooFewHops)
    );
    // An open one is not an element to be counted.
    assert_eq!(
        found(&second, "forwarded", &["for=192.0.2.60", "x\""]),
        Err(Kind::Malformed)
    );
}

#[test]
fn what_a_client_left_open_does_not_reach_what_proxies_appended() {
    for attack in [
        "for=\"",
        "for=\"x",
        "host=\"a\\",
        "\"",
        "\\",
        "for=\"6.6.6.6\\\"",
        "=;,=\",\"",
    ] {
        let line = format!("{attack}, for=192.0.2.60");
        assert_eq!(last_forwarded(&line), Ok(ip("192.0.2.60")), "{line}");
        let line = format!("{attack}, for=192.0.2.60;host=\"example.com\"");
        assert_eq!(last_forwarded(&line), Ok(ip("192.0.2.60")), "{line}");
        let last = ClientIp::rightmost(ForwardedHeader::Forwarded);
        let lines = [attack, "for=192.0.2.60"];
        assert_eq!(
            found(&last, "forwarded", &lines),
            Ok(ip("192.0.2.60")),
            "{attack}"
        );
    }
}

#[test]
fn two_habits_that_hide_nothing_are_borne_with() {
    for (line, wanted) in [
        ("for=192.0.2.60:4711", "192.0.2.60"),
        ("for=[2001:db8::17]:4711;proto=https", "2001:db8::17"),
        ("for=2001:db8::17", "2001:db8::17"),
        (r#"for="2001:db8::17""#, "2001:db8::17"),
        (r#"for="[fe80::1%eth0]""#, "fe80::1"),
        ("by=1::1; host=myhost; for=192.0.2.60", "192.0.2.60"),
    ] {
        assert_eq!(last_forwarded(line), Ok(ip(wanted)), "{line}");
    }
}

#[test]
fn what_the_grammar_does_not_allow_is_malformed() {
    for line in [
        "",
        ",",
        "for",
        "for=",
        "host=;for=192.0.2.60",
        r#"for=" 192.0.2.60""#,
        "=192.0.2.60",
        "192.0.2.60",
        r#"for="""#,
        r#"for="192.0.2.60"#,
        r#"for=192.0.2.60""#,
        r#"for="192.0.2.60"x"#,
        r#"for=x"192.0.2.60""#,
        r#"for="[::ffff:1.2.3.4"]"#,
        r#"for="::1]""#,
        r#"for="[1.1.1.1]""#,
        r"for=1.1.1.\1",
        "for =192.0.2.60",
        "for= 192.0.2.60",
        "for=192.0.2.60 192.0.2.61",
        "for=192.0.2.60;proto",
        "for=192.0.2.60;@(=x",
        "for=192.0.2.999",
        "for=2607:f8b0:4004:83f::999999",
        "for=nobody",
        "for=192.0.2.60;host=a/b",
    ] {
        assert_eq!(last_forwarded(line), Err(Kind::Malformed), "{line}");
    }
    assert_eq!(
        last_forwarded(b"for=192.0.2.60;x=\xff"),
        Err(Kind::Malformed)
    );
    assert_eq!(last_forwarded(b"for=\"\xff\""), Err(Kind::Malformed));
}

#[test]
fn no_parameter_occurs_twice() {
    for line in [
        "for=192.0.2.60;for=192.0.2.60",
        "for=6.6.6.6;FOR=192.0.2.60",
        "for=192.0.2.60;proto=http;proto=https",
        "for=192.0.2.60;host=a;host=b",
        "by=_a;for=192.0.2.60;by=_b",
    ] {
        assert_eq!(last_forwarded(line), Err(Kind::Malformed), "{line}");
    }
    // An element that is not looked at is no matter.
    assert_eq!(
        last_forwarded("for=6.6.6.6;for=7.7.7.7, for=192.0.2.60"),
        Ok(ip("192.0.2.60"))
    );
}

#[test]
fn the_walk_reads_forwarded_too() {
    let trusted = proxies(&["10.0.0.0/8", "2001:db8:a::/48", "::ffff:198.51.100.0/120"]);
    let client = ClientIp::trusted_ranges(ForwardedHeader::Forwarded, trusted);
    let of = |lines: &[&str]| found(&client, "forwarded", lines);
    let lines = [
        r#"for=6.6.6.6, for=192.0.2.60;proto=https, for="[2001:db8:a::1]:80""#,
        r#"for=198.51.100.9;host="a,b", for="10.0.0.2:81""#,
    ];
    assert_eq!(of(&lines), Ok(ip("192.0.2.60")));
    assert_eq!(
        of(&["for=192.0.2.60, proto=https, for=10.0.0.2"]),
        Err(Kind::Undisclosed)
    );
    assert_eq!(
        of(&["for=192.0.2.60, for=10.0.0.3;for=10.0.0.3, for=10.0.0.2"]),
        Err(Kind::Malformed)
    );
    assert_eq!(
        of(&[r#"for=192.0.2.60, for="10.0.0.3, for=10.0.0.2"#]),
        Err(Kind::Malformed)
    );
    assert_eq!(of(&[]), Err(Kind::HeaderMissing));
}

#[test]
fn a_long_element_is_not_read_to_its_end() {
    let long = "x".repeat(100_000);
    assert_eq!(
        last_forwarded(format!("for=192.0.2.60;x={long}")),
        Err(Kind::Malformed)
    );
    assert_eq!(
        last_forwarded(format!("for=192.0.2.60;x=\"{long}\"")),
        Err(Kind::Malformed)
    );
    assert_eq!(last_forwarded("\\".repeat(100_000)), Err(Kind::Malformed));
    assert_eq!(last_forwarded("\"".repeat(100_000)), Err(Kind::Malformed));
    assert_eq!(
        last_forwarded(format!("\"{long}, for=192.0.2.60")),
        Ok(ip("192.0.2.60"))
    );
}
