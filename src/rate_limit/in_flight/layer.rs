//! [`InFlightLayer`]: how many requests of a key may be in flight at once.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::RETRY_AFTER};
use tower_layer::Layer;

use super::{
    super::{
        RateLimitEvent, RateLimitEventKind, RateLimitFields, RateLimitKey,
        buffer::Buffer,
        fields::{RATE_LIMIT, RATE_LIMIT_POLICY, value, write_name},
        quota::name_fault,
        settings::{Exempt, OnEvent},
    },
    InFlight,
    counts::{Counts, Permit},
};
use crate::{
    audit::AuditKind, client_ip::ClientIp, clock::Clock, config::ConfigError, guard::Refusals,
    head::RequestHead, problem::Rejection,
};

const NAME: &str = "in_flight";

/// The problem types of draft-ietf-httpapi-ratelimit-headers-11.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// Refuses requests while too many others of the same key are in flight.
///
/// A request is in flight until the body of its response has ended, has failed or is dropped: also while a
/// client reads it slowly, which is what such a limit is for. A connection that is upgraded counts until the
/// response that upgrades it. Counted is in this process; a key takes memory only while one of its requests is
/// in flight.
///
/// Clients are told by the fields of draft-ietf-httpapi-ratelimit-headers-11, as
/// `"in-flight";q=10;qu="concurrent-requests"` and `"in-flight";r=9`: further members beside those of a
/// [`RateLimitLayer`](super::super::RateLimitLayer), which must stand inside of this one. A refusal is a 429 with
/// the code `too_many_in_flight`, or for a limit [of the service](InFlightLayer::of_service) a 503 with the code
/// `overloaded`. When a request ends nobody knows, so `Retry-After` says 1 second.
///
/// ```
/// use http::{Request, Response};
/// use portcullis::{client_ip::PeerAddr, rate_limit::InFlightLayer};
/// use tower::{Layer, Service, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inner = service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(String::from("hello"))));
/// let mut service = InFlightLayer::new(1)?.layer(inner);
/// let peer = PeerAddr("192.0.2.1:40000".parse()?);
/// let request = || Request::builder().extension(peer).body(());
///
/// let first = service.ready().await?.call(request()?).await?;
/// assert_eq!(service.ready().await?.call(request()?).await?.status(), 429);
/// drop(first);
/// assert_eq!(service.ready().await?.call(request()?).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct InFlightLayer {
    limit: u32,
    name: &'static str,
    key: RateLimitKey,
    of_service: bool,
    exempt: Option<Arc<Exempt>>,
    on_event: Option<Arc<OnEvent>>,
    shadow: bool,
    fields: RateLimitFields,
    refusals: Refusals,
    /// Shared by the clones.
    counts: Arc<Counts>,
}

/// What becomes of a request.
pub(super) enum Admission {
    Uncounted,
    /// With the policy and what is left of it, if clients are told.
    Counted(Permit, Option<[HeaderValue; 2]>),
    Refused(Box<Response<Bytes>>),
}

impl InFlightLayer {
    /// At most so many requests of a client's address at once: the peer's, and of IPv6 addresses the network of
    /// 64 bits.
    ///
    /// # Errors
    ///
    /// If the limit is 0.
    pub fn new(limit: u32) -> Result<Self, ConfigError> {
        if limit == 0 {
            return Err(ConfigError::new("in_flight", "0", "must be at least 1"));
        }
        Ok(Self {
            limit,
            name: "in-flight",
            key: RateLimitKey::client_ip(ClientIp::peer()),
            of_service: false,
            exempt: None,
            on_event: None,
            shadow: false,
            fields: RateLimitFields::default(),
            refusals: Refusals::new(),
            counts: Arc::new(Counts::new()),
        })
    }

    /// At most so many requests at once, whoever asks: what the service can bear. A refusal is a 503.
    ///
    /// # Errors
    ///
    /// If the limit is 0.
    pub fn of_service(limit: u32) -> Result<Self, ConfigError> {
        Ok(Self {
            of_service: true,
            ..Self::new(limit)?.key(RateLimitKey::named("service"))
        })
    }

    /// Replaces the key that requests are counted under.
    pub fn key(mut self, key: RateLimitKey) -> Self {
        self.key = key;
        self
    }

    /// Replaces the name of the policy; the default is `in-flight`.
    ///
    /// # Errors
    ///
    /// If it could not be the [name of a quota](super::super::Quota::name).
    pub fn name(mut self, name: &'static str) -> Result<Self, ConfigError> {
        if let Some(expected) = name_fault(name) {
            return Err(ConfigError::new("name", name, expected));
        }
        self.name = name;
        Ok(self)
    }

