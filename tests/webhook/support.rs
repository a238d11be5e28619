//! Deliveries, handlers and stores for the tests of the layer.

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use portcullis::{
    clock::ManualClock,
    problem::Rejection,
    replay::{Claim, ClaimToken, ReplayStore},
    store::{MemoryStore, Reply, StoreError, StoreErrorKind},
    webhook::{
        VerifiedWebhook, WebhookBody, WebhookLayer, WebhookScheme, WebhookSigner, WebhookVerifier,
    },
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::schemes::now;

pub(crate) const SECRET: &str = "whsec_test_secret";

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(now()))
}

/// A layer for Stripe's deliveries at the time of the tests.
pub(crate) fn stripe() -> WebhookLayer {
    let verifier = WebhookVerifier::new(WebhookScheme::stripe(), SECRET).unwrap();
    WebhookLayer::new(verifier).with_clock(clock())
}

pub(crate) fn fields(body: &[u8]) -> HeaderMap {
    let signer = WebhookSigner::new(WebhookScheme::stripe(), SECRET).unwrap();
    signer.sign("", body, now()).unwrap()
}

/// A body of given frames, which may wait before each, and may break off.
#[derive(Default)]
pub(crate) struct Frames {
    pub(crate) frames: VecDeque<Bytes>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) breaks_off: bool,
    /// What the body says of its length.
    pub(crate) hint: SizeHint,
    pub(crate) waits: bool,
    /// What happens before each frame.
    pub(crate) before_each: Option<Box<dyn FnMut() + Send>>,
    /// What each frame waits for.
    pub(crate) gate: Option<Gate>,
    /// How many frames were taken.
    pub(crate) taken: Arc<AtomicUsize>,
}

