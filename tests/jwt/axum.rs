//! The layer and the extractors under axum, over a real socket.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, routing::get};
use http::{StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::{
    audit::AuditEvent,
    clock::ManualClock,
    guard::RefusalsLayer,
    head::RequestHead,
    jwt::{Algorithm, Claims, JwtAuthLayer, JwtVerifier, TokenSource},
    principal::Principal,
    problem::Rejection,
};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

use crate::{
    mint,
    typed::{Staff, staff_token},
};

fn routes() -> Router {
    Router::new()
        .route(
            "/me",
            get(|claims: Claims| async move { claims.subject().to_owned() }),
        )
        .route(
            "/who",
            get(|who: Principal| async move { who.subject().to_owned() }),
        )
        .route(
            "/maybe",
            get(|claims: Option<Claims>| async move {
                claims.map_or("nobody".to_owned(), |claims| claims.subject().to_owned())
            }),
        )
        .route(
            "/staff",
            get(|claims: Claims<Staff>| async move { claims.tenant.clone() }),
        )
        .route(
            "/maybe-staff",
            get(|claims: Option<Claims<Staff>>| async move {
                claims.map_or("nobody".to_owned(), |claims| claims.tenant.clone())
            }),
        )
        .route(
            "/perhaps",
            get(|who: Option<Principal>| async move {
                who.map_or("nobody".to_owned(), |who| who.subject().to_owned())
            }),
        )
}

fn layer() -> JwtAuthLayer {
    JwtAuthLayer::new(mint::verifier(Algorithm::Es256)).with_clock(ManualClock::new(mint::now()))
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Status, challenge and body.
async fn ask(address: SocketAddr, path: &str, token: Option<&str>) -> (StatusCode, String, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let mut request = http::Request::builder().uri(format!("http://{address}{path}"));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Empty::new()).expect("a request");
    let response = client.request(request).await.expect("an answer");
    let status = response.status();
    let challenge = response
        .headers()
        .get(header::WWW_AUTHENTICATE)
        .map(|value| value.to_str().expect("text").to_owned());
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let body = String::from_utf8(body.to_vec()).expect("text");
    (status, challenge.unwrap_or_default(), body)
}

#[tokio::test]
async fn handlers_get_claims_and_principal() {
    let address = serve(routes().layer(ServiceBuilder::new().layer(layer()))).await;
    let token = mint::token(Algorithm::Es256, &mint::claims());
    for path in ["/me", "/who", "/maybe", "/perhaps"] {
        let (status, _, body) = ask(address, path, Some(&token)).await;
        assert_eq!((status, &*body), (StatusCode::OK, "user-7"), "{path}");
        let (status, challenge, _) = ask(address, path, None).await;
        assert_eq!(
            (status, &*challenge),
            (StatusCode::UNAUTHORIZED, "Bearer"),
            "{path}"
        );
        let (status, challenge, body) =
            ask(address, path, Some(&token.replace(".ey", ".eY"))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(
            challenge.contains("error=\"invalid_token\"") && body.contains("\"jwt_"),
            "{challenge} {body}"
        );
    }
}

#[tokio::test]
async fn under_an_optional_layer_each_handler_decides_for_itself() {
    let layer = layer().realm("orders").expect("a realm").optional();
    let address = serve(routes().layer(layer)).await;
    for path in ["/maybe", "/perhaps"] {
        let (status, _, body) = ask(address, path, None).await;
        assert_eq!((status, &*body), (StatusCode::OK, "nobody"), "{path}");
    }
    for path in ["/me", "/who"] {
        let (status, challenge, body) = ask(address, path, None).await;
        assert_eq!(
            (status, &*challenge),
            (StatusCode::UNAUTHORIZED, "Bearer realm=\"orders\"")
        );
        assert!(body.contains("\"jwt_missing\""), "{body}");
    }
}

/// HS256, as the tokens of staff are.
fn staff_layer(verifier: JwtVerifier) -> JwtAuthLayer {
    JwtAuthLayer::new(verifier).with_clock(ManualClock::new(mint::now()))
}

#[tokio::test]
async fn handlers_get_claims_of_their_own_type_whether_the_verifier_was_told_or_not() {
    let verifier = mint::verifier(Algorithm::Hs256);
    let other = mint::token(Algorithm::Hs256, &mint::claims());
    for verifier in [verifier.clone(), verifier.typed::<Staff>()] {
        let layer = staff_layer(verifier).optional();
        let address = serve(routes().layer(layer)).await;
        for path in ["/staff", "/maybe-staff"] {
            let (status, _, body) = ask(address, path, Some(&staff_token())).await;
            assert_eq!((status, &*body), (StatusCode::OK, "acme"), "{path}");
            let (status, challenge, body) = ask(address, path, Some(&other)).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
            assert!(body.contains("\"jwt_claims_mismatch\""), "{body}");
        }
        let (status, _, body) = ask(address, "/staff", None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(body.contains("\"jwt_missing\""), "{body}");
        let (status, _, body) = ask(address, "/maybe-staff", None).await;
        assert_eq!((status, &*body), (StatusCode::OK, "nobody"));
    }
}

#[tokio::test]
async fn claims_of_an_outer_layer_are_not_taken_for_those_of_the_inner_one() {
    let outer = staff_layer(mint::verifier(Algorithm::Hs256).typed::<Staff>());
    let cookie = TokenSource::cookie("token").expect("a name");
    let inner = staff_layer(mint::verifier(Algorithm::Hs256)).token_source(cookie);
    let address = serve(routes().layer(inner).layer(outer)).await;
    let own = mint::claims_with(serde_json::json!({"tenant": "other", "jti": "token-2"}));
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let request = http::Request::builder()
        .uri(format!("http://{address}/staff"))
        .header(header::AUTHORIZATION, format!("Bearer {}", staff_token()))
        .header(
            header::COOKIE,
            format!("token={}", mint::token(Algorithm::Hs256, &own)),
        )
        .body(Empty::new())
        .expect("a request");
    let response = client.request(request).await.expect("an answer");
    let body = response.into_body().collect().await.expect("a body");
    assert_eq!(&*body.to_bytes(), b"other");
}

#[tokio::test]
async fn a_refusal_of_claims_in_a_handler_is_rendered_and_told_as_the_layer_outside_says() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let all = RefusalsLayer::new()
        .with_responder(|rejection: &Rejection, _: RequestHead<'_>| {
            http::Response::new(bytes::Bytes::from(format!("<{}>", rejection.code())))
        })
        .with_audit(move |event: &AuditEvent<'_>| {
            sink.lock().expect("whole").push(event.code);
        });
    let verifier = mint::verifier(Algorithm::Hs256);
    let address = serve(routes().layer(staff_layer(verifier)).layer(all)).await;
    let other = mint::token(Algorithm::Hs256, &mint::claims());
    let (_, _, body) = ask(address, "/staff", Some(&other)).await;
    assert_eq!(body, "<jwt_claims_mismatch>");
    assert_eq!(*told.lock().expect("whole"), ["jwt_claims_mismatch"]);
}

