//! The future of a guarded call.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Guard, Verdict};
use crate::{body::ResponseBody, head::RequestHead, problem::Rejection};

pin_project! {
    /// The future of [`Guarded`](super::Guarded): the check if it must wait, then the inner service's
    /// response or the guard's.
    pub struct ResponseFuture<G, S, B>
    where
        G: Guard,
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<G, G::Pass, S, S::Future, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<G, P, S, F, B> {
        Waiting { waiting: Option<Box<Waiting<G, P, S, B>>> },
        // What is left to do with the response, if anything is.
        Calling { #[pin] future: F, depart: Departure<G, P> },
        Answered { response: Option<Box<Response<Bytes>>> },
    }
}

/// What is left to do with a response.
pub(super) enum Departure<G, P> {
    Nothing,
    /// By the pass alone.
    Alone(P),
    Guarded(G, P),
}

impl<G: Guard> Departure<G, G::Pass> {
    #[inline]
    pub(super) fn of(guard: &G, pass: G::Pass) -> Self {
        if G::departs_alone(&pass) {
            Self::Alone(pass)
        } else if guard.departs(&pass) {
            Self::Guarded(guard.clone(), pass)
        } else {
            Self::Nothing
        }
    }
}

struct Waiting<G, P, S, B> {
    guard: G,
    check: Pin<Box<dyn Future<Output = Verdict<P>> + Send>>,
    service: S,
    request: Request<B>,
}

impl<G, S, B> ResponseFuture<G, S, B>
where
    G: Guard,
    S: Service<Request<B>>,
{
    /// The inner service was called.
    #[inline]
    pub(super) fn called(future: S::Future, depart: Departure<G, G::Pass>) -> Self {
        Self {
            state: State::Calling { future, depart },
        }
    }

    /// The guard answers.
    pub(super) fn answered(response: Box<Response<Bytes>>) -> Self {
        Self {
            state: State::Answered {
                response: Some(response),
            },
        }
    }

    pub(super) fn waiting(
        guard: G,
        check: Pin<Box<dyn Future<Output = Verdict<G::Pass>> + Send>>,
        service: S,
        request: Request<B>,
    ) -> Self {
        let waiting = Some(Box::new(Waiting {
            guard,
            check,
            service,
            request,
        }));
        Self {
            state: State::Waiting { waiting },
        }
    }
}

/// Follows a verdict that had to be waited for.
fn proceed<G, S, B>(
    guard: &G,
    verdict: Verdict<G::Pass>,
    service: &mut S,
    mut request: Request<B>,
) -> State<G, G::Pass, S, S::Future, B>
where
    G: Guard,
    S: Service<Request<B>>,
{
    let response = match verdict {
        Verdict::Pass(mut pass) => {
            guard.admit(&mut pass, &mut request);
            let depart = Departure::of(guard, pass);
            return State::Calling {
                future: service.call(request),
                depart,
            };
        }
        Verdict::Refuse(rejection) => refused(guard, rejection, RequestHead::from(&request)),
        Verdict::Answer(response) => response,
    };
    State::Answered {
        response: Some(response),
    }
}

#[cold]
pub(super) fn refused<G: Guard>(
    guard: &G,
    refusal: Rejection,
    head: RequestHead<'_>,
) -> Box<Response<Bytes>> {
    let kind = guard.audit_kind(&refusal);
    Box::new(guard.refusals().refuse(G::NAME, kind, refusal, head))
}

impl<G, S, B, R> Future for ResponseFuture<G, S, B>
where
    G: Guard,
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Waiting { waiting } => {
                    let pending = waiting.as_mut().expect("future polled after completion");
                    let verdict = ready!(pending.check.as_mut().poll(cx));
                    let Waiting {
                        guard,
                        mut service,
                        request,
                        ..
                    } = *waiting.take().expect("it was there a line above");
                    proceed(&guard, verdict, &mut service, request)
                }
                StateProjection::Calling { future, depart } => {
                    let mut response = ready!(future.poll(cx))?;
                    match mem::replace(depart, Departure::Nothing) {
                        Departure::Nothing => {}
                        Departure::Alone(pass) => G::depart_alone(pass, &mut response),
                        Departure::Guarded(guard, pass) => guard.depart(pass, &mut response),
                    }
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                StateProjection::Answered { response } => {
                    let response = response.take().expect("future polled after completion");
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<G, S, B> fmt::Debug for ResponseFuture<G, S, B>
where
    G: Guard,
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Waiting { .. } => "waiting",
            State::Calling { .. } => "calling",
            State::Answered { .. } => "answered",
        };
        f.debug_struct("ResponseFuture")
            .field("guard", &G::NAME)
            .field("state", &state)
            .finish()
    }
}
