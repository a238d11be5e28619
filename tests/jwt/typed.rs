//! Claims as a type of the application's own, from the verifier to the handler.

use std::{cell::Cell, convert::Infallible};

use http::{Request, Response, StatusCode, header};
use portcullis::{
    clock::ManualClock,
    jwt::{
        Algorithm, Claims, JwtAuthLayer, JwtError, JwtErrorKind, JwtVerifier, JwtVerifiers,
        TokenSource,
    },
    principal::Principal,
    problem::Rejection,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::mint::{self, AUDIENCE, ISSUER, NOW};

/// Claims of every sort: one that has an accessor, too, and one that may be missing.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Staff {
    pub(crate) sub: String,
    pub(crate) exp: u64,
    pub(crate) tenant: String,
    #[serde(default)]
    pub(crate) beta: bool,
}

#[derive(Debug, Deserialize)]
struct Partner {
    contract: u32,
}

fn verifier() -> JwtVerifier {
    mint::verifier(Algorithm::Hs256)
}

pub(crate) fn staff_token() -> String {
    mint::token(
        Algorithm::Hs256,
        &mint::claims_with(json!({"tenant": "acme"})),
    )
}

fn untyped_token() -> String {
    mint::token(Algorithm::Hs256, &mint::claims())
}

#[test]
fn a_verifier_makes_them_and_refuses_claims_that_make_none() {
    let verifier = verifier().typed::<Staff>();
    for _ in 0..2 {
        let claims = verifier.verify(staff_token(), mint::now()).expect("staff");
        let staff = claims.typed::<Staff>().expect("it was made");
        assert_eq!((staff.subject(), &*staff.sub), ("user-7", "user-7"));
        assert_eq!(
            (&*staff.tenant, staff.beta, staff.exp),
            ("acme", false, NOW + 60)
        );
        // What all claims have, these have as well.
        assert_eq!(staff.claim("tenant"), Some(&json!("acme")));
        assert_eq!(staff.principal(), claims.principal());
        assert_eq!(staff.untyped().audience().collect::<Vec<_>>(), [AUDIENCE]);
    }
    for changes in [
        json!({}),
        json!({"tenant": 7}),
        json!({"tenant": "a", "beta": "x"}),
    ] {
        let token = mint::token(Algorithm::Hs256, &mint::claims_with(changes));
        let error = verifier.verify(token, mint::now()).unwrap_err();
        assert_eq!(error.kind(), JwtErrorKind::ClaimsMismatch);
        assert_eq!(error.code(), "jwt_claims_mismatch");
    }
    // Claims that are wrong for everybody are still told as what they are.
    let expired = mint::token(Algorithm::Hs256, &mint::claims_with(json!({"exp": NOW})));
    let error = verifier.verify(expired, mint::now()).unwrap_err();
    assert_eq!(error.kind(), JwtErrorKind::Expired);
}

#[test]
fn they_are_made_of_payloads_of_every_shape() {
    let verifier = verifier().typed::<Staff>();
    let claims =
        mint::claims_with(json!({"tenant": "a \"b\"\n\u{e9}", "beta": true, "deep": {"x": [1.5]}}));
    for payload in [claims.to_string(), format!("{claims:#}")] {
        let token = mint::sign(Algorithm::Hs256, r#"{"alg":"HS256"}"#, payload);
        let claims = verifier.verify(token, mint::now()).expect("staff");
        let staff = claims.typed::<Staff>().expect("it was made");
        assert_eq!((&*staff.tenant, staff.beta), ("a \"b\"\n\u{e9}", true));
    }
}

#[test]
fn of_claims_from_a_verifier_that_was_not_told_they_are_made_when_asked_for() {
    let claims = verifier()
        .verify(staff_token(), mint::now())
        .expect("verifies");
    assert_eq!(claims.typed::<Staff>().expect("staff").tenant, "acme");
    let error = claims.typed::<Partner>().expect_err("no partner");
    assert_eq!(error.kind(), JwtErrorKind::ClaimsMismatch);
    let whole = claims.typed::<Map<String, Value>>().expect("an object");
    assert_eq!(
        Value::Object((*whole).clone()),
        mint::claims_with(json!({"tenant": "acme"}))
    );
    // One type and then another, and none again.
    let staff = verifier()
        .typed::<Staff>()
        .verify(staff_token(), mint::now())
        .expect("staff");
    assert!(staff.typed::<Partner>().is_err());
    assert_eq!(staff.typed::<Value>().expect("a value")["tenant"], "acme");
    assert_eq!(staff.typed::<()>().expect("nothing").subject(), "user-7");
    let reset = verifier().typed::<Partner>().typed::<()>();
    assert!(reset.verify(staff_token(), mint::now()).is_ok());
}

thread_local! {
    static MADE: Cell<u32> = const { Cell::new(0) };
}

/// Counts how often it is made.
struct Counted;

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        MADE.set(MADE.get() + 1);
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[test]
fn a_token_that_is_remembered_has_its_value_already() {
    let verifier = verifier()
        .typed::<Counted>()
        .add_check(|claims: &Claims| claims.typed::<Counted>().map(|_| ()));
    let token = staff_token();
    for _ in 0..5 {
        let claims = verifier.verify(&token, mint::now()).expect("verifies");
        assert!(claims.typed::<Counted>().is_ok());
    }
    assert_eq!(MADE.get(), 1);
    let forgetful = verifier.without_cache();
    for _ in 0..2 {
        forgetful.verify(&token, mint::now()).expect("verifies");
    }
    assert_eq!(MADE.get(), 3);
}

#[test]
fn checks_of_ones_own_see_them() {
    let verifier = verifier().typed::<Staff>().add_check(|claims: &Claims| {
        match &*claims.typed::<Staff>()?.tenant {
            "closed" => Err(JwtError::refused("tenant_closed")),
            _ => Ok(()),
        }
    });
    assert!(verifier.verify(staff_token(), mint::now()).is_ok());
    let closed = mint::claims_with(json!({"tenant": "closed"}));
    let error = verifier
        .verify(mint::token(Algorithm::Hs256, &closed), mint::now())
        .unwrap_err();
    assert_eq!(error.code(), "tenant_closed");
}

/// What a plain service finds in the extensions, and the answer's status and code.
fn ask(layer: &JwtAuthLayer, token: &str) -> (StatusCode, Option<&'static str>, String) {
    let inner = service_fn(async |request: Request<()>| {
        let extensions = request.extensions();
        let staff = extensions
            .get::<Claims<Staff>>()
            .map(|claims| claims.tenant.clone());
        let partner = extensions
            .get::<Claims<Partner>>()
            .map(|claims| claims.contract);
        let subject = extensions
            .get::<Claims>()
            .map(|claims| claims.subject().to_owned());
        let known = extensions.get::<Principal>().is_some();
        Ok::<_, Infallible>(Response::new(format!(
            "{staff:?} {partner:?} {subject:?} {known}"
        )))
    });
    let request = Request::builder()
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .expect("a request");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        use http_body_util::BodyExt;
        let response = match layer.layer(inner).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let code = response
            .extensions()
            .get::<Rejection>()
            .map(Rejection::code);
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        (status, code, String::from_utf8_lossy(&body).into_owned())
    })
}

