//! Signatures over payloads that need be no claims.

use portcullis::jwt::{Algorithm, JwsVerifier, JwtErrorKind, VerifyingKey};
use serde_json::json;

use crate::mint::{self, ALGORITHMS};

/// RFC 7515 appendix A.1 to A.3 and RFC 8037 appendix A.4: a key and what it has signed.
const RFC: [(Algorithm, &str); 4] = [
    (
        Algorithm::Hs256,
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    (
        Algorithm::Rs256,
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    (
        Algorithm::Es256,
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    (
        Algorithm::Ed25519,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
];

fn verifier(algorithm: Algorithm) -> JwsVerifier {
    let key = match algorithm {
        Algorithm::Hs256 => VerifyingKey::from_jwk(
            r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
        )
        .expect("a key"),
        other => mint::key(other),
    };
    JwsVerifier::new(key)
}

#[test]
fn the_examples_of_the_rfcs_verify() {
    for (algorithm, token) in RFC {
        let payload = token.split('.').nth(1).expect("three parts");
        for _ in 0..2 {
            let jws = verifier(algorithm).verify(token).expect("verifies");
            assert_eq!(jws.payload(), mint::decode(payload));
            assert_eq!(jws.algorithm(), algorithm);
        }
    }
}

#[test]
fn every_character_of_a_token_counts() {
    for (algorithm, token) in RFC {
        let verifier = verifier(algorithm);
        verifier
            .verify(token)
            .expect("verifies, and its header is known from here on");
        for at in 0..token.len() {
            for bit in [1 << (at % 3), 0x20] {
                let mut changed = token.as_bytes().to_vec();
                changed[at] ^= bit;
                assert!(
                    verifier.verify(&changed).is_err(),
                    "{algorithm}: byte {at} ^ {bit}"
                );
            }
            assert!(
                verifier.verify(&token[..at]).is_err(),
                "{algorithm}: {at} bytes"
            );
        }
        assert!(verifier.verify(format!("{token}A")).is_err());
        assert!(verifier.verify(format!("{token}=")).is_err());
        assert!(verifier.verify(format!(" {token}")).is_err());
    }
}

#[test]
fn a_signature_is_good_for_its_algorithm_only() {
    for signed in ALGORITHMS {
        for named in ALGORITHMS {
            let header = json!({"alg": named.as_str()}).to_string();
            let token = mint::sign(signed, header, "payload");
            for key in ALGORITHMS {
                let verified = JwsVerifier::new(mint::key(key)).verify(&token);
                let good = signed == named && named == key;
                assert_eq!(verified.is_ok(), good, "{signed} as {named} with {key}");
            }
        }
    }
}

#[test]
fn eddsa_has_two_names() {
    for name in ["EdDSA", "Ed25519"] {
        let token = mint::sign(Algorithm::Ed25519, json!({"alg": name}).to_string(), "x");
        assert!(verifier(Algorithm::Ed25519).verify(token).is_ok());
    }
    let token = mint::sign(Algorithm::Ed25519, json!({"alg": "Ed448"}).to_string(), "x");
    assert!(verifier(Algorithm::Ed25519).verify(token).is_err());
}

#[test]
fn a_detached_payload_is_part_of_what_is_signed() {
    for algorithm in ALGORITHMS {
        let token = mint::sign(
            algorithm,
            json!({"alg": algorithm.as_str()}).to_string(),
            "payload",
        );
        let parts: Vec<_> = token.split('.').collect();
        let detached = format!("{}..{}", parts[0], parts[2]);
        let verifier = JwsVerifier::new(mint::key(algorithm));
        verifier
            .verify_detached(&detached, "payload")
            .expect("verifies");
        for (token, payload) in [(&detached, "another"), (&detached, ""), (&token, "payload")] {
            assert!(verifier.verify_detached(token, payload).is_err());
        }
        let error = verifier.verify(&detached).unwrap_err();
        assert_eq!(error.kind(), JwtErrorKind::SignatureInvalid);

        // The same text is signed if half of it is in the token and half is not, and says another payload.
        let (half, rest) = (mint::encode("pay"), "load");
        let halved = format!("{}.{half}.{}", parts[0], parts[2]);
        let error = verifier.verify_detached(halved, rest).unwrap_err();
        assert_eq!(error.kind(), JwtErrorKind::Malformed);
    }
}

#[test]
fn only_compact_jws_is_read() {
    let good = mint::sign(Algorithm::Hs256, r#"{"alg":"HS256"}"#, "payload");
    let parts: Vec<_> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let json = json!({"protected": header, "payload": payload, "signature": signature}).to_string();
    let general =
        json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]});
    for (token, expected) in [
        (String::new(), JwtErrorKind::Malformed),
        (".".into(), JwtErrorKind::Malformed),
        ("..".into(), JwtErrorKind::Malformed),
        (format!("{header}.{payload}"), JwtErrorKind::Malformed),
        (format!("{good}."), JwtErrorKind::Malformed),
        (format!("{good}.x.y"), JwtErrorKind::Encrypted),
        (json, JwtErrorKind::Malformed),
        (general.to_string(), JwtErrorKind::Malformed),
        (
            format!("{header}.{payload}.{signature}="),
            JwtErrorKind::Malformed,
        ),
        (
            format!("{header}.{payload}. {signature}"),
            JwtErrorKind::Malformed,
        ),
        (
            format!("{header}.{payload}."),
            JwtErrorKind::SignatureInvalid,
        ),
    ] {
        let error = JwsVerifier::new(mint::key(Algorithm::Hs256))
            .verify(&token)
            .unwrap_err();
        assert_eq!(error.kind(), expected, "{token}");
    }
}

#[test]
fn headers_that_cannot_be_trusted_to_be_understood_are_refused() {
    use JwtErrorKind as Kind;
    let many: String = (0..100).map(|at| format!(r#""m{at}":0,"#)).collect();
    let deep = format!(
        r#"{{"alg":"HS256","x":{}{}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    for (header, expected) in [
        ("", Kind::Malformed),
        ("null", Kind::Malformed),
        (r#""HS256""#, Kind::Malformed),
        (r#"["HS256"]"#, Kind::Malformed),
        ("{}", Kind::Malformed),
        (r#"{"alg":null}"#, Kind::Malformed),
        (r#"{"alg":["HS256"]}"#, Kind::Malformed),
        (r#"{"alg":"HS256"} "x""#, Kind::Malformed),
        (r#"{"alg":"HS256","alg":"HS256"}"#, Kind::Malformed),
        (r#"{"alg":"HS256","x":1,"x":1}"#, Kind::Malformed),
        (r#"{"alg":"HS256","\u0061lg":"HS256"}"#, Kind::Malformed),
        (r#"{"alg":"HS256","jwk":{"a":1,"a":1}}"#, Kind::Malformed),
        (r#"{"alg":"HS256","kid":7}"#, Kind::Malformed),
        (r#"{"alg":"HS256","typ":7}"#, Kind::Malformed),
        ("{\"alg\":\"HS256\",\"kid\":\"\u{1}\"}", Kind::Malformed),
        (&format!(r#"{{{many}"alg":"HS256"}}"#), Kind::Malformed),
        (&deep, Kind::Malformed),
        (
            r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
            Kind::CriticalHeader,
        ),
        (
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            Kind::CriticalHeader,
        ),
        (
            r#"{"alg":"HS256","crit":["b64"],"b64":true}"#,
            Kind::CriticalHeader,
        ),
        (r#"{"alg":"HS256","crit":[]}"#, Kind::CriticalHeader),
        (r#"{"alg":"HS256","crit":null}"#, Kind::CriticalHeader),
        (r#"{"alg":"HS256","b64":false}"#, Kind::CriticalHeader),
        (r#"{"alg":"HS256","enc":"A128GCM"}"#, Kind::Encrypted),
        (r#"{"alg":"HS256","zip":"DEF"}"#, Kind::Encrypted),
        (r#"{"alg":"none"}"#, Kind::AlgorithmNotAllowed),
        (r#"{"alg":""}"#, Kind::AlgorithmNotAllowed),
        (r#"{"alg":"hs256"}"#, Kind::AlgorithmNotAllowed),
        (r#"{"alg":"HS512"}"#, Kind::AlgorithmNotAllowed),
        (r#"{"alg":"RS256"}"#, Kind::AlgorithmNotAllowed),
    ] {
        let token = mint::sign(Algorithm::Hs256, header, "payload");
        let error = JwsVerifier::new(mint::key(Algorithm::Hs256))
            .verify(token)
            .unwrap_err();
        assert_eq!(error.kind(), expected, "{header}");
    }
    // What has no meaning here is passed over, and a name may be written with escapes.
    for header in [
        r#"{"alg":"HS256","jku":"https://evil.example/jwks","jwk":{"kty":"oct","k":"AAAA"},"x5c":["x"],"x5u":"x"}"#,
        r#"{"\u0061lg":"\u0048S256"}"#,
    ] {
        let token = mint::sign(Algorithm::Hs256, header, "payload");
        let verifier = JwsVerifier::new(mint::key(Algorithm::Hs256));
        assert!(verifier.verify(token).is_ok(), "{header}");
    }
}

#[test]
fn a_token_beyond_the_cap_is_not_read() {
    let token = mint::sign(Algorithm::Hs256, r#"{"alg":"HS256"}"#, [b'x'; 4096]);
    let verifier = JwsVerifier::new(mint::key(Algorithm::Hs256));
    assert!(verifier.verify(&token).is_ok());
    assert!(
        verifier
            .clone()
            .max_token_bytes(token.len())
            .verify(&token)
            .is_ok()
    );
    for (verifier, token) in [
        (verifier.clone().max_token_bytes(token.len() - 1), token),
        (verifier, "x".repeat(16 * 1024 + 1)),
    ] {
        assert_eq!(
            verifier.verify(token).unwrap_err().kind(),
            JwtErrorKind::TooLarge
        );
    }
}