#[tokio::test]
async fn a_token_that_names_nobody_is_no_fault_of_the_server() {
    let address = serve(routes().layer(layer())).await;
    let claims = mint::claims_with(serde_json::json!({"sub": null}));
    let token = mint::token(Algorithm::Es256, &claims);
    let (status, _, body) = ask(address, "/perhaps", Some(&token)).await;
    assert_eq!((status, &*body), (StatusCode::OK, "nobody"));
    let (status, _, body) = ask(address, "/maybe", Some(&token)).await;
    assert_eq!((status, &*body), (StatusCode::OK, ""));

    let (status, challenge, body) = ask(address, "/who", Some(&token)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert!(body.contains("\"jwt_claim_missing\""), "{body}");
}

#[tokio::test]
async fn without_the_layer_every_extractor_fails_closed() {
    let address = serve(routes()).await;
    let token = mint::token(Algorithm::Es256, &mint::claims());
    for (path, code) in [
        ("/me", "jwt_layer_missing"),
        ("/maybe", "jwt_layer_missing"),
        ("/staff", "jwt_layer_missing"),
        ("/maybe-staff", "jwt_layer_missing"),
        ("/who", "principal_layer_missing"),
        ("/perhaps", "principal_layer_missing"),
    ] {
        let (status, _, body) = ask(address, path, Some(&token)).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains(&format!("\"code\":\"{code}\"")), "{body}");
    }
}
