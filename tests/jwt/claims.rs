//! What verified claims say.

use std::time::{Duration, SystemTime};

use portcullis::jwt::{Algorithm, Claims, JwtVerifier};
use serde_json::{Map, Value, json};

use crate::mint::{self, AUDIENCE, ISSUER, NOW};

fn read(claims: &Value) -> Claims {
    let verifier = JwtVerifier::builder(mint::key(Algorithm::Hs256))
        .dangerous_without_issuer()
        .dangerous_without_audience()
        .dangerous_without_expiry();
    let token = mint::token(Algorithm::Hs256, claims);
    verifier.verify(token, mint::now()).expect("verifies")
}

fn at(seconds: u64) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[test]
fn registered_claims_have_accessors() {
    let claims = read(&mint::claims_with(json!({"plan": {"name": "pro"}})));
    assert_eq!((claims.issuer(), claims.subject()), (ISSUER, "user-7"));
    assert_eq!(
        (claims.audience().collect(), claims.jwt_id()),
        (vec![AUDIENCE], Some("token-1"))
    );
    assert_eq!(claims.expires_at(), at(NOW + 60));
    assert_eq!(
        (claims.issued_at(), claims.not_before()),
        (at(NOW - 60), at(NOW - 60))
    );
    assert_eq!(claims.claim("plan"), Some(&json!({"name": "pro"})));
    assert_eq!((claims.claim("sub"), claims.claim("nothing")), (None, None));

    let none = read(&json!({}));
    assert_eq!(
        (none.issuer(), none.subject(), none.audience().count()),
        ("", "", 0)
    );
    assert_eq!(
        (none.jwt_id(), none.expires_at(), none.principal()),
        (None, None, None)
    );
}

#[test]
fn serialized_they_are_the_payload_again() {
    for claims in [
        mint::claims(),
        json!({}),
        json!({"aud": [AUDIENCE], "exp": NOW as f64 + 1.5, "scope": "a b", "deep": [{"x": [null, 1.5, -3]}]}),
        json!({"aud": [], "scope": ["a"], "iss": "\u{e9}\n\u{0}"}),
    ] {
        assert_eq!(serde_json::to_value(read(&claims)).expect("JSON"), claims);
    }
}

#[test]
fn scopes_are_found_wherever_an_issuer_writes_them() {
    for (claims, expected) in [
        (json!({}), &[][..]),
        (json!({"scope": "a b"}), &["a", "b"]),
        (json!({"scope": " a  b "}), &["a", "b"]),
        (json!({"scope": ""}), &[]),
        (json!({"scope": ["a", "b"]}), &["a", "b"]),
        (json!({"scp": ["a", "b", 7]}), &["a", "b"]),
        (json!({"scp": "a b"}), &["a", "b"]),
        (json!({"scope": "a", "scp": ["b"]}), &["a", "b"]),
        (json!({"scope": 7, "scp": {"a": "b"}}), &[]),
    ] {
        let read = read(&claims);
        assert_eq!(read.scopes().collect::<Vec<_>>(), expected, "{claims}");
    }
}

#[test]
fn a_principal_is_made_of_the_claims_that_speak_of_it() {
    let claims = read(&mint::claims_with(json!({
        "scope": "orders:read orders:write", "roles": ["admin", "staff"], "amr": ["pwd", "otp"],
        "auth_time": NOW - 90,
    })));
    let principal = claims.principal().expect("it names a subject");
    assert_eq!(principal.subject(), "user-7");
    assert!(principal.has_scope("orders:write") && principal.has_role("staff"));
    assert_eq!(principal.scopes().count() + principal.roles().count(), 4);
    assert_eq!(principal.methods().collect::<Vec<_>>(), ["pwd", "otp"]);
    assert_eq!(principal.auth_time(), at(NOW - 90));
    assert_eq!(principal.issuer(), Some(ISSUER));
    assert!(read(&json!({"sub": ""})).principal().is_none());
    let nobodys = read(&json!({"sub": "x", "iss": ""}));
    assert_eq!(nobodys.principal().expect("a subject").issuer(), None);
    let odd = read(&json!({"sub": "x", "auth_time": u64::MAX, "roles": 7}));
    let odd = odd.principal().expect("it names a subject");
    assert_eq!((odd.auth_time(), odd.roles().count()), (None, 0));
}

#[test]
fn claims_that_nobody_asked_for_are_there_when_somebody_does() {
    // One that is read where it lies, one that is not, and a name that needs an escape.
    for payload in [
        json!({"sub": "x", "plan": "pro", "list": ["a", "b"], "n": 7, "on": true, "off": false, "no": null}),
        json!({"sub": "x", "plan": "pro", "list": [1, {"a": {}}], "n": -7, "\n": "\""}),
    ] {
        let claims = read(&payload);
        let whole: &Map<String, Value> = claims.other();
        assert_eq!(
            whole.len() + 1,
            payload.as_object().expect("an object").len()
        );
        for (name, value) in whole {
            assert_eq!(
                (claims.claim(name), Some(value)),
                (Some(&payload[name]), payload.get(name))
            );
        }
        assert_eq!((claims.claim("sub"), claims.claim("none")), (None, None));
    }
    assert!(read(&json!({"sub": "x"})).other().is_empty());
}

#[test]
fn debug_shows_claims_and_escapes_them() {
    let claims = read(&json!({"sub": "a\r\nlevel=error", "x": "\u{1b}[31m"}));
    let text = format!("{claims:?}");
    assert!(
        text.contains("level=error") && !text.contains(['\r', '\n', '\u{1b}']),
        "{text}"
    );
}
