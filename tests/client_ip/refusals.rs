//! What a client is told whose address is unknown.

use http::{Request, StatusCode};
use portcullis::{
    client_ip::{ClientIp, ClientIpError, ForwardedHeader},
    problem::Rejection,
};

use crate::support::{PROXY, XFF, request, walk};

fn error(client: &ClientIp, request: &Request<()>) -> ClientIpError {
    client.resolve(request.into()).expect_err("an error")
}

fn of_walk(lines: &[&str]) -> ClientIpError {
    error(&walk(), &request(PROXY, XFF, lines))
}

#[test]
fn every_kind_has_its_code_and_status() {
    let one = ClientIp::header("x-real-ip").unwrap();
    let third = ClientIp::trusted_count(ForwardedHeader::XForwardedFor, 3).unwrap();
    let too_many = "10.0.0.2,".repeat(40) + "10.0.0.2";
    let cases = [
        (
            error(&walk(), &Request::new(())),
            "client_ip_peer_unknown",
            500,
        ),
        (of_walk(&[]), "client_ip_header_missing", 400),
        (
            error(&one, &request(PROXY, "x-real-ip", &["1.1.1.1", "1.1.1.1"])),
            "client_ip_header_repeated",
            400,
        ),
        (of_walk(&["nobody"]), "client_ip_malformed", 400),
        (of_walk(&["unknown"]), "client_ip_undisclosed", 400),
        (of_walk(&["0.0.0.0"]), "client_ip_unspecified", 400),
        (
            error(&third, &request(PROXY, XFF, &["1.1.1.1"])),
            "client_ip_too_few_hops",
            400,
        ),
        (of_walk(&[&too_many]), "client_ip_too_many_hops", 400),
    ];
    let source = include_str!("../../src/client_ip/error.rs");
    let (_, codes) = source.split_once("fn code(self)").unwrap();
    assert_eq!(codes.matches("=> \"client_ip_").count(), cases.len());
    let (_, docs) = source.split_once("pub enum ClientIpErrorKind").unwrap();
    for (error, code, status) in cases {
        assert!(docs.contains(&format!("`{code}`.")), "{code} has no words");
        assert_eq!(error.code(), code);
        assert_eq!(error.kind().code(), code);
        let rejection = error.rejection();
        assert_eq!(rejection.code(), code);
        assert_eq!(Rejection::from(error).to_json(), rejection.to_json());
        assert_eq!(
            rejection.status(),
            StatusCode::from_u16(status).unwrap(),
            "{code}"
        );
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_refusal_repeats_nothing_of_the_request() {
    let error = of_walk(&["<script>, 10.0.0.2"]);
    let said = format!("{error} {error:?} {}", error.rejection().to_json());
    assert!(
        !said.contains("script") && !said.contains("10.0.0"),
        "{said}"
    );
}
