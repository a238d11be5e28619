//! Key sets.

use portcullis::config::ConfigError;
use portcullis::jwt::{Algorithm, JwsVerifier, JwtErrorKind, KeyErrorKind, KeySet, VerifyingKey};
use serde_json::{Value, json};

use crate::mint;

fn with(mut jwk: Value, name: &str, value: &str) -> Value {
    jwk[name] = value.into();
    jwk
}

fn signed(algorithm: Algorithm, kid: Option<&str>) -> String {
    let mut header = json!({"alg": algorithm.as_str()});
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    mint::sign(algorithm, header.to_string(), "payload")
}

#[test]
fn a_bad_entry_takes_no_good_one_with_it() {
    let rsa = with(mint::jwk(Algorithm::Rs256), "kid", "rsa");
    let set = json!({"keys": [
        with(mint::jwk(Algorithm::Es256), "kid", "ec"),
        7,
        with(rsa.clone(), "use", "enc"),
        mint::jwk(Algorithm::Hs256),
        with(rsa.clone(), "d", "AQAB"),
        {"kty": "EC", "crv": "P-224", "x": "AA", "y": "AA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        rsa,
    ], "more": true});
    let set = KeySet::from_jwks(set.to_string()).expect("a set");
    let ids: Vec<_> = set.keys().iter().map(|key| key.key_id()).collect();
    assert_eq!(ids, [Some("ec"), Some("rsa")]);
    let left_out: Vec<_> = set
        .left_out()
        .iter()
        .map(|entry| (entry.index(), entry.error().kind()))
        .collect();
    assert_eq!(
        left_out,
        [
            (1, KeyErrorKind::Malformed),
            (2, KeyErrorKind::NotForVerification),
            (3, KeyErrorKind::SymmetricInSet),
            (4, KeyErrorKind::Private),
            (5, KeyErrorKind::Unsupported),
            (6, KeyErrorKind::Size),
        ]
    );
}

#[test]
fn what_is_no_set_is_an_error() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
        "{\"keys\":[]} x",
    ] {
        let error = KeySet::from_jwks(text).expect_err(text);
        assert_eq!(error.kind(), KeyErrorKind::Malformed);
    }
}

#[test]
fn a_set_of_which_nothing_is_left_is_an_error_that_says_why() {
    let rsa = with(mint::jwk(Algorithm::Rs256), "kid", "rsa");
    for (keys, asked, expected) in [
        (json!([]), &[][..], &["has no keys"][..]),
        (
            json!([with(rsa.clone(), "use", "enc")]),
            &[],
            &["the only key", "key 0: ", "use"],
        ),
        (
            json!([
                7,
                with(rsa.clone(), "d", "AQAB"),
                mint::jwk(Algorithm::Hs256)
            ]),
            &[],
            &[
                "none of the 3 keys",
                "key 0: ",
                "; key 1: ",
                "private",
                "; key 2: ",
                "a secret",
            ],
        ),
        (json!([rsa]), &[Algorithm::Es256], &["key 0: ", "ES256"]),
        (json!(vec![1; 50]), &[], &["key 7: ", "and 42 more"]),
    ] {
        let set = json!({"keys": keys}).to_string();
        let error = KeySet::from_jwks_for(asked, &set).expect_err(&set);
        assert_eq!(error.kind(), KeyErrorKind::NoneUsable, "{set}");
        let text = error.to_string();
        for part in expected {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("key 8: "), "{text}");
        // As configuration, it says as much.
        let config = ConfigError::from(error);
        assert!(config.to_string().contains(&text), "{config}");
    }
    // A secret that was left out is not in the text.
    let set = json!({"keys": [mint::jwk(Algorithm::Hs256)]}).to_string();
    let text = KeySet::from_jwks(set).expect_err("no secrets").to_string();
    assert!(!text.contains(&mint::encode(mint::SECRET)[..16]), "{text}");
}

#[test]
fn several_algorithms_stand_in_one_set_and_each_key_keeps_to_its_own() {
    let algorithms = [
        Algorithm::Rs256,
        Algorithm::Es256,
        Algorithm::Ed25519,
        Algorithm::Hs512,
    ];
    let set: KeySet = algorithms.iter().map(|one| mint::key(*one)).collect();
    let verifier = JwsVerifier::new(set);
    for algorithm in mint::ALGORITHMS {
        let verified = verifier.verify(signed(algorithm, None));
        match algorithms.contains(&algorithm) {
            true => assert_eq!(verified.expect("verifies").algorithm(), algorithm),
            false => assert_eq!(
                verified.unwrap_err().kind(),
                JwtErrorKind::AlgorithmNotAllowed
            ),
        }
    }
    let narrowed = verifier.clone().algorithms([Algorithm::Es256]);
    assert!(narrowed.verify(signed(Algorithm::Es256, None)).is_ok());
    for algorithm in [Algorithm::Rs256, Algorithm::Ed25519, Algorithm::Hs512] {
        // Twice, and after the wider verifier has seen the same header.
        assert!(verifier.verify(signed(algorithm, None)).is_ok());
        for _ in 0..2 {
            let error = narrowed.verify(signed(algorithm, None)).unwrap_err();
            assert_eq!(error.kind(), JwtErrorKind::AlgorithmNotAllowed);
        }
    }
}

