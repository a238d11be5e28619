//! The chassis of every layer that looks at a request's head and then lets it in or not.
//!
//! A [`Guard`] decides; [`Guarded`] does the rest, once for the whole crate:
//!
//! 1. The inner service is polled ready before anything is asked of it, and the service that was polled is
//!    the one that is called.
//! 2. A check that is ready at once costs nothing of the chassis' own: no clone of the service, no box, no
//!    allocation. Only a check that must wait (for a store, for a key) moves into a box, together with the
//!    request and the polled service.
//! 3. A refusal never reaches the inner service. It is a response, not an error: rendered by a
//!    [`Responder`], with its [`Rejection`] in the response's extensions, and told to an [`AuditSink`].
//!
//! What was reserved by `poll_ready` and not used because of a refusal stays with the service for its next
//! call, or is given back when it is dropped.
//!
//! [`Responder`]: crate::problem::Responder
//! [`AuditSink`]: crate::audit::AuditSink
//!
//! # A check of your own
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use portcullis::{
//!     audit::AuditKind,
//!     guard::{Check, Guard, Guarded, Refusals},
//!     head::RequestHead,
//!     problem::Rejection,
//! };
//! use tower::{ServiceExt, service_fn};
//!
//! #[derive(Clone)]
//! struct NoTrace {
//!     refusals: Refusals,
//! }
//!
//! impl Guard for NoTrace {
//!     const NAME: &'static str = "no_trace";
//!     type Pass = ();
//!
//!     fn check(&self, request: RequestHead<'_>) -> Check<()> {
//!         if request.method() == http::Method::TRACE {
//!             let status = StatusCode::METHOD_NOT_ALLOWED;
//!             return Check::refuse(Rejection::new(status, "no_trace", "TRACE is not served."));
//!         }
//!         Check::pass(())
//!     }
//!
//!     fn audit_kind(&self, _rejection: &Rejection) -> AuditKind {
//!         AuditKind::AuthzFail
//!     }
//!
//!     fn refusals(&self) -> &Refusals {
//!         &self.refusals
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), std::convert::Infallible> {
//! let inner = service_fn(async |_: Request<()>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(String::from("hello")))
//! });
//! let service = Guarded::new(inner, NoTrace { refusals: Refusals::new() });
//! let request = Request::builder().method("TRACE").body(()).expect("a valid request");
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), 405);
//! assert_eq!(response.extensions().get::<Rejection>().map(Rejection::code), Some("no_trace"));
//! # Ok(())
//! # }
//! ```

#[macro_use]
mod refusals;
mod future;

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use self::future::Departure;
pub use self::{
    future::ResponseFuture,
    refusals::{ForAll, Refusals, RefusalsLayer},
};
use crate::{audit::AuditKind, body::ResponseBody, head::RequestHead, problem::Rejection};

/// Decides about requests by their heads.
///
/// Cloned for every request, so keep what it holds behind an `Arc`.
pub trait Guard: Clone {
    /// The name of the layer in audit events, lower case with underscores.
    const NAME: &'static str;

    /// What a passed check hands on to the request and to its response.
    type Pass;

    /// Looks at the request and decides, or says what it must wait for.
    ///
    /// It changes nothing of the request: that is [`Guard::admit`]'s, once the request has passed.
    fn check(&self, request: RequestHead<'_>) -> Check<Self::Pass>;

    /// The event that a refusal is told as.
    fn audit_kind(&self, rejection: &Rejection) -> AuditKind;

    /// How refusals are rendered and who is told.
    fn refusals(&self) -> &Refusals;

    /// Prepares a request that has passed, just before the inner service is called with it.
    fn admit<B>(&self, pass: &mut Self::Pass, request: &mut Request<B>) {
        let _ = (pass, request);
    }

    /// Whether [`Guard::depart`] has anything to do after this pass. Where it has not, the guard need not
    /// be cloned for it.
    fn departs(&self, pass: &Self::Pass) -> bool {
        let _ = pass;
        true
    }

    /// Touches the head of the inner service's response.
    ///
    /// It is not called for refusals, nor when the inner service fails.
    fn depart<B>(&self, pass: Self::Pass, response: &mut Response<B>) {
        let _ = (pass, response);
    }

    /// Whether a pass holds all that is needed for the response. Then [`Guard::depart_alone`] is called instead
    /// of [`Guard::depart`], and the guard need not be cloned for it either.
    fn departs_alone(pass: &Self::Pass) -> bool {
        let _ = pass;
        false
    }

    /// As [`Guard::depart`], by the pass alone.
    fn depart_alone<B>(pass: Self::Pass, response: &mut Response<B>) {
        let _ = (pass, response);
    }
}

/// What a guard decided.
#[derive(Debug)]
pub enum Verdict<P> {
    /// Let the request in.
    Pass(P),
    /// Do not let it in.
    Refuse(Rejection),
    /// Do not let it in, and answer with this: no refusal, but a redirect, say.
    Answer(Box<Response<Bytes>>),
}

/// A verdict, now or later.
pub enum Check<P> {
    /// Decided at once.
    Ready(Verdict<P>),
    /// Decided when the future is. The future owns what it needs and outlives a caller that goes away
    /// only if it was spawned.
    Wait(Pin<Box<dyn Future<Output = Verdict<P>> + Send>>),
}

impl<P> Check<P> {
    /// Lets the request in, at once.
    pub fn pass(pass: P) -> Self {
        Self::Ready(Verdict::Pass(pass))
    }

    /// Refuses the request, at once.
    #[must_use]
    pub fn refuse(rejection: Rejection) -> Self {
        Self::Ready(Verdict::Refuse(rejection))
    }

    /// Decides later.
    pub fn wait(verdict: impl Future<Output = Verdict<P>> + Send + 'static) -> Self {
        Self::Wait(Box::pin(verdict))
    }
}

impl<P: fmt::Debug> fmt::Debug for Check<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(verdict) => f.debug_tuple("Ready").field(verdict).finish(),
            Self::Wait(_) => f.write_str("Wait(..)"),
        }
    }
}

/// A service behind a guard.
#[derive(Clone, Debug)]
pub struct Guarded<S, G> {
    inner: S,
    guard: G,
}

impl<S, G> Guarded<S, G> {
    /// Puts `guard` before `inner`.
    pub fn new(inner: S, guard: G) -> Self {
        Self { inner, guard }
    }

    /// The service behind the guard.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Takes the guard away.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, G, B, R> Service<Request<B>> for Guarded<S, G>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    G: Guard,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<G, S, B>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.guard.check(RequestHead::from(&request)) {
            // Not in a function of its own, to which the request would have to be copied.
            Check::Ready(Verdict::Pass(mut pass)) => {
                self.guard.admit(&mut pass, &mut request);
                let future = self.inner.call(request);
                ResponseFuture::called(future, Departure::of(&self.guard, pass))
            }
            Check::Ready(Verdict::Refuse(refusal)) => {
                let head = RequestHead::from(&request);
                ResponseFuture::answered(future::refused(&self.guard, refusal, head))
            }
            Check::Ready(Verdict::Answer(response)) => ResponseFuture::answered(response),
            Check::Wait(check) => {
                // The clone was never polled ready, so the polled service is the one that must be
                // called, and the clone takes its place here.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::waiting(self.guard.clone(), check, ready, request)
            }
        }
    }
}
