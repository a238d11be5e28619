//! Rules: jwt.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use http::{Request, Response, StatusCode, header};
use portcullis::{
    jwt::{Algorithm, JwtAuthLayer, JwtErrorKind, JwtVerifier, KeyErrorKind, VerifyingKey},
    problem::Rejection,
};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

#[path = "../jwt/mint.rs"]
pub(crate) mod mint;

use self::mint::{AUDIENCE, ISSUER, NOW};

fn hs256() -> JwtVerifier {
    mint::verifier(Algorithm::Hs256)
}

/// What becomes of an HS256 token with this header and these claims.
fn kind(verifier: &JwtVerifier, header: &Value, claims: &Value) -> Option<JwtErrorKind> {
    let token = mint::sign(Algorithm::Hs256, header.to_string(), claims.to_string());
    verify(verifier, &token)
}

fn verify(verifier: &JwtVerifier, token: &str) -> Option<JwtErrorKind> {
    verifier
        .verify(token, mint::now())
        .err()
        .map(|error| error.kind())
}

fn with_claims(changes: Value) -> Option<JwtErrorKind> {
    kind(
        &hs256(),
        &json!({"alg": "HS256"}),
        &mint::claims_with(changes),
    )
}

/// What the layer answers to these `Authorization` fields.
fn answer(fields: &[&[u8]]) -> (StatusCode, String, Option<&'static str>) {
    let mut request = Request::builder();
    for field in fields {
        request = request.header(header::AUTHORIZATION, *field);
    }
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
    let service = JwtAuthLayer::new(hs256()).layer(inner);
    let request = request.body(()).expect("a request");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let response = runtime
        .block_on(service.oneshot(request))
        .expect("never fails");
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    let challenge = challenge.map(|value| value.to_str().expect("text").to_owned());
    let code = response
        .extensions()
        .get::<Rejection>()
        .map(Rejection::code);
    (response.status(), challenge.unwrap_or_default(), code)
}

#[test]
fn rule_01_none_in_any_casing_and_empty_signatures_are_refused() {
    for name in ["none", "None", "NONE", "nOnE", "", "null"] {
        let signed = mint::encode(json!({"alg": name}).to_string());
        let payload = mint::encode(mint::claims().to_string());
        for algorithm in mint::ALGORITHMS {
            let token = format!("{signed}.{payload}.");
            let refused = verify(&mint::verifier(algorithm), &token);
            assert_eq!(refused, Some(JwtErrorKind::AlgorithmNotAllowed), "{name:?}");
            let header = mint::encode(json!({"alg": algorithm.as_str()}).to_string());
            let refused = verify(&mint::verifier(algorithm), &format!("{header}.{payload}."));
            assert_eq!(refused, Some(JwtErrorKind::SignatureInvalid), "{algorithm}");
        }
    }
}

