//! How keys are read, and which are refused.

use base64::{Engine, engine::general_purpose::STANDARD};
use portcullis::{
    config::ConfigError,
    jwt::{Algorithm, JwsVerifier, KeyError, KeyErrorKind, VerifyingKey},
};
use serde_json::{Value, json};

use crate::mint::{self, ALGORITHMS, tlv};

// The keys of mint.rs, as OpenSSL writes them.
const RSA_SPKI: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj
NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz
P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo
9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB
EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX
FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp
oQIDAQAB
-----END PUBLIC KEY-----
";
const EC_SPKI: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
-----END PUBLIC KEY-----
";
const ED_SPKI: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";
/// Of the Ed25519 key, as OpenSSL writes one; it expired after a day.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBazCCAR2gAwIBAgIUD9aSCxU3f4AsYlsu4Tu9jf4qMJYwBQYDK2VwMBwxGjAY
BgNVBAMMEWxvZ2luLmV4YW1wbGUuY29tMB4XDTI2MTEyMTA1MDYxMFoXDTI2MTEy
MjA1MDYxMFowHDEaMBgGA1UEAwwRbG9naW4uZXhhbXBsZS5jb20wKjAFBgMrZXAD
IQDXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGqNxMG8wHQYDVR0OBBYE
FFsnqlWJF5dw5HV1sWKh3tl7i/xtMB8GA1UdIwQYMBaAFFsnqlWJF5dw5HV1sWKh
3tl7i/xtMA8GA1UdEwEB/wQFMAMBAf8wHAYDVR0RBBUwE4IRbG9naW4uZXhhbXBs
ZS5jb20wBQYDK2VwA0EAMXnNvJ8dtiytColDD5H/MYYBqy9EXzyy7eZEyH1apgE0
0B2qgYO02lwxT2UrlPNaP8ZwU8iMXNiHlKYXnua5Bw==
-----END CERTIFICATE-----
";
const P384_SPKI: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE2JyyoVWfvmraXMKgNaqR5qPh803d+2ri
XC1uA2pD2NcIJPZ5MSHpgs7Z5yr137wfQhjZtouT9CWD1Gx2G9apBr0iepE7t2yg
wSBfSTnwN7bOCVqv484iirT4WsEv1s3C
-----END PUBLIC KEY-----
";
const RSA_1024_SPKI: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCRvyaTIx09j/SPmdnKhk3HSiR
q0UqCxZE0o1mgiBhDIIGPVUJ8rMGLIwPkTxoQqZiyGamqoFF9spIVQUZKa4nsnAn
Nn48KMsG+Iv0CSGL0/AdMQqkV7vaHyFzUkUBrYcRs8q9ej845Gdt+R1xF7TPtkRJ
DNH6Fdfx7UAqqbb1rQIDAQAB
-----END PUBLIC KEY-----
";

fn rsa_der() -> Vec<u8> {
    mint::rsa_public_key(&mint::decode(mint::RSA_N), &[1, 0, 1])
}

fn ec_point() -> Vec<u8> {
    [&[4], &*mint::decode(mint::EC_X), &*mint::decode(mint::EC_Y)].concat()
}

fn kind(result: Result<VerifyingKey, KeyError>) -> Option<KeyErrorKind> {
    result.err().map(|error| error.kind())
}

/// Whether the key verifies what its private half has signed, and nothing else.
fn assert_works(key: VerifyingKey) {
    let algorithm = key.algorithm();
    let token = mint::sign(
        algorithm,
        json!({"alg": algorithm.as_str()}).to_string(),
        "signed",
    );
    let verifier = JwsVerifier::new(key);
    assert_eq!(
        verifier.verify(&token).expect("verifies").payload(),
        b"signed"
    );
    assert!(verifier.verify(token.replacen(".c2", ".c3", 1)).is_err());
}

