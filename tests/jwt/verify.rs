//! What of claims and type a verifier demands.

use std::time::{Duration, SystemTime};

use portcullis::jwt::{Algorithm, JwtError, JwtErrorKind, JwtVerifier};
use serde_json::{Value, json};

use crate::mint::{self, AUDIENCE, ISSUER, NOW};

/// What becomes of a token with these claims at [`NOW`].
fn kind(verifier: &JwtVerifier, claims: &Value) -> Option<JwtErrorKind> {
    kind_of(
        verifier,
        &mint::token(Algorithm::Hs256, claims),
        mint::now(),
    )
}

fn kind_of(verifier: &JwtVerifier, token: &str, now: SystemTime) -> Option<JwtErrorKind> {
    verifier.verify(token, now).err().map(|error| error.kind())
}

fn assert_table(verifier: &JwtVerifier, table: Vec<(Value, Option<JwtErrorKind>)>) {
    for (changes, expected) in table {
        let claims = mint::claims_with(changes.clone());
        assert_eq!(kind(verifier, &claims), expected, "{changes}");
    }
}

fn hs256() -> JwtVerifier {
    mint::verifier(Algorithm::Hs256)
}

#[test]
fn a_good_token_of_every_algorithm_is_accepted_again_and_again() {
    for algorithm in mint::ALGORITHMS {
        let verifier = mint::verifier(algorithm);
        for _ in 0..3 {
            let claims = verifier.verify(mint::token(algorithm, &mint::claims()), mint::now());
            assert_eq!(claims.expect("verifies").subject(), "user-7");
        }
    }
}

#[test]
fn times_hold_to_the_second() {
    use JwtErrorKind as Kind;
    assert_table(
        &hs256(),
        vec![
            (json!({"exp": NOW + 1}), None),
            (json!({"exp": NOW}), Some(Kind::Expired)),
            (json!({"exp": NOW - 1}), Some(Kind::Expired)),
            (json!({"exp": NOW as f64 + 0.5}), None),
            (json!({"exp": NOW as f64 - 0.5}), Some(Kind::Expired)),
            (json!({"exp": 0}), Some(Kind::Expired)),
            (json!({"exp": null}), Some(Kind::ClaimMissing)),
            (json!({"nbf": NOW}), None),
            (json!({"nbf": NOW + 1}), Some(Kind::NotYetValid)),
            (json!({"nbf": NOW as f64 + 0.5}), Some(Kind::NotYetValid)),
            (json!({"nbf": null}), None),
            (json!({"iat": null}), None),
            (json!({"iat": NOW + 100}), None),
        ],
    );
    let lenient = hs256().leeway(Duration::from_secs(30)).expect("a leeway");
    assert_table(
        &lenient,
        vec![
            (json!({"exp": NOW - 29}), None),
            (json!({"exp": NOW - 30}), Some(Kind::Expired)),
            (json!({"nbf": NOW + 30}), None),
            (json!({"nbf": NOW + 31}), Some(Kind::NotYetValid)),
        ],
    );
    assert!(hs256().leeway(Duration::from_secs(600)).is_ok());
    assert!(hs256().leeway(Duration::from_secs(601)).is_err());
}