#[test]
fn rule_02_a_public_key_is_never_an_hmac_key() {
    let der = mint::rsa_public_key(&mint::decode(mint::RSA_N), &[1, 0, 1]);
    let pkcs1 = mint::pem("RSA PUBLIC KEY", &der);
    let spki = mint::spki(&mint::RSA_ENCRYPTION, &der);
    let pem = mint::pem("PUBLIC KEY", &spki);
    for secret in [
        pem.clone().into_bytes(),
        format!(" \n\t{pem}").into_bytes(),
        pem.replace('\n', "\r\n").into_bytes(),
        pkcs1.into_bytes(),
        spki,
        der,
    ] {
        let error = VerifyingKey::hs256(secret).expect_err("everyone knows it");
        assert_eq!(error.kind(), KeyErrorKind::PublicKeyAsSecret);
    }
    let error = VerifyingKey::from_pem(Algorithm::Hs256, &pem).expect_err("no secret");
    assert_eq!(error.kind(), KeyErrorKind::AlgorithmMismatch);

    // The attack itself: a token signed with the PEM as a secret, sent to a verifier that has the key.
    let text = format!(
        "{}.{}",
        mint::encode(r#"{"alg":"HS256"}"#),
        mint::encode(mint::claims().to_string())
    );
    let secret = jsonwebtoken::EncodingKey::from_secret(pem.as_bytes());
    let tag = jsonwebtoken::crypto::sign(text.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256);
    let token = format!("{text}.{}", tag.expect("it signs"));
    let verifier = mint::verifier(Algorithm::Rs256);
    assert_eq!(
        verify(&verifier, &token),
        Some(JwtErrorKind::AlgorithmNotAllowed)
    );
}

#[test]
fn rule_03_a_jwk_without_alg_takes_its_family_from_kty() {
    let key = VerifyingKey::from_jwk_value(&mint::jwk(Algorithm::Rs256)).expect("a key");
    assert_eq!(key.algorithm(), Algorithm::Rs256);
    let verifier = JwtVerifier::builder(key).issuer(ISSUER).audience(AUDIENCE);
    for algorithm in mint::ALGORITHMS {
        let token = mint::token(algorithm, &mint::claims());
        assert_eq!(
            verify(&verifier, &token).is_none(),
            algorithm == Algorithm::Rs256
        );
    }
}

#[test]
fn rule_04_the_algorithm_is_the_keys_and_never_the_headers() {
    for own in mint::ALGORITHMS {
        let verifier = mint::verifier(own);
        for named in mint::ALGORITHMS {
            let header = json!({"alg": named.as_str()}).to_string();
            let token = mint::sign(named, header, mint::claims().to_string());
            let expected = (own != named).then_some(JwtErrorKind::AlgorithmNotAllowed);
            assert_eq!(verify(&verifier, &token), expected, "{named} for {own}");
        }
    }
}

#[test]
fn rule_05_crit_is_refused_whatever_it_says() {
    for crit in [
        json!(["x"]),
        json!(["b64"]),
        json!(["alg"]),
        json!([]),
        json!("x"),
        json!(null),
    ] {
        let header = json!({"alg": "HS256", "crit": crit, "x": 1});
        assert_eq!(
            kind(&hs256(), &header, &mint::claims()),
            Some(JwtErrorKind::CriticalHeader)
        );
    }
    let twice = r#"{"alg":"HS256","crit":["x"],"crit":["x"]}"#;
    let token = mint::sign(Algorithm::Hs256, twice, mint::claims().to_string());
    assert_eq!(verify(&hs256(), &token), Some(JwtErrorKind::Malformed));
}

#[test]
fn rule_06_keys_in_the_header_are_not_looked_at() {
    let own = [9; 32];
    let jwk = json!({"kty": "oct", "k": mint::encode(own)});
    let header = json!({"alg": "HS256", "jwk": jwk, "jku": "https://evil.example/", "x5u": "https://evil.example/", "x5c": ["AA=="]});
    assert_eq!(
        kind(&hs256(), &header, &mint::claims()),
        None,
        "they are no reason to refuse either"
    );
    let text = format!(
        "{}.{}",
        mint::encode(header.to_string()),
        mint::encode(mint::claims().to_string())
    );
    let key = jsonwebtoken::EncodingKey::from_secret(&own);
    let tag = jsonwebtoken::crypto::sign(text.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
    let forged = format!("{text}.{}", tag.expect("it signs"));
    assert_eq!(
        verify(&hs256(), &forged),
        Some(JwtErrorKind::SignatureInvalid)
    );
}

#[test]
fn rule_07_a_kid_is_an_opaque_name() {
    let key = mint::key(Algorithm::Hs256).kid("a");
    let verifier = JwtVerifier::builder(key).issuer(ISSUER).audience(AUDIENCE);
    let long = "k".repeat(10_240);
    for kid in [
        "../../../dev/null",
        "/etc/passwd",
        "https://evil.example/key",
        "' OR 1=1 --",
        "a\u{0}",
        "A",
        " a",
        "",
        "*",
        &long,
    ] {
        let header = json!({"alg": "HS256", "kid": kid});
        assert_eq!(
            kind(&verifier, &header, &mint::claims()),
            Some(JwtErrorKind::KeyUnknown)
        );
    }
    assert_eq!(
        kind(
            &verifier,
            &json!({"alg": "HS256", "kid": "a"}),
            &mint::claims()
        ),
        None
    );
}

#[test]
fn rule_08_times_that_are_no_times_are_refused_and_never_absent() {
    let lenient = hs256().dangerous_without_expiry();
    for name in ["exp", "nbf", "iat"] {
        for text in [
            format!("\"{}\"", NOW + 60),
            "-1".into(),
            "1e300".into(),
            "null".into(),
            "NaN".into(),
            "[]".into(),
            "true".into(),
        ] {
            let claims = mint::claims_with(json!({name: null})).to_string();
            let claims = format!("{},\"{name}\":{text}}}", &claims[..claims.len() - 1]);
            let token = mint::sign(Algorithm::Hs256, r#"{"alg":"HS256"}"#, claims);
            for verifier in [&hs256(), &lenient] {
                assert_eq!(
                    verify(verifier, &token),
                    Some(JwtErrorKind::ClaimsMalformed),
                    "{name}: {text}"
                );
            }
        }
    }
}

#[test]
fn rule_09_exp_is_demanded_and_its_second_is_too_late() {
    assert_eq!(
        with_claims(json!({"exp": null})),
        Some(JwtErrorKind::ClaimMissing)
    );
    assert_eq!(
        with_claims(json!({"exp": NOW})),
        Some(JwtErrorKind::Expired)
    );
    assert_eq!(with_claims(json!({"exp": NOW + 1})), None);
}

#[test]
fn rule_10_issuer_and_audience_are_demanded_and_must_be_there() {
    // That neither can be left out of the constructor is a doc test of `JwtVerifierBuilder` that must not
    // compile.
    assert_eq!(
        with_claims(json!({"iss": null})),
        Some(JwtErrorKind::ClaimMissing)
    );
    assert_eq!(
        with_claims(json!({"aud": null})),
        Some(JwtErrorKind::ClaimMissing)
    );
}

#[test]
fn rule_11_an_audience_matches_as_a_whole() {
    assert_eq!(with_claims(json!({"aud": ["x", AUDIENCE]})), None);
    for aud in [
        json!([format!("{AUDIENCE}.evil.example")]),
        json!([&AUDIENCE[..12]]),
        json!([]),
        json!([format!("x {AUDIENCE}")]),
    ] {
        assert_eq!(
            with_claims(json!({"aud": aud})),
            Some(JwtErrorKind::AudienceMismatch)
        );
    }
}

#[test]
fn rule_12_an_issuer_matches_exactly_and_has_its_own_keys() {
    for iss in [
        format!("{ISSUER}/"),
        ISSUER.to_uppercase(),
        format!("{ISSUER}\u{0}"),
    ] {
        assert_eq!(
            with_claims(json!({"iss": iss})),
            Some(JwtErrorKind::IssuerMismatch)
        );
    }
    // Another issuer's verifier has another issuer's keys: a token signed by this one never passes there.
    let other = VerifyingKey::hs256([3; 32].as_slice()).expect("a secret");
    let other = JwtVerifier::builder(other)
        .issuer("https://other.example")
        .audience(AUDIENCE);
    let claims = mint::claims_with(json!({"iss": "https://other.example"}));
    let header = json!({"alg": "HS256"});
    assert_eq!(
        kind(&other, &header, &claims),
        Some(JwtErrorKind::SignatureInvalid)
    );
    assert_eq!(
        kind(&hs256(), &header, &claims),
        Some(JwtErrorKind::IssuerMismatch)
    );
}

#[test]
fn rule_13_a_token_of_another_type_is_refused() {
    let access = hs256().typ("at+jwt");
    for (typ, expected) in [
        (json!("at+jwt"), None),
        (json!("application/AT+JWT"), None),
        (json!("JWT"), Some(JwtErrorKind::TypeMismatch)),
        (json!("logout+jwt"), Some(JwtErrorKind::TypeMismatch)),
    ] {
        let header = json!({"alg": "HS256", "typ": typ});
        assert_eq!(kind(&access, &header, &mint::claims()), expected);
    }
    let untyped = kind(&access, &json!({"alg": "HS256"}), &mint::claims());
    assert_eq!(untyped, Some(JwtErrorKind::TypeMismatch));
}

#[test]
fn rule_14_only_three_parts_of_base64url_are_a_token() {
    let good = mint::token(Algorithm::Hs256, &mint::claims());
    let parts: Vec<_> = good.split('.').collect();
    let json = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    assert_eq!(
        verify(&hs256(), &format!("{good}.a.b")),
        Some(JwtErrorKind::Encrypted)
    );
    for token in [
        json.to_string(),
        format!("{good}."),
        parts[..2].join("."),
        String::new(),
    ] {
        assert_eq!(verify(&hs256(), &token), Some(JwtErrorKind::Malformed));
    }
    for odd in ['+', '/', '=', ' ', '\n', '%', '"', '\u{e9}', '\u{0}'] {
        for at in 0..3 {
            let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
            parts[at].insert(3, odd);
            assert!(
                verify(&hs256(), &parts.join(".")).is_some(),
                "{odd:?} in part {at}"
            );
        }
    }
}

#[test]
fn rule_15_a_token_that_is_too_long_is_not_read() {
    let token = format!(
        "{}.{}.x",
        "e".repeat(500_000_000 / 1_000),
        "e".repeat(20_000)
    );
    assert_eq!(verify(&hs256(), &token), Some(JwtErrorKind::TooLarge));
    let good = mint::token(Algorithm::Hs256, &mint::claims());
    let verifier = hs256().max_token_bytes(good.len());
    assert_eq!(verify(&verifier, &good), None);
    let verifier = verifier.max_token_bytes(good.len() - 1);
    assert_eq!(verify(&verifier, &good), Some(JwtErrorKind::TooLarge));
}

#[test]
fn rule_16_short_secrets_and_rsa_keys_are_refused() {
    let size = |key: Result<VerifyingKey, _>| {
        key.err()
            .map(|error: portcullis::jwt::KeyError| error.kind())
    };
    let refused = Some(KeyErrorKind::Size);
    assert_eq!(size(VerifyingKey::hs256(vec![7; 31])), refused);
    assert_eq!(size(VerifyingKey::hs256(vec![7; 32])), None);
    assert_eq!(size(VerifyingKey::hs384(vec![7; 47])), refused);
    assert_eq!(size(VerifyingKey::hs512(vec![7; 63])), refused);
    let rsa = |bytes: usize, first: u8| {
        let mut n = vec![0xc1; bytes];
        n[0] = first;
        size(VerifyingKey::from_der(
            Algorithm::Rs256,
            mint::rsa_public_key(&n, &[1, 0, 1]),
        ))
    };
    assert_eq!(
        (rsa(128, 0xc1), rsa(256, 0x7f), rsa(256, 0x80)),
        (refused, refused, None)
    );
}

#[test]
fn rule_17_ecdsa_signatures_have_one_length_and_no_zeros() {
    let token = mint::token(Algorithm::Es256, &mint::claims());
    let (signed, signature) = token.rsplit_once('.').expect("two dots");
    let signature = mint::decode(signature);
    let verifier = mint::verifier(Algorithm::Es256);
    for bad in [
        vec![0; 64],
        [&[0; 32], &signature[32..]].concat(),
        [&signature[..32], &[0; 32]].concat(),
        vec![],
        signature[..63].to_vec(),
        [&signature[..], &[0]].concat(),
        [&[0], &signature[..]].concat(),
    ] {
        let forged = format!("{signed}.{}", mint::encode(bad));
        assert_eq!(
            verify(&verifier, &forged),
            Some(JwtErrorKind::SignatureInvalid)
        );
    }
}

#[test]
fn rule_18_duplicate_members_are_refused() {
    let claims = mint::claims().to_string();
    let doubled = format!("{},\"sub\":\"admin\"}}", &claims[..claims.len() - 1]);
    let nested = format!(
        "{},\"x\":{{\"a\":1,\"a\":2}}}}",
        &claims[..claims.len() - 1]
    );
    for claims in [doubled, nested] {
        let token = mint::sign(Algorithm::Hs256, r#"{"alg":"HS256"}"#, claims);
        assert_eq!(
            verify(&hs256(), &token),
            Some(JwtErrorKind::ClaimsMalformed)
        );
    }
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","x":1,"x":2}"#,
    ] {
        let token = mint::sign(Algorithm::Hs256, header, &claims);
        assert_eq!(verify(&hs256(), &token), Some(JwtErrorKind::Malformed));
    }
}

#[test]
fn rule_22_padded_and_non_canonical_base64url_is_refused() {
    let claims = mint::claims().to_string();
    let header = mint::encode(r#"{"alg":"HS256"} "#);
    assert_eq!(header.len() % 4, 2, "its last character has bits to spare");
    let payload = mint::encode(&claims);
    let sloppy = format!("{}h", &header[..header.len() - 1]);
    for text in [
        format!("{header}=.{payload}"),
        format!("{header}==.{payload}"),
        format!("{sloppy}.{payload}"),
        format!("{header}.{payload}="),
    ] {
        // Signed as it stands, so that only its form is wrong.
        let token = mint::sign_text(Algorithm::Hs256, &text);
        assert_eq!(
            verify(&hs256(), &token),
            Some(JwtErrorKind::Malformed),
            "{text}"
        );
    }
    let good = mint::sign_text(Algorithm::Hs256, &format!("{header}.{payload}"));
    assert_eq!(verify(&hs256(), &good), None);
    let last = char::from(good.as_bytes()[good.len() - 1] + 1);
    for bad in [
        format!("{good}="),
        format!("{}{last}", &good[..good.len() - 1]),
    ] {
        assert_eq!(
            verify(&hs256(), &bad),
            Some(JwtErrorKind::Malformed),
            "{bad}"
        );
    }
}

#[test]
fn rule_24_malformed_authorization_is_401() {
    let fields: [&[&[u8]]; 9] = [
        &[b""],
        &[b"Bearer"],
        &[b"Bearer "],
        &[b"Bearer \xff\xfe"],
        &[b"Bearer a b"],
        &[b"Bearer a, Bearer b"],
        &[b"Bearer a", b"Bearer a"],
        &[b"=?\"\\"],
        &[b"\xc3\xa9 x"],
    ];
    for fields in fields {
        let (status, challenge, code) = answer(fields);
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{fields:?}");
        assert_eq!(code, Some("jwt_authorization_malformed"));
        assert!(challenge.starts_with("Bearer error="), "{challenge}");
    }
}

#[test]
fn rule_25_a_401_carries_a_bearer_challenge() {
    let (status, challenge, _) = answer(&[]);
    assert_eq!((status, &*challenge), (StatusCode::UNAUTHORIZED, "Bearer"));
    // The clock of the layer is the system's: this token expired in 2009.
    let old = mint::claims_with(json!({"exp": 1_234_567_890, "nbf": null}));
    let token = mint::token(Algorithm::Hs256, &old);
    let (status, challenge, code) = answer(&[format!("Bearer {token}").as_bytes()]);
    assert_eq!(
        (status, code),
        (StatusCode::UNAUTHORIZED, Some("jwt_expired"))
    );
    let expected = r#"Bearer error="invalid_token", error_description="The token has expired.""#;
    assert_eq!(challenge, expected);
    assert!(SystemTime::now() > SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890));
}