#[test]
fn keys_in_pem_and_der_work_for_their_algorithms() {
    let pkcs1 = mint::pem("RSA PUBLIC KEY", &rsa_der());
    for algorithm in [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512] {
        assert_works(VerifyingKey::from_pem(algorithm, RSA_SPKI).expect("SPKI"));
        assert_works(VerifyingKey::from_pem(algorithm, &pkcs1).expect("PKCS#1"));
        assert_works(VerifyingKey::from_der(algorithm, rsa_der()).expect("PKCS#1"));
        let spki = mint::spki(&mint::RSA_ENCRYPTION, &rsa_der());
        assert_works(VerifyingKey::from_der(algorithm, spki).expect("SPKI"));
    }
    assert_works(VerifyingKey::from_pem(Algorithm::Es256, EC_SPKI).expect("SPKI"));
    assert_works(VerifyingKey::from_pem(Algorithm::Ed25519, ED_SPKI).expect("SPKI"));
    let algorithm = [&mint::EC_PUBLIC_KEY[..], &mint::PRIME256V1].concat();
    let spki = mint::spki(&algorithm, &ec_point());
    assert_works(VerifyingKey::from_der(Algorithm::Es256, spki).expect("SPKI"));
    let spki = mint::spki(&mint::ED25519, &mint::decode(mint::ED_X));
    assert_works(VerifyingKey::from_der(Algorithm::Ed25519, spki).expect("SPKI"));
    let windows = format!("A key of ours:\r\n{}", RSA_SPKI.replace('\n', "\r\n"));
    assert_works(VerifyingKey::from_pem(Algorithm::Rs256, windows).expect("SPKI"));
}

/// A certificate (RFC 5280 section 4.1) around a SubjectPublicKeyInfo, signed by nobody.
fn certificate(version: &[u8], spki: &[u8]) -> Vec<u8> {
    let name = tlv(0x30, &[]);
    let day = tlv(0x17, b"700101000000Z");
    let validity = tlv(0x30, &[&*day, &day].concat());
    let algorithm = tlv(0x30, &mint::ED25519);
    let extensions = tlv(0xa3, &tlv(0x30, &[]));
    let serial = mint::integer(&[7]);
    let body = [
        version,
        &serial,
        &algorithm,
        &name,
        &validity,
        &name,
        spki,
        &extensions,
    ];
    let body = tlv(0x30, &body.concat());
    let signature = tlv(3, &[0; 65]);
    tlv(0x30, &[body, algorithm, signature].concat())
}

#[test]
fn the_key_of_a_certificate_works_whatever_else_stands_in_it() {
    let version = tlv(0xa0, &mint::integer(&[2]));
    let ec = |curve: &[u8], x: &str, y: &str| {
        let point = [&[4], &*mint::decode(x), &*mint::decode(y)].concat();
        mint::spki(&[&mint::EC_PUBLIC_KEY[..], curve].concat(), &point)
    };
    for (algorithm, spki) in [
        (
            Algorithm::Ps256,
            mint::spki(&mint::RSA_ENCRYPTION, &rsa_der()),
        ),
        (
            Algorithm::Es256,
            ec(&mint::PRIME256V1, mint::EC_X, mint::EC_Y),
        ),
        (
            Algorithm::Es384,
            ec(&mint::SECP384R1, mint::P384_X, mint::P384_Y),
        ),
        (
            Algorithm::Es512,
            ec(&mint::SECP521R1, mint::P521_X, mint::P521_Y),
        ),
        (
            Algorithm::Es256k,
            ec(&mint::SECP256K1, mint::K256_X, mint::K256_Y),
        ),
        (
            Algorithm::Ed25519,
            mint::spki(&mint::ED25519, &mint::decode(mint::ED_X)),
        ),
    ] {
        assert_works(VerifyingKey::from_der(algorithm, &spki).expect("SPKI"));
        for version in [&*version, &[]] {
            let der = certificate(version, &spki);
            assert_works(VerifyingKey::from_der(algorithm, &der).expect("a certificate"));
            let chain = mint::pem("CERTIFICATE", &der) + &mint::pem("CERTIFICATE", b"root");
            let key = VerifyingKey::from_pem(algorithm, chain).expect("a certificate");
            assert_eq!(key.thumbprint(), mint::key(algorithm).thumbprint());
            assert_works(key);

            let wrong = kind(VerifyingKey::hs256(der.clone()));
            assert_eq!(wrong, Some(KeyErrorKind::PublicKeyAsSecret));
            for broken in [&der[..der.len() - 1], &[&*der, &[0]].concat()] {
                let wrong = kind(VerifyingKey::from_der(algorithm, broken));
                assert_eq!(wrong, Some(KeyErrorKind::Malformed), "{algorithm}");
            }
        }
    }
    assert_eq!(
        kind(VerifyingKey::from_pem(Algorithm::Rs256, CERTIFICATE)),
        Some(KeyErrorKind::AlgorithmMismatch)
    );
    let key = VerifyingKey::from_pem(Algorithm::Ed25519, CERTIFICATE).expect("a certificate");
    assert_eq!(key.thumbprint(), mint::key(Algorithm::Ed25519).thumbprint());
    assert_works(key);
}

