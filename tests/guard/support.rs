//! A guard that does what it is told, and a service that insists on being ready.

use std::{
    convert::Infallible,
    future::{Ready, poll_fn, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use portcullis::{
    audit::AuditKind,
    guard::{Check, Guard, Guarded, Refusals, Verdict},
    head::RequestHead,
    problem::Rejection,
};
use tower::{Layer, Service};

/// Where the request says what is to become of it: `pass`, `refuse`, `answer`, `pass-later`,
/// `refuse-later`.
pub(crate) const WISH: HeaderName = HeaderName::from_static("x-wish");
/// What the guard leaves on responses of the inner service.
pub(crate) const DEPARTED: HeaderName = HeaderName::from_static("x-departed");

/// Set in the request's extensions by [`TestGuard::admit`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Admitted;

/// Does what the header field [`WISH`] says.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestGuard {
    pub(crate) refusals: Refusals,
}

impl Guard for TestGuard {
    const NAME: &'static str = "test";
    type Pass = &'static str;

    fn check(&self, request: RequestHead<'_>) -> Check<&'static str> {
        let wish = request
            .headers()
            .get(WISH)
            .and_then(|wish| wish.to_str().ok())
            .unwrap_or("pass");
        if let Some(now) = wish.strip_suffix("-later") {
            let verdict = verdict(now);
            let mut asked = 0;
            let mut verdict = Some(verdict);
            // Pending twice, so that a verdict is never there at the first poll.
            return Check::wait(poll_fn(move |cx| {
                asked += 1;
                if asked < 3 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(verdict.take().unwrap())
            }));
        }
        Check::Ready(verdict(wish))
    }

    fn audit_kind(&self, _rejection: &Rejection) -> AuditKind {
        AuditKind::AuthzFail
    }

    fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    fn admit<B>(&self, pass: &mut &'static str, request: &mut Request<B>) {
        *pass = "admitted";
        request.extensions_mut().insert(Admitted);
    }

    fn depart<B>(&self, pass: &'static str, response: &mut Response<B>) {
        response
            .headers_mut()
            .insert(DEPARTED, HeaderValue::from_static(pass));
    }
}

fn verdict(wish: &str) -> Verdict<&'static str> {
    match wish {
        "pass" => Verdict::Pass("checked"),
        "refuse" => Verdict::Refuse(
            Rejection::new(StatusCode::FORBIDDEN, "test_refused", "You asked for it.")
                .add_header(header::RETRY_AFTER, HeaderValue::from_static("7")),
        ),
        "answer" => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            Verdict::Answer(Box::new(response))
        }
        other => panic!("no such wish: {other}"),
    }
}

/// The layer of [`TestGuard`], as every layer of the crate is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestLayer(pub(crate) TestGuard);

impl<S> Layer<S> for TestLayer {
    type Service = Guarded<S, TestGuard>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.0.clone())
    }
}

/// Panics when it is called without having been polled ready; a clone is not ready. Counts its calls.
#[derive(Debug, Default)]
pub(crate) struct Insists {
    ready: bool,
    pub(crate) calls: Arc<AtomicUsize>,
}

impl Insists {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Clone for Insists {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<Request<()>> for Insists {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(self.ready, "called without being ready");
        self.ready = false;
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert_eq!(
            request.extensions().get(),
            Some(&Admitted),
            "called with an unprepared request"
        );
        ready(Ok(Response::new(())))
    }
}

/// A request that wishes for something.
pub(crate) fn wish(what: &str) -> Request<()> {
    Request::builder()
        .uri("/path?token=hidden")
        .header(WISH, what)
        .body(())
        .unwrap()
}
