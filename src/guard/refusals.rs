//! How a refusal is rendered and who is told.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    audit::{AuditEvent, AuditKind, AuditSink},
    client_ip::{self, ClientIp},
    clock::{Clock, SystemClock},
    head::RequestHead,
    principal::Principal,
    problem::{ProblemJson, Rejection, Responder},
};

/// The responder, the audit sink and the clock of a guard's refusals.
///
/// A responder or sink that is not set is taken from the [`RefusalsLayer`] outside, and where there is none
/// from the defaults: problem+json, no audit. The clock is the system's unless it is set.
#[derive(Clone, Default)]
pub struct Refusals {
    responder: Option<Arc<dyn Responder>>,
    audit: Option<Arc<dyn AuditSink>>,
    clock: Option<Arc<dyn Clock>>,
}

impl Refusals {
    /// Nothing set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            responder: None,
            audit: None,
            clock: None,
        }
    }

    /// Plugs in what renders refusals.
    pub fn set_responder(&mut self, responder: impl Responder) {
        self.responder = Some(Arc::new(responder));
    }

    /// Plugs in what is told of refusals.
    pub fn set_audit(&mut self, audit: impl AuditSink) {
        self.audit = Some(Arc::new(audit));
    }

    /// Plugs in the clock that the guard and its audit events go by.
    pub fn set_clock(&mut self, clock: impl Clock) {
        self.clock = Some(Arc::new(clock));
    }

    /// The time by the guard's clock.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.clock
            .as_ref()
            .map_or_else(|| SystemClock.now(), |clock| clock.now())
    }

    /// The guard's clock, if it is not the system's.
    #[cfg_attr(
        not(feature = "rate-limit"),
        allow(dead_code, reason = "asked by limits")
    )]
    pub(crate) fn clock(&self) -> Option<&dyn Clock> {
        self.clock.as_deref()
    }

    /// Whether nothing of another's is needed.
    fn is_complete(&self) -> bool {
        self.responder.is_some() && self.audit.is_some()
    }

    /// These, with another's responder and audit sink where they have none.
    fn or(&self, other: &Self) -> Self {
        Self {
            responder: self.responder.clone().or_else(|| other.responder.clone()),
            audit: self.audit.clone().or_else(|| other.audit.clone()),
            clock: self.clock.clone(),
        }
    }

    /// The sink that is told of this request, for what is only known once the request has gone on.
    #[cfg(feature = "webhook")]
    pub(crate) fn audit_of(&self, request: RequestHead<'_>) -> Option<Arc<dyn AuditSink>> {
        let shared = request.extensions().get::<Arc<Self>>();
        let audit = self.audit.as_ref().or_else(|| shared?.audit.as_ref());
        audit.cloned()
    }

    /// The answer to a refused request, after telling the audit sink.
    pub(crate) fn refuse(
        &self,
        layer: &'static str,
        kind: AuditKind,
        rejection: Rejection,
        request: RequestHead<'_>,
    ) -> Response<Bytes> {
        let shared = request.extensions().get::<Arc<Self>>();
        let audit = self.audit.as_ref().or_else(|| shared?.audit.as_ref());
        let responder = self
            .responder
            .as_ref()
            .or_else(|| shared?.responder.as_ref());
        if let Some(audit) = audit {
            audit.record(&AuditEvent {
                kind,
                at: self.now(),
                layer,
                code: rejection.code(),
                status: rejection.status(),
                method: request.method().as_str(),
                path: request.uri().path(),
                peer: client_ip::peer_addr(request.extensions()).map(|peer| peer.ip()),
                client: request
                    .extensions()
                    .get::<ClientIp>()
                    .and_then(|strategy| strategy.resolve(request).ok()),
                subject: request
                    .extensions()
                    .get::<Principal>()
                    .map(Principal::subject),
            });
        }
        let mut response = match responder {
            Some(responder) => responder.respond(&rejection, request),
            None => ProblemJson.respond(&rejection, request),
        };
        rejection.put_headers(response.headers_mut());
        response.extensions_mut().insert(rejection);
        response
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals")
            .field("responder", &self.responder.is_some())
            .field("audit", &self.audit.is_some())
            .field("clock", &self.clock)
            .finish()
    }
}

/// The setters that every layer with refusals has: `refusal_setters!(self => path.to.refusals)`.
macro_rules! refusal_setters {
    ($this:ident => $refusals:expr) => {
        /// Plugs in what renders refusals; the default is [`ProblemJson`](crate::problem::ProblemJson).
        ///
        /// A closure names the types of its arguments: see [`Responder`](crate::problem::Responder).
        pub fn with_responder(mut $this, responder: impl $crate::problem::Responder) -> Self {
            $refusals.set_responder(responder);
            $this
        }

        /// Plugs in what is told of refusals; the default is [`NoAudit`](crate::audit::NoAudit).
        ///
        /// A closure names the type of its argument: see [`AuditSink`](crate::audit::AuditSink).
        pub fn with_audit(mut $this, audit: impl $crate::audit::AuditSink) -> Self {
            $refusals.set_audit(audit);
            $this
        }
    };
}

/// Gives every guard inside it a responder and an audit sink; what a guard has of its own wins.
///
/// Put it outside of all other layers: a guard around it does not see it. One inside another wins too, in
/// what it has: one that only renders leaves the audit of the one outside in place.
///
/// ```
/// use portcullis::{audit::AuditEvent, guard::RefusalsLayer};
///
/// let for_all = RefusalsLayer::new().with_audit(|event: &AuditEvent<'_>| eprintln!("{event}"));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RefusalsLayer {
    refusals: Refusals,
    client_ip: Option<ClientIp>,
}

impl RefusalsLayer {
    /// A layer that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    refusal_setters!(self => self.refusals);

    /// Replaces how the client's address is found for [`AuditEvent::client`]; without it, behind a proxy,
    /// events name only the proxy. The strategy is put into the request's extensions, so that extractors of
    /// the address find the same one.
    pub fn client_ip(mut self, strategy: ClientIp) -> Self {
        self.client_ip = Some(strategy);
        self
    }
}

impl<S> Layer<S> for RefusalsLayer {
    type Service = ForAll<S>;

    fn layer(&self, inner: S) -> ForAll<S> {
        ForAll {
            inner,
            refusals: Arc::new(self.refusals.clone()),
            client_ip: self.client_ip.clone(),
        }
    }
}

/// The service of [`RefusalsLayer`].
#[derive(Clone, Debug)]
pub struct ForAll<S> {
    inner: S,
    refusals: Arc<Refusals>,
    client_ip: Option<ClientIp>,
}

impl<S, B> Service<Request<B>> for ForAll<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let outer = request.extensions().get::<Arc<Refusals>>();
        let refusals = match outer {
            Some(outer) if !self.refusals.is_complete() => Arc::new(self.refusals.or(outer)),
            _ => Arc::clone(&self.refusals),
        };
        request.extensions_mut().insert(refusals);
        if let Some(strategy) = &self.client_ip {
            request.extensions_mut().insert(strategy.clone());
        }
        self.inner.call(request)
    }
}