#[test]
fn a_key_without_its_id_serves_tokens_of_every_id() {
    let token = mint::sign(Algorithm::Hs256, r#"{"alg":"HS256","kid":"b"}"#, "signed");
    let key = mint::key(Algorithm::Hs256).kid("a");
    assert!(JwsVerifier::new(key.clone()).verify(&token).is_err());
    let key = key.without_kid();
    assert_eq!(key.key_id(), None);
    assert!(JwsVerifier::new(key).verify(&token).is_ok());
    let mut jwk = mint::jwk(Algorithm::Hs256);
    jwk["kid"] = json!(7);
    let key = VerifyingKey::from_jwk_value(&jwk).expect("no name, and a key");
    assert_eq!(key.key_id(), None);
}

#[test]
fn keys_in_jwk_and_secrets_work_for_their_algorithms() {
    for algorithm in ALGORITHMS {
        assert_works(mint::key(algorithm));
        let mut jwk = mint::jwk(algorithm);
        jwk["alg"] = algorithm.as_str().into();
        jwk["use"] = "sig".into();
        jwk["key_ops"] = json!(["verify"]);
        jwk["kid"] = "a".into();
        let key = VerifyingKey::from_jwk(jwk.to_string()).expect("a key");
        assert_eq!(key.key_id(), Some("a"));
        assert_works(key);
    }
    assert_works(VerifyingKey::hs256(mint::SECRET).expect("a secret"));
    assert_works(VerifyingKey::hs384(mint::SECRET).expect("a secret"));
    assert_works(VerifyingKey::hs512(mint::SECRET).expect("a secret"));
}

#[test]
fn a_jwk_without_alg_is_for_the_algorithm_of_its_kind() {
    for algorithm in [
        Algorithm::Hs256,
        Algorithm::Rs256,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::Es256k,
        Algorithm::Ed25519,
    ] {
        let key = VerifyingKey::from_jwk_value(&mint::jwk(algorithm)).expect("a key");
        assert_eq!(key.algorithm(), algorithm);
    }
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    // RFC 7638 section 3.1
    let jwk = r#"{
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"
    }"#;
    let key = VerifyingKey::from_jwk(jwk).expect("a key");
    let expected = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    assert_eq!(key.thumbprint().as_deref(), Some(expected));
    // RFC 8037 appendix A.3
    let expected = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    assert_eq!(
        mint::key(Algorithm::Ed25519).thumbprint().as_deref(),
        Some(expected)
    );
    // Of the same key, however it came.
    for (pem, algorithm) in [(RSA_SPKI, Algorithm::Rs256), (EC_SPKI, Algorithm::Es256)] {
        let of_pem = VerifyingKey::from_pem(algorithm, pem)
            .expect("a key")
            .thumbprint();
        assert!(of_pem.is_some() && of_pem == mint::key(algorithm).thumbprint());
    }
    assert_eq!(mint::key(Algorithm::Hs256).thumbprint(), None);
}

#[test]
fn a_zero_before_a_modulus_changes_neither_key_nor_thumbprint() {
    let n = mint::encode([&[0], &*mint::decode(mint::RSA_N)].concat());
    let key = VerifyingKey::from_jwk_value(&json!({"kty": "RSA", "n": n, "e": "AAEAAQ"}));
    let key = key.expect("a key");
    assert_eq!(key.thumbprint(), mint::key(Algorithm::Rs256).thumbprint());
    assert_works(key);
}

#[test]
fn a_key_of_another_kind_is_no_key_of_the_algorithm() {
    let mismatch = Some(KeyErrorKind::AlgorithmMismatch);
    for (pem, own) in [
        (
            RSA_SPKI,
            &[
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
            ][..],
        ),
        (P384_SPKI, &[Algorithm::Es384]),
        (EC_SPKI, &[Algorithm::Es256]),
        (ED_SPKI, &[Algorithm::Ed25519]),
    ] {
        for algorithm in ALGORITHMS {
            let expected = mismatch.filter(|_| !own.contains(&algorithm));
            assert_eq!(
                kind(VerifyingKey::from_pem(algorithm, pem)),
                expected,
                "{algorithm}"
            );
        }
    }
    for jwk_of in ALGORITHMS {
        for algorithm in ALGORITHMS {
            let mut jwk = mint::jwk(jwk_of);
            let same_kind = mint::jwk(algorithm) == jwk;
            let key = VerifyingKey::from_jwk_for(algorithm, jwk.to_string());
            assert_eq!(
                kind(key),
                mismatch.filter(|_| !same_kind),
                "{jwk_of} as {algorithm}"
            );
            jwk["alg"] = algorithm.as_str().into();
            let key = VerifyingKey::from_jwk_value(&jwk);
            assert_eq!(
                kind(key),
                mismatch.filter(|_| !same_kind),
                "{jwk_of} for {algorithm}"
            );
        }
    }
}

