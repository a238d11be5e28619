//! What the layer allocates.

use std::{
    convert::Infallible,
    future::Ready,
    net::SocketAddr,
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use http::{Request, Response, header};
use portcullis::{
    client_ip::PeerAddr,
    clock::ManualClock,
    jwt::{Algorithm, Claims, JwtAuthLayer, JwtVerifier},
};
use serde_json::{Value, json};
use tower::{Layer, Service, service_fn};

use crate::mint;

fn request(token: &str) -> Request<()> {
    // A server leaves something of its own with every request.
    let peer = SocketAddr::from(([192, 0, 2, 7], 40_000));
    Request::builder()
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .extension(PeerAddr(peer))
        .body(())
        .expect("a request")
}

/// What the service allocates for one request, the request and the response not counted.
fn count<S>(service: &mut S, request: Request<()>) -> u64
where
    S: Service<Request<()>, Error = Infallible>,
{
    let mut kept = None;
    let counted = measure(|| {
        let future = pin!(service.call(request));
        kept = Some(future.poll(&mut Context::from_waker(Waker::noop())));
    });
    assert!(
        matches!(kept, Some(Poll::Ready(Ok(_)))),
        "nothing here waits"
    );
    counted.count_total
}

/// What the layer allocates for a token that it has seen before, and that its verifier may remember.
fn added(verifier: JwtVerifier, algorithm: Algorithm, claims: &Value) -> u64 {
    let inner = || {
        service_fn(
            |request: Request<()>| -> Ready<Result<Response<()>, Infallible>> {
                assert!(request.extensions().get::<Claims>().is_some());
                std::future::ready(Ok(Response::new(())))
            },
        )
    };
    let layer = JwtAuthLayer::new(verifier).with_clock(ManualClock::new(mint::now()));
    let mut guarded = layer.layer(inner());
    let token = mint::token(algorithm, claims);
    // The first token of an issuer teaches the verifier its header.
    count(&mut guarded, request(&token));
    count(&mut guarded, request(&token))
}

#[test]
fn a_token_costs_its_text_and_three_allocations() {
    // The pure Rust crate for RSA works with big numbers on the heap.
    let counted = |algorithm: &Algorithm| {
        cfg!(feature = "aws-lc") || !matches!(&algorithm.as_str()[..2], "RS" | "PS")
    };
    for algorithm in mint::ALGORITHMS.into_iter().filter(counted) {
        let bare = mint::claims();
        let scoped = mint::claims_with(json!({"scope": "a b c d e f"}));
        let own = mint::claims_with(json!({"email": "a@example.com", "tenant": "b", "on": true}));
        let added = |claims| {
            let verifier = mint::verifier(algorithm);
            [verifier.clone().without_cache(), verifier].map(|own| added(own, algorithm, claims))
        };
        // A token that is remembered has its claims already.
        assert_eq!(added(&bare), [1 + 3, 2], "{algorithm}");
        assert_eq!(added(&scoped), [1 + 3, 2], "{algorithm}");
        // One more names the claims that nobody has asked for.
        assert_eq!(added(&own), [2 + 3, 2], "{algorithm}");
    }
}