#[test]
fn algorithms_asked_for_decide_about_keys_without_alg() {
    let set = json!({"keys": [
        mint::jwk(Algorithm::Rs256),
        with(mint::jwk(Algorithm::Rs256), "alg", "RS256"),
        mint::jwk(Algorithm::Es256),
    ]});
    let asked = [Algorithm::Rs512, Algorithm::Rs384];
    let set = KeySet::from_jwks_for(&asked, set.to_string()).expect("a set");
    let algorithms: Vec<_> = set.keys().iter().map(|key| key.algorithm()).collect();
    assert_eq!(algorithms, asked);
    assert!(
        set.left_out()
            .iter()
            .all(|entry| entry.error().kind() == KeyErrorKind::AlgorithmMismatch)
    );
    assert_eq!(set.left_out().len(), 2);
}

#[test]
fn a_key_id_chooses_among_the_keys_and_never_past_them() {
    // The base point of Ed25519 (RFC 8032 section 5.1): a key like any other.
    let mut other = [0x66; 32];
    other[0] = 0x58;
    let other = mint::encode(other);
    let decoy = json!({"kty": "OKP", "crv": "Ed25519", "x": other, "kid": "b"});
    let right = with(mint::jwk(Algorithm::Ed25519), "kid", "a");
    let set = json!({"keys": [decoy, right]}).to_string();
    let verifier = JwsVerifier::new(KeySet::from_jwks(set).expect("a set"));
    for (kid, expected) in [
        (Some("a"), None),
        (None, None),
        (Some("b"), Some(JwtErrorKind::SignatureInvalid)),
        (Some("c"), Some(JwtErrorKind::KeyUnknown)),
        (Some(""), Some(JwtErrorKind::KeyUnknown)),
        (Some("../../dev/null"), Some(JwtErrorKind::KeyUnknown)),
    ] {
        for _ in 0..2 {
            let verified = verifier.verify(signed(Algorithm::Ed25519, kid));
            assert_eq!(
                verified.err().map(|error| error.kind()),
                expected,
                "{kid:?}"
            );
        }
    }
    // A key without an id serves every id.
    let verifier = JwsVerifier::new(mint::key(Algorithm::Ed25519));
    assert!(
        verifier
            .verify(signed(Algorithm::Ed25519, Some("whatever")))
            .is_ok()
    );
    let verifier = JwsVerifier::new(mint::key(Algorithm::Ed25519).kid("z"));
    assert!(
        verifier
            .verify(signed(Algorithm::Ed25519, Some("whatever")))
            .is_err()
    );
    assert!(
        verifier
            .verify(signed(Algorithm::Ed25519, Some("z")))
            .is_ok()
    );
}

#[test]
fn keys_are_rotated_under_one_id() {
    let old = VerifyingKey::hs256(&[1; 32]).expect("a secret").kid("a");
    let new = mint::key(Algorithm::Hs256).kid("a");
    let verifier = JwsVerifier::new([old, new]);
    for _ in 0..2 {
        assert!(verifier.verify(signed(Algorithm::Hs256, Some("a"))).is_ok());
    }
    let forged = signed(Algorithm::Hs256, Some("a")).replacen(".cG", ".dG", 1);
    let error = verifier.verify(forged).unwrap_err();
    assert_eq!(error.kind(), JwtErrorKind::SignatureInvalid);
}

#[test]
fn a_key_that_has_verified_a_header_does_not_shut_the_others_out() {
    let keys = [&[1; 32], &[2; 32]].map(|bytes| VerifyingKey::hs256(bytes).expect("a secret"));
    let verifier = JwsVerifier::new(keys);
    // Not from mint.rs, which has one secret: the same header under two.
    let signed = |bytes: [u8; 32]| {
        let key = jsonwebtoken::EncodingKey::from_secret(&bytes);
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &json!({}), &key).expect("a token")
    };
    for bytes in [[1; 32], [2; 32], [1; 32], [2; 32]] {
        assert!(verifier.verify(signed(bytes)).is_ok(), "{bytes:?}");
    }
    let error = verifier.verify(signed([3; 32])).unwrap_err();
    assert_eq!(error.kind(), JwtErrorKind::SignatureInvalid);
}

#[test]
fn no_more_than_eight_keys_are_tried_for_a_token() {
    let token = signed(Algorithm::Hs256, None);
    for (before, expected) in [
        (0, None),
        (7, None),
        (8, Some(JwtErrorKind::SignatureInvalid)),
    ] {
        let decoys =
            (0..before).map(|at| VerifyingKey::hs256([at; 32].as_slice()).expect("a secret"));
        let set: KeySet = decoys.chain([mint::key(Algorithm::Hs256)]).collect();
        let error = JwsVerifier::new(set).verify(&token).err();
        assert_eq!(
            error.map(|error| error.kind()),
            expected,
            "{before} others before it"
        );
    }
    // Those of other ids and algorithms do not count.
    let others = (0..20_u8).map(|at| match at % 2 {
        0 => VerifyingKey::hs384([at; 48].as_slice()).expect("a secret"),
        _ => VerifyingKey::hs256([at; 32].as_slice())
            .expect("a secret")
            .kid(format!("{at}")),
    });
    let set: KeySet = others
        .chain([mint::key(Algorithm::Hs256).kid("a")])
        .collect();
    assert!(
        JwsVerifier::new(set)
            .verify(signed(Algorithm::Hs256, Some("a")))
            .is_ok()
    );
}
