//! The whole door on plain hyper: the same stack, no framework.
//!
//! Run it with `cargo run --example hyper --features full` and try the lines it prints.

mod try_it;

use std::{convert::Infallible, error::Error};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use portcullis::{
    client_ip::PeerAddr,
    headers::SecurityHeadersLayer,
    jwt::{Claims, JwtAuthLayer, JwtVerifier, VerifyingKey},
    random::OpaqueToken,
    rate_limit::{Quota, RateLimitLayer},
};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = OpaqueToken::generate()?;
    let verifier = JwtVerifier::builder(VerifyingKey::hs256(secret.expose())?)
        .issuer(try_it::ISSUER)
        .audience(try_it::AUDIENCE);

    let door = ServiceBuilder::new()
        .layer(SecurityHeadersLayer::new())
        .layer(RateLimitLayer::new(Quota::per_minute(60)))
        .layer(JwtAuthLayer::new(verifier))
        .service(service_fn(me));

    let listener = TcpListener::bind(try_it::address()?).await?;
    try_it::print(listener.local_addr()?, secret.expose())?;
    loop {
        let (stream, peer) = listener.accept().await?;
        // The limit counts by the peer's address, so every request has to carry it.
        let with_peer = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr(peer));
            request
        };
        let service = ServiceBuilder::new()
            .map_request(with_peer)
            .service(door.clone());
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        tokio::spawn(connection);
    }
}

/// Only a request with a valid token gets here.
async fn me(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let claims = request.extensions().get::<Claims>();
    let subject = claims.map_or("nobody", |claims| claims.subject());
    Ok(Response::new(format!("Hello, {subject}.\n")))
}
