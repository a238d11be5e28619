//! The future of a guarded call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Guard, Verdict};
use crate::{body::ResponseBody, head::RequestHead};

pin_project! {
    /// The future of [`Guarded`](super::Guarded): the check if it must wait, then the inner service's
    /// response or the guard's.
    pub struct ResponseFuture<G, S, B>
    where
        G: Guard,
        S: Service<Request<B>>,
    {
        guard: G,
        #[pin]
        state: State<G::Pass, S, S::Future, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<P, S, F, B> {
        Waiting { waiting: Option<Box<Waiting<P, S, B>>> },
        Calling { #[pin] future: F, pass: Option<P> },
        Answered { response: Option<Box<Response<Bytes>>> },
    }
}

struct Waiting<P, S, B> {
    check: Pin<Box<dyn Future<Output = Verdict<P>> + Send>>,
    service: S,
    request: Request<B>,
}

impl<G, S, B> ResponseFuture<G, S, B>
where
    G: Guard,
    S: Service<Request<B>>,
{
    pub(super) fn decided(
        guard: G,
        verdict: Verdict<G::Pass>,
        service: &mut S,
        request: Request<B>,
    ) -> Self {
        let state = proceed(&guard, verdict, service, request);
        Self { guard, state }
    }

    pub(super) fn waiting(
        guard: G,
        check: Pin<Box<dyn Future<Output = Verdict<G::Pass>> + Send>>,
        service: S,
        request: Request<B>,
    ) -> Self {
        let waiting = Some(Box::new(Waiting {
            check,
            service,
            request,
        }));
        Self {
            guard,
            state: State::Waiting { waiting },
        }
    }
}

/// Follows a verdict: the one place where an inner service is called.
fn proceed<G, S, B>(
    guard: &G,
    verdict: Verdict<G::Pass>,
    service: &mut S,
    mut request: Request<B>,
) -> State<G::Pass, S, S::Future, B>
where
    G: Guard,
    S: Service<Request<B>>,
{
    let response = match verdict {
        Verdict::Pass(mut pass) => {
            guard.admit(&mut pass, &mut request);
            return State::Calling {
                future: service.call(request),
                pass: Some(pass),
            };
        }
        Verdict::Refuse(rejection) => {
            let kind = guard.audit_kind(&rejection);
            let head = RequestHead::from(&request);
            Box::new(guard.refusals().refuse(G::NAME, kind, rejection, head))
        }
        Verdict::Answer(response) => response,
    };
    State::Answered {
        response: Some(response),
    }
}

impl<G, S, B, R> Future for ResponseFuture<G, S, B>
where
    G: Guard,
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Waiting { waiting } => {
                    let pending = waiting.as_mut().expect("future polled after completion");
                    let verdict = ready!(pending.check.as_mut().poll(cx));
                    let Waiting {
                        mut service,
                        request,
                        ..
                    } = *waiting.take().expect("it was there a line above");
                    proceed(this.guard, verdict, &mut service, request)
                }
                StateProjection::Calling { future, pass } => {
                    let mut response = ready!(future.poll(cx))?;
                    let pass = pass.take().expect("future polled after completion");
                    this.guard.depart(pass, &mut response);
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
