//! Over real sockets: axum as it is started in the README, and plain hyper.

use std::{convert::Infallible, net::SocketAddr};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use portcullis::{
    client_ip::PeerAddr,
    rate_limit::{Quota, RateLimitLayer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, ServiceExt};

/// The whole answer to one request on a connection of its own.
async fn get(server: SocketAddr) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Two are let in, the third is not.
async fn expect_a_limit_of_two(server: SocketAddr) {
    for left in [1, 0] {
        let answer = get(server).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("\r\nratelimit-policy: \"default\";q=2;w=3600\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains(&format!("\r\nratelimit: \"default\";r={left};t=")),
            "{answer}"
        );
        assert!(answer.ends_with("hello"), "{answer}");
    }
    let answer = get(server).await;
    assert!(
        answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"),
        "{answer}"
    );
    for part in [
        "\r\ncontent-type: application/problem+json\r\n",
        "\r\nratelimit: \"default\";r=0;t=",
        "\r\nretry-after: 3",
        "\"code\":\"rate_limited\"",
        "\"violated-policies\":[\"default\"]",
    ] {
        assert!(answer.contains(part), "no {part:?} in {answer}");
    }
    assert!(!answer.contains("hello"));
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn on_axum() {
    use axum::{Router, routing::get};

    let app = Router::new()
        .route("/", get(async || "hello"))
        .layer(RateLimitLayer::new(Quota::per_hour(2)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving = tokio::spawn(async move { axum::serve(listener, service).await });
    expect_a_limit_of_two(server).await;
    serving.abort();
}

#[tokio::test]
async fn on_plain_hyper() {
    let layer = RateLimitLayer::new(Quota::per_hour(2));
    let inner = tower::service_fn(async |_: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new("hello".to_owned()))
    });
    let limited = layer.layer(inner);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let limited = limited
                .clone()
                .map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(PeerAddr(peer));
                    request
                });
            let service = TowerToHyperService::new(limited);
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    expect_a_limit_of_two(server).await;
    serving.abort();
}

#[tokio::test]
async fn a_server_that_does_not_tell_its_peers_serves_nobody() {
    let inner = tower::service_fn(async |_: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new("hello".to_owned()))
    });
    let limited = RateLimitLayer::new(Quota::per_hour(2)).layer(inner);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request| limited.clone().oneshot(request));
        http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await
    });
    let answer = get(server).await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(
        answer.contains("client_ip_peer_unknown") && !answer.contains("hello"),
        "{answer}"
    );
    serving.abort();
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_routes_count_by_the_route_however_the_path_is_spelt() {
    use axum::{Router, body::Body, routing::get};
    use portcullis::rate_limit::RateLimitKey;

    let layer = RateLimitLayer::new(Quota::per_hour(2)).key(RateLimitKey::route());
    let app: Router = Router::new()
        .route("/users/{id}", get(async || "user"))
        .route("/teams/{id}", get(async || "team"))
        .layer(layer);
    let status = async |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        app.clone()
            .oneshot(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status("/users/1").await, 200);
    assert_eq!(status("/users/%31?x=1").await, 200);
    assert_eq!(status("/users/2").await, 429);
    assert_eq!(status("/teams/2").await, 200);
    assert_eq!(status("/nowhere").await, 403);
}
