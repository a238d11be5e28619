//! The issuer for tests: each of its tokens is refused for the one thing that is wrong with it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, SystemTime},
};

use portcullis::{
    clock::ManualClock,
    jwt::{Algorithm, JwtErrorKind, KeySet},
    test_util::{TestIssuer, TestToken},
};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;

fn kind(issuer: &TestIssuer, token: &TestToken<'_>) -> Option<JwtErrorKind> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let verified = issuer.verifier().typ("at+jwt").verify(token.mint(), now);
    verified.err().map(|error| error.kind())
}

#[test]
fn every_token_is_refused_for_what_is_wrong_with_it() {
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Es512,
        Algorithm::Ed25519,
        Algorithm::Hs256,
    ] {
        let issuer = TestIssuer::signing_with(algorithm).with_clock(ManualClock::at_unix(NOW));
        let token = || issuer.token();
        assert_eq!(kind(&issuer, &token()), None, "{algorithm}");
        for (wrong, expected) in [
            (token().expired(), JwtErrorKind::Expired),
            (token().not_yet_valid(), JwtErrorKind::NotYetValid),
            (token().of_other_issuer(), JwtErrorKind::IssuerMismatch),
            (token().for_other_audience(), JwtErrorKind::AudienceMismatch),
            (
                token().duplicate("sub", "user-1"),
                JwtErrorKind::ClaimsMalformed,
            ),
            (token().signed_by_stranger(), JwtErrorKind::SignatureInvalid),
            (token().tampered(), JwtErrorKind::SignatureInvalid),
            (token().unsigned(), JwtErrorKind::AlgorithmNotAllowed),
            (token().without("exp"), JwtErrorKind::ClaimMissing),
            (token().claim("exp", "soon"), JwtErrorKind::ClaimsMalformed),
            (token().header("typ", "JWT"), JwtErrorKind::TypeMismatch),
            (
                token().header("crit", json!(["x"])),
                JwtErrorKind::CriticalHeader,
            ),
            (token().without_header("alg"), JwtErrorKind::Malformed),
            (token().payload("no claims"), JwtErrorKind::ClaimsMalformed),
            (
                token().claim("cnf", json!({"jkt": "x"})),
                JwtErrorKind::ConfirmationUnchecked,
            ),
        ] {
            assert_eq!(
                kind(&issuer, &wrong),
                Some(expected),
                "{algorithm} {wrong:?}"
            );
        }
    }
}

fn get(url: &str) -> (String, String) {
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn its_keys_are_served_on_loopback_until_it_is_dropped() {
    let issuer = TestIssuer::new();
    let server = issuer.serve().unwrap();
    let (status, metadata) = get(&format!(
        "{}/.well-known/openid-configuration",
        server.url()
    ));
    assert_eq!(status, "HTTP/1.1 200 OK");
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["jwks_uri"], server.jwks_url());
    assert_eq!(metadata["issuer"], "https://issuer.test");
    let oauth = format!("{}/.well-known/oauth-authorization-server", server.url());
    let oauth: Value = serde_json::from_str(&get(&oauth).1).unwrap();
    assert_eq!(oauth, metadata);
    let (_, jwks) = get(&server.jwks_url());
    assert_eq!(
        KeySet::from_jwks(&jwks).unwrap().keys()[0].key_id(),
        issuer.key().key_id()
    );
    assert_eq!(server.fetches(), 1);
    server.replace_jwks("garbage");
    assert_eq!(get(&server.jwks_url()).1, "garbage");
    assert_eq!(
        get(&format!("{}/else", server.url())).0,
        "HTTP/1.1 404 Not Found"
    );
    assert_eq!(server.fetches(), 2);
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_secret_is_not_served() {
    assert_eq!(
        TestIssuer::signing_with(Algorithm::Hs256).jwks(),
        r#"{"keys":[]}"#
    );
}
