//! The metadata of a protected resource, and how a client gets from a refusal to it.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use portcullis::jwt::{Algorithm, JwtAuthLayer, ResourceMetadata};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};

use crate::mint;

fn document(metadata: &ResourceMetadata) -> Value {
    serde_json::from_slice(&metadata.respond(&Method::GET).into_body()).expect("JSON")
}

#[test]
fn the_document_says_what_was_said() {
    let metadata = ResourceMetadata::new("https://api.example.com").expect("a resource");
    assert_eq!(
        document(&metadata),
        json!({"resource": "https://api.example.com", "bearer_methods_supported": ["header"]})
    );
    let metadata = metadata
        .add_authorization_server("https://login.example.com")
        .and_then(|metadata| metadata.add_authorization_server("https://b.example/tenant/7"))
        .and_then(|metadata| metadata.scopes_supported(["orders:read", "orders:write"]))
        .and_then(|metadata| metadata.bearer_methods_supported(["header", "query"]))
        .and_then(|metadata| metadata.member("resource_name", "Orders"))
        .expect("settings");
    assert_eq!(
        document(&metadata),
        json!({
            "resource": "https://api.example.com",
            "authorization_servers": ["https://login.example.com", "https://b.example/tenant/7"],
            "scopes_supported": ["orders:read", "orders:write"],
            "bearer_methods_supported": ["header", "query"],
            "resource_name": "Orders",
        })
    );
    // Section 3.2: of what there is none, nothing is said.
    let none: [&str; 0] = [];
    let metadata = metadata
        .scopes_supported(none)
        .and_then(|metadata| metadata.bearer_methods_supported([]))
        .expect("settings");
    assert_eq!(document(&metadata).get("scopes_supported"), None);
    assert_eq!(document(&metadata)["bearer_methods_supported"], json!([]));
}

/// RFC 9728 section 3.1.
#[test]
fn the_document_stands_before_the_path_of_the_resource() {
    let name = "/.well-known/oauth-protected-resource";
    for (resource, origin, path, query) in [
        ("https://api.example.com", "https://api.example.com", "", ""),
        (
            "https://api.example.com/",
            "https://api.example.com",
            "",
            "",
        ),
        (
            "https://api.example.com/resource1",
            "https://api.example.com",
            "/resource1",
            "",
        ),
        (
            "https://api.example.com:8443/a/b/",
            "https://api.example.com:8443",
            "/a/b",
            "",
        ),
        (
            "https://api.example.com/a?b=c/d",
            "https://api.example.com",
            "/a",
            "?b=c/d",
        ),
        ("http://localhost:3000/a", "http://localhost:3000", "/a", ""),
    ] {
        let metadata = ResourceMetadata::new(resource).expect("a resource");
        assert_eq!(metadata.url(), format!("{origin}{name}{path}{query}"));
        assert_eq!(metadata.path(), format!("{name}{path}"));
        // As it was given: clients compare it with what they asked for (section 3.3).
        assert_eq!(document(&metadata)["resource"], resource);
        let layer = JwtAuthLayer::new(mint::verifier(Algorithm::Hs256));
        assert!(layer.resource_metadata(metadata.url()).is_ok());
    }
}

#[test]
fn what_makes_no_metadata_is_refused() {
    for resource in [
        "",
        "api.example.com",
        "/v1",
        "http://api.example.com",
        "https://",
        "https://user@api.example.com",
        "https://api.example.com/#v1",
        "https://api.example.com/\"",
        "urn:example:api",
    ] {
        assert!(ResourceMetadata::new(resource).is_err(), "{resource}");
    }
    let metadata = || ResourceMetadata::new("https://api.example.com").expect("a resource");
    for issuer in [
        "",
        "login",
        "http://login.example.com",
        "https://a.example?b",
    ] {
        assert!(
            metadata().add_authorization_server(issuer).is_err(),
            "{issuer}"
        );
    }
    for scope in ["", "two words", "a\"b", "a\\b", "ä"] {
        assert!(metadata().scopes_supported([scope]).is_err(), "{scope}");
    }
    assert!(metadata().bearer_methods_supported(["cookie"]).is_err());
    for name in ["", "resource", "authorization_servers", "signed_metadata"] {
        assert!(metadata().member(name, "x").is_err(), "{name}");
    }
    assert!(metadata().member("resource_name", Value::Null).is_err());
}

#[tokio::test]
async fn the_service_answers_reads_and_no_more() {
    let metadata = ResourceMetadata::new("https://api.example.com")
        .expect("a resource")
        .max_age(Duration::from_secs(60));
    let answer = async |method: Method| {
        let request = Request::builder().method(method).body(()).expect("a head");
        let response = metadata.clone().oneshot(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        (head, body.collect().await.expect("a body").to_bytes())
    };
    let (get, body) = answer(Method::GET).await;
    assert_eq!(get.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(get.headers[header::CACHE_CONTROL], "public, max-age=60");
    let (head, nothing) = answer(Method::HEAD).await;
    assert_eq!(
        head.headers[header::CONTENT_LENGTH],
        body.len().to_string().as_str()
    );
    assert!(nothing.is_empty() && head.status == StatusCode::OK);
    let (post, nothing) = answer(Method::POST).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(post.headers[header::ALLOW], "GET, HEAD");
    assert!(nothing.is_empty());
}

/// A listener, and the metadata of what is to be served on it.
async fn on_loopback() -> (TcpListener, String, ResourceMetadata) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let resource = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let metadata = ResourceMetadata::new(resource.clone())
        .and_then(|metadata| metadata.add_authorization_server(mint::ISSUER))
        .expect("metadata");
    (listener, resource, metadata)
}

fn layer(metadata: &ResourceMetadata) -> JwtAuthLayer {
    let layer = JwtAuthLayer::new(mint::verifier(Algorithm::Hs256));
    layer.resource_metadata(metadata.url()).expect("a URL")
}

/// Asks without a token, and follows the challenge to the document.
async fn discovers(resource: &str) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let uri = format!("{resource}/me").parse().expect("a URL");
    let refused = client.get(uri).await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = refused.headers()[header::WWW_AUTHENTICATE].to_str();
    let challenge = challenge.expect("text");
    let uri = challenge
        .strip_prefix("Bearer resource_metadata=\"")
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or_else(|| panic!("{challenge}"));
    let found = client.get(uri.parse().expect("a URL")).await;
    let found = found.expect("an answer");
    assert_eq!(found.status(), StatusCode::OK);
    let body = found.into_body().collect().await.expect("a body");
    let document: Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
    // Section 3.3: a client believes it only if this is what it had asked for.
    assert_eq!(document["resource"], resource);
    assert_eq!(document["authorization_servers"], json!([mint::ISSUER]));
}

#[tokio::test]
async fn a_client_finds_the_issuer_on_plain_hyper() {
    let (listener, resource, metadata) = on_loopback().await;
    let inner = service_fn(async |_: Request<hyper::body::Incoming>| {
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let protected = layer(&metadata).layer(inner);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let (metadata, protected) = (metadata.clone(), protected.clone());
        async move {
            match request.uri().path() == metadata.path() {
                true => metadata.oneshot(request).await,
                false => protected.oneshot(request).await,
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
    discovers(&resource).await;
}

#[tokio::test]
async fn a_client_finds_the_issuer_on_axum() {
    use axum::{Router, routing::get};

    let (listener, resource, metadata) = on_loopback().await;
    let app = Router::new()
        .route("/v1/me", get(async || "you"))
        .layer(layer(&metadata))
        .route_service(metadata.path(), metadata.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    discovers(&resource).await;
}
