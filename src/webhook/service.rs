//! [`Webhook`]: the service of the layer.
//!
//! It is no [`Guard`](crate::guard::Guard), because it has to read the body before it can decide. It keeps
//! the same discipline: the inner service that was polled ready is the one that is called, and a refusal
//! leaves it uncalled.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    body::{Collected, WebhookBody},
    check::State as Check,
    claim::{Asked, Held, Settling},
    error::{WebhookError, WebhookErrorKind},
    layer::{Shared, StoreFailure},
    received::Received,
    verified::VerifiedWebhook,
};
use crate::{body::ResponseBody, head::RequestHead, replay::Claim, store::StoreError};

/// The service of [`WebhookLayer`](super::WebhookLayer).
#[derive(Clone, Debug)]
pub struct Webhook<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Webhook<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, R> Service<Request<B>> for Webhook<S>
where
    S: Service<Request<WebhookBody>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = WebhookFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        // Boxed from the start: what is in it is not moved again.
        let mut check = Box::<Check>::default();
        let state = match begin(&mut check, &self.shared, &parts, &body) {
            Err(error) => answered(self.shared.refuse(error, RequestHead::from(&parts))),
            Ok(()) => {
                // The clone was never polled ready, so the polled service is the one that must be called,
                // and the clone takes its place here.
                let clone = self.inner.clone();
                let service = mem::replace(&mut self.inner, clone);
                let pending = Pending {
                    shared: Arc::clone(&self.shared),
                    service,
                    parts,
                };
                let collected = Collected::default();
                let reading = Some(Box::new(Reading {
                    pending,
                    check,
                    collected,
                }));
                State::Reading { reading, body }
            }
        };
        WebhookFuture { state }
    }
}

/// What can be refused by the head alone.
fn begin<B: Body>(
    check: &mut Check,
    shared: &Shared,
    parts: &Parts,
    body: &B,
) -> Result<(), WebhookError> {
    if body.size_hint().lower() > shared.limit {
        return Err(WebhookErrorKind::BodyTooLarge.into());
    }
    let keys = shared.verifier.keys();
    let received = Received::read(&keys.scheme, &parts.headers, parts.uri.query())?;
    Ok(check.begin(keys, &received, shared.refusals.now())?)
}

