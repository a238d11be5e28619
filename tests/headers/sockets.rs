//! Over a real connection, with plain hyper.

use std::convert::Infallible;

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use portcullis::headers::{HttpsRedirectLayer, SecurityHeadersLayer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{ServiceBuilder, service_fn};

/// What a server with both layers writes for `request`.
async fn exchange(request: &str) -> String {
    let service = ServiceBuilder::new()
        .layer(SecurityHeadersLayer::strict())
        .layer(
            HttpsRedirectLayer::new()
                .add_exempt_path("/healthz")
                .unwrap(),
        )
        .service(service_fn(async |_: Request<Incoming>| {
            let response = Response::builder().header("server", "secret/1.0");
            let response = response
                .header("set-cookie", "a=1")
                .header("set-cookie", "b=2");
            Ok::<_, Infallible>(response.body(String::from("well")).unwrap())
        }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(service);
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    });
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    server.await.unwrap();
    answer
}

fn lines<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

#[tokio::test]
async fn an_answer_carries_each_field_once() {
    let request = "GET /healthz HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    let answer = exchange(request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nwell"), "{answer}");
    assert_eq!(lines(&answer, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(lines(&answer, "server"), [""; 0]);
    assert_eq!(lines(&answer, "x-frame-options"), ["DENY"]);
    let policies = lines(&answer, "content-security-policy");
    assert_eq!(policies.len(), 1);
    assert!(policies[0].contains("'nonce-"), "{policies:?}");
}

#[tokio::test]
async fn redirects_and_refusals_carry_them_too() {
    for (head, status) in [
        (
            "GET /x HTTP/1.1\r\nHost: a.example:8080",
            "308 Permanent Redirect",
        ),
        (
            "POST /x HTTP/1.1\r\nContent-Length: 0\r\nHost: a.example",
            "308 Permanent Redirect",
        ),
        (
            "GET /x HTTP/1.1\r\nHost: a.example\r\nHost: b.example",
            "400 Bad Request",
        ),
        ("GET /x HTTP/1.1\r\nHost: a.example/b", "400 Bad Request"),
        ("GET /x HTTP/1.1", "400 Bad Request"),
    ] {
        let answer = exchange(&format!("{head}\r\nConnection: close\r\n\r\n")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{head}: {answer}"
        );
        assert_eq!(lines(&answer, "x-content-type-options"), ["nosniff"]);
        assert_eq!(lines(&answer, "strict-transport-security").len(), 1);
        let moved = status.starts_with("308");
        let location: &[&str] = if moved { &["https://a.example/x"] } else { &[] };
        assert_eq!(lines(&answer, "location"), location, "{head}");
    }
}
