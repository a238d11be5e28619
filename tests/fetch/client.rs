//! What is fetched, and where the client does not go.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use portcullis::fetch::{Fetch, FetchError, FetchErrorKind, FetchLimits, HttpClient};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

pub(crate) fn get(uri: &str) -> Request<Bytes> {
    Request::get(uri).body(Bytes::new()).expect("a request")
}

pub(crate) async fn fetch(client: &HttpClient, uri: &str) -> Result<Bytes, FetchErrorKind> {
    fetch_within(client, uri, FetchLimits::default()).await
}

async fn fetch_within(
    client: &HttpClient,
    uri: &str,
    limits: FetchLimits,
) -> Result<Bytes, FetchErrorKind> {
    let answer = client.fetch(get(uri), limits).await;
    let kind = |error: FetchError| error.kind();
    answer.map(http::Response::into_body).map_err(kind)
}

fn client() -> HttpClient {
    HttpClient::new().dangerous_allow_http()
}

/// A server that reads one request a connection and sends these bytes, whatever they are; then it breaks
/// the connection, or holds it.
async fn server(answer: impl Into<Vec<u8>>, hold: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = answer.into();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            read_head(&mut stream).await;
            let _ = stream.write_all(&answer).await;
            if hold {
                held.push(stream);
            }
        }
    });
    format!("http://{address}/document")
}

async fn read_head(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    let mut some = [0; 1024];
    while !seen.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut some).await {
            Ok(count) if count > 0 => seen.extend_from_slice(&some[..count]),
            _ => return,
        }
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_document_comes_with_its_status_and_fields() {
    let answer = "HTTP/1.1 404 Not Found\r\nETag: \"a\"\r\nContent-Length: 4\r\n\r\ngone";
    let uri = server(answer, false).await;
    let answer = client().fetch(get(&uri), FetchLimits::default()).await;
    let answer = answer.expect("an answer, whatever its status");
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["etag"], "\"a\"");
    assert_eq!(answer.body(), "gone");
}

#[tokio::test]
async fn http_is_refused_unless_allowed_and_other_schemes_always() {
    let uri = server(ok("x"), false).await;
    assert_eq!(
        fetch(&HttpClient::new(), &uri).await,
        Err(FetchErrorKind::Forbidden)
    );
    assert_eq!(fetch(&client(), &uri).await, Ok(Bytes::from("x")));
    for other in [
        "ftp://127.0.0.1/",
        "ws://127.0.0.1/",
        "/document",
        "127.0.0.1:80",
    ] {
        let refused = fetch(&client(), other).await;
        assert_eq!(refused, Err(FetchErrorKind::Forbidden), "{other}");
    }
}

#[tokio::test]
async fn redirects_are_answers() {
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    let uri = server(redirect, false).await;
    let answer = client().fetch(get(&uri), FetchLimits::default()).await;
    assert_eq!(answer.expect("an answer").status(), 302);
}

#[tokio::test]
async fn a_body_has_a_largest_size_in_every_framing() {
    let limits = FetchLimits::default().max_bytes(10);
    let chunked = |body: &str| {
        let mut answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        for byte in body.chars() {
            answer += &format!("1\r\n{byte}\r\n");
        }
        answer + "0\r\n\r\n"
    };
    let until_closed = |body: &str| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}");
    let (fits, over) = ("0123456789", "0123456789a");
    for answer in [ok(fits), chunked(fits), until_closed(fits)] {
        let uri = server(answer, false).await;
        assert_eq!(
            fetch_within(&client(), &uri, limits).await,
            Ok(Bytes::from(fits))
        );
    }
    for answer in [ok(over), chunked(over), until_closed(over)] {
        let uri = server(answer, false).await;
        let refused = fetch_within(&client(), &uri, limits).await;
        assert_eq!(refused, Err(FetchErrorKind::TooLarge));
    }
    // What is said to be too long is not waited for.
    let said = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    let uri = server(said, true).await;
    let refused = fetch_within(&client(), &uri, limits).await;
    assert_eq!(refused, Err(FetchErrorKind::TooLarge));
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up_at_the_deadline() {
    let limits = FetchLimits::default().deadline(Duration::from_millis(50));
    // No answer, half a head, half a body.
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234";
    for answer in ["", "HTTP/1.1 200 OK\r\nCont", half] {
        let uri = server(answer, true).await;
        let refused = fetch_within(&client(), &uri, limits).await;
        assert_eq!(refused, Err(FetchErrorKind::Timeout), "{answer:?}");
    }
}

#[tokio::test]
async fn what_breaks_or_is_no_http_is_broken_and_who_does_not_listen_unreachable() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234";
    let heads = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1_000_000));
    for answer in [
        "",
        "no HTTP\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        short,
        &heads,
    ] {
        let uri = server(answer, false).await;
        let refused = fetch(&client(), &uri).await;
        assert_eq!(refused, Err(FetchErrorKind::Broken), "{answer:.40}");
    }
    // Taken, so that nobody else comes to listen on it.
    let port = TcpSocket::new_v4().expect("a socket");
    let loopback = "127.0.0.1:0".parse().expect("an address");
    port.bind(loopback).expect("a port");
    let address = port.local_addr().expect("an address");
    let refused = fetch(&client(), &format!("http://{address}/")).await;
    assert_eq!(refused, Err(FetchErrorKind::Unreachable));
    // No server of names is asked about a label that is too long.
    let nobody = format!("http://{}.invalid/", "name".repeat(20));
    let refused = fetch(&client(), &nobody).await;
    assert_eq!(refused, Err(FetchErrorKind::Unreachable));
}

#[tokio::test]
async fn only_public_addresses_are_connected_to_where_that_was_asked_for() {
    let uri = server(ok("metadata"), false).await;
    let port = uri.rsplit_once(':').expect("a port").1;
    let own = client().public_addresses_only();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "127.1",
        "0.0.0.0",
        "2130706433",
    ] {
        let refused = fetch(&own, &format!("http://{host}:{port}")).await;
        let is_refused = matches!(
            refused,
            // A name that the system does not take for an address is not found.
            Err(FetchErrorKind::Forbidden | FetchErrorKind::Unreachable)
        );
        assert!(is_refused, "{host}: {refused:?}");
    }
    for certain in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"] {
        let refused = fetch(&own, &format!("http://{certain}:{port}")).await;
        assert_eq!(refused, Err(FetchErrorKind::Forbidden), "{certain}");
    }
    assert_eq!(fetch(&client(), &uri).await, Ok(Bytes::from("metadata")));
}

#[test]
fn errors_show_what_happened_and_nothing_of_the_request() {
    let error = FetchError::caused_by(FetchErrorKind::Broken, "the client's own words");
    assert_eq!(error.code(), "fetch_broken");
    assert_eq!(
        error.to_string(),
        "the connection broke, or what came is no HTTP"
    );
    let source = std::error::Error::source(&error).expect("a source");
    assert_eq!(source.to_string(), "the client's own words");
}
