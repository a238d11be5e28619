//! Which element each strategy takes, and when it takes none.

use http::Request;
use portcullis::client_ip::{
    ClientIp, ClientIpErrorKind as Kind, ForwardedHeader, MAX_HOPS, TrustedProxies,
};

use crate::support::{PROXY, STRANGER, XFF, found, ip, last_xff, proxies, request, resolve, walk};

const NONE: &[&str] = &[];

#[test]
fn the_peer_is_taken_from_the_extensions_and_headers_are_not_read() {
    let request = request(STRANGER, XFF, &["203.0.113.9"]);
    assert_eq!(resolve(&ClientIp::peer(), &request), Ok(ip(STRANGER)));
    assert_eq!(resolve(&ClientIp::default(), &request), Ok(ip(STRANGER)));
}

#[test]
fn a_peer_that_nobody_told_is_an_error() {
    let request = Request::new(());
    assert_eq!(resolve(&ClientIp::peer(), &request), Err(Kind::PeerUnknown));
    assert_eq!(resolve(&walk(), &request), Err(Kind::PeerUnknown));
}

#[test]
fn a_peer_at_the_unspecified_address_is_nobody() {
    for peer in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
        let request = request(peer, XFF, NONE);
        assert_eq!(resolve(&ClientIp::peer(), &request), Err(Kind::PeerUnknown));
        assert_eq!(resolve(&walk(), &request), Err(Kind::PeerUnknown));
    }
}

#[cfg(feature = "axum")]
#[test]
fn the_peer_of_axum_is_understood_and_ones_own_goes_before_it() {
    use std::net::SocketAddr;

    use axum::extract::ConnectInfo;
    use portcullis::client_ip::PeerAddr;

    let mut request = Request::new(());
    let told = SocketAddr::new(ip(STRANGER), 1);
    request.extensions_mut().insert(ConnectInfo(told));
    assert_eq!(resolve(&ClientIp::peer(), &request), Ok(ip(STRANGER)));
    let own = SocketAddr::new(ip(PROXY), 1);
    request.extensions_mut().insert(PeerAddr(own));
    assert_eq!(resolve(&ClientIp::peer(), &request), Ok(ip(PROXY)));
}

#[test]
fn a_header_of_one_address_comes_once_with_one() {
    let client = ClientIp::header("X-Real-IP").unwrap();
    let of = |lines: &[&str]| found(&client, "x-real-ip", lines);
    assert_eq!(of(&["203.0.113.9"]), Ok(ip("203.0.113.9")));
    assert_eq!(of(&[]), Err(Kind::HeaderMissing));
    assert_eq!(of(&[""]), Err(Kind::Malformed));
    assert_eq!(of(&["nobody"]), Err(Kind::Malformed));
    assert_eq!(
        of(&["203.0.113.9", "203.0.113.9"]),
        Err(Kind::HeaderRepeated)
    );
    assert_eq!(of(&["203.0.113.9, 10.0.0.2"]), Err(Kind::HeaderRepeated));
    assert_eq!(of(&[" 203.0.113.9\t"]), Ok(ip("203.0.113.9")));
    // Of a value that long not even a comma is looked for.
    assert_eq!(of(&[&"1,".repeat(50_000)]), Err(Kind::Malformed));
}

#[test]
fn a_list_is_not_to_be_read_as_one_address() {
    for name in ["x-forwarded-for", "X-Forwarded-For", "Forwarded"] {
        let error = ClientIp::header(name).unwrap_err();
        assert_eq!(error.setting(), "client_ip_header");
        assert_eq!(error.given(), name);
    }
    for name in ["", "two words", "x\r\ny"] {
        assert!(ClientIp::header(name).is_err(), "{name:?}");
        assert!(ForwardedHeader::named(name).is_err(), "{name:?}");
    }
}

