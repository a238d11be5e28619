//! What signs, from whichever form it is read.

use portcullis::{
    jwt::{Algorithm, JwsVerifier},
    tokens::{Grant, SigningKey, SigningKeys, TokenIssuer},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::mint::{self, EC_PUBLIC_KEY, ED25519, PRIME256V1, RSA_ENCRYPTION, integer, tlv};

const EC_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
const ED_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ALL: [Algorithm; 8] = [
    Algorithm::Hs256,
    Algorithm::Hs384,
    Algorithm::Hs512,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Es256,
    Algorithm::Ed25519,
];

/// Whether this build signs with RSA.
const RSA: bool = cfg!(feature = "aws-lc");

fn is_rsa(algorithm: Algorithm) -> bool {
    algorithm.as_str().starts_with("RS")
}

/// Signs a token with the key and verifies it with its public part.
fn signs(key: &SigningKey) {
    let issuer = TokenIssuer::new("i", "a", key.clone()).unwrap();
    let token = issuer.issue(&Grant::new("user-7", "web")).unwrap();
    let verified = JwsVerifier::new(key.verifying_key())
        .verify(token.expose())
        .unwrap();
    assert_eq!(verified.algorithm(), key.algorithm());
    // And with nothing else: one character of the payload.
    let at = token.expose().find('.').unwrap() + 10;
    let mut forged = token.expose().to_owned().into_bytes();
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    assert!(
        JwsVerifier::new(key.verifying_key())
            .verify(String::from_utf8(forged).unwrap())
            .is_err()
    );
}

fn ed_jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": mint::ED_X, "d": ED_D})
}

fn ec_jwk() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": mint::EC_X, "y": mint::EC_Y, "d": EC_D})
}

fn pkcs8(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let parts = [integer(&[0]), tlv(0x30, algorithm), tlv(4, key)].concat();
    tlv(0x30, &parts)
}

fn sec1(with_curve: bool) -> Vec<u8> {
    let mut parts = [integer(&[1]), tlv(4, &mint::decode(EC_D))].concat();
    if with_curve {
        parts.extend(tlv(0xa0, &PRIME256V1));
    }
    let point = [
        &[0, 4][..],
        &mint::decode(mint::EC_X),
        &mint::decode(mint::EC_Y),
    ]
    .concat();
    parts.extend(tlv(0xa1, &tlv(3, &point)));
    tlv(0x30, &parts)
}

#[test]
fn every_algorithm_is_generated_signed_and_verified() {
    for algorithm in ALL {
        let key = SigningKey::generate(algorithm);
        if is_rsa(algorithm) && !RSA {
            assert!(key.unwrap_err().to_string().contains("RUSTSEC-2023-0071"));
            continue;
        }
        let key = key.unwrap();
        assert_eq!(key.algorithm(), algorithm);
        signs(&key);
        assert_eq!(key.public_jwk().is_none(), algorithm.is_symmetric());
        assert_eq!(key.key_id().is_none(), algorithm.is_symmetric());
        assert_ne!(
            SigningKey::generate(algorithm).unwrap().public_jwk(),
            key.public_jwk().or(Some(Value::Null))
        );
    }
    assert!(
        SigningKey::generate(Algorithm::Es256)
            .unwrap()
            .public_jwk()
            .unwrap()
            .get("d")
            .is_none()
    );
}

#[test]
fn jwks_are_read_and_their_public_part_is_published() {
    let key = SigningKey::from_jwk(ed_jwk().to_string()).unwrap();
    assert_eq!(
        key.public_jwk().unwrap(),
        json!({"kty": "OKP", "crv": "Ed25519", "x": mint::ED_X, "alg": "Ed25519", "use": "sig",
               "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"})
    );
    signs(&key);
    let mut named = ec_jwk();
    named["kid"] = "key-1".into();
    let key = SigningKey::from_jwk(named.to_string()).unwrap();
    assert_eq!(key.key_id(), Some("key-1"));
    signs(&key);
    let secret = json!({"kty": "oct", "k": mint::encode(mint::SECRET), "alg": "HS512"});
    signs(&SigningKey::from_jwk(secret.to_string()).unwrap());
}

