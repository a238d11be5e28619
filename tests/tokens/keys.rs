//! What signs, from whichever form it is read.

use k256::ecdsa::signature::Verifier;
use portcullis::{
    jwt::{Algorithm, JwsVerifier},
    tokens::{Grant, SigningKey, SigningKeys, TokenIssuer},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::mint::{
    self, EC_PUBLIC_KEY, ED25519, PRIME256V1, RSA_ENCRYPTION, SECP256K1, SECP384R1, SECP521R1,
    integer, tlv,
};

const EC_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
const ED_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

/// Whether this build signs with RSA.
const RSA: bool = cfg!(feature = "aws-lc");

fn is_rsa(algorithm: Algorithm) -> bool {
    algorithm.as_str().starts_with("RS") || algorithm.as_str().starts_with("PS")
}

/// Whether another implementation finds the token good under the key's public JWK.
fn another_verifies(key: &SigningKey, token: &str) -> bool {
    use jsonwebtoken::{Algorithm as Name, DecodingKey, crypto::verify};
    let (message, signature) = token.rsplit_once('.').unwrap();
    let public = key.public_jwk();
    let number = |name: &str| public.as_ref().unwrap()[name].as_str().unwrap().to_owned();
    let point = || {
        [
            vec![4],
            mint::decode(&number("x")),
            mint::decode(&number("y")),
        ]
        .concat()
    };
    let name = match key.algorithm() {
        // jsonwebtoken has neither.
        Algorithm::Es512 => {
            let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&point()).unwrap();
            let signature = p521::ecdsa::Signature::from_slice(&mint::decode(signature)).unwrap();
            return key.verify(message.as_bytes(), &signature).is_ok();
        }
        Algorithm::Es256k => {
            let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(&point()).unwrap();
            let signature = k256::ecdsa::Signature::from_slice(&mint::decode(signature)).unwrap();
            let signature = signature.normalize_s();
            return key.verify(message.as_bytes(), &signature).is_ok();
        }
        Algorithm::Ed25519 => Name::EdDSA,
        other => other.as_str().parse().unwrap(),
    };
    let decoding = match key.algorithm() {
        Algorithm::Es256 | Algorithm::Es384 => {
            DecodingKey::from_ec_components(&number("x"), &number("y"))
        }
        Algorithm::Ed25519 => DecodingKey::from_ed_components(&number("x")),
        _ => DecodingKey::from_rsa_components(&number("n"), &number("e")),
    };
    verify(signature, message.as_bytes(), &decoding.unwrap(), name).unwrap()
}

