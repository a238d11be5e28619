//! What the tests share: times, a plain reference, and a service behind a layer.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use portcullis::{
    body::ResponseBody,
    client_ip::PeerAddr,
    clock::ManualClock,
    rate_limit::{Decision, Decisions, Hit, Quota, RateLimitLayer, RateLimitStore},
    store::{MemoryStore, Reply},
};
use tower::{Layer, ServiceExt, service_fn};

pub(crate) const START: u64 = 1_800_000_000;

/// A time in nanoseconds after the start.
pub(crate) fn after(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(START) + Duration::from_nanos(nanos)
}

pub(crate) fn start() -> SystemTime {
    after(0)
}

/// What a limiter has let in, kept without any cleverness.
#[derive(Default)]
pub(crate) struct Log(Vec<(u128, u32)>);

impl Log {
    pub(crate) fn push(&mut self, at: SystemTime, cost: u32) {
        self.0.push((nanos(at), cost));
    }

    /// The units let in after this time.
    pub(crate) fn since(&self, from: u128, inclusive: bool) -> u64 {
        let later = self
            .0
            .iter()
            .filter(|(at, _)| *at > from || (inclusive && *at == from));
        later.map(|(_, cost)| u64::from(*cost)).sum()
    }

    pub(crate) fn total(&self) -> u64 {
        self.since(0, true)
    }
}

pub(crate) fn nanos(at: SystemTime) -> u128 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_nanos()
}

/// The start of the oldest segment in view, from the definition: aligned to the clock, a segment's length
/// rounded up, one segment more than the window has.
pub(crate) fn view_start(quota: &Quota, now: SystemTime) -> u128 {
    let segments = u128::from(quota.segment_count());
    let length = quota.window().as_nanos().div_ceil(segments);
    (nanos(now) / length - segments) * length
}

pub(crate) fn hit_all(store: &MemoryStore, hits: &[Hit<'_>], now: SystemTime) -> Decisions {
    match store.hit(hits, now) {
        Reply::Ready(Ok(decisions)) => decisions,
        other => panic!("memory answers at once, not {other:?}"),
    }
}

pub(crate) fn hit(
    store: &MemoryStore,
    key: impl AsRef<[u8]>,
    quota: Quota,
    cost: u32,
    now: SystemTime,
) -> Decision {
    let decisions = hit_all(store, &[Hit::new(key.as_ref(), quota, cost)], now);
    *decisions.iter().next().unwrap()
}

/// A layer over a service that counts its calls.
pub(crate) struct Door {
    pub(crate) layer: RateLimitLayer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) calls: Arc<AtomicUsize>,
    inner: HeaderMap,
}

/// What the door answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Door {
    pub(crate) fn new(layer: RateLimitLayer) -> Self {
        let clock = Arc::new(ManualClock::new(start()));
        Self {
            layer: layer.with_clock(Arc::clone(&clock)),
            clock,
            calls: Arc::default(),
            inner: HeaderMap::new(),
        }
    }

    /// The inner service answers with this header field.
    pub(crate) fn inner_field(mut self, name: &'static str, value: &str) -> Self {
        self.inner.insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) async fn ask(&self, request: Request<Empty<Bytes>>) -> Answer {
        let response = self.response(request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn response(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> Response<ResponseBody<String>> {
        let (calls, inner) = (Arc::clone(&self.calls), self.inner.clone());
        let service = service_fn(move |_: Request<Empty<Bytes>>| {
            calls.fetch_add(1, Ordering::Relaxed);
            let mut response = Response::new("inner".to_owned());
            response.headers_mut().extend(inner.clone());
            async move { Ok::<_, Infallible>(response) }
        });
        self.layer.layer(service).oneshot(request).await.unwrap()
    }
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A request from a peer.
pub(crate) fn from(peer: &str) -> Request<Empty<Bytes>> {
    let peer: SocketAddr = match peer.parse() {
        Ok(peer) => peer,
        Err(_) => SocketAddr::new(peer.parse().unwrap(), 40_000),
    };
    let mut request = Request::new(Empty::new());
    request.extensions_mut().insert(PeerAddr(peer));
    request
}

/// A request from nobody in particular.
pub(crate) fn from_nowhere() -> Request<Empty<Bytes>> {
    Request::new(Empty::new())
}
