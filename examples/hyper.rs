//! The whole door on plain hyper: the same stack, no framework.
//!
//! Run it with `cargo run --example hyper --features full` and try the lines it prints.

use std::{convert::Infallible, error::Error, time::SystemTime};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use jsonwebtoken::{EncodingKey, Header};
use portcullis::{
    client_ip::PeerAddr,
    headers::SecurityHeadersLayer,
    jwt::{Claims, JwtAuthLayer, JwtVerifier, VerifyingKey},
    random::OpaqueToken,
    rate_limit::{Quota, RateLimitLayer},
};
use tower::{ServiceBuilder, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = OpaqueToken::generate()?;
    let verifier = JwtVerifier::builder(VerifyingKey::hs256(secret.expose())?)
        .issuer("https://login.example.com")
        .audience("https://api.example.com");
    let door = ServiceBuilder::new()
        .layer(SecurityHeadersLayer::new())
        .layer(RateLimitLayer::new(Quota::per_minute(60)))
        .layer(JwtAuthLayer::new(verifier));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let claims = serde_json::json!({
        "sub": "user-7", "exp": SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() + 3600,
        "iss": "https://login.example.com", "aud": "https://api.example.com",
    });
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key)?;
    println!("200: curl -i -H 'Authorization: Bearer {token}' http://127.0.0.1:3000/me");
    println!("401: curl -i http://127.0.0.1:3000/me");
    loop {
        let (stream, peer) = listener.accept().await?;
        let stack = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(PeerAddr(peer));
                request
            })
            .layer(door.clone())
            .service(service_fn(me));
        let service = TowerToHyperService::new(stack);
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn me(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let claims = request.extensions().get::<Claims>();
    Ok(Response::new(claims.and_then(Claims::subject).unwrap_or("nobody").to_owned()))
}
