//! The whole door on plain hyper: the same stack, no framework.
//!
//! Run it with `cargo run --example hyper --features full` and try the lines it prints.

mod try_it;

use std::{error::Error, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt, service::TowerToHyperService};
use portcullis::{
    client_ip::PeerAddr,
    headers::SecurityHeadersLayer,
    jwt::{Claims, JwtAuthLayer, JwtVerifier, VerifyingKey},
    random::OpaqueToken,
    rate_limit::{Quota, RateLimitLayer},
};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt, service_fn};

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
    // With a timer, so that half a head is not waited for longer than half a minute.
    let mut server = http1::Builder::new();
    server.timer(rt::TokioTimer::new());
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await; // too many open files, say
            continue;
        };
        // The limit counts by the peer's address, so every request has to carry it.
        let with_peer = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr(peer));
            request
        };
        let service = TowerToHyperService::new(door.clone().map_request(with_peer));
        tokio::spawn(server.serve_connection(rt::TokioIo::new(stream), service));
    }
}

/// Only a request with a valid token gets here.
async fn me(request: Request<Incoming>) -> Result<Response<String>, &'static str> {
    let claims: &Claims = request.extensions().get().ok_or("not verified")?;
    Ok(Response::new(format!("Hello, {}.\n", claims.subject())))
}