/// Signs a token with the key and verifies it with its public part.
fn signs(key: &SigningKey) {
    let issuer = TokenIssuer::new("i", "a", key.clone()).unwrap();
    let token = issuer.issue(&Grant::new("user-7", "web")).unwrap();
    let verified = JwsVerifier::new(key.verifying_key())
        .verify(token.expose())
        .unwrap();
    assert_eq!(verified.algorithm(), key.algorithm());
    if !key.algorithm().is_symmetric() {
        assert!(another_verifies(key, token.expose()), "{}", key.algorithm());
    }
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

/// A curve: what is signed with on it, its name, its identifier in DER, and a key of the RFCs' examples.
type OnCurve = (Algorithm, &'static str, &'static [u8], [&'static str; 3]);

const CURVES: [OnCurve; 4] = [
    (
        Algorithm::Es256,
        "P-256",
        &PRIME256V1,
        [mint::EC_X, mint::EC_Y, EC_D],
    ),
    (
        Algorithm::Es384,
        "P-384",
        &SECP384R1,
        [mint::P384_X, mint::P384_Y, mint::P384_D],
    ),
    (
        Algorithm::Es512,
        "P-521",
        &SECP521R1,
        [mint::P521_X, mint::P521_Y, mint::P521_D],
    ),
    (
        Algorithm::Es256k,
        "secp256k1",
        &SECP256K1,
        [mint::K256_X, mint::K256_Y, mint::K256_D],
    ),
];

fn pkcs8(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let parts = [integer(&[0]), tlv(0x30, algorithm), tlv(4, key)].concat();
    tlv(0x30, &parts)
}

fn sec1(with_curve: bool) -> Vec<u8> {
    sec1_of(CURVES[0], with_curve)
}

fn sec1_of((_, _, curve, [x, y, d]): OnCurve, with_curve: bool) -> Vec<u8> {
    let mut parts = [integer(&[1]), tlv(4, &mint::decode(d))].concat();
    if with_curve {
        parts.extend(tlv(0xa0, curve));
    }
    let point = [&[0, 4][..], &mint::decode(x), &mint::decode(y)].concat();
    parts.extend(tlv(0xa1, &tlv(3, &point)));
    tlv(0x30, &parts)
}

#[test]
fn every_algorithm_is_generated_signed_and_verified() {
    for algorithm in mint::ALGORITHMS {
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
fn every_curve_is_read_in_every_form() {
    for own in CURVES {
        let (algorithm, name, oid, [x, y, d]) = own;
        let jwk = json!({"kty": "EC", "crv": name, "x": x, "y": y, "d": d});
        let in_algorithm = [&EC_PUBLIC_KEY[..], oid].concat();
        let keys = [
            SigningKey::from_jwk(jwk.to_string()).unwrap(),
            SigningKey::from_der(algorithm, sec1_of(own, true)).unwrap(),
            SigningKey::from_der(algorithm, pkcs8(&in_algorithm, &sec1_of(own, false))).unwrap(),
        ];
        for key in keys {
            let public = key.public_jwk().unwrap();
            assert_eq!(public["crv"], name);
            assert_eq!((&public["x"], &public["y"]), (&json!(x), &json!(y)));
            assert_eq!(public["alg"], algorithm.as_str());
            signs(&key);
        }
        for (other, _, other_oid, [other_x, ..]) in CURVES {
            if other == algorithm {
                continue;
            }
            // A key of one curve is none of another, whatever says so.
            assert!(SigningKey::from_der(other, sec1_of(own, true)).is_err());
            let in_other = [&EC_PUBLIC_KEY[..], other_oid].concat();
            assert!(SigningKey::from_der(other, pkcs8(&in_other, &sec1_of(own, true))).is_err());
            let mut wrong = jwk.clone();
            wrong["alg"] = other.as_str().into();
            assert!(SigningKey::from_jwk(wrong.to_string()).is_err());
            let mut wrong = jwk.clone();
            wrong["x"] = other_x.into();
            assert!(SigningKey::from_jwk(wrong.to_string()).is_err());
        }
        // A public key that is another's.
        let mut stranger = sec1_of(own, true);
        let last = stranger.len() - 1;
        stranger[last] ^= 1;
        assert!(SigningKey::from_der(algorithm, stranger).is_err());
        // RFC 7518 section 6.2.2.1: neither shorter nor longer.
        for length in [mint::decode(d).len() - 1, mint::decode(d).len() + 1] {
            let mut wrong = jwk.clone();
            wrong["d"] = mint::encode(vec![1; length]).into();
            assert!(SigningKey::from_jwk(wrong.to_string()).is_err());
        }
    }
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
                for algorithm in mint::ALGORITHMS.into_iter().filter(|one| is_rsa(*one)) {
                    signs(&SigningKey::from_der(algorithm, &der).unwrap());
                }
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
    // Whatever is private of a key would be published with it.
    for private in ["p", "q", "dp", "dq", "qi", "oth"] {
        let mut jwk = json!({"kty": "RSA", "n": mint::RSA_N, "e": "AQAB", "kid": "r"});
        let retired = |jwk: &Value| SigningKeys::new(new.clone()).add_retired_jwk(jwk.to_string());
        assert!(retired(&jwk).is_ok());
        jwk[private] = json!("AQAB");
        assert!(retired(&jwk).is_err(), "{private}");
    }

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
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es512, Algorithm::Ed25519] {
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
