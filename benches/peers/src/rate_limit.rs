//! In-memory limits by the peer's address: tower_governor, with and without its header fields.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{body::Body, extract::ConnectInfo};
use http::{Request, Response};
use portcullis::{
    client_ip::PeerAddr,
    rate_limit::{Quota, RateLimitFields, RateLimitLayer},
    store::MemoryStore,
};
use tower::{Layer, service_fn};
use tower_governor::{GovernorLayer, governor::GovernorConfigBuilder};

use crate::{Step, Table, call_now};

type Answer = std::future::Ready<Result<Response<Body>, Infallible>>;
type Bare = tower::util::ServiceFn<fn(Request<()>) -> Answer>;

/// Room for a million live keys; the peer's map has no bound.
const MAX_KEYS: usize = 1 << 21;

/// Limits that a service may well have, yet that the measurement does not reach: 1,000 a second for each of
/// many addresses, and for a single address as many as fit two bytes in 5 ms. The peer's cells come back as
/// fast, and as many of them pass at once.
fn limits(keys: u32) -> (u32, Duration) {
    if keys == 1 {
        (60_000, Duration::from_millis(5))
    } else {
        (1_000, Duration::from_secs(1))
    }
}

fn bare() -> Bare {
    service_fn(|_| std::future::ready(Ok(Response::new(Body::empty()))))
}

/// Requests from `keys` addresses in turn.
fn step<S, R>(mut service: S, keys: u32) -> Step
where
    S: tower::Service<Request<()>, Response = Response<R>, Error = Infallible> + 'static,
{
    let mut turn = 0_u32;
    Box::new(move || {
        // An odd multiplier visits every address once before the first comes again.
        turn = turn.wrapping_add(1);
        let address = (turn % keys).wrapping_mul(2_654_435_761);
        let peer = SocketAddr::from((Ipv4Addr::from(address | 1 << 24), 443));
        let mut request = Request::new(());
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(PeerAddr(peer));
        let response = call_now(&mut service, request);
        assert_eq!(response.status(), 200);
        std::hint::black_box(response);
    })
}

/// Without header fields on the answers that pass.
fn plain(title: &'static str, keys: u32) -> Table {
    let (limit, window) = limits(keys);
    let ours = RateLimitLayer::new(Quota::new(limit, window))
        .with_store(MemoryStore::bounded(MAX_KEYS))
        .fields(RateLimitFields::None);
    let peer = GovernorConfigBuilder::default()
        .period(window / limit)
        .burst_size(limit)
        .finish()
        .expect("a valid configuration");
    Table {
        title,
        contenders: vec![
            ("bare service", step(bare(), keys)),
            ("portcullis", step(ours.layer(bare()), keys)),
            (
                "tower_governor",
                step(GovernorLayer::new(peer).layer(bare()), keys),
            ),
        ],
    }
}

/// With header fields: the IETF draft's here, `x-ratelimit-*` there.
fn with_fields(title: &'static str, keys: u32) -> Table {
    let (limit, window) = limits(keys);
    let ours =
        RateLimitLayer::new(Quota::new(limit, window)).with_store(MemoryStore::bounded(MAX_KEYS));
    let peer = GovernorConfigBuilder::default()
        .period(window / limit)
        .burst_size(limit)
        .use_headers()
        .finish()
        .expect("a valid configuration");
    Table {
        title,
        contenders: vec![
            ("bare service", step(bare(), keys)),
            ("portcullis", step(ours.layer(bare()), keys)),
            (
                "tower_governor",
                step(GovernorLayer::new(peer).layer(bare()), keys),
            ),
        ],
    }
}

pub(crate) fn tables() -> Vec<Table> {
    vec![
        plain("rate limit, 1 key", 1),
        plain("rate limit, 10,000 keys", 10_000),
        plain("rate limit, 1,000,000 keys", 1_000_000),
        with_fields("rate limit with header fields, 1 key", 1),
        with_fields("rate limit with header fields, 10,000 keys", 10_000),
        with_fields("rate limit with header fields, 1,000,000 keys", 1_000_000),
    ]
}