#[test]
fn keys_that_must_not_be_used_are_refused() {
    use KeyErrorKind as Kind;
    let rsa = |changes: Value| {
        let mut jwk = mint::jwk(Algorithm::Rs256);
        jwk.as_object_mut()
            .expect("an object")
            .append(&mut changes.as_object().expect("an object").clone());
        jwk
    };
    let ec = |x: Value, y: Value| json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
    let ed = |x: Value| json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let short = mint::encode([0xc1; 255]);
    let long = mint::encode([0xc1; 1025]);
    let even = mint::encode([0xc2; 256]);
    let refused = [
        (json!(null), Kind::Malformed),
        (json!("RSA"), Kind::Malformed),
        (json!({}), Kind::Malformed),
        (json!({"kty": 1}), Kind::Malformed),
        (
            json!({"kty": "rsa", "n": mint::RSA_N, "e": "AQAB"}),
            Kind::Unsupported,
        ),
        (rsa(json!({"alg": "RSA-OAEP"})), Kind::Unsupported),
        (rsa(json!({"alg": "none"})), Kind::Unsupported),
        (rsa(json!({"alg": "rs256"})), Kind::Unsupported),
        (rsa(json!({"alg": 7})), Kind::Malformed),
        (rsa(json!({"alg": "ES256"})), Kind::AlgorithmMismatch),
        (rsa(json!({"alg": "HS256"})), Kind::AlgorithmMismatch),
        (rsa(json!({"use": "enc"})), Kind::NotForVerification),
        (rsa(json!({"use": ["sig"]})), Kind::Malformed),
        (
            rsa(json!({"key_ops": ["encrypt"]})),
            Kind::NotForVerification,
        ),
        (rsa(json!({"key_ops": []})), Kind::NotForVerification),
        (rsa(json!({"key_ops": "verify"})), Kind::Malformed),
        (
            rsa(json!({"key_ops": ["verify", "verify"]})),
            Kind::Malformed,
        ),
        (rsa(json!({"key_ops": ["verify", 1]})), Kind::Malformed),
        (rsa(json!({"d": "AQAB"})), Kind::Private),
        (rsa(json!({"n": null})), Kind::Malformed),
        (rsa(json!({"n": ""})), Kind::Size),
        (rsa(json!({"n": short})), Kind::Size),
        (rsa(json!({"n": long})), Kind::Size),
        (rsa(json!({"n": even})), Kind::Invalid),
        (
            rsa(json!({"n": format!("{}=", mint::RSA_N)})),
            Kind::Malformed,
        ),
        (
            rsa(json!({"n": mint::RSA_N.replace('-', "+")})),
            Kind::Malformed,
        ),
        (rsa(json!({"e": ""})), Kind::Invalid),
        (rsa(json!({"e": "AQ"})), Kind::Invalid),
        (rsa(json!({"e": "AQAA"})), Kind::Invalid),
        (rsa(json!({"e": "AR"})), Kind::Malformed),
        (ec(mint::EC_X.into(), mint::EC_X.into()), Kind::Invalid),
        (ec(mint::EC_X.into(), json!(null)), Kind::Malformed),
        (
            ec(mint::encode([0; 32]).into(), mint::encode([0; 32]).into()),
            Kind::Invalid,
        ),
        (
            ec(
                mint::encode([0xff; 32]).into(),
                mint::encode([0xff; 32]).into(),
            ),
            Kind::Invalid,
        ),
        (
            ec(mint::encode([1; 31]).into(), mint::EC_Y.into()),
            Kind::Malformed,
        ),
        (
            ec(mint::encode([1; 33]).into(), mint::EC_Y.into()),
            Kind::Malformed,
        ),
        (
            json!({"kty": "EC", "crv": "P-384", "x": mint::EC_X, "y": mint::EC_Y}),
            Kind::Malformed,
        ),
        (
            json!({"kty": "EC", "crv": "secp256k1", "x": mint::EC_X, "y": mint::EC_Y}),
            Kind::Invalid,
        ),
        (
            json!({"kty": "EC", "crv": "P-224", "x": mint::EC_X, "y": mint::EC_Y}),
            Kind::Unsupported,
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": mint::ED_X}),
            Kind::Unsupported,
        ),
        (ed(mint::encode([1; 31]).into()), Kind::Malformed),
        (ed(mint::encode([0; 32]).into()), Kind::Invalid),
        (ed(mint::encode([0xff; 32]).into()), Kind::Invalid),
        (json!({"kty": "oct"}), Kind::Malformed),
        (json!({"kty": "oct", "k": ""}), Kind::Size),
        (
            json!({"kty": "oct", "k": mint::encode([7; 31])}),
            Kind::Size,
        ),
        (
            json!({"kty": "oct", "alg": "HS512", "k": mint::encode([7; 63])}),
            Kind::Size,
        ),
        (
            json!({"kty": "oct", "alg": "A256GCM", "k": mint::encode([7; 32])}),
            Kind::Unsupported,
        ),
        (
            json!({"kty": "oct", "k": mint::encode(RSA_SPKI)}),
            Kind::PublicKeyAsSecret,
        ),
    ];
    for (jwk, expected) in refused {
        assert_eq!(
            kind(VerifyingKey::from_jwk_value(&jwk)),
            Some(expected),
            "{jwk}"
        );
        assert_eq!(
            kind(VerifyingKey::from_jwk(jwk.to_string())),
            Some(expected),
            "{jwk}"
        );
    }
    let twice = format!(
        r#"{{"kty":"OKP","kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
        mint::ED_X
    );
    for text in [&*twice, "", "[]", "{", "{} {}", "\u{feff}{}"] {
        assert_eq!(
            kind(VerifyingKey::from_jwk(text)),
            Some(Kind::Malformed),
            "{text}"
        );
    }
}

