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
    body::WebhookBody,
    claim::{Held, Settling},
    error::WebhookErrorKind,
    layer::{Shared, StoreFailure},
    reading::{Genuine, Reading},
};
use crate::{
    body::ResponseBody,
    head::RequestHead,
    replay::Claim,
    store::{Reply, StoreError},
};

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
        // The clone was never polled ready, so the polled service is the one that must be called, and the
        // clone takes its place here.
        let clone = self.inner.clone();
        let pending = Pending {
            shared: Arc::clone(&self.shared),
            service: mem::replace(&mut self.inner, clone),
            parts,
        };
        let reading = Some(Reading::new(pending));
        WebhookFuture {
            state: State::Reading { reading, body },
        }
    }
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
        Reading { reading: Option<Reading<S>>, #[pin] body: B },
        Claiming { claiming: Option<Box<Claiming<S>>> },
        Calling { #[pin] future: F, held: Option<Held> },
        // The answer of the inner service waits until the store knows of it.
        Settling { settling: Settling, response: Option<R> },
        Answered { response: Option<Box<Response<Bytes>>> },
    }
}

/// A delivery that has not come to the inner service yet.
pub(super) struct Pending<S> {
    pub(super) shared: Arc<Shared>,
    service: S,
    pub(super) parts: Parts,
}

struct Claiming<S> {
    pending: Pending<S>,
    body: WebhookBody,
    held: Held,
    reply: Pin<Box<dyn Future<Output = Result<Claim, StoreError>> + Send>>,
}

impl<S, R> Pending<S>
where
    S: Service<Request<WebhookBody>, Response = Response<R>>,
{
    /// A genuine delivery goes to the handler, unless it was there before.
    fn admit<B>(mut self, genuine: Genuine) -> State<S, S::Future, S::Response, B> {
        let Genuine {
            webhook,
            trailers,
            held,
            at,
        } = genuine;
        self.parts.extensions.insert(webhook.clone());
        let body = WebhookBody::new(webhook, trailers);
        let Some(held) = held else {
            return self.call(body, None);
        };
        match held.claim(at) {
            Reply::Ready(claim) => self.proceed(body, held, claim),
            Reply::Wait(reply) => State::Claiming {
                claiming: Some(Box::new(Claiming {
                    pending: self,
                    body,
                    held,
                    reply,
                })),
            },
        }
    }

    fn proceed<B>(
        self,
        body: WebhookBody,
        held: Held,
        claim: Result<Claim, StoreError>,
    ) -> State<S, S::Future, S::Response, B> {
        match claim {
            Ok(Claim::Claimed) => self.call(body, Some(held)),
            Ok(Claim::Used) => {
                held.forget();
                let head = RequestHead::from(&self.parts);
                let error = WebhookErrorKind::Replayed.into();
                answered(self.shared.answer_duplicate(error, head))
            }
            Ok(_) => {
                held.forget();
                self.refuse(WebhookErrorKind::InFlight)
            }
            // The store may have heard the claim all the same: it is given back.
            Err(_) => match self.shared.store_failure {
                StoreFailure::Allow => self.call(body, Some(held)),
                StoreFailure::Refuse => {
                    held.give_back();
                    self.refuse(WebhookErrorKind::StoreUnavailable)
                }
            },
        }
    }

    fn refuse<B>(&self, kind: WebhookErrorKind) -> State<S, S::Future, S::Response, B> {
        let head = RequestHead::from(&self.parts);
        answered(self.shared.refuse(kind.into(), head))
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
                    let read = ready!(reading.as_mut().expect(AFTER_COMPLETION).poll(body, cx));
                    let pending = reading.take().expect(AFTER_COMPLETION).into_pending();
                    match read {
                        Ok(genuine) => pending.admit(genuine),
                        Err(kind) => pending.refuse(kind),
                    }
                }
                StateProjection::Claiming { claiming } => {
                    let reply = &mut claiming.as_mut().expect(AFTER_COMPLETION).reply;
                    let claim = ready!(reply.as_mut().poll(cx));
                    let claiming = *claiming.take().expect(AFTER_COMPLETION);
                    let Claiming {
                        pending,
                        body,
                        held,
                        ..
                    } = claiming;
                    pending.proceed(body, held, claim)
                }
                StateProjection::Calling { future, held } => {
                    let response = ready!(future.poll(cx));
                    let Some(held) = held.take() else {
                        return Poll::Ready(response.map(own));
                    };
                    // Without an answer it is given back, and not waited for.
                    let response = response?;
                    match held.settle(response.status()) {
                        None => return Poll::Ready(Ok(own(response))),
                        Some(settling) => State::Settling {
                            settling,
                            response: Some(response),
                        },
                    }
                }
                StateProjection::Settling { settling, response } => {
                    ready!(settling.poll(cx));
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
