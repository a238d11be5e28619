//! The whole door on axum: security headers, a rate limit, a verified token.
//!
//! Run it with `cargo run --example axum --features full` and try the lines it prints.

use std::{error::Error, net::SocketAddr, time::SystemTime};

use axum::{Router, routing::get};
use jsonwebtoken::{EncodingKey, Header};
use portcullis::{
    headers::SecurityHeadersLayer,
    jwt::{Claims, JwtAuthLayer, JwtVerifier, VerifyingKey},
    random::OpaqueToken,
    rate_limit::{Quota, RateLimitLayer},
};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = OpaqueToken::generate()?;
    let verifier = JwtVerifier::builder(VerifyingKey::hs256(secret.expose())?)
        .issuer("https://login.example.com")
        .audience("https://api.example.com");
    let app = Router::new()
        .route("/me", get(async |claims: Claims| claims.subject().unwrap_or("nobody").to_owned()))
        .layer(
            ServiceBuilder::new()
                .layer(SecurityHeadersLayer::new())
                .layer(RateLimitLayer::new(Quota::per_minute(60)))
                .layer(JwtAuthLayer::new(verifier)),
        );
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let token = token(secret.expose())?;
    println!("200: curl -i -H 'Authorization: Bearer {token}' http://127.0.0.1:3000/me");
    println!("401: curl -i http://127.0.0.1:3000/me");
    println!("429: for i in $(seq 70); do curl -s -o /dev/null -w '%{{http_code}} ' http://127.0.0.1:3000/me; done");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// A token as an identity provider would issue it, good for an hour.
fn token(secret: &str) -> Result<String, Box<dyn Error>> {
    let expires = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() + 3600;
    let claims = serde_json::json!({
        "sub": "user-7", "exp": expires,
        "iss": "https://login.example.com", "aud": "https://api.example.com",
    });
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes()))?)
}