#[test]
fn the_layer_puts_them_beside_the_claims() {
    let layer =
        JwtAuthLayer::new(verifier().typed::<Staff>()).with_clock(ManualClock::new(mint::now()));
    for _ in 0..2 {
        let (status, _, body) = ask(&layer, &staff_token());
        assert_eq!(
            (status, &*body),
            (StatusCode::OK, r#"Some("acme") None Some("user-7") true"#)
        );
    }
    let (status, code, _) = ask(&layer, &untyped_token());
    assert_eq!(
        (status, code),
        (StatusCode::UNAUTHORIZED, Some("jwt_claims_mismatch"))
    );
    let untold = JwtAuthLayer::new(verifier()).with_clock(ManualClock::new(mint::now()));
    let (_, _, body) = ask(&untold, &staff_token());
    assert_eq!(body, r#"None None Some("user-7") true"#);
}

#[test]
fn a_token_leaves_nothing_that_an_outer_layer_made_of_another() {
    let clock = || ManualClock::new(mint::now());
    let other = mint::claims_with(json!({"sub": "user-8", "tenant": "globex", "contract": 1}));
    let other = mint::token(Algorithm::Es256, &other);
    let es256 = || mint::verifier(Algorithm::Es256);
    for (inner, expected) in [
        (es256(), r#"None None Some("user-8")"#),
        (es256().typed::<Partner>(), r#"None Some(1) Some("user-8")"#),
        (
            es256().typed::<Staff>(),
            r#"Some("globex") None Some("user-8")"#,
        ),
    ] {
        let cookie = TokenSource::cookie("token").expect("a name");
        let inner = JwtAuthLayer::new(inner).token_source(cookie);
        let outer = JwtAuthLayer::new(verifier().typed::<Staff>());
        let layers = ServiceBuilder::new()
            .layer(outer.with_clock(clock()))
            .layer(inner.with_clock(clock()));
        let service = layers.service(service_fn(async |request: Request<()>| {
            let extensions = request.extensions();
            let staff = extensions
                .get::<Claims<Staff>>()
                .map(|it| it.tenant.clone());
            let partner = extensions.get::<Claims<Partner>>().map(|it| it.contract);
            let subject = extensions.get::<Claims>().map(|it| it.subject().to_owned());
            let seen = format!("{staff:?} {partner:?} {subject:?}");
            Ok::<_, Infallible>(
                Response::builder()
                    .header("seen", seen)
                    .body(())
                    .expect("one"),
            )
        }));
        let request = Request::builder()
            .header(header::AUTHORIZATION, format!("Bearer {}", staff_token()))
            .header(header::COOKIE, format!("token={other}"))
            .body(())
            .expect("a request");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let response = match runtime.block_on(service.oneshot(request)) {
            Ok(response) => response,
            Err(never) => match never {},
        };
        assert_eq!(response.headers()["seen"], expected);
    }
}

#[test]
fn each_of_several_issuers_has_a_type_of_its_own() {
    let partners = JwtVerifier::builder(mint::key(Algorithm::Es256))
        .issuer("https://partners.example.com")
        .audience(AUDIENCE);
    let verifiers = [verifier().typed::<Staff>(), partners.typed::<Partner>()];
    let verifiers = JwtVerifiers::by_issuer(verifiers).expect("two issuers");
    let layer = JwtAuthLayer::new(verifiers).with_clock(ManualClock::new(mint::now()));
    let (_, _, body) = ask(&layer, &staff_token());
    assert_eq!(body, r#"Some("acme") None Some("user-7") true"#);
    let partner = |claims| {
        let claims = mint::claims_with(claims);
        ask(&layer, &mint::token(Algorithm::Es256, &claims))
    };
    let (_, _, body) = partner(json!({"iss": "https://partners.example.com", "contract": 12}));
    assert_eq!(body, r#"None Some(12) Some("user-7") true"#);
    let (_, code, _) = partner(json!({"iss": "https://partners.example.com", "tenant": "acme"}));
    assert_eq!(code, Some("jwt_claims_mismatch"));
    assert_ne!(ISSUER, "https://partners.example.com");
}
