//! Whatever bytes come, nothing panics and nothing passes.

use std::sync::LazyLock;

use http::{HeaderValue, Request, StatusCode, header};
use portcullis::{
    clock::ManualClock,
    jwt::{Algorithm, JwsVerifier, JwtAuthLayer, JwtVerifier, KeySet, VerifyingKey},
};
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use crate::{layer, mint};

static VERIFIERS: LazyLock<Vec<(Algorithm, JwtVerifier, String)>> = LazyLock::new(|| {
    let all = mint::ALGORITHMS.into_iter();
    all.map(|algorithm| {
        let token = mint::token(algorithm, &mint::claims());
        (algorithm, mint::verifier(algorithm), token)
    })
    .collect()
});

fn base64url() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{0,60}"
}

/// Signatures with big numbers take their time where nothing is optimised.
const FEW: u32 = 48;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(FEW))]

    #[test]
    fn a_token_with_a_byte_changed_is_not_it(at in any::<prop::sample::Index>(), change in 1_u8..) {
        for (algorithm, verifier, token) in &*VERIFIERS {
            prop_assert!(verifier.verify(token, mint::now()).is_ok());
            let mut changed = token.clone().into_bytes();
            let at = at.index(changed.len());
            changed[at] ^= change;
            prop_assert!(verifier.verify(&changed, mint::now()).is_err(), "{algorithm}: byte {at}");
        }
    }

    #[test]
    fn arbitrary_signatures_of_the_right_length_are_not_it(bytes in vec(any::<u8>(), 512)) {
        for (algorithm, verifier, token) in &*VERIFIERS {
            let (signed, signature) = token.rsplit_once('.').expect("two dots");
            let length = mint::decode(signature).len();
            let forged = format!("{signed}.{}", mint::encode(&bytes[..length]));
            prop_assert!(verifier.verify(forged, mint::now()).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn a_key_with_a_byte_changed_is_another_key_or_none(at in any::<prop::sample::Index>(), change in 1_u8..) {
        let rsa = mint::rsa_public_key(&mint::decode(mint::RSA_N), &[1, 0, 1]);
        let ec = [&[4], &*mint::decode(mint::EC_X), &*mint::decode(mint::EC_Y)].concat();
        let p256 = [&mint::EC_PUBLIC_KEY[..], &mint::PRIME256V1].concat();
        for (algorithm, der) in [
            (Algorithm::Rs256, mint::spki(&mint::RSA_ENCRYPTION, &rsa)),
            (Algorithm::Rs256, rsa),
            (Algorithm::Es256, mint::spki(&p256, &ec)),
            (Algorithm::Ed25519, mint::spki(&mint::ED25519, &mint::decode(mint::ED_X))),
        ] {
            let mut der = der;
            let at = at.index(der.len());
            der[at] ^= change;
            let (_, _, token) = VERIFIERS.iter().find(|(own, ..)| *own == algorithm).expect("all are there");
            if let Ok(key) = VerifyingKey::from_der(algorithm, &der) {
                prop_assert!(JwsVerifier::new(key).verify(token).is_err(), "{algorithm}: byte {at}");
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_token(bytes in vec(any::<u8>(), 0..300)) {
        for (_, verifier, _) in &*VERIFIERS {
            prop_assert!(verifier.verify(&bytes, mint::now()).is_err());
        }
    }

    #[test]
    fn three_arbitrary_parts_are_no_token(header in base64url(), payload in base64url(), signature in base64url()) {
        let token = format!("{header}.{payload}.{signature}");
        for (_, verifier, _) in &*VERIFIERS {
            prop_assert!(verifier.verify(&token, mint::now()).is_err());
        }
    }

    #[test]
    fn arbitrary_json_signed_by_the_right_key_never_panics(
        header in "\\{\"alg\":\"HS256\"(,\"[a-z0-9]{1,4}\":(null|1|\"x\"|\\[\\]|\\{\"a\":1\\})){0,4}\\}",
        payload in vec(any::<u8>(), 0..200),
    ) {
        let token = mint::sign(Algorithm::Hs256, header, &payload);
        // Nobody writes an issuer and an audience into it by chance.
        prop_assert!(VERIFIERS[0].1.verify(token, mint::now()).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_no_key(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(VerifyingKey::from_jwk(&bytes).is_err());
        prop_assert!(KeySet::from_jwks(&bytes).is_err());
        for algorithm in mint::ALGORITHMS {
            prop_assert!(VerifyingKey::from_pem(algorithm, &bytes).is_err());
            prop_assert!(VerifyingKey::from_der(algorithm, &bytes).is_err());
            prop_assert!(VerifyingKey::from_pem(algorithm, mint::pem("PUBLIC KEY", &bytes)).is_err());
        }
    }

    #[test]
    fn arbitrary_jwks_never_panic(
        kty in "RSA|EC|OKP|oct|x", crv in "P-256|P-384|Ed25519|X25519|x", alg in "RS256|ES256|EdDSA|HS256|none",
        n in base64url(), x in "[A-Za-z0-9_-]{43}", y in "[A-Za-z0-9_-]{43}",
    ) {
        let jwk = json!({"kty": kty, "crv": crv, "alg": alg, "n": n, "e": "AQAB", "x": x, "y": y, "k": n});
        let _ = VerifyingKey::from_jwk_value(&jwk);
        // Beside a good key, none is more than left out.
        let set = json!({"keys": [jwk, mint::jwk(Algorithm::Es256)]});
        prop_assert!(KeySet::from_jwks(set.to_string()).is_ok());
    }

    #[test]
    fn arbitrary_authorization_is_refused(bytes in vec(any::<u8>(), 0..200), prefix in "(Bearer )?") {
        let value = [prefix.as_bytes(), &bytes].concat();
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let request = Request::builder().header(header::AUTHORIZATION, value).body(()).expect("a request");
        let clock = ManualClock::new(mint::now());
        let layer = JwtAuthLayer::new(VERIFIERS[0].1.clone()).with_clock(clock);
        let response = layer::answer(layer, request);
        prop_assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
}
