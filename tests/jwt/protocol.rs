//! What the conformance runner answers about key sets, question by question as its protocol words them.

use serde_json::{Value, json};

use crate::{jose, mint, mint::NOW, question::Trouble};
use portcullis::jwt::Algorithm;

fn ask(area: &str, question: &Value) -> Value {
    match jose::answer(area, question) {
        Ok(answer) => answer,
        Err(Trouble::Unsupported(why) | Trouble::Malformed(why)) => panic!("{question}: {why}"),
    }
}

fn with(algorithm: Algorithm, members: Value) -> Value {
    let mut jwk = mint::jwk(algorithm);
    for (name, value) in members.as_object().expect("an object") {
        jwk[name] = value.clone();
    }
    jwk
}

/// Asks about a set as an object and as its text, which must be the same.
fn of_set(set: &Value) -> Value {
    let one = ask("jwks", &json!({"jwks": set}));
    let other = ask("jwks", &json!({"jwks_text": set.to_string()}));
    assert_eq!(one, other, "{set}");
    one
}

#[test]
fn usable_keys_are_counted_and_named() {
    use Algorithm::{Ed25519, Es256, Es256k, Es512, Hs256, Ps256, Rs256};
    let kid = |name: &str| json!({"kid": name});
    for (keys, usable, kids) in [
        (json!([with(Rs256, kid("a"))]), 1, &["a"][..]),
        // Every family, with and without what a key may say of itself.
        (
            json!([
                with(Rs256, json!({"kid": "r", "alg": "RS512", "use": "sig"})),
                with(Ps256, json!({"kid": "p", "alg": "PS256"})),
                with(Es256, json!({"kid": "e", "key_ops": ["verify"]})),
                with(Es512, json!({"kid": "5", "alg": "ES512"})),
                with(Es256k, json!({"kid": "k", "alg": "ES256K"})),
                with(Ed25519, json!({"kid": "o", "alg": "EdDSA"})),
                with(Ed25519, json!({"kid": "q", "alg": "Ed25519"})),
                with(
                    Rs256,
                    json!({"kid": "x", "x5c": ["AA"], "x5t": "?", "own": {"a": 1}})
                ),
            ]),
            8,
            &["r", "p", "e", "5", "k", "o", "q", "x"],
        ),
        // A key without an id is usable and not named; two of one id are two.
        (
            json!([
                mint::jwk(Rs256),
                with(Es256, kid("a")),
                with(Ed25519, kid("a"))
            ]),
            3,
            &["a", "a"],
        ),
        // Nor is one whose id is no string, which no token can name.
        (json!([with(Rs256, json!({"kid": 7}))]), 1, &[]),
        // What cannot verify is left out and takes nothing with it.
        (
            json!([
                with(Hs256, kid("secret")),
                with(Rs256, json!({"kid": "enc", "use": "enc"})),
                with(Rs256, json!({"kid": "ops", "key_ops": ["encrypt"]})),
                with(Rs256, json!({"kid": "alg", "alg": "RSA-OAEP"})),
                with(Rs256, json!({"kid": "none", "alg": "none"})),
                with(Es256, json!({"kid": "other", "alg": "RS256"})),
                with(Es256, json!({"kid": "off", "y": mint::EC_X})),
                with(Rs256, json!({"kid": "private", "d": "AQAB"})),
                with(Rs256, json!({"kid": "short", "n": "AQAB"})),
                {"kid": "x", "kty": "OKP", "crv": "X25519", "x": mint::ED_X},
                {"kid": "new", "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
                {"kid": "bare", "kty": "RSA"},
                {}, null, 7, "RSA", [],
                with(Es256, kid("good")),
            ]),
            1,
            &["good"],
        ),
    ] {
        let answer = of_set(&json!({"keys": keys, "issuer": "whoever"}));
        let expected = json!({"ok": true, "usable": usable, "kids": kids});
        assert_eq!(answer, expected, "{keys}");
    }
}

#[test]
fn what_is_no_usable_set_is_refused() {
    for set in [
        json!({"keys": []}),
        json!({"keys": [mint::jwk(Algorithm::Hs256)]}),
        json!({"keys": [with(Algorithm::Rs256, json!({"use": "enc"}))]}),
    ] {
        let answer = of_set(&set);
        assert_eq!(
            answer,
            json!({"ok": false, "code": "key_none_usable"}),
            "{set}"
        );
    }
    for set in [
        json!({}),
        json!({"keys": null}),
        json!({"keys": {}}),
        json!([]),
        json!("keys"),
        json!([mint::jwk(Algorithm::Rs256)]),
        mint::jwk(Algorithm::Rs256),
    ] {
        let answer = of_set(&set);
        assert_eq!(
            answer,
            json!({"ok": false, "code": "key_malformed"}),
            "{set}"
        );
    }
    let key = mint::jwk(Algorithm::Rs256);
    for text in [
        String::new(),
        String::from("keys"),
        format!(r#"{{"keys":[{key}]}} x"#),
        format!("\u{feff}{{\"keys\":[{key}]}}"),
        format!(r#"{{"keys":[{key}],"keys":[{key}]}}"#),
        format!(r#"{{"keys":[{key}],"\u006beys":[]}}"#),
        format!(r#"{{"keys":[{key},{{"kty":"RSA","kty":"EC"}}]}}"#),
        format!(r#"{{"keys":[{key}"#),
    ] {
        let answer = ask("jwks", &json!({"jwks_text": text}));
        assert_eq!(
            answer,
            json!({"ok": false, "code": "key_malformed"}),
            "{text}"
        );
    }
    // A question without a set is no question.
    assert!(matches!(
        jose::answer("jwks", &json!({})),
        Err(Trouble::Malformed(_))
    ));
}

#[test]
fn a_set_answers_for_tokens_of_its_own_keys() {
    let set = json!({"keys": [
        with(Algorithm::Es256, json!({"kid": "e"})),
        with(Algorithm::Ed25519, json!({"kid": "o"})),
        mint::jwk(Algorithm::Rs256),
    ]});
    let token = |algorithm, header: Value| {
        mint::sign(algorithm, header.to_string(), mint::claims().to_string())
    };
    for (token, expected) in [
        (
            token(Algorithm::Es256, json!({"alg": "ES256", "kid": "e"})),
            "ok",
        ),
        (token(Algorithm::Es256, json!({"alg": "ES256"})), "ok"),
        (
            token(Algorithm::Ed25519, json!({"alg": "EdDSA", "kid": "o"})),
            "ok",
        ),
        (
            token(Algorithm::Ed25519, json!({"alg": "Ed25519", "kid": "o"})),
            "ok",
        ),
        // A key without an id serves every id.
        (
            token(Algorithm::Rs256, json!({"alg": "RS256", "kid": "whatever"})),
            "ok",
        ),
        (
            token(Algorithm::Es256, json!({"alg": "ES256", "kid": "o"})),
            "jwt_algorithm_not_allowed",
        ),
        (
            token(Algorithm::Es256, json!({"alg": "ES256", "kid": "whatever"})),
            "jwt_algorithm_not_allowed",
        ),
        (
            token(Algorithm::Rs256, json!({"alg": "RS384"})),
            "jwt_algorithm_not_allowed",
        ),
        (
            token(Algorithm::Hs256, json!({"alg": "HS256"})),
            "jwt_algorithm_not_allowed",
        ),
    ] {
        let question = json!({"jwks": set, "token": token, "now": NOW,
            "issuer": mint::ISSUER, "audience": [mint::AUDIENCE]});
        let answer = ask("jwt", &question);
        let verdict = if answer["ok"] == true {
            "ok"
        } else {
            answer["code"].as_str().unwrap_or("?")
        };
        assert_eq!(verdict, expected, "{answer}");
        if expected == "ok" {
            assert_eq!(answer["claims"], mint::claims());
        }
    }
    // Of a set, the algorithms that are asked for are taken; with none of them it cannot be built.
    let token = token(Algorithm::Es256, json!({"alg": "ES256", "kid": "e"}));
    for (algorithms, ok) in [
        (json!(["ES256"]), true),
        (json!(["RS256", "EdDSA"]), false),
        (json!(["HS256"]), false),
    ] {
        let question = json!({"jwks": set, "algorithms": algorithms, "token": token, "now": NOW,
            "issuer": mint::ISSUER, "audience": mint::AUDIENCE});
        assert_eq!(ask("jwt", &question)["ok"], ok, "{algorithms}");
    }
}