pub(crate) type Gate = Box<dyn FnMut(&mut Context<'_>) -> Poll<()> + Send>;

impl Frames {
    pub(crate) fn of(body: &[u8], size: usize) -> Self {
        Self {
            frames: body.chunks(size).map(Bytes::copy_from_slice).collect(),
            ..Self::default()
        }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate(cx));
        } else {
            self.waits = !self.waits;
        }
        if self.waits {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.taken.fetch_add(1, Ordering::SeqCst);
        if let Some(before) = &mut self.before_each {
            before();
        }
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        if self.breaks_off {
            return Poll::Ready(Some(Err("broken off")));
        }
        Poll::Ready(
            self.trailers
                .take()
                .map(|trailers| Ok(Frame::trailers(trailers))),
        )
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

/// A signed delivery in frames of that size.
pub(crate) fn delivery(body: &[u8], size: usize) -> Request<Frames> {
    let mut request = Request::post("/hooks")
        .body(Frames::of(body, size))
        .unwrap();
    request.headers_mut().extend(fields(body));
    request
}

/// What a handler was handed.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) webhook: VerifiedWebhook,
    pub(crate) body: Bytes,
    pub(crate) frames: usize,
    pub(crate) trailers: Option<HeaderMap>,
}

/// A handler that answers what it is told, in turn, and keeps what it saw.
#[derive(Clone, Default)]
pub(crate) struct Handler {
    pub(crate) answers: Arc<Mutex<VecDeque<StatusCode>>>,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Handler {
    pub(crate) fn answering(statuses: &[u16]) -> Self {
        let statuses = statuses
            .iter()
            .map(|status| StatusCode::from_u16(*status).unwrap());
        Self {
            answers: Arc::new(Mutex::new(statuses.collect())),
            ..Self::default()
        }
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn service(
        &self,
        layer: &WebhookLayer,
    ) -> impl Service<
        Request<Frames>,
        Response = Response<portcullis::body::ResponseBody<String>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + use<> {
        let handler = self.clone();
        layer.layer(service_fn(move |request: Request<WebhookBody>| {
            let handler = handler.clone();
            async move {
                let webhook = request
                    .extensions()
                    .get::<VerifiedWebhook>()
                    .unwrap()
                    .clone();
                let mut body = request.into_body();
                let (mut bytes, mut frames, mut trailers) = (Vec::new(), 0, None);
                while let Some(frame) = body.frame().await {
                    match frame.unwrap().into_data() {
                        Ok(data) => {
                            frames += 1;
                            bytes.extend_from_slice(&data);
                        }
                        Err(frame) => trailers = frame.into_trailers().ok(),
                    }
                }
                let seen = Seen {
                    webhook,
                    body: bytes.into(),
                    frames,
                    trailers,
                };
                handler.seen.lock().unwrap().push(seen);
                let status = handler.answers.lock().unwrap().pop_front();
                let mut response = Response::new(String::from("handled"));
                *response.status_mut() = status.unwrap_or(StatusCode::OK);
                Ok(response)
            }
        }))
    }

    pub(crate) async fn ask(&self, layer: &WebhookLayer, request: Request<Frames>) -> Answer {
        let response = self.service(layer).oneshot(request).await.unwrap();
        Answer::of(response)
    }
}

/// An answer, as far as the tests look at it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) code: Option<&'static str>,
    pub(crate) headers: HeaderMap,
    pub(crate) length: Option<u64>,
}

impl Answer {
    pub(crate) fn of<B: Body>(response: Response<B>) -> Self {
        Self {
            status: response.status().as_u16(),
            code: response
                .extensions()
                .get::<Rejection>()
                .map(Rejection::code),
            headers: response.headers().clone(),
            length: response.body().size_hint().exact(),
        }
    }
}

/// A store that fails at whatever it is told to.
#[derive(Clone, Copy, Default)]
pub(crate) struct Broken {
    pub(crate) waits: bool,
    /// Whether it breaks only once the delivery was claimed.
    pub(crate) claims: bool,
}

impl Broken {
    fn reply<T: Send + 'static>(self) -> Reply<T> {
        let error = Err(StoreError::new(StoreErrorKind::Timeout));
        match self.waits {
            true => Reply::Wait(Box::pin(async { error })),
            false => Reply::Ready(error),
        }
    }
}

impl ReplayStore for Broken {
    fn consume(&self, _: &[u8], _: SystemTime, _: Duration) -> Reply<bool> {
        self.reply()
    }

    fn claim(&self, _: &[u8], _: &ClaimToken, _: SystemTime, _: Duration) -> Reply<Claim> {
        match self.claims {
            true => Reply::Ready(Ok(Claim::Claimed)),
            false => self.reply(),
        }
    }

    fn commit(&self, _: &[u8], _: &ClaimToken, _: SystemTime, _: Duration) -> Reply<bool> {
        self.reply()
    }

    fn release(&self, _: &[u8], _: &ClaimToken, _: SystemTime) -> Reply<bool> {
        self.reply()
    }
}

/// A store in memory that knows what is held, and may fail at one claim.
#[derive(Clone, Default)]
pub(crate) struct Counting {
    pub(crate) store: MemoryStore,
    pub(crate) held: Arc<Mutex<HashSet<Vec<u8>>>>,
    /// Which claim fails, counted from 0.
    pub(crate) fails_at: Option<usize>,
    pub(crate) claims: Arc<AtomicUsize>,
    pub(crate) waits: bool,
}

impl Counting {
    pub(crate) fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    fn later<T: Send + 'static>(&self, reply: Reply<T>) -> Reply<T> {
        match reply {
            Reply::Ready(answer) if self.waits => Reply::Wait(Box::pin(async {
                tokio::task::yield_now().await;
                answer
            })),
            reply => reply,
        }
    }
}

impl ReplayStore for Counting {
    fn consume(&self, key: &[u8], now: SystemTime, keep: Duration) -> Reply<bool> {
        self.store.consume(key, now, keep)
    }

    fn claim(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        lease: Duration,
    ) -> Reply<Claim> {
        if Some(self.claims.fetch_add(1, Ordering::SeqCst)) == self.fails_at {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Timeout)));
        }
        let claim = self.store.claim(key, token, now, lease);
        if let Reply::Ready(Ok(Claim::Claimed)) = claim {
            self.held.lock().unwrap().insert(key.to_vec());
        }
        self.later(claim)
    }

    fn commit(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        keep: Duration,
    ) -> Reply<bool> {
        self.held.lock().unwrap().remove(key);
        let reply = self.store.commit(key, token, now, keep);
        self.later(reply)
    }

    fn release(&self, key: &[u8], token: &ClaimToken, now: SystemTime) -> Reply<bool> {
        let reply = self.store.release(key, token, now);
        if let Reply::Ready(Ok(true)) = reply {
            self.held.lock().unwrap().remove(key);
        }
        self.later(reply)
    }
}
