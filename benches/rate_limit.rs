//! What a rate limit costs: the layer over a bare service against that service and against a limiter
//! written by hand, and the memory store alone, at one, ten thousand and a million keys.

mod support;

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Ready,
    hint::black_box,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant, SystemTime},
};

use http::{Request, Response, StatusCode};
use portcullis::{
    client_ip::PeerAddr,
    rate_limit::{Hit, Quota, RateLimitFields, RateLimitLayer, RateLimitStore},
    store::{MemoryStore, Reply},
};
use tower::{Layer, Service, service_fn};

use crate::support::{Contender, Figures, Rounds};

/// Never reached: what is measured is the way of a request that is let in. Its counts have two bytes.
const QUOTA: Quota = Quota::new(60_000, Duration::from_millis(1));

/// Room for a million live keys.
const MAX_KEYS: usize = 1 << 21;

const KEYS: [(&str, u32); 3] = [("1 key", 1), ("10k keys", 10_000), ("1M keys", 1_000_000)];

fn main() -> io::Result<()> {
    let mut figures = Figures::new("rate_limit");
    for (keys, count) in KEYS {
        layers(&mut figures, keys, count);
    }
    for (keys, count) in KEYS {
        stores(&mut figures, keys, count);
    }
    segments(&mut figures);
    memory(&mut figures);
    figures.write()
}

/// Keys in an order that no cache foresees.
struct Peers {
    count: u32,
    state: u32,
}

impl Peers {
    fn new(count: u32) -> Self {
        Self { count, state: 1 }
    }

    fn next(&mut self) -> u32 {
        self.state = self
            .state
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        ((u64::from(self.state) * u64::from(self.count)) >> 32) as u32
    }
}

fn request(peer: u32) -> Request<()> {
    let mut request = Request::new(());
    // From 10.0.0.0 on.
    let peer = SocketAddr::from((Ipv4Addr::from_bits((10 << 24) + peer), 40_000));
    request.extensions_mut().insert(PeerAddr(peer));
    request
}

fn bare() -> impl Service<
    Request<()>,
    Response = Response<()>,
    Error = Infallible,
    Future = Ready<Result<Response<()>, Infallible>>,
> + Clone {
    service_fn(|_| std::future::ready(Ok(Response::new(()))))
}

/// One request through a service, which answers at once.
fn call<S, B>(service: &mut S, peer: u32) -> StatusCode
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    match pin!(service.call(request(peer))).poll(&mut context) {
        Poll::Ready(Ok(response)) => {
            assert!(
                response.status().is_success(),
                "the way that is measured is that of a request let in"
            );
            response.status()
        }
        _ => unreachable!("nothing here waits or fails"),
    }
}

fn layers(figures: &mut Figures, keys: &str, count: u32) {
    let mut plain = bare();
    let fields = RateLimitLayer::new(QUOTA).with_store(MemoryStore::bounded(MAX_KEYS));
    let (mut silent, mut telling, mut by_hand) = (
        fields.clone().fields(RateLimitFields::None).layer(bare()),
        fields.layer(bare()),
        ByHand::new(bare()),
    );
    for peer in 0..count {
        call(&mut silent, peer);
        call(&mut by_hand, peer);
    }
    let mut peers = [(); 4].map(|()| Peers::new(count));
    let [one, two, three, four] = &mut peers;
    let rounds = Rounds::measure(vec![
        Contender::new("bare", || call(&mut plain, one.next())),
        Contender::new("layer without fields", || call(&mut silent, two.next())),
        Contender::new("layer with fields", || call(&mut telling, three.next())),
        Contender::new("counter by hand", || call(&mut by_hand, four.next())),
    ]);
    let base = rounds.median("bare");
    figures.add(&format!("bare service, {keys}"), base, "ns", None);
    for name in [
        "layer without fields",
        "layer with fields",
        "counter by hand",
    ] {
        let added = rounds.added_ratio(name, "counter by hand", "bare");
        let against = Some(("what the counter by hand adds", added));
        let label = format!("{name}, {keys}, added");
        figures.add(&label, rounds.median(name) - base, "ns", against);
    }
}

/// The store alone, on one thread and on two.
fn stores(figures: &mut Figures, keys: &str, count: u32) {
    let store = MemoryStore::bounded(MAX_KEYS);
    let now = SystemTime::now();
    for key in 0..count {
        hit(&store, key, QUOTA, now);
    }
    let rounds = Rounds::measure(vec![
        threads("one thread", 1, &store, count),
        threads("two threads", 2, &store, count),
    ]);
    for name in ["one thread", "two threads"] {
        let label = format!("store, {keys}, {name}");
        figures.add(&label, rounds.median(name), "ns", None);
    }
}