#[test]
fn der_and_pem_are_read_in_every_form() {
    let ec_algorithm = [&EC_PUBLIC_KEY[..], &PRIME256V1].concat();
    let ed = pkcs8(&ED25519, &tlv(4, &mint::decode(ED_D)));
    let forms = [
        (Algorithm::Es256, "EC PRIVATE KEY", sec1(true)),
        (
            Algorithm::Es256,
            "PRIVATE KEY",
            pkcs8(&ec_algorithm, &sec1(false)),
        ),
        (
            Algorithm::Es256,
            "PRIVATE KEY",
            pkcs8(&ec_algorithm, &sec1(true)),
        ),
        (Algorithm::Ed25519, "PRIVATE KEY", ed),
    ];
    for (algorithm, label, der) in forms {
        let expected = match algorithm {
            Algorithm::Es256 => SigningKey::from_jwk(ec_jwk().to_string()),
            _ => SigningKey::from_jwk(ed_jwk().to_string()),
        };
        for key in [
            SigningKey::from_der(algorithm, &der).unwrap(),
            SigningKey::from_pem(algorithm, mint::pem(label, &der)).unwrap(),
        ] {
            assert_eq!(
                key.public_jwk(),
                expected.as_ref().unwrap().public_jwk(),
                "{label}"
            );
            signs(&key);
        }
    }
    // Of an ECPrivateKey that names no curve nobody can know which it is.
    assert!(SigningKey::from_der(Algorithm::Es256, sec1(false)).is_err());
}

#[test]
fn rsa_keys_sign_where_it_is_safe() {
    let der = mint::rsa_private_der();
    let wrapped = pkcs8(&RSA_ENCRYPTION, &der);
    for (label, der) in [("RSA PRIVATE KEY", der), ("PRIVATE KEY", wrapped)] {
        let key = SigningKey::from_pem(Algorithm::Rs256, mint::pem(label, &der));
        match RSA {
            true => {
                let key = key.unwrap();
                assert_eq!(key.public_jwk().unwrap()["n"], mint::RSA_N);
                signs(&key);
                signs(&SigningKey::from_der(Algorithm::Rs512, &der).unwrap());
            }
            false => assert!(key.unwrap_err().to_string().contains("aws-lc")),
        }
        assert!(SigningKey::from_der(Algorithm::Es256, &der).is_err());
    }
    // A number of another key.
    let mut broken = mint::rsa_private_der();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    assert!(SigningKey::from_der(Algorithm::Rs256, broken).is_err());
}

#[test]
fn what_is_no_signing_key_is_refused() {
    let with = |mut jwk: Value, name: &str, value: Value| {
        jwk[name] = value;
        SigningKey::from_jwk(jwk.to_string())
    };
    let other = SigningKey::generate(Algorithm::Ed25519)
        .unwrap()
        .public_jwk()
        .unwrap();
    let two_keys = with(ed_jwk(), "x", other["x"].clone()).unwrap_err();
    assert_eq!(two_keys.given(), "two keys");
    assert!(with(ec_jwk(), "x", json!(mint::EC_Y)).is_err());
    assert!(with(ed_jwk(), "use", json!("enc")).is_err());
    assert!(with(ed_jwk(), "key_ops", json!(["verify"])).is_err());
    assert!(with(ed_jwk(), "key_ops", json!(["sign"])).is_ok());
    assert!(with(ed_jwk(), "alg", json!("ES256")).is_err());
    assert!(with(ed_jwk(), "alg", json!("none")).is_err());
    assert!(with(ed_jwk(), "d", json!(format!("{ED_D}="))).is_err());
    assert!(with(ed_jwk(), "d", Value::Null).is_err());
    assert!(with(ec_jwk(), "crv", json!("P-384")).is_err());
    for scalar in [[0; 32], [0xff; 32]] {
        assert!(with(ec_jwk(), "d", json!(mint::encode(scalar))).is_err());
    }
    let twice = format!(
        r#"{{"kty":"OKP","crv":"Ed25519","x":"{}","d":"{ED_D}","d":"{ED_D}"}}"#,
        mint::ED_X
    );
    assert!(SigningKey::from_jwk(twice).is_err());
    assert!(SigningKey::hs256("31 bytes are one byte too short").is_err());
    assert!(SigningKey::hs512([7; 63].as_slice()).is_err());
    assert!(SigningKey::from_pem(Algorithm::Ed25519, mint::pem("PUBLIC KEY", &[0x30, 0])).is_err());
    assert!(
        SigningKey::from_pem(
            Algorithm::Ed25519,
            mint::pem("ENCRYPTED PRIVATE KEY", &[0x30, 0])
        )
        .is_err()
    );
    assert!(
        SigningKey::from_der(
            Algorithm::Hs256,
            pkcs8(&ED25519, &tlv(4, &mint::decode(ED_D)))
        )
        .is_err()
    );
}

