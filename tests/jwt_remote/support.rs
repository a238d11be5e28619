//! An endpoint on loopback, and a world whose time is moved by hand.

#![allow(dead_code, reason = "each suite uses the part it needs")]

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper_util::rt::TokioIo;
use portcullis::{
    clock::{Clock, ManualClock},
    fetch::{Background, Fetch, FetchLimits, Fetched, HttpClient, Work},
    jwt::{Algorithm, JwksEvent, RemoteJwks, RemoteJwksBuilder},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::mint;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A public key of the RFCs' examples under a name.
pub(crate) fn public(algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = mint::jwk(algorithm);
    jwk["kid"] = kid.into();
    jwk["alg"] = algorithm.as_str().into();
    jwk
}

/// A set of keys, as it is served.
pub(crate) fn set(keys: &[(Algorithm, &str)]) -> String {
    let keys: Vec<_> = keys.iter().map(|(one, kid)| public(*one, kid)).collect();
    json!({"keys": keys}).to_string()
}

/// A token under the key of this name, good for ever.
pub(crate) fn token(algorithm: Algorithm, kid: &str) -> String {
    let header = json!({"alg": algorithm.as_str(), "typ": "JWT", "kid": kid});
    let claims = mint::claims_with(json!({"exp": mint::NOW * 2}));
    mint::sign(algorithm, header.to_string(), claims.to_string())
}

/// A token under a key that nobody has.
pub(crate) fn token_of_nobody(number: usize) -> String {
    let header = json!({"alg": "EdDSA", "kid": format!("nobody's-{number}")});
    let claims = mint::encode(mint::claims().to_string());
    let signature = mint::encode([7; 64]);
    format!("{}.{claims}.{signature}", mint::encode(header.to_string()))
}

/// What an endpoint answers.
#[derive(Clone)]
pub(crate) enum Answer {
    Body(StatusCode, HeaderMap, Bytes),
    /// The other answer, so much later by the world's clock.
    Slow(World, Duration, Box<Answer>),
    /// Nothing, until it answers something else.
    Hold,
    /// A body without an end.
    Endless,
    /// The connection breaks.
    Break,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<Bytes>) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self::Body(status, HeaderMap::new(), body.into())
    }

    pub(crate) fn with(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Self::Body(_, headers, _) = &mut self {
            headers.append(name, value.parse().expect("a value"));
        }
        self
    }
}

/// A key endpoint on loopback.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    answer: watch::Sender<Answer>,
    asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    count: watch::Receiver<usize>,
    server: JoinHandle<()>,
}

impl Endpoint {
    pub(crate) async fn start(first: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (answer, answers) = watch::channel(first);
        let (counter, count) = watch::channel(0);
        let counter = Arc::new(counter);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let server = tokio::spawn(async move {
            // Connections end with the server.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, seen) = (answers.clone(), Arc::clone(&seen));
                let counter = Arc::clone(&counter);
                let service = hyper::service::service_fn(move |request: Request<_>| {
                    let _: &hyper::body::Incoming = request.body();
                    let path = request.uri().path().to_owned();
                    let head = (path.clone(), request.headers().clone());
                    seen.lock().expect("a lock").push(head);
                    counter.send_modify(|count| *count += 1);
                    respond(path, request.headers().clone(), answers.clone())
                });
                connections.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self {
            address,
            answer,
            asked,
            count,
            server,
        }
    }

    /// One that serves these keys.
    pub(crate) async fn of(keys: &[(Algorithm, &str)]) -> Self {
        Self::start(Answer::ok(set(keys))).await
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until it was asked so often.
    pub(crate) async fn asked(&self, times: usize) {
        let mut count = self.count.clone();
        count
            .wait_for(|count| *count >= times)
            .await
            .expect("it runs");
    }

    /// The paths and heads of what it was asked.
    pub(crate) fn heads(&self) -> Vec<(String, HeaderMap)> {
        self.asked.lock().expect("a lock").clone()
    }

    /// Stops listening and breaks every connection.
    pub(crate) async fn die(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn respond(
    path: String,
    headers: HeaderMap,
    mut answers: watch::Receiver<Answer>,
) -> Result<Response<Body>, io::Error> {
    let held = answers
        .wait_for(|answer| !matches!(answer, Answer::Hold))
        .await;
    let mut answer = held.map_err(io::Error::other)?.clone();
    if let Answer::Slow(world, time, late) = answer {
        world.sleep(time).await;
        answer = *late;
    }
    let (status, fields, body) = match answer {
        Answer::Body(status, fields, body) => (status, fields, body),
        Answer::Endless => return Ok(Response::new(BodyExt::boxed(Endless))),
        Answer::Break | Answer::Hold | Answer::Slow(..) => {
            return Err(io::Error::other("told to break"));
        }
    };
    // Several documents may be served, as members by path.
    let documents: Option<Value> = serde_json::from_slice(&body).ok();
    let own = documents.as_ref().and_then(|all| all.get(&path));
    let body = own.map_or(body, |own| own.to_string().into());
    let known = fields.get(header::ETAG);
    let mut response = Response::new(BodyExt::boxed(Full::new(body)));
    *response.status_mut() = status;
    if known.is_some() && headers.get(header::IF_NONE_MATCH) == known {
        response = Response::new(BodyExt::boxed(Full::default()));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response.headers_mut().extend(fields);
    Ok(response)
}

/// A body without an end.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static SOME: [u8; 16 * 1024] = [b' '; 16 * 1024];
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&SOME)))))
    }
}