#[test]
fn no_form_in_which_public_keys_are_handed_out_is_a_secret() {
    for pem in [RSA_SPKI, EC_SPKI, ED_SPKI, P384_SPKI] {
        let lines = pem.lines().filter(|line| !line.starts_with('-'));
        let lines = lines.collect::<Vec<_>>();
        let whole = lines.concat();
        for text in [
            lines.join("\r\n"),
            format!("  {whole}\n"),
            format!("\u{feff}{whole}"),
            format!("\"{whole}\""),
            whole.trim_end_matches('=').to_owned(),
            whole.replace('+', "-").replace('/', "_"),
            STANDARD.encode(pem),
            whole,
        ] {
            let kind = kind(VerifyingKey::hs256(text.as_str()));
            assert_eq!(kind, Some(KeyErrorKind::PublicKeyAsSecret), "{text}");
        }
    }
    let algorithms = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Ed25519];
    for jwk in algorithms.map(mint::jwk) {
        for json in [json!({"keys": [jwk]}), json!([jwk]), jwk] {
            for text in [format!("\n{json}"), format!("\u{feff}{json}\n")] {
                let kind = kind(VerifyingKey::hs256(text.as_str()));
                assert_eq!(kind, Some(KeyErrorKind::PublicKeyAsSecret), "{text}");
            }
        }
    }
    let mut der = mint::spki(&mint::ED25519, &mint::decode(mint::ED_X));
    for _ in 0..2 {
        let kind = kind(VerifyingKey::hs256(der.clone()));
        assert_eq!(kind, Some(KeyErrorKind::PublicKeyAsSecret));
        der.push(b'\n');
    }
    // What is only like one: base64 of no key, JSON of no key.
    for secret in [
        mint::encode([7; 48]),
        mint::encode([0x30; 48]),
        "{[-----------------------------]}".to_owned(),
        json!({"pepper": "x".repeat(32)}).to_string(),
    ] {
        assert!(VerifyingKey::hs256(secret.as_str()).is_ok(), "{secret}");
    }
}

