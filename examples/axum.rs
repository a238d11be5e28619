//! The whole door on axum: security headers, a rate limit, a verified token.
//!
//! Run it with `cargo run --example axum --features full` and try the lines it prints.

mod try_it;

use std::{error::Error, net::SocketAddr};

use axum::{Router, routing::get};
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
    // A secret shared with whoever issues the tokens; this one lasts as long as the process.
    let secret = OpaqueToken::generate()?;
    let verifier = JwtVerifier::builder(VerifyingKey::hs256(secret.expose())?)
        .issuer(try_it::ISSUER)
        .audience(try_it::AUDIENCE);

    let app = Router::new().route("/me", get(me)).layer(
        ServiceBuilder::new()
            .layer(SecurityHeadersLayer::new())
            .layer(RateLimitLayer::new(Quota::per_minute(60)))
            .layer(JwtAuthLayer::new(verifier)),
    );

    let listener = TcpListener::bind(try_it::address()?).await?;
    try_it::print(listener.local_addr()?, secret.expose())?;
    // The limit counts by the peer's address, so the server has to hand it on.
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .await?;
    Ok(())
}

/// Only a request with a valid token gets here.
async fn me(claims: Claims) -> String {
    format!("Hello, {}.\n", claims.subject())
}
