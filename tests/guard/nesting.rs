//! Among layers that change the body's type, in axum's routers, and in plain hyper over a real socket.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::{
    compression::CompressionLayer, limit::RequestBodyLimitLayer, timeout::TimeoutLayer,
};

use crate::support::{DEPARTED, TestLayer, WISH};

type Bytes = Full<bytes::Bytes>;

fn request(what: &str, path: &str) -> Request<Body> {
    let request = Request::builder().uri(path).header(WISH, what);
    request
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(Body::empty())
        .unwrap()
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(60))
}

#[tokio::test]
async fn nests_over_and_under_layers_that_change_the_body() {
    let inner =
        || service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Bytes::from("in"))));
    let over = ServiceBuilder::new()
        .layer(TestLayer::default())
        .layer(timeout())
        .layer(RequestBodyLimitLayer::new(1024))
        .layer(CompressionLayer::new())
        .service(inner());
    let under = ServiceBuilder::new()
        .layer(CompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(1024))
        .layer(timeout())
        .layer(TestLayer::default())
        .layer(TestLayer::default())
        .service(inner());
    for (what, status) in [
        ("pass", 200),
        ("pass-later", 200),
        ("refuse", 403),
        ("refuse-later", 403),
    ] {
        let over = over.clone().oneshot(request(what, "/")).await.unwrap();
        assert_eq!(over.status(), status);
        over.into_body().collect().await.unwrap();
        let under = under.clone().oneshot(request(what, "/")).await.unwrap();
        assert_eq!(under.status(), status);
        under.into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn works_in_every_place_that_axum_has_for_a_layer() {
    let nested = Router::new()
        .route("/deep", get(async || "deep"))
        .layer(TestLayer::default());
    let app = Router::new()
        .route("/routed", get(async || "routed"))
        .route_layer(TestLayer::default())
        .route("/free", get(async || "free"))
        .nest("/nested", nested)
        .layer(
            ServiceBuilder::new()
                .layer(timeout())
                .layer(RequestBodyLimitLayer::new(1024)),
        );
    for (path, what, status) in [
        ("/routed", "pass", 200),
        ("/routed", "refuse", 403),
        ("/routed", "refuse-later", 403),
        ("/nowhere", "refuse", 404),
        ("/free", "refuse", 200),
        ("/nested/deep", "pass-later", 200),
        ("/nested/deep", "refuse", 403),
    ] {
        let response = app.clone().oneshot(request(what, path)).await.unwrap();
        assert_eq!(response.status(), status, "{what} {path}");
        let behind = response.headers().contains_key(DEPARTED);
        assert_eq!(behind, status == 200 && path != "/free", "{what} {path}");
    }
    let whole = app.layer(TestLayer::default());
    assert_eq!(
        whole
            .oneshot(request("refuse", "/nowhere"))
            .await
            .unwrap()
            .status(),
        403
    );
}

#[tokio::test]
async fn works_in_plain_hyper_over_a_socket() {
    let inner = service_fn(async |_: Request<hyper::body::Incoming>| {
        Ok::<_, Infallible>(Response::new(Bytes::from("in")))
    });
    let stack = ServiceBuilder::new()
        .layer(TestLayer::default())
        .service(inner);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(stack);
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await
    });

    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    for (what, status, start) in [
        ("pass", 200, "in"),
        ("refuse-later", 403, "{"),
        ("pass-later", 200, "in"),
    ] {
        let request = Request::builder()
            .uri("/")
            .header(WISH, what)
            .header(header::HOST, "localhost");
        let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(start.as_bytes()), "{what}: {body:?}");
    }
    drop(client);
    server.await.unwrap().unwrap();
}
