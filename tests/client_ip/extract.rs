//! The extractor for axum.

use axum::{Extension, Router, body::Body, routing::get};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use portcullis::{
    client_ip::{ClientAddr, ClientIp},
    problem::Rejection,
};
use tower::ServiceExt;

use crate::support::{PROXY, STRANGER, XFF, request, walk};

async fn ask(app: Router, request: Request<()>) -> (StatusCode, Option<&'static str>, String) {
    let response = app
        .oneshot(request.map(|()| Body::empty()))
        .await
        .expect("an answer");
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
    (
        status,
        code,
        String::from_utf8(body.to_vec()).expect("text"),
    )
}

fn app() -> Router {
    let handler = async |ClientAddr(ip): ClientAddr| ip.to_string();
    Router::new().route("/", get(handler))
}

#[tokio::test]
async fn the_address_is_found_by_the_strategy_in_the_extensions() {
    let app = app().layer(Extension(walk()));
    let (status, _, body) = ask(app.clone(), request(PROXY, XFF, &["203.0.113.9"])).await;
    assert_eq!((status, &*body), (StatusCode::OK, "203.0.113.9"));
    let (_, _, body) = ask(app, request(STRANGER, XFF, &["203.0.113.9"])).await;
    assert_eq!(body, STRANGER);
}

#[tokio::test]
async fn an_address_that_cannot_be_found_is_refused() {
    let app = app().layer(Extension(walk()));
    let (status, code, body) = ask(app, request(PROXY, XFF, &["nobody"])).await;
    assert_eq!(
        (status, code),
        (StatusCode::BAD_REQUEST, Some("client_ip_malformed"))
    );
    assert!(body.contains("\"code\":\"client_ip_malformed\""), "{body}");
    let (status, code, _) = ask(
        self::app().layer(Extension(ClientIp::peer())),
        Request::new(()),
    )
    .await;
    assert_eq!(
        (status, code),
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            Some("client_ip_peer_unknown")
        )
    );
}

#[tokio::test]
async fn without_a_strategy_nobody_is_believed() {
    let (status, code, _) = ask(app(), request(PROXY, XFF, &["203.0.113.9"])).await;
    assert_eq!(
        (status, code),
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            Some("client_ip_not_configured")
        )
    );
}