#[test]
fn header_names_know_the_two_standard_lists() {
    let named = |name| ForwardedHeader::named(name).unwrap();
    assert_eq!(named("FORWARDED"), ForwardedHeader::Forwarded);
    assert_eq!(named("X-Forwarded-For"), ForwardedHeader::XForwardedFor);
    assert!(matches!(named("x-original-for"), ForwardedHeader::Other(_)));
}

#[test]
fn rightmost_takes_the_last_element_of_the_last_line() {
    let client = ClientIp::rightmost(ForwardedHeader::XForwardedFor);
    let of = |lines: &[&str]| found(&client, XFF, lines);
    assert_eq!(of(&["203.0.113.9"]), Ok(ip("203.0.113.9")));
    assert_eq!(of(&["6.6.6.6, 203.0.113.9"]), Ok(ip("203.0.113.9")));
    assert_eq!(
        of(&["6.6.6.6", "7.7.7.7,203.0.113.9"]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(
        of(&["6.6.6.6, 7.7.7.7", "203.0.113.9"]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(of(&[]), Err(Kind::HeaderMissing));
}

#[test]
fn another_list_is_read_like_x_forwarded_for() {
    let header = ForwardedHeader::named("x-original-for").unwrap();
    let client = ClientIp::rightmost(header);
    let lines = ["6.6.6.6, 203.0.113.9:80"];
    assert_eq!(
        found(&client, "x-original-for", &lines),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(found(&client, XFF, &lines), Err(Kind::HeaderMissing));
}

#[test]
fn a_count_takes_that_element_from_the_right_over_all_lines() {
    let of = |count, lines: &[&str]| {
        let client = ClientIp::trusted_count(ForwardedHeader::XForwardedFor, count).unwrap();
        found(&client, XFF, lines)
    };
    let lines = ["4.4.4.4, 5.5.5.5", "nobody", "7.7.7.7 ,8.8.8.8"];
    assert_eq!(of(1, &lines), Ok(ip("8.8.8.8")));
    assert_eq!(of(2, &lines), Ok(ip("7.7.7.7")));
    assert_eq!(of(3, &lines), Err(Kind::Malformed));
    assert_eq!(of(4, &lines), Ok(ip("5.5.5.5")));
    assert_eq!(of(5, &lines), Ok(ip("4.4.4.4")));
    assert_eq!(of(6, &lines), Err(Kind::TooFewHops));
    assert_eq!(of(2, &[]), Err(Kind::HeaderMissing));
}

#[test]
fn quotation_marks_mean_nothing_in_a_list_of_addresses() {
    let client = ClientIp::trusted_count(ForwardedHeader::XForwardedFor, 4).unwrap();
    let line = "203.0.113.9, \"a, b\", 10.0.0.2";
    assert_eq!(found(&client, XFF, &[line]), Ok(ip("203.0.113.9")));
}

#[test]
fn a_count_of_no_proxies_or_too_many_is_not_built() {
    for count in [0, MAX_HOPS + 1, usize::MAX] {
        let error = ClientIp::trusted_count(ForwardedHeader::Forwarded, count).unwrap_err();
        assert_eq!(error.given(), count.to_string());
    }
    assert!(ClientIp::trusted_count(ForwardedHeader::Forwarded, MAX_HOPS).is_ok());
}

#[test]
fn the_largest_count_can_be_reached() {
    let client = ClientIp::trusted_count(ForwardedHeader::XForwardedFor, MAX_HOPS).unwrap();
    let line = format!("203.0.113.9{}", ", 10.0.0.2".repeat(MAX_HOPS - 1));
    assert_eq!(found(&client, XFF, &[line]), Ok(ip("203.0.113.9")));
}

#[test]
fn the_walk_starts_at_the_peer() {
    let of = |peer| resolve(&walk(), &request(peer, XFF, &["203.0.113.9"]));
    assert_eq!(of(PROXY), Ok(ip("203.0.113.9")));
    assert_eq!(of("::ffff:10.0.0.1"), Ok(ip("203.0.113.9")));
    assert_eq!(of(STRANGER), Ok(ip(STRANGER)));
    assert_eq!(of("::ffff:192.0.2.77"), Ok(ip(STRANGER)));
}

#[test]
fn the_walk_passes_trusted_proxies_and_stops_at_the_first_other() {
    let of = |lines: &[&str]| found(&walk(), XFF, lines);
    assert_eq!(of(&["6.6.6.6, 203.0.113.9"]), Ok(ip("203.0.113.9")));
    assert_eq!(
        of(&["6.6.6.6, 203.0.113.9, 10.0.0.3, 10.0.0.2"]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(
        of(&["6.6.6.6, 203.0.113.9", "10.0.0.3", "10.0.0.2"]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(
        of(&["10.9.9.9, 203.0.113.9, 10.0.0.2"]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(
        of(&["6.6.6.6, 203.0.113.9, [::ffff:10.0.0.2]:80"]),
        Ok(ip("203.0.113.9"))
    );
}

#[test]
fn the_walk_does_not_pass_what_names_no_address() {
    let of = |line: &str| found(&walk(), XFF, &[line]);
    assert_eq!(of("203.0.113.9, nobody, 10.0.0.2"), Err(Kind::Malformed));
    assert_eq!(of("203.0.113.9, unknown"), Err(Kind::Undisclosed));
    assert_eq!(of("203.0.113.9, _hidden, 10.0.0.2"), Err(Kind::Undisclosed));
    assert_eq!(of("203.0.113.9, 0.0.0.0, 10.0.0.2"), Err(Kind::Unspecified));
    // What stands behind the client's address is the client's own, and no matter.
    assert_eq!(
        of("nobody, unknown, 203.0.113.9, 10.0.0.2"),
        Ok(ip("203.0.113.9"))
    );
}

#[test]
fn an_empty_element_is_not_skipped() {
    for line in [
        "203.0.113.9,",
        "203.0.113.9, ,10.0.0.2",
        ",",
        "",
        "203.0.113.9,\t",
    ] {
        assert_eq!(
            found(&walk(), XFF, &[line]),
            Err(Kind::Malformed),
            "{line:?}"
        );
    }
    assert_eq!(
        found(&walk(), XFF, &["203.0.113.9", ""]),
        Err(Kind::Malformed)
    );
    assert_eq!(last_xff(", 203.0.113.9"), Ok(ip("203.0.113.9")));
}

#[test]
fn where_all_are_trusted_the_leftmost_is_the_client() {
    let of = |line: &str| found(&walk(), XFF, &[line]);
    assert_eq!(of("10.0.0.9"), Ok(ip("10.0.0.9")));
    assert_eq!(of("10.0.0.9, 10.0.0.3, 10.0.0.2"), Ok(ip("10.0.0.9")));
}

#[test]
fn a_trusted_peer_that_says_nothing_is_refused_unless_it_may_ask_itself() {
    assert_eq!(found(&walk(), XFF, NONE), Err(Kind::HeaderMissing));
    assert_eq!(found(&walk().or_peer(), XFF, NONE), Ok(ip(PROXY)));
    assert_eq!(
        found(&walk().or_peer(), XFF, &["nobody"]),
        Err(Kind::Malformed)
    );
    assert_eq!(found(&walk().or_peer(), XFF, &[""]), Err(Kind::Malformed));
    assert_eq!(
        found(&walk().or_peer(), XFF, &["203.0.113.9"]),
        Ok(ip("203.0.113.9"))
    );
    let one = ClientIp::header("x-real-ip").unwrap().or_peer();
    assert_eq!(found(&one, "x-real-ip", NONE), Ok(ip(PROXY)));
    assert_eq!(resolve(&one, &Request::new(())), Err(Kind::PeerUnknown));
}

#[test]
fn without_proxies_nobody_is_believed() {
    let client =
        ClientIp::trusted_ranges(ForwardedHeader::XForwardedFor, TrustedProxies::default());
    assert_eq!(found(&client, XFF, &["203.0.113.9"]), Ok(ip(PROXY)));
}

#[test]
fn only_trusted_peers_may_set_a_header() {
    let trusted = || proxies(&["10.0.0.0/8"]);
    let one = ClientIp::header("x-real-ip")
        .unwrap()
        .trusted_peers(trusted());
    let last = ClientIp::rightmost(ForwardedHeader::XForwardedFor).trusted_peers(trusted());
    let second = ClientIp::trusted_count(ForwardedHeader::XForwardedFor, 2)
        .unwrap()
        .trusted_peers(trusted());
    for (client, name) in [(&one, "x-real-ip"), (&last, XFF), (&second, XFF)] {
        let of = |peer, line| resolve(client, &request(peer, name, &[line]));
        assert_eq!(of(STRANGER, "203.0.113.9"), Ok(ip(STRANGER)));
        assert_eq!(of(STRANGER, "nobody"), Ok(ip(STRANGER)));
        assert_eq!(resolve(client, &Request::new(())), Err(Kind::PeerUnknown));
    }
    assert_eq!(
        found(&one, "x-real-ip", &["203.0.113.9"]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(found(&last, XFF, &["203.0.113.9"]), Ok(ip("203.0.113.9")));
}

#[test]
fn the_peers_of_a_walk_can_differ_from_its_proxies() {
    let client = walk().trusted_peers(TrustedProxies::loopback());
    let of = |peer| resolve(&client, &request(peer, XFF, &["203.0.113.9, 10.0.0.2"]));
    assert_eq!(of("127.0.0.1"), Ok(ip("203.0.113.9")));
    assert_eq!(of(PROXY), Ok(ip(PROXY)));
}

#[test]
fn a_long_list_is_not_walked_to_its_end() {
    let trusted = |hops: usize| format!("203.0.113.9{}", ", 10.0.0.2".repeat(hops));
    assert_eq!(
        found(&walk(), XFF, &[trusted(MAX_HOPS - 1)]),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(
        found(&walk(), XFF, &[trusted(MAX_HOPS)]),
        Err(Kind::TooManyHops)
    );
    assert_eq!(
        found(&walk(), XFF, &[trusted(10_000)]),
        Err(Kind::TooManyHops)
    );
    let lines = vec!["10.0.0.2"; MAX_HOPS + 1];
    assert_eq!(found(&walk(), XFF, &lines), Err(Kind::TooManyHops));
    assert_eq!(found(&walk(), XFF, &lines[1..]), Ok(ip("10.0.0.2")));
}

#[test]
fn a_long_element_is_not_read_to_its_end() {
    let long = " ".repeat(100_000);
    assert_eq!(
        last_xff(format!("6.6.6.6,{long}203.0.113.9")),
        Err(Kind::Malformed)
    );
    assert_eq!(last_xff("x".repeat(100_000)), Err(Kind::Malformed));
    for (padding, wanted) in [(1013, Ok(ip("203.0.113.9"))), (1014, Err(Kind::Malformed))] {
        let element = format!("{}203.0.113.9", " ".repeat(padding));
        assert_eq!(last_xff(format!("6.6.6.6,{element}")), wanted);
        assert_eq!(
            last_xff(format!("x{},203.0.113.9", " ".repeat(padding))),
            Ok(ip("203.0.113.9"))
        );
        assert_eq!(last_xff(element), wanted);
    }
    // To the left of the answer, anything may stand.
    assert_eq!(
        last_xff(format!("{}, 203.0.113.9", "x".repeat(100_000))),
        Ok(ip("203.0.113.9"))
    );
    assert_eq!(
        last_xff(format!("{}203.0.113.9", ",".repeat(100_000))),
        Ok(ip("203.0.113.9"))
    );
}