pin_project! {
    /// The future of [`Webhook`]: the body is read, the delivery claimed, the inner service called, the
    /// claim settled.
    pub struct WebhookFuture<S, B>
    where
        S: Service<Request<WebhookBody>>,
    {
        #[pin]
        state: State<S, S::Future, S::Response, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, R, B> {
        Reading { reading: Option<Box<Reading<S>>>, #[pin] body: B },
        Claiming { claiming: Option<Box<Claiming<S>>> },
        Calling { #[pin] future: F, held: Option<Held> },
        // The answer of the inner service waits until the store knows of it.
        Settling { settling: Settling, response: Option<R> },
        Answered { response: Option<Box<Response<Bytes>>> },
    }
}

/// A delivery that has not come to the inner service yet.
struct Pending<S> {
    shared: Arc<Shared>,
    service: S,
    parts: Parts,
}

struct Reading<S> {
    pending: Pending<S>,
    check: Box<Check>,
    collected: Collected,
}

struct Claiming<S> {
    pending: Pending<S>,
    body: WebhookBody,
    held: Held,
    asked: Asked<Claim>,
}

impl<S> Reading<S> {
    /// Takes what comes until the body ends.
    fn poll<B: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WebhookErrorKind>> {
        loop {
            let Some(frame) = ready!(body.as_mut().poll_frame(cx)) else {
                return Poll::Ready(Ok(()));
            };
            let Ok(frame) = frame else {
                return Poll::Ready(Err(WebhookErrorKind::BodyUnreadable));
            };
            match frame.into_data() {
                Ok(data) => {
                    let length = self.collected.length().saturating_add(data.len() as u64);
                    if length > self.pending.shared.limit {
                        return Poll::Ready(Err(WebhookErrorKind::BodyTooLarge));
                    }
                    self.check.update(&data);
                    self.collected.push(data);
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.collected.end(trailers);
                    }
                }
            }
        }
    }
}

impl<S, R> Reading<S>
where
    S: Service<Request<WebhookBody>, Response = Response<R>>,
{
    /// The body is there: is it genuine?
    fn verify<B>(self) -> State<S, S::Future, S::Response, B> {
        let Self {
            mut pending,
            mut check,
            collected,
        } = self;
        let mut body = collected.finish();
        let verifier = &pending.shared.verifier;
        let whole = verifier.needs_whole_body().then(|| body.join());
        let query = pending.parts.uri.query();
        let scheme = verifier.scheme();
        let proof = Received::read(scheme, &pending.parts.headers, query)
            .map_err(WebhookError::from)
            .and_then(|received| {
                verifier.decide(&mut check, &received, whole.as_deref().unwrap_or_default())
            });
        let proof = match proof {
            Ok(proof) => proof,
            Err(error) => return pending.refuse(error),
        };
        let replay_key = proof.replay_key();
        let verified = VerifiedWebhook::new(scheme.name(), &proof, body.pieces(), whole);
        pending.parts.extensions.insert(verified);
        if !pending.shared.checks_replay {
            return pending.call(body, None);
        }
        let Ok(held) = Held::new(&pending.shared, &replay_key) else {
            return pending.refuse(WebhookErrorKind::StoreUnavailable.into());
        };
        let asked = held.claim();
        let claiming = Some(Box::new(Claiming {
            pending,
            body,
            held,
            asked,
        }));
        State::Claiming { claiming }
    }
}

impl<S, R> Claiming<S>
where
    S: Service<Request<WebhookBody>, Response = Response<R>>,
{
    fn proceed<B>(self, claim: Result<Claim, StoreError>) -> State<S, S::Future, S::Response, B> {
        let Self {
            pending,
            body,
            held,
            ..
        } = self;
        match claim {
            Ok(Claim::Claimed) => pending.call(body, Some(held)),
            Ok(Claim::Used) => {
                held.forget();
                let head = RequestHead::from(&pending.parts);
                let error = WebhookErrorKind::Replayed.into();
                answered(pending.shared.answer_duplicate(error, head))
            }
            Ok(_) => {
                held.forget();
                pending.refuse(WebhookErrorKind::InFlight.into())
            }
            // The store may have heard the claim all the same: it is given back.
            Err(_) => match pending.shared.store_failure {
                StoreFailure::Allow => pending.call(body, Some(held)),
                StoreFailure::Refuse => pending.refuse(WebhookErrorKind::StoreUnavailable.into()),
            },
        }
    }
}

impl<S, R> Pending<S>
where
    S: Service<Request<WebhookBody>, Response = Response<R>>,
{
    fn refuse<B>(&self, error: WebhookError) -> State<S, S::Future, S::Response, B> {
        answered(self.shared.refuse(error, RequestHead::from(&self.parts)))
    }

    fn call<B>(
        mut self,
        body: WebhookBody,
        held: Option<Held>,
    ) -> State<S, S::Future, S::Response, B> {
        let future = self.service.call(Request::from_parts(self.parts, body));
        State::Calling { future, held }
    }
}

fn answered<S, F, R, B>(response: Response<Bytes>) -> State<S, F, R, B> {
    State::Answered {
        response: Some(Box::new(response)),
    }
}

impl<S, B, R> Future for WebhookFuture<S, B>
where
    S: Service<Request<WebhookBody>, Response = Response<R>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Reading { reading, body } => {
                    let pending = reading.as_mut().expect(AFTER_COMPLETION);
                    let read = ready!(pending.poll(body, cx));
                    let reading = reading.take().expect(AFTER_COMPLETION);
                    match read {
                        Ok(()) => reading.verify(),
                        Err(kind) => reading.pending.refuse(kind.into()),
                    }
                }
                StateProjection::Claiming { claiming } => {
                    let pending = claiming.as_mut().expect(AFTER_COMPLETION);
                    let claim = ready!(pending.asked.poll(cx));
                    claiming.take().expect(AFTER_COMPLETION).proceed(claim)
                }
                StateProjection::Calling { future, held } => {
                    let response = ready!(future.poll(cx));
                    let Some(held) = held.take() else {
                        return Poll::Ready(response.map(own));
                    };
                    let is_done = response
                        .as_ref()
                        .is_ok_and(|response| response.status().is_success());
                    let settling = held.settle(is_done);
                    match response {
                        Ok(response) => State::Settling {
                            settling,
                            response: Some(response),
                        },
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                StateProjection::Settling { settling, response } => {
                    // What was done is done, whether the store could be told or not: a failure here would
                    // make the provider send it again. The claim still holds until it runs out.
                    let _ = ready!(settling.poll(cx));
                    let response = response.take().expect(AFTER_COMPLETION);
                    return Poll::Ready(Ok(own(response)));
                }
                StateProjection::Answered { response } => {
                    let response = response.take().expect(AFTER_COMPLETION);
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
            };
            this.state.set(next);
        }
    }
}

const AFTER_COMPLETION: &str = "future polled after completion";

fn own<R>(response: Response<R>) -> Response<ResponseBody<R>> {
    response.map(ResponseBody::inner)
}

impl<S, B> fmt::Debug for WebhookFuture<S, B>
where
    S: Service<Request<WebhookBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Reading { .. } => "reading",
            State::Claiming { .. } => "claiming",
            State::Calling { .. } => "calling",
            State::Settling { .. } => "settling",
            State::Answered { .. } => "answered",
        };
        f.debug_struct("WebhookFuture")
            .field("state", &state)
            .finish()
    }
}
