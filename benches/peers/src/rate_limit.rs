//! In-memory limits by the peer's address: tower_governor, with and without its header fields, on one thread
//! and on two.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::mpsc,
    thread,
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

/// What each thread does in a step of two: waking the other one must not be what is measured.
const BATCH: u32 = 5_000;

/// Limits that a service may well have, yet that the measurement does not reach, with counts of two bytes:
/// 10,000 a second for each of many addresses, and for a single address as many as fit in 1 ms.
fn limits(keys: u32) -> (u32, Duration) {
    if keys == 1 {
        (60_000, Duration::from_millis(1))
    } else {
        (10_000, Duration::from_secs(1))
    }
}

fn bare() -> Bare {
    service_fn(|_| std::future::ready(Ok(Response::new(Body::empty()))))
}

/// Requests from `keys` addresses in turn.
fn caller<S, R>(mut service: S, keys: u32) -> impl FnMut()
where
    S: tower::Service<Request<()>, Response = Response<R>, Error = Infallible>,
{
    let mut turn = 0_u32;
    move || {
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
    }
}

/// A request, or so many on each of two threads at once.
fn step<S, R>(service: S, keys: u32, threads: u32) -> Step
where
    S: tower::Service<Request<()>, Response = Response<R>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    R: 'static,
{
    // Every key is known before anything is measured: what is compared is what clients do all day.
    let mut call = caller(service.clone(), keys);
    (0..keys).for_each(|_| call());
    if threads == 1 {
        return Box::new(call);
    }
    let (begin, begun) = mpsc::channel::<()>();
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        let mut call = caller(service, keys);
        while begun.recv().is_ok() {
            (0..BATCH).for_each(|_| call());
            if end.send(()).is_err() {
                break;
            }
        }
    });
    Box::new(move || {
        begin.send(()).expect("the other thread waits");
        (0..BATCH).for_each(|_| call());
        ended.recv().expect("the other thread tells");
    })
}

/// The three stacks, with header fields on the answers that pass (the IETF draft's here, `x-ratelimit-*`
/// there) or without.
fn table(title: &'static str, keys: u32, threads: u32, fields: bool) -> Table {
    let (limit, window) = limits(keys);
    let ours = RateLimitLayer::new(Quota::new(limit, window))
        .with_store(MemoryStore::bounded(MAX_KEYS))
        .fields(if fields {
            RateLimitFields::Ietf
        } else {
            RateLimitFields::None
        });
    let mut peer = GovernorConfigBuilder::default();
    // As many in the long run. At once, more: a thread that stood still for a moment would be refused.
    peer.period(window / limit).burst_size(100_000_000);
    let bare_step = step(bare(), keys, threads);
    let ours = step(ours.layer(bare()), keys, threads);
    let valid = "a valid configuration";
    let peer = if fields {
        let peer = GovernorLayer::new(peer.use_headers().finish().expect(valid));
        step(peer.layer(bare()), keys, threads)
    } else {
        let peer = GovernorLayer::new(peer.finish().expect(valid));
        step(peer.layer(bare()), keys, threads)
    };
    Table {
        title,
        contenders: vec![
            ("bare service", bare_step),
            ("portcullis", ours),
            ("tower_governor", peer),
        ],
    }
}

pub(crate) fn tables() -> Vec<Table> {
    vec![
        table("rate limit, 1 key", 1, 1, false),
        table("rate limit, 10,000 keys", 10_000, 1, false),
        table("rate limit, 1,000,000 keys", 1_000_000, 1, false),
        table("rate limit with header fields, 1 key", 1, 1, true),
        table(
            "rate limit with header fields, 10,000 keys",
            10_000,
            1,
            true,
        ),
        table(
            "rate limit with header fields, 1,000,000 keys",
            1_000_000,
            1,
            true,
        ),
        table(
            "rate limit, 1 key, 5,000 on each of two threads",
            1,
            2,
            false,
        ),
        table(
            "rate limit, 10,000 keys, 5,000 on each of two threads",
            10_000,
            2,
            false,
        ),
        table(
            "rate limit, 1,000,000 keys, 5,000 on each of two threads",
            1_000_000,
            2,
            false,
        ),
        table(
            "rate limit with header fields, 1 key, 5,000 on each of two threads",
            1,
            2,
            true,
        ),
        table(
            "rate limit with header fields, 10,000 keys, 5,000 on each of two threads",
            10_000,
            2,
            true,
        ),
        table(
            "rate limit with header fields, 1,000,000 keys, 5,000 on each of two threads",
            1_000_000,
            2,
            true,
        ),
    ]
}