#[test]
fn nothing_of_a_key_shows() {
    let key = SigningKey::from_jwk(ed_jwk().to_string()).unwrap();
    let shown = format!("{key:?} {:?}", SigningKeys::new(key.clone()));
    assert!(
        !shown.contains(ED_D) && shown.contains("Ed25519"),
        "{shown}"
    );
    let mut wrong = ed_jwk();
    wrong["x"] = json!(mint::EC_X);
    let error = SigningKey::from_jwk(wrong.to_string()).unwrap_err();
    assert!(!format!("{error:?} {error}").contains(ED_D));
}

#[test]
fn keys_are_rotated_by_their_ids() {
    let made = |algorithm| SigningKey::generate(algorithm).unwrap();
    let (old, new) = (made(Algorithm::Es256), made(Algorithm::Ed25519));
    let keys = SigningKeys::new(old.clone()).add_next(new.clone());
    let kids = |keys: &SigningKeys| -> Vec<String> {
        let jwks = keys.jwks();
        let listed = jwks["keys"].as_array().unwrap().iter();
        listed
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kids(&keys), [old.key_id().unwrap(), new.key_id().unwrap()]);
    let rotated = keys.rotate().unwrap();
    assert_eq!(
        kids(&rotated),
        [new.key_id().unwrap(), old.key_id().unwrap()]
    );
    assert!(rotated.clone().rotate().is_err());
    let public = old.public_jwk().unwrap();
    let again = SigningKeys::new(new.clone())
        .add_retired_jwk(public.to_string())
        .unwrap();
    assert_eq!(again.jwks(), rotated.jwks());
    assert!(
        SigningKeys::new(new.clone())
            .add_retired_jwk(ed_jwk().to_string())
            .is_err()
    );

    let secret = SigningKey::hs256(mint::SECRET.as_slice()).unwrap();
    let published = SigningKeys::new(secret.clone().kid("s"))
        .add_next(new.clone())
        .jwks();
    assert_eq!(published["keys"].as_array().unwrap().len(), 1);
    // Keys that verifiers could not tell apart.
    for keys in [
        SigningKeys::new(secret).add_next(new.clone()),
        SigningKeys::new(new.clone()).add_retired(&new),
        SigningKeys::new(old.kid("same")).add_next(new.kid("same")),
    ] {
        assert!(TokenIssuer::new("i", "a", keys).is_err());
    }
}

proptest! {
    #[test]
    fn whatever_is_read_is_refused_without_panicking(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Ed25519] {
            prop_assert!(SigningKey::from_der(algorithm, &bytes).is_err());
            prop_assert!(SigningKey::from_pem(algorithm, &bytes).is_err());
            prop_assert!(SigningKey::from_pem(algorithm, mint::pem("PRIVATE KEY", &bytes)).is_err());
        }
        prop_assert!(SigningKey::from_jwk(&bytes).is_err());
    }

    /// Every single byte of a good key, changed: another key maybe, never a panic, and never the same key
    /// by another name.
    #[test]
    fn a_changed_key_is_refused_or_another(at in 0_usize..121, to in any::<u8>()) {
        let ec_algorithm = [&EC_PUBLIC_KEY[..], &PRIME256V1].concat();
        let mut der = pkcs8(&ec_algorithm, &sec1(true));
        let at = at % der.len();
        der[at] = to;
        if let Ok(key) = SigningKey::from_der(Algorithm::Es256, &der) {
            signs(&key);
        }
    }
}