#[test]
fn pem_and_der_of_anything_else_are_refused() {
    use KeyErrorKind as Kind;
    let rs256 = |pem: &str| kind(VerifyingKey::from_pem(Algorithm::Rs256, pem));
    assert_eq!(rs256(RSA_1024_SPKI), Some(Kind::Size));
    assert_eq!(
        kind(VerifyingKey::from_pem(Algorithm::Es256, P384_SPKI)),
        Some(Kind::AlgorithmMismatch)
    );
    assert_eq!(rs256(&mint::pem("PRIVATE KEY", b"x")), Some(Kind::Private));
    assert_eq!(
        rs256(&mint::pem("RSA PRIVATE KEY", b"x")),
        Some(Kind::Private)
    );
    assert_eq!(
        rs256(&mint::pem("ENCRYPTED PRIVATE KEY", b"x")),
        Some(Kind::Private)
    );
    assert_eq!(
        rs256(&mint::pem("CERTIFICATE", b"x")),
        Some(Kind::Malformed)
    );
    assert_eq!(
        rs256(&mint::pem("CERTIFICATE REQUEST", b"x")),
        Some(Kind::Unsupported)
    );
    for text in [
        "",
        "RSA",
        &RSA_SPKI[..200],
        &RSA_SPKI.replace("QAB", "Q\0B"),
    ] {
        assert_eq!(rs256(text), Some(Kind::Malformed), "{text:?}");
    }

    let der = |algorithm, der: Vec<u8>| kind(VerifyingKey::from_der(algorithm, der));
    let good = mint::spki(&mint::RSA_ENCRYPTION, &rsa_der());
    assert_eq!(
        der(Algorithm::Rs256, [&*good, &[0]].concat()),
        Some(Kind::Malformed)
    );
    assert_eq!(
        der(Algorithm::Rs256, good[..good.len() - 1].to_vec()),
        Some(Kind::Malformed)
    );
    let extra = tlv(
        0x30,
        &[
            mint::integer(&[3]),
            mint::integer(&[3]),
            mint::integer(&[3]),
        ]
        .concat(),
    );
    assert_eq!(der(Algorithm::Rs256, extra), Some(Kind::Malformed));
    let ec = [&mint::EC_PUBLIC_KEY[..], &mint::PRIME256V1].concat();
    let compressed = [&[2], &*mint::decode(mint::EC_X)].concat();
    assert_eq!(
        der(Algorithm::Es256, mint::spki(&ec, &compressed)),
        Some(Kind::Unsupported)
    );
    assert_eq!(
        der(Algorithm::Es256, mint::spki(&ec, &[0])),
        Some(Kind::Malformed)
    );
    assert_eq!(
        der(
            Algorithm::Es256,
            mint::spki(&mint::EC_PUBLIC_KEY, &ec_point())
        ),
        Some(Kind::Unsupported)
    );
    let mut off = ec_point();
    off[64] ^= 1;
    assert_eq!(
        der(Algorithm::Es256, mint::spki(&ec, &off)),
        Some(Kind::Invalid)
    );
    let with_null = [&mint::ED25519[..], &[5, 0]].concat();
    let point = mint::decode(mint::ED_X);
    assert_eq!(
        der(Algorithm::Ed25519, mint::spki(&with_null, &point)),
        Some(Kind::Malformed)
    );
    assert_eq!(
        der(Algorithm::Ed25519, mint::spki(&mint::ED25519, &point[1..])),
        Some(Kind::Malformed)
    );
}

#[test]
fn a_fault_of_configuration_says_what_it_is_and_shows_no_key() {
    let secret = "a secret of 30 bytes, two short";
    let error = VerifyingKey::hs256(&secret[..30]).expect_err("too short");
    let config = ConfigError::from(error.clone());
    for text in [
        error.to_string(),
        format!("{error:?}"),
        config.to_string(),
        format!("{config:?}"),
    ] {
        assert!(
            text.contains("32 bytes") && !text.contains("secret of 30"),
            "{text}"
        );
    }
    assert_eq!(error.code(), "key_size");
    let debug = format!("{:?}", VerifyingKey::hs256(mint::SECRET).expect("a key"));
    assert!(
        debug.contains("Hs256") && !debug.contains("sixty") && !debug.contains("115"),
        "{debug}"
    );

    let hostile = json!({"kty": "evil\r\nname=value", "x": "y".repeat(1000)});
    let error = VerifyingKey::from_jwk_value(&hostile)
        .expect_err("unknown")
        .to_string();
    assert!(
        !error.contains(['\r', '\n']) && error.len() < 200,
        "{error:?}"
    );
}