    /// Replaces what says which requests are let in uncounted; without it none is.
    pub fn exempt(
        mut self,
        exempt: impl Fn(RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.exempt = Some(Arc::new(exempt));
        self
    }

    /// Replaces the header fields that tell clients of the limit. The older fields cannot tell of it, so
    /// [`Legacy`](RateLimitFields::Legacy) tells nothing.
    pub fn fields(mut self, fields: RateLimitFields) -> Self {
        self.fields = fields;
        self
    }

    /// Replaces what is told of requests that [shadow mode](InFlightLayer::dangerous_shadow) let in.
    pub fn on_event(mut self, told: impl Fn(&RateLimitEvent<'_>) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(told));
        self
    }

    /// Shadow mode: counts and [tells](InFlightLayer::on_event) whom it would have refused, but lets everybody
    /// in. Those are not counted.
    pub fn dangerous_shadow(mut self) -> Self {
        self.shadow = true;
        self
    }

    /// Plugs in the clock that events are dated by; the default is the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.refusals.set_clock(clock);
        self
    }

    refusal_setters!(self => self.refusals);

    /// How many keys have a request in flight at the moment.
    #[must_use]
    pub fn keys_in_flight(&self) -> usize {
        self.counts.keys()
    }

    pub(super) fn admit(&self, request: RequestHead<'_>) -> Admission {
        if self.exempt.as_ref().is_some_and(|exempt| exempt(request)) {
            return Admission::Uncounted;
        }
        let mut key = Buffer::new();
        let refusal = match self.key.write(request, &mut key) {
            Ok(()) => match self.counts.enter(key.as_bytes(), self.limit) {
                Some((permit, left)) => {
                    let told = self.fields == RateLimitFields::Ietf;
                    return Admission::Counted(permit, told.then(|| self.values(left)));
                }
                None => self.too_many(),
            },
            Err(no_key) => no_key,
        };
        if self.shadow {
            self.tell_shadow();
            return Admission::Uncounted;
        }
        let kind = match refusal.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                AuditKind::ExcessRateLimitExceeded
            }
            _ => AuditKind::InputValidationFail,
        };
        Admission::Refused(Box::new(self.refusals.refuse(NAME, kind, refusal, request)))
    }

    #[cold]
    fn too_many(&self) -> Rejection {
        let rejection = if self.of_service {
            Rejection::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "As many requests are being served as can be at once.",
            )
            .of_type(REDUCED_CAPACITY)
        } else {
            Rejection::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_in_flight",
                "Too many requests are still being answered.",
            )
            .of_type(QUOTA_EXCEEDED)
        };
        let rejection = rejection
            .add_member("violated-policies", vec![self.name])
            .add_header(RETRY_AFTER, HeaderValue::from_static("1"));
        if self.fields != RateLimitFields::Ietf {
            return rejection;
        }
        let [policy, left] = self.values(0);
        rejection
            .add_header(RATE_LIMIT_POLICY, policy)
            .add_header(RATE_LIMIT, left)
    }

    /// The policy, and what is left of it.
    fn values(&self, left: u32) -> [HeaderValue; 2] {
        let (mut policy, mut text) = (Buffer::<128>::new(), Buffer::<128>::new());
        write_name(&mut policy, 0, self.name);
        policy.push(b";q=");
        policy.push_decimal(u64::from(self.limit));
        policy.push(b";qu=\"concurrent-requests\"");
        write_name(&mut text, 0, self.name);
        text.push(b";r=");
        text.push_decimal(u64::from(left));
        [value(&policy), value(&text)]
    }

    fn tell_shadow(&self) {
        if let Some(on_event) = &self.on_event {
            on_event(&RateLimitEvent {
                kind: RateLimitEventKind::WouldRefuse,
                policy: self.name,
                decision: None,
                at: self.refusals.now(),
            });
        }
    }
}

impl<S> Layer<S> for InFlightLayer {
    type Service = InFlight<S>;

    fn layer(&self, inner: S) -> InFlight<S> {
        InFlight::new(inner, Arc::new(self.clone()))
    }
}

impl fmt::Debug for InFlightLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("limit", &self.limit)
            .field("name", &self.name)
            .field("key", &self.key)
            .field("of_service", &self.of_service)
            .field("exempt", &self.exempt.is_some())
            .field("shadow", &self.shadow)
            .field("fields", &self.fields)
            .field("refusals", &self.refusals)
            .finish_non_exhaustive()
    }
}
