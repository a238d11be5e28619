//! Within axum: the extractor, and the body left to others.

use ::axum::{Json, Router, body::Bytes, response::IntoResponse, routing::post};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use portcullis::webhook::{VerifiedWebhook, WebhookError};
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    schemes::BODY,
    support::{fields, stripe},
};

async fn ask(app: Router, body: &'static [u8]) -> (StatusCode, String) {
    let mut request = Request::post("/")
        .body(::axum::body::Body::from(body))
        .unwrap();
    request.headers_mut().extend(fields(body));
    request
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_extractor_leaves_the_body_to_others() {
    async fn handle(webhook: VerifiedWebhook, body: Bytes) -> String {
        assert_eq!(webhook.bytes(), &body);
        format!("{} {}", webhook.provider(), body.len())
    }
    let app = Router::new().route("/", post(handle)).layer(stripe());
    assert_eq!(
        ask(app, BODY).await,
        (StatusCode::OK, format!("stripe {}", BODY.len()))
    );
}

#[tokio::test]
async fn axums_json_reads_what_was_verified() {
    async fn handle(_: VerifiedWebhook, Json(event): Json<Value>) -> String {
        event["id"].as_str().unwrap().to_owned()
    }
    let app = Router::new().route("/", post(handle)).layer(stripe());
    assert_eq!(
        ask(app, BODY).await,
        (StatusCode::OK, "evt_test".to_owned())
    );
}

#[tokio::test]
async fn what_is_not_the_json_expected_is_422_and_can_come_again() {
    async fn handle(webhook: VerifiedWebhook) -> Result<(), WebhookError> {
        webhook.json::<Vec<u8>>().map(drop)
    }
    let app = Router::new().route("/", post(handle)).layer(stripe());
    for _ in 0..2 {
        let (status, body) = ask(app.clone(), BODY).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(body.contains("\"code\":\"webhook_not_json\""), "{body}");
    }
}

#[tokio::test]
async fn without_the_layer_the_extractor_answers_500() {
    let app = Router::new().route("/", post(async |_: VerifiedWebhook| ().into_response()));
    let (status, body) = ask(app, BODY).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.contains("webhook_layer_missing"), "{body}");
}
