//! What the layer allocates beyond the service behind it.

use std::{convert::Infallible, hint::black_box, net::SocketAddr};

use allocation_counter::measure;
use http::{Request, Response};
use portcullis::{
    client_ip::PeerAddr,
    clock::ManualClock,
    rate_limit::{Quota, RateLimitFields, RateLimitLayer},
};
use tower::{Layer, Service, service_fn};

/// The allocations of one call, in a store that knows the key and one that does not.
fn allocations(layer: RateLimitLayer, peer: &str) -> u64 {
    let layer = layer.with_clock(ManualClock::at_unix(1_800_000_000));
    let inner =
        service_fn(|_: Request<()>| std::future::ready(Ok::<_, Infallible>(Response::new(()))));
    let mut service = layer.layer(inner);
    let peer: SocketAddr = peer.parse().unwrap();
    let mut call = || {
        let mut request = Request::new(());
        request.extensions_mut().insert(PeerAddr(peer));
        let made = measure(|| {
            let mut future = std::pin::pin!(service.call(request));
            let waker = std::task::Waker::noop();
            let mut context = std::task::Context::from_waker(waker);
            black_box(future.as_mut().poll(&mut context).is_ready());
        });
        made.count_total
    };
    call();
    call()
}

#[test]
fn without_fields_the_layer_allocates_nothing() {
    for peer in ["192.0.2.1:1", "[2001:db8::1]:1"] {
        let layer = RateLimitLayer::new(Quota::per_minute(60)).fields(RateLimitFields::None);
        assert_eq!(allocations(layer, peer), 0);
    }
}

#[test]
fn with_fields_it_allocates_for_the_header_map_and_one_value() {
    let made = allocations(RateLimitLayer::new(Quota::per_minute(60)), "192.0.2.1:1");
    assert!((1..=4).contains(&made), "{made} allocations");
}