/// A clock and the sleepers that go by it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    sleepers: Arc<Mutex<Vec<Sleeper>>>,
    /// When each fetch began.
    fetches: Arc<Mutex<Vec<SystemTime>>>,
    told: mpsc::UnboundedSender<Told>,
}

/// Until when somebody sleeps, and what wakes them.
type Sleeper = (SystemTime, oneshot::Sender<()>);

/// An event, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) name: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) usable_until: Option<SystemTime>,
    pub(crate) line: String,
}

pub(crate) type Events = mpsc::UnboundedReceiver<Told>;

impl World {
    pub(crate) fn new() -> (Self, Events) {
        let (told, events) = mpsc::unbounded_channel();
        let world = Self {
            clock: Arc::new(ManualClock::at_unix(mint::NOW)),
            sleepers: Arc::default(),
            fetches: Arc::default(),
            told,
        };
        (world, events)
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Moves time, and wakes whoever was to sleep no longer.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        let now = self.now();
        let mut sleepers = self.sleepers.lock().expect("a lock");
        sleepers.retain(|(_, sleeper)| !sleeper.is_closed());
        let mut at = 0;
        while at < sleepers.len() {
            match sleepers[at].0 <= now {
                true => drop(sleepers.swap_remove(at).1.send(())),
                false => at += 1,
            }
        }
    }

    /// How many sleep.
    pub(crate) fn sleeping(&self) -> usize {
        let mut sleepers = self.sleepers.lock().expect("a lock");
        sleepers.retain(|(_, sleeper)| !sleeper.is_closed());
        sleepers.len()
    }

    pub(crate) fn fetches(&self) -> Vec<SystemTime> {
        self.fetches.lock().expect("a lock").clone()
    }

    /// How many fetches began.
    pub(crate) fn fetched(&self) -> usize {
        self.fetches().len()
    }

    /// Goes by this world's time, and tells it of events.
    pub(crate) fn set_up(&self, builder: RemoteJwksBuilder) -> RemoteJwksBuilder {
        let told = self.told.clone();
        builder
            .with_clock(Arc::clone(&self.clock))
            .with_background(self.clone())
            .dangerous_allow_http()
            .on_event(move |event| {
                let (code, usable_until) = match event {
                    JwksEvent::Failed {
                        error,
                        usable_until,
                        ..
                    } => (Some(error.code()), *usable_until),
                    _ => (None, None),
                };
                let _ = told.send(Told {
                    name: event.name(),
                    code,
                    usable_until,
                    line: event.to_string(),
                });
            })
    }

    /// The client that counts.
    pub(crate) fn client(&self) -> Counted {
        Counted(HttpClient::new().dangerous_allow_http(), self.clone())
    }

    /// The keys of an endpoint.
    pub(crate) fn keys(&self, endpoint: &Endpoint) -> RemoteJwks {
        self.keys_with(endpoint, |builder| builder)
    }

    pub(crate) fn keys_with(
        &self,
        endpoint: &Endpoint,
        set: impl FnOnce(RemoteJwksBuilder) -> RemoteJwksBuilder,
    ) -> RemoteJwks {
        let builder = self.set_up(RemoteJwks::builder(endpoint.uri("/keys")));
        set(builder).build_over(self.client()).expect("keys")
    }

    pub(crate) fn discovered(&self, issuer: &str) -> RemoteJwks {
        let builder = self.set_up(RemoteJwks::discover(issuer));
        builder.build_over(self.client()).expect("keys")
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl Background for World {
    fn spawn(&self, work: Work) -> bool {
        tokio::spawn(work);
        true
    }

    fn sleep(&self, time: Duration) -> Work {
        let (wake, woken) = oneshot::channel();
        let until = self.now() + time;
        self.sleepers.lock().expect("a lock").push((until, wake));
        Box::pin(async move { drop(woken.await) })
    }
}

/// A client that notes when it is asked.
pub(crate) struct Counted(HttpClient, World);

impl Fetch for Counted {
    fn fetch(&self, request: Request<Bytes>, limits: FetchLimits) -> Fetched {
        let now = self.1.now();
        self.1.fetches.lock().expect("a lock").push(now);
        self.0.fetch(request, limits)
    }
}

/// Lets everything go on that can.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Polls a future once.
pub(crate) async fn once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// A count that many tasks share.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<AtomicUsize>);

impl Tally {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
