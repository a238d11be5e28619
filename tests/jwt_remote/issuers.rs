//! Several issuers, each with keys of its own.

use portcullis::jwt::{
    Algorithm::{self, Ed25519, Es256},
    JwtErrorKind, JwtVerifier, JwtVerifiers, RemoteJwks,
};
use proptest::prelude::*;
use serde_json::json;

use crate::{
    mint::{self, AUDIENCE},
    support::{Endpoint, World},
};

const A: &str = "https://a.example";
const B: &str = "https://b.example";

fn token(algorithm: Algorithm, issuer: &serde_json::Value) -> String {
    // Both issuers call their key "1".
    let header = json!({"alg": algorithm.as_str(), "kid": "1"});
    let claims = mint::claims_with(json!({"iss": issuer}));
    mint::sign(algorithm, header.to_string(), claims.to_string())
}

fn of(issuer: &str, keys: &RemoteJwks) -> JwtVerifier {
    JwtVerifier::builder(keys).issuer(issuer).audience(AUDIENCE)
}

#[tokio::test]
async fn a_token_is_judged_by_the_keys_of_the_issuer_it_names() {
    let (world, _events) = World::new();
    let (a, b) = (
        Endpoint::of(&[(Ed25519, "1")]).await,
        Endpoint::of(&[(Es256, "1")]).await,
    );
    let (a_keys, b_keys) = (world.keys(&a), world.keys(&b));
    let verifiers = JwtVerifiers::by_issuer([of(A, &a_keys), of(B, &b_keys)]).expect("verifiers");
    let kind = async |token: String| {
        let verified = verifiers.verify_async(token, world.now()).await;
        verified.err().map(|error| error.kind())
    };
    assert_eq!(kind(token(Ed25519, &A.into())).await, None);
    assert_eq!(
        (a.count(), b.count()),
        (1, 0),
        "only the issuer that is named is asked"
    );
    assert_eq!(kind(token(Es256, &B.into())).await, None);
    assert_eq!((a.count(), b.count()), (1, 1));
    // Each signs in the other's name.
    let stranger = Some(JwtErrorKind::AlgorithmNotAllowed);
    assert_eq!(kind(token(Ed25519, &B.into())).await, stranger);
    assert_eq!(kind(token(Es256, &A.into())).await, stranger);
    for unknown in [
        json!("https://c.example"),
        json!("https://a.example/"),
        json!("HTTPS://A.EXAMPLE"),
        json!("https://a.exampl"),
        json!(""),
    ] {
        let refused = kind(token(Ed25519, &unknown)).await;
        assert_eq!(refused, Some(JwtErrorKind::IssuerMismatch), "{unknown}");
    }
    let missing = kind(token(Ed25519, &json!(null))).await;
    assert_eq!(missing, Some(JwtErrorKind::ClaimMissing));
    for no_issuer in [json!(7), json!([A]), json!({"iss": A})] {
        let refused = kind(token(Ed25519, &no_issuer)).await;
        assert_eq!(refused, Some(JwtErrorKind::ClaimsMalformed), "{no_issuer}");
    }
    let twice = format!(
        r#"{{"iss":"{A}","iss":"{B}","aud":"{AUDIENCE}","exp":{}}}"#,
        mint::NOW + 9
    );
    let twice = mint::sign(Ed25519, r#"{"alg":"EdDSA","kid":"1"}"#, twice);
    assert_eq!(kind(twice).await, Some(JwtErrorKind::ClaimsMalformed));
    assert_eq!((a.count(), b.count()), (1, 1));
}

#[test]
fn who_is_responsible_must_be_clear() {
    let of = |issuer: &str| {
        let key = mint::key(Algorithm::Hs256);
        JwtVerifier::builder(key).issuer(issuer).audience(AUDIENCE)
    };
    let anybody = JwtVerifier::builder(mint::key(Algorithm::Hs256))
        .dangerous_without_issuer()
        .audience(AUDIENCE);
    assert!(JwtVerifiers::by_issuer([]).is_err());
    assert!(JwtVerifiers::by_issuer([of(A), of(A)]).is_err());
    assert!(JwtVerifiers::by_issuer([of(A), anybody]).is_err());
    assert!(JwtVerifiers::by_issuer([of(A), of(B)]).is_ok());
}

proptest! {
    #[test]
    fn whatever_is_no_token_is_refused(token in prop::collection::vec(any::<u8>(), 0..200)) {
        let verifiers = JwtVerifiers::by_issuer([mint::verifier(Algorithm::Hs256)]).expect("one");
        prop_assert!(verifiers.verify(&token, mint::now()).is_err());
    }

    #[test]
    fn whatever_the_payload_is_nothing_unsigned_passes(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let verifiers = JwtVerifiers::by_issuer([mint::verifier(Algorithm::Hs256)]).expect("one");
        let token = format!("{}.{}.AAAA", mint::encode(r#"{"alg":"HS256"}"#), mint::encode(payload));
        prop_assert!(verifiers.verify(token, mint::now()).is_err());
    }
}