#[test]
fn a_claim_of_a_wrong_type_is_malformed_and_never_absent() {
    let beyond = 253_402_300_800_u64;
    let wrong = [
        json!("soon"),
        json!(format!("{}", NOW + 60)),
        json!(true),
        json!([NOW]),
        json!({}),
        json!(-1),
        json!(-0.5),
        json!(beyond),
        json!(1e300),
        json!((NOW + 60) * 1000),
        json!(u64::MAX),
        json!(i64::MIN),
    ];
    // Not even where nothing is demanded.
    let verifier = JwtVerifier::builder(mint::key(Algorithm::Hs256))
        .dangerous_without_issuer()
        .dangerous_without_audience()
        .dangerous_without_expiry();
    assert!(kind(&verifier, &json!({})).is_none());
    for name in ["exp", "nbf", "iat"] {
        for value in &wrong {
            let token = mint::token(Algorithm::Hs256, &json!({name: value}));
            let error = verifier.verify(token, mint::now()).expect_err(name);
            assert_eq!(
                error.kind(),
                JwtErrorKind::ClaimsMalformed,
                "{name}: {value}"
            );
            assert_eq!(error.claim(), Some(name));
        }
        for text in ["null", "1e999", "NaN", "Infinity", "01", "1.", "-", "0x10"] {
            let payload = format!(r#"{{"{name}":{text}}}"#);
            let token = mint::sign(Algorithm::Hs256, r#"{"alg":"HS256"}"#, payload);
            assert_eq!(
                kind_of(&verifier, &token, mint::now()),
                Some(JwtErrorKind::ClaimsMalformed),
                "{text}"
            );
        }
    }
    for (name, value) in [
        ("iss", json!(7)),
        ("iss", json!(null)),
        ("iss", json!([ISSUER])),
        ("sub", json!(7)),
        ("sub", json!(null)),
        ("jti", json!(7)),
        ("aud", json!(7)),
        ("aud", json!({})),
        ("aud", json!([AUDIENCE, 7])),
        ("aud", json!(null)),
        ("aud", json!([[AUDIENCE]])),
    ] {
        let token = mint::token(Algorithm::Hs256, &json!({name: value}));
        let error = verifier.verify(token, mint::now()).expect_err(name);
        assert_eq!(
            (error.kind(), error.claim()),
            (JwtErrorKind::ClaimsMalformed, Some(name)),
            "{value}"
        );
    }
}

#[test]
fn a_payload_that_is_no_set_of_claims_is_malformed() {
    let whole = mint::claims().to_string();
    let inside = &whole[1..whole.len() - 1];
    let mut latin1 = whole.clone().into_bytes();
    latin1.splice(1..1, *b"\"n\":\"\xe9\",");
    let payloads: [Vec<u8>; 13] = [
        b"".into(),
        b"null".into(),
        b"7".into(),
        format!("[{whole}]").into(),
        json!(whole).to_string().into(),
        format!("{{{inside},{inside}}}").into(),
        format!(r#"{{{inside},"sub":"user-7"}}"#).into(),
        format!(r#"{{{inside},"n":1,"\u006e":1}}"#).into(),
        format!(r#"{{{inside},"n":{{"a":1,"a":1}}}}"#).into(),
        format!(r#"{{{inside},"scope":"a","scope":["b"]}}"#).into(),
        format!("{whole}{whole}").into(),
        format!("\u{feff}{whole}").into(),
        latin1,
    ];
    for payload in payloads {
        let token = mint::sign(Algorithm::Hs256, r#"{"alg":"HS256"}"#, &payload);
        let shown = String::from_utf8_lossy(&payload);
        assert_eq!(
            kind_of(&hs256(), &token, mint::now()),
            Some(JwtErrorKind::ClaimsMalformed),
            "{shown}"
        );
    }
    // Its base64url is as strict as that of the other parts, whoever has signed it.
    for (text, expected) in [
        ("", None),
        ("=", Some(())),
        ("+", Some(())),
        ("\n", Some(())),
    ] {
        let text = format!(
            "{}.{}{text}",
            mint::encode(r#"{"alg":"HS256"}"#),
            mint::encode(&whole)
        );
        let token = mint::sign_text(Algorithm::Hs256, &text);
        let expected = expected.map(|()| JwtErrorKind::Malformed);
        assert_eq!(kind_of(&hs256(), &token, mint::now()), expected, "{text}");
    }
}

#[test]
fn issuer_and_audience_match_exactly_and_must_be_there() {
    use JwtErrorKind as Kind;
    assert_table(
        &hs256(),
        vec![
            (json!({"iss": null}), Some(Kind::ClaimMissing)),
            (
                json!({"iss": format!("{ISSUER}/")}),
                Some(Kind::IssuerMismatch),
            ),
            (
                json!({"iss": ISSUER.to_uppercase()}),
                Some(Kind::IssuerMismatch),
            ),
            (json!({"iss": ""}), Some(Kind::IssuerMismatch)),
            (json!({"aud": null}), Some(Kind::ClaimMissing)),
            (json!({"aud": []}), Some(Kind::AudienceMismatch)),
            (json!({"aud": [AUDIENCE]}), None),
            (json!({"aud": ["another", AUDIENCE]}), None),
            (json!({"aud": ["another"]}), Some(Kind::AudienceMismatch)),
            (
                json!({"aud": format!("{AUDIENCE}/v1")}),
                Some(Kind::AudienceMismatch),
            ),
            (json!({"aud": AUDIENCE[..10]}), Some(Kind::AudienceMismatch)),
        ],
    );
    let several = JwtVerifier::builder(mint::key(Algorithm::Hs256))
        .issuer(["one", ISSUER])
        .audience(vec!["two".to_owned(), "three".to_owned()]);
    assert_table(
        &several,
        vec![
            (json!({"aud": "two"}), None),
            (json!({"aud": ["x", "three"], "iss": "one"}), None),
            (
                json!({"aud": "two", "iss": "two"}),
                Some(Kind::IssuerMismatch),
            ),
            (json!({"aud": "one"}), Some(Kind::AudienceMismatch)),
        ],
    );
    let nobody = JwtVerifier::builder(mint::key(Algorithm::Hs256)).issuer(Vec::<String>::new());
    assert_eq!(
        kind(&nobody.audience(AUDIENCE), &mint::claims()),
        Some(Kind::IssuerMismatch)
    );
}

#[test]
fn what_is_waived_is_waived_and_nothing_else() {
    use JwtErrorKind as Kind;
    let key = || mint::key(Algorithm::Hs256);
    let no_issuer = JwtVerifier::builder(key())
        .dangerous_without_issuer()
        .audience(AUDIENCE);
    let no_audience = JwtVerifier::builder(key())
        .issuer(ISSUER)
        .dangerous_without_audience();
    assert_table(
        &no_issuer,
        vec![
            (json!({"iss": null}), None),
            (json!({"aud": null}), Some(Kind::ClaimMissing)),
        ],
    );
    assert_table(
        &no_audience,
        vec![
            (json!({"aud": null}), None),
            (json!({"iss": null}), Some(Kind::ClaimMissing)),
        ],
    );
    assert_table(
        &hs256().dangerous_without_expiry(),
        vec![
            (json!({"exp": null}), None),
            (json!({"exp": NOW}), Some(Kind::Expired)),
            (json!({"nbf": NOW + 1}), Some(Kind::NotYetValid)),
        ],
    );
    let bound = json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}});
    assert_table(
        &hs256(),
        vec![(bound.clone(), Some(Kind::ConfirmationUnchecked))],
    );
    assert_table(
        &hs256().dangerous_without_confirmation(),
        vec![(bound, None)],
    );
}

#[test]
fn subject_age_and_required_claims_are_demanded_when_set() {
    use JwtErrorKind as Kind;
    assert_table(
        &hs256().subject("user-7"),
        vec![
            (json!({}), None),
            (json!({"sub": null}), Some(Kind::ClaimMissing)),
            (json!({"sub": "user-77"}), Some(Kind::SubjectMismatch)),
        ],
    );
    assert_table(
        &hs256().max_age(Duration::from_secs(60)),
        vec![
            (json!({"iat": NOW - 60}), None),
            (json!({"iat": NOW - 61}), Some(Kind::TooOld)),
            (json!({"iat": NOW}), None),
            (json!({"iat": NOW + 1}), Some(Kind::IssuedInFuture)),
            (json!({"iat": null}), Some(Kind::ClaimMissing)),
        ],
    );
    let lenient = hs256()
        .max_age(Duration::from_secs(60))
        .leeway(Duration::from_secs(5));
    assert_table(
        &lenient.expect("a leeway"),
        vec![
            (json!({"iat": NOW - 65}), None),
            (json!({"iat": NOW - 66}), Some(Kind::TooOld)),
            (json!({"iat": NOW + 5}), None),
            (json!({"iat": NOW + 6}), Some(Kind::IssuedInFuture)),
        ],
    );
    let required = hs256()
        .add_required_claim("jti")
        .add_required_claim("client_id");
    assert_table(
        &required,
        vec![
            (json!({"client_id": "a"}), None),
            (json!({"client_id": false, "scope": "x"}), None),
            (json!({}), Some(Kind::ClaimMissing)),
            (
                json!({"client_id": "a", "jti": null}),
                Some(Kind::ClaimMissing),
            ),
        ],
    );
    let error = required.verify(mint::token(Algorithm::Hs256, &mint::claims()), mint::now());
    assert_eq!(error.expect_err("it lacks one").claim(), Some("client_id"));
}

#[test]
fn a_type_that_is_demanded_is_compared_as_a_media_type() {
    let token = |typ: Option<&str>| {
        let mut header = json!({"alg": "HS256"});
        if let Some(typ) = typ {
            header["typ"] = typ.into();
        }
        mint::sign(
            Algorithm::Hs256,
            header.to_string(),
            mint::claims().to_string(),
        )
    };
    let any = hs256();
    for demanded in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        let verifier = any.clone().typ(demanded);
        for (typ, good) in [
            (Some("at+jwt"), true),
            (Some("AT+jwt"), true),
            (Some("application/at+jwt"), true),
            (Some("Application/AT+JWT"), true),
            (Some("JWT"), false),
            (Some("application/x/at+jwt"), false),
            (Some("text/at+jwt"), false),
            (Some("at+jwt "), false),
            (Some(""), false),
            (None, false),
        ] {
            let expected = (!good).then_some(JwtErrorKind::TypeMismatch);
            // The second time the header is known to the verifier that demands no type.
            for _ in 0..2 {
                assert_eq!(kind_of(&any, &token(typ), mint::now()), None);
                assert_eq!(
                    kind_of(&verifier, &token(typ), mint::now()),
                    expected,
                    "{typ:?}"
                );
            }
        }
    }
    // A demand made of a verifier that was already used holds for the headers it has seen.
    let strict = any.typ("at+jwt");
    assert_eq!(
        kind_of(&strict, &token(None), mint::now()),
        Some(JwtErrorKind::TypeMismatch)
    );
}

#[test]
fn a_clock_before_1970_accepts_nothing() {
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let token = mint::token(Algorithm::Hs256, &mint::claims());
    assert_eq!(
        kind_of(&hs256(), &token, before),
        Some(JwtErrorKind::NotYetValid)
    );
}

#[test]
fn errors_and_debug_hold_nothing_of_the_token() {
    let claims =
        mint::claims_with(json!({"iss": "https://evil.example\r\nname=value", "sub": "needle"}));
    let token = mint::token(Algorithm::Hs256, &claims);
    let error = hs256()
        .verify(&token, mint::now())
        .expect_err("another issuer");
    let config = format!("{:?}", hs256());
    for text in [error.to_string(), format!("{error:?}"), config] {
        assert!(
            !text.contains("needle") && !text.contains("evil") && !text.contains("sixty"),
            "{text}"
        );
    }
    assert_eq!(error.code(), "jwt_issuer_mismatch");
}

#[test]
fn what_is_demanded_later_holds_for_headers_that_were_accepted_before() {
    let token = mint::token(Algorithm::Hs256, &mint::claims());
    let used = || {
        let verifier = mint::verifier(Algorithm::Hs256);
        assert!(verifier.verify(&token, mint::now()).is_ok());
        verifier
    };
    let kind = |verifier: JwtVerifier| verifier.verify(&token, mint::now()).err().map(|e| e.kind());
    assert_eq!(kind(used().typ("at+jwt")), Some(JwtErrorKind::TypeMismatch));
    let others = used().algorithms([Algorithm::Es256]);
    assert_eq!(kind(others), Some(JwtErrorKind::AlgorithmNotAllowed));
    assert_eq!(
        kind(used().max_token_bytes(1)),
        Some(JwtErrorKind::TooLarge)
    );
}

#[test]
fn a_clock_that_was_never_set_accepts_nothing() {
    let claims = mint::claims_with(json!({"nbf": null, "iat": null}));
    let token = mint::token(Algorithm::Hs256, &claims);
    let verifier = mint::verifier(Algorithm::Hs256);
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    for verifier in [verifier.clone(), verifier.dangerous_without_expiry()] {
        let kind = kind_of(&verifier, &token, before);
        assert_eq!(kind, Some(JwtErrorKind::NotYetValid));
        assert_eq!(kind_of(&verifier, &token, SystemTime::UNIX_EPOCH), None);
    }
}

#[test]
fn an_access_token_has_the_type_and_the_claims_of_rfc_9068() {
    let verifier = JwtVerifier::builder(mint::key(Algorithm::Hs256))
        .dangerous_without_issuer()
        .dangerous_without_audience()
        .dangerous_without_expiry()
        .access_token();
    let token = |typ: &str, claims: &Value| {
        let header = json!({"alg": "HS256", "typ": typ}).to_string();
        mint::sign(Algorithm::Hs256, header, claims.to_string())
    };
    let whole = mint::claims_with(json!({"client_id": "s6BhdRkqt3"}));
    for typ in ["at+jwt", "application/at+jwt"] {
        assert_eq!(kind_of(&verifier, &token(typ, &whole), mint::now()), None);
    }
    for typ in ["JWT", "id+jwt", ""] {
        let refused = kind_of(&verifier, &token(typ, &whole), mint::now());
        assert_eq!(refused, Some(JwtErrorKind::TypeMismatch), "{typ}");
    }
    for claim in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"] {
        let mut claims = whole.clone();
        claims.as_object_mut().expect("an object").remove(claim);
        let refused = verifier.verify(token("at+jwt", &claims), mint::now());
        let refused = refused.expect_err("it lacks one");
        assert_eq!(refused.kind(), JwtErrorKind::ClaimMissing, "{claim}");
        assert_eq!(refused.claim(), Some(claim));
    }
}

#[test]
fn checks_of_the_applications_own_are_asked_about_every_token_every_time() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };
    for algorithm in [Algorithm::Hs256, Algorithm::Ed25519] {
        let asked = Arc::new(AtomicUsize::new(0));
        let closed = Arc::new(AtomicBool::new(false));
        let (count, gate) = (Arc::clone(&asked), Arc::clone(&closed));
        let verifier = mint::verifier(algorithm)
            .add_check(move |claims| {
                count.fetch_add(1, Ordering::Relaxed);
                match claims.subject() {
                    "user-7" => Ok(()),
                    _ => Err(JwtError::refused("user_unknown")),
                }
            })
            .add_check(move |_| match gate.load(Ordering::Relaxed) {
                false => Ok(()),
                true => Err(JwtError::refused("closed")),
            });
        let good = mint::token(algorithm, &mint::claims());
        for _ in 0..3 {
            assert_eq!(kind_of(&verifier, &good, mint::now()), None);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        closed.store(true, Ordering::Relaxed);
        let refused = verifier.verify(&good, mint::now()).expect_err("closed");
        assert_eq!(
            (refused.kind(), refused.code()),
            (JwtErrorKind::Refused, "closed")
        );
        let other = mint::token(algorithm, &mint::claims_with(json!({"sub": "user-8"})));
        for _ in 0..2 {
            let refused = verifier.verify(&other, mint::now()).expect_err("unknown");
            assert_eq!(refused.code(), "user_unknown");
        }
        // What is refused anyway is not asked about.
        let before = asked.load(Ordering::Relaxed);
        let late = mint::now() + Duration::from_secs(60);
        assert_eq!(kind_of(&verifier, &good, late), Some(JwtErrorKind::Expired));
        assert_eq!(asked.load(Ordering::Relaxed), before);
    }
}

#[test]
fn a_verifier_that_is_to_remember_every_token_verifies() {
    let verifier = hs256().cache_capacity(usize::MAX);
    for _ in 0..2 {
        assert_eq!(kind(&verifier, &mint::claims()), None);
    }
}
