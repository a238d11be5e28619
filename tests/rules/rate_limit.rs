//! Rules 60 to 69: limits that cannot be dodged, and that cost nobody anything but their abusers.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use portcullis::{
    client_ip::PeerAddr,
    clock::ManualClock,
    problem::Rejection,
    rate_limit::{Decision, Hit, Quota, RateLimitKey, RateLimitLayer, RateLimitStore},
    store::{MemoryStore, Reply},
};
use tower::{Layer, ServiceExt, service_fn};

const START: Duration = Duration::from_secs(1_800_000_000);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + START + Duration::from_secs(seconds)
}

fn hit(store: &MemoryStore, key: &[u8], quota: Quota, cost: u32, now: SystemTime) -> Decision {
    match store.hit(&[Hit::new(key, quota, cost)], now) {
        Reply::Ready(Ok(decisions)) => *decisions.iter().next().unwrap(),
        other => panic!("memory answers at once, not {other:?}"),
    }
}

/// The statuses of these requests, one after the other, through a layer with a clock that stands still.
async fn statuses(layer: RateLimitLayer, requests: Vec<Request<()>>) -> Vec<u16> {
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let service = layer
        .with_clock(ManualClock::at_unix(START.as_secs()))
        .layer(inner);
    let mut statuses = Vec::new();
    for request in requests {
        let response = service.clone().oneshot(request).await.unwrap();
        statuses.push(response.status().as_u16());
    }
    statuses
}

fn from(peer: &str) -> Request<()> {
    let peer: SocketAddr = peer.parse().unwrap();
    Request::builder()
        .extension(PeerAddr(peer))
        .body(())
        .unwrap()
}

#[tokio::test]
async fn rule_60_layer_reads_no_header_to_tell_clients_apart() {
    let names = [
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "cf-connecting-ip",
    ];
    let requests = names.map(|name| {
        let mut request = from("192.0.2.1:1");
        request
            .headers_mut()
            .insert(name, "198.51.100.7".parse().unwrap());
        request
    });
    let layer = RateLimitLayer::new(Quota::per_hour(1));
    assert_eq!(statuses(layer, requests.into()).await, [200, 429, 429, 429]);
}

#[tokio::test]
async fn rule_61_layer_counts_an_ipv6_64_as_one_client() {
    let requests = [
        "[2001:db8::1]:1",
        "[2001:db8::abcd:1]:2",
        "[2001:db8:0:1::1]:1",
    ]
    .map(from);
    let layer = RateLimitLayer::new(Quota::per_hour(1));
    assert_eq!(statuses(layer, requests.into()).await, [200, 429, 200]);
}

#[tokio::test]
async fn rule_62_layer_counts_mapped_ipv4_as_ipv4() {
    let requests = [
        "192.0.2.1:1",
        "[::ffff:192.0.2.1]:1",
        "[::ffff:c000:201]:1",
        "[::192.0.2.1]:1",
    ];
    let layer = RateLimitLayer::new(Quota::per_hour(1));
    assert_eq!(
        statuses(layer, requests.map(from).into()).await,
        [200, 429, 429, 200]
    );
}

#[tokio::test]
async fn rule_63_no_spelling_of_the_path_dodges_the_limit() {
    let requests = ["/a", "//a", "/A", "/%61", "/a/", "/./a", "/a?b"].map(|path| {
        let mut request = from("192.0.2.1:1");
        *request.uri_mut() = path.parse().unwrap();
        request
    });
    let layer = RateLimitLayer::new(Quota::per_hour(1));
    let expected = [200, 429, 429, 429, 429, 429, 429];
    assert_eq!(statuses(layer, requests.into()).await, expected);
}

#[test]
fn rule_64_a_refused_request_costs_nothing() {
    let (store, quota) = (MemoryStore::new(), Quota::per_minute(10));
    assert!(hit(&store, b"k", quota, 9, at(0)).allowed);
    for _ in 0..100 {
        // A counter that counts before it compares went to 14 here.
        assert!(!hit(&store, b"k", quota, 5, at(0)).allowed);
    }
    assert_eq!(hit(&store, b"k", quota, 1, at(0)).remaining, 0);
}

#[test]
fn rule_65_every_count_expires() {
    let (store, quota) = (MemoryStore::bounded(64), Quota::per_minute(1));
    for key in 0..64_u8 {
        hit(&store, &[key], quota, 1, at(0));
    }
    // Nobody asked for the old ones again, and yet new ones find their places, again and again.
    for round in 1..100 {
        for key in 0..20_u8 {
            let key = [round, key];
            assert!(hit(&store, &key, quota, 1, at(u64::from(round) * 600)).allowed);
        }
        for key in 0..20_u8 {
            assert!(!hit(&store, &[round, key], quota, 1, at(u64::from(round) * 600)).allowed);
        }
    }
    assert!(store.rate_limit_keys() <= 64);
    let idle = hit(&store, &[99, 0], quota, 0, at(99 * 600 + 64));
    assert_eq!(idle.remaining, 1);
}

#[tokio::test]
async fn rule_66_a_refused_request_does_not_reach_what_is_expensive() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&calls);
    let expensive = service_fn(move |_: Request<()>| {
        counting.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    let service = RateLimitLayer::new(Quota::per_hour(1)).layer(expensive);
    for _ in 0..5 {
        service.clone().oneshot(from("192.0.2.1:1")).await.unwrap();
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn rule_67_the_parts_of_a_key_are_told_apart_by_length() {
    let part = |name: &'static str| {
        RateLimitKey::custom(move |request| {
            let value = request.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        })
    };
    let key = part("x-one").and(part("x-two"));
    let requests = [("ab", "c"), ("a", "bc"), ("", "abc"), ("a", "bc")].map(|(one, two)| {
        let request = Request::builder().header("x-one", one).header("x-two", two);
        request.body(()).unwrap()
    });
    let layer = RateLimitLayer::new(Quota::per_hour(1)).key(key);
    assert_eq!(statuses(layer, requests.into()).await, [200, 200, 200, 429]);
}

#[tokio::test]
async fn rule_67_a_request_without_a_key_is_refused() {
    let service = RateLimitLayer::new(Quota::per_hour(1))
        .key(RateLimitKey::custom(|_| None))
        .layer(service_fn(async |_: Request<()>| {
            Ok::<_, Infallible>(Response::new(()))
        }));
    let response = service.oneshot(from("192.0.2.1:1")).await.unwrap();
    let code = response.extensions().get().map(Rejection::code);
    assert_eq!(code, Some("rate_limit_key_unknown"));
}

#[test]
fn rule_68_memory_is_bounded() {
    let store = MemoryStore::bounded(1_000);
    let mut most = 0;
    for key in 0..50_000_u32 {
        hit(&store, &key.to_be_bytes(), Quota::per_hour(1), 1, at(0));
        most = most.max(store.rate_limit_bytes());
    }
    assert!(store.rate_limit_keys() <= 1_024);
    assert!(most <= 1_024 * 56 + 64, "{most} bytes");
}

#[test]
fn rule_69_a_clock_that_goes_back_frees_nothing_and_shuts_nobody_out() {
    let (store, quota) = (MemoryStore::new(), Quota::per_minute(5));
    let ahead = at(86_400 * 365);
    assert!(hit(&store, b"k", quota, 5, ahead).allowed);
    assert!(!hit(&store, b"k", quota, 1, at(0)).allowed);
    assert!(!hit(&store, b"k", quota, 1, at(60)).allowed);
    // A view of 17 segments of 3.75 s later, not in a year.
    assert!(hit(&store, b"k", quota, 1, at(64)).allowed);
}