fn threads<'a>(
    name: &'static str,
    threads: u32,
    store: &'a MemoryStore,
    count: u32,
) -> Contender<'a> {
    // Each slice goes through other keys than the one before, which lie in the caches.
    let seed = AtomicU32::new(1);
    Contender::timed(name, move |iterations| {
        let barrier = Barrier::new(threads as usize);
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|_| {
                    let (barrier, seed) = (&barrier, &seed);
                    scope.spawn(move || {
                        let mut peers = Peers::new(count);
                        peers.state = seed.fetch_add(0x9e37_79b9, Ordering::Relaxed);
                        barrier.wait();
                        let start = Instant::now();
                        for _ in 0..iterations {
                            black_box(hit(store, peers.next(), QUOTA, SystemTime::now()));
                        }
                        start.elapsed()
                    })
                })
                .collect();
            let took = running.into_iter().filter_map(|thread| thread.join().ok());
            took.max().unwrap_or_default()
        })
    })
}

fn hit(store: &MemoryStore, key: u32, quota: Quota, now: SystemTime) -> bool {
    match store.hit(&[Hit::new(&key.to_be_bytes(), quota, 1)], now) {
        Reply::Ready(Ok(decisions)) => decisions.allowed(),
        _ => unreachable!("memory answers at once"),
    }
}

/// What more segments cost.
fn segments(figures: &mut Figures) {
    let store = MemoryStore::new();
    let names = ["16 segments", "32 segments", "60 segments"];
    let contenders = names.into_iter().zip([16, 32, 60]);
    let rounds = Rounds::measure(
        contenders
            .map(|(name, segments)| {
                let (store, mut peers) = (&store, Peers::new(10_000));
                let quota = Quota::new(200, Duration::from_secs(1)).segments(segments);
                Contender::new(name, move || {
                    hit(store, peers.next(), quota, SystemTime::now())
                })
            })
            .collect(),
    );
    for name in names {
        let against = Some(("16 segments", rounds.ratio(name, "16 segments")));
        figures.add(
            &format!("store, 10k keys, {name}"),
            rounds.median(name),
            "ns",
            against,
        );
    }
}

/// The heap that live keys take.
fn memory(figures: &mut Figures) {
    for (label, quota) in [
        ("limit 60", Quota::per_hour(60)),
        ("limit 1,000", Quota::per_hour(1_000)),
        ("limit 100,000", Quota::per_hour(100_000)),
        ("limit 60, 60 segments", Quota::per_hour(60).segments(60)),
    ] {
        let store = MemoryStore::new();
        let now = SystemTime::now();
        for (keys, from, to) in [("10k", 0, 10_000), ("600k", 10_000, 600_000)] {
            for key in from..to {
                hit(&store, key, quota, now);
            }
            let bytes = store.rate_limit_bytes() as f64 / store.rate_limit_keys() as f64;
            figures.add(
                &format!("heap a key, {label}, {keys} keys"),
                bytes,
                "bytes",
                None,
            );
        }
    }
}

/// What one writes by hand: two fixed windows, weighted, in a map behind 64 locks. It is never cleared,
/// lets more through than its limit, and tells its clients nothing.
#[derive(Clone)]
struct ByHand<S> {
    inner: S,
    shards: Arc<[Padded]>,
}

#[derive(Default)]
#[repr(align(128))]
struct Padded(Mutex<HashMap<IpAddr, (u64, u32, u32)>>);

impl<S> ByHand<S> {
    fn new(inner: S) -> Self {
        let shards = (0..64).map(|_| Padded::default()).collect();
        Self { inner, shards }
    }

    fn allows(&self, ip: IpAddr) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = now.unwrap_or_default().as_secs();
        let IpAddr::V4(v4) = ip else { return false };
        let shard = &self.shards[(v4.to_bits().wrapping_mul(0x9e37_79b9) >> 26) as usize];
        let Ok(mut shard) = shard.0.lock() else {
            return false;
        };
        let (window, before, current) = shard.entry(ip).or_default();
        let started = seconds / 3_600;
        if started != *window {
            *before = if started == *window + 1 { *current } else { 0 };
            (*window, *current) = (started, 0);
        }
        let covered = 1.0 - (seconds % 3_600) as f64 / 3_600.0;
        let allowed = f64::from(*before) * covered + f64::from(*current) < f64::from(u32::MAX);
        *current += u32::from(allowed);
        allowed
    }
}

impl<S> Service<Request<()>> for ByHand<S>
where
    S: Service<
            Request<()>,
            Response = Response<()>,
            Error = Infallible,
            Future = Ready<Result<Response<()>, Infallible>>,
        >,
{
    type Response = Response<()>;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<()>) -> S::Future {
        let peer = request.extensions().get::<PeerAddr>();
        if peer.is_some_and(|peer| self.allows(peer.0.ip())) {
            return self.inner.call(request);
        }
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        std::future::ready(Ok(response))
    }
}
