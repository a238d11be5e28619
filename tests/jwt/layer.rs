//! The layer over plain tower services.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, header};
use portcullis::{
    audit::AuditEvent,
    body::ResponseBody,
    clock::ManualClock,
    head::RequestHead,
    jwt::{Algorithm, Claims, JwtAuthLayer, JwtError},
    principal::Principal,
    problem::Rejection,
};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

use crate::mint;

/// The layer's answer to a request; the inner service writes down whom it saw.
pub(crate) fn answer(layer: JwtAuthLayer, request: Request<()>) -> Response<ResponseBody<String>> {
    let inner = service_fn(async |request: Request<()>| {
        let subject = request
            .extensions()
            .get::<Claims>()
            .map(|claims| claims.subject().to_owned());
        let principal = request
            .extensions()
            .get::<Principal>()
            .map(|one| one.subject().to_owned());
        Ok::<_, Infallible>(Response::new(format!("{subject:?} {principal:?}")))
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    match runtime.block_on(layer.layer(inner).oneshot(request)) {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn text(response: Response<ResponseBody<String>>) -> String {
    use http_body_util::BodyExt;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let body = runtime
        .block_on(response.into_body().collect())
        .expect("a body")
        .to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

fn layer() -> JwtAuthLayer {
    JwtAuthLayer::new(mint::verifier(Algorithm::Hs256)).with_clock(ManualClock::new(mint::now()))
}

fn request(authorization: &[&str]) -> Request<()> {
    let mut request = Request::new(());
    for value in authorization {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
        request.headers_mut().append(header::AUTHORIZATION, value);
    }
    request
}

fn good() -> String {
    mint::token(Algorithm::Hs256, &mint::claims())
}

#[test]
fn a_good_token_reaches_the_service_with_its_claims() {
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let response = answer(layer(), request(&[&format!("{scheme} {}", good())]));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response), r#"Some("user-7") Some("user-7")"#);
    }
    let spaces = answer(layer(), request(&[&format!("Bearer   {}", good())]));
    assert_eq!(spaces.status(), StatusCode::OK);
}

#[test]
fn no_credentials_are_challenged_without_an_error() {
    for other in [
        &[][..],
        &["Basic dXNlcjpwYXNz"],
        &["Digest a=\"b\", c=d"],
        &["Negotiate"],
    ] {
        let response = answer(layer(), request(other));
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        let rejection = response
            .extensions()
            .get::<Rejection>()
            .map(Rejection::code);
        assert_eq!(rejection, Some("jwt_missing"));
    }
}

#[test]
fn malformed_credentials_are_401() {
    let good = good();
    for values in [
        vec!["".to_owned()],
        vec![" ".to_owned()],
        vec!["Bearer".to_owned()],
        vec!["Bearer ".to_owned()],
        vec![format!("Bearer\t{good}")],
        vec![format!("Bearer: {good}")],
        vec![format!("Bearer {good} ")],
        vec![format!("Bearer {good} x")],
        vec![format!("Bearer {good}, Bearer {good}")],
        vec![format!("Bearer {good},Basic eA==")],
        vec![format!("Bearer \"{good}\"")],
        vec![format!("Bearer ={good}")],
        vec!["Bearer =".to_owned()],
        vec!["Bearer \u{e9}".to_owned()],
        vec!["Basic\teA==".to_owned()],
        vec!["Basic,eA==".to_owned()],
        vec![format!("Bearer {good}"), format!("Bearer {good}")],
        vec![format!("Bearer {good}"), "Basic eA==".to_owned()],
        vec!["Basic eA==".to_owned(), format!("Bearer {good}")],
    ] {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        for layer in [layer(), layer().optional()] {
            let response = answer(layer, request(&values));
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{values:?}");
            let challenge = response.headers()[header::WWW_AUTHENTICATE]
                .to_str()
                .expect("text");
            let known =
                challenge.starts_with("Bearer error=\"invalid_token\", error_description=\"");
            assert!(known, "{values:?}: {challenge}");
        }
    }
}

#[test]
fn a_refusal_says_why_in_every_place() {
    let expired = mint::token(
        Algorithm::Hs256,
        &mint::claims_with(json!({"exp": mint::NOW})),
    );
    let layer = layer().realm("orders").expect("a realm");
    let response = answer(layer, request(&[&format!("Bearer {expired}")]));
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        response.headers()[header::WWW_AUTHENTICATE],
        r#"Bearer realm="orders", error="invalid_token", error_description="The token has expired.""#
    );
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(
        response
            .extensions()
            .get::<Rejection>()
            .map(Rejection::code),
        Some("jwt_expired")
    );
    let body: serde_json::Value = serde_json::from_str(&text(response)).expect("JSON");
    assert_eq!(
        (&body["code"], &body["status"]),
        (&json!("jwt_expired"), &json!(401))
    );
    for bad in ["a\"b", "a\\b", "a\nb", "a\tb", "\u{7f}"] {
        assert!(self::layer().realm(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn an_optional_layer_lets_nobody_in_as_nobody_and_refuses_bad_tokens() {
    for absent in [&[][..], &["Basic dXNlcjpwYXNz"]] {
        let response = answer(layer().optional(), request(absent));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response), "None None");
    }
    let response = answer(
        layer().optional(),
        request(&[&format!("Bearer {}", good())]),
    );
    assert_eq!(text(response), r#"Some("user-7") Some("user-7")"#);
    let response = answer(layer().optional(), request(&["Bearer a.b.c"]));
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn a_token_that_speaks_for_nobody_takes_an_outer_principal_away() {
    let token = mint::token(Algorithm::Hs256, &mint::claims_with(json!({"sub": null})));
    let mut request = request(&[&format!("Bearer {token}")]);
    request
        .extensions_mut()
        .insert(Principal::new("somebody else"));
    assert_eq!(text(answer(layer(), request)), r#"Some("") None"#);
}

#[test]
fn the_clock_is_the_layers() {
    let clock = Arc::new(ManualClock::new(mint::now()));
    let layer = JwtAuthLayer::new(mint::verifier(Algorithm::Hs256)).with_clock(Arc::clone(&clock));
    let ask = || answer(layer.clone(), request(&[&format!("Bearer {}", good())])).status();
    assert_eq!(ask(), StatusCode::OK);
    clock.advance(Duration::from_secs(59));
    assert_eq!(ask(), StatusCode::OK);
    clock.advance(Duration::from_secs(1));
    assert_eq!(ask(), StatusCode::UNAUTHORIZED);
}

#[test]
fn refusals_are_told_and_rendered_as_the_application_wants() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let layer = layer()
        .with_audit(move |event: &AuditEvent<'_>| {
            sink.lock().expect("a lock").push(event.to_string())
        })
        .with_responder(|rejection: &Rejection, _: RequestHead<'_>| {
            let mut response = Response::new(rejection.code().into());
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
            response
        });
    let response = answer(layer, request(&["Bearer needle.needle.needle"]));
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
    assert_eq!(text(response), "jwt_malformed");
    let told = told.lock().expect("a lock");
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("event=authn_token_fail layer=jwt code=jwt_malformed status=401"));
    assert!(!told[0].contains("needle"));
}

#[test]
fn the_code_of_a_check_of_the_applications_own_is_what_the_client_is_told() {
    let verifier = mint::verifier(Algorithm::Hs256)
        .add_check(|_: &Claims| Err(JwtError::refused("account_closed")));
    let layer = JwtAuthLayer::new(verifier).with_clock(ManualClock::new(mint::now()));
    let token = mint::token(Algorithm::Hs256, &mint::claims());
    let request = Request::builder()
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .expect("a request");
    let response = answer(layer, request);
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
    let rejection = response.extensions().get::<Rejection>();
    assert_eq!(rejection.map(Rejection::code), Some("account_closed"));
    assert!(text(response).contains("account_closed"));
}
