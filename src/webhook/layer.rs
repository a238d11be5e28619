//! [`WebhookLayer`]: lets in what its provider sent, once.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use tower_layer::Layer;

use super::{claim::Tokens, error::WebhookError, service::Webhook, verifier::WebhookVerifier};
use crate::{
    clock::Clock, config::ConfigError, guard::Refusals, head::RequestHead, replay::ReplayStore,
    store::MemoryStore,
};

/// The name of the layer in audit events.
pub(super) const NAME: &str = "webhook";
/// The largest body unless another limit is set: 1 MiB.
const DEFAULT_LIMIT: u64 = 1 << 20;
/// How long a body may take unless another time is set: as long as any provider waits for an answer.
const DEFAULT_BODY_TIME: Duration = Duration::from_secs(30);
/// With less, a delivery would come in twice while it is looked at.
const LEAST: Duration = Duration::from_secs(1);
/// How long deliveries are remembered: the longest that a provider repeats one (Stripe, GitHub: 3 days).
const DEFAULT_RETENTION: Duration = Duration::from_secs(3 * 86_400);
/// What a delivery is remembered beyond its freshness: clocks of several servers differ.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a handler may take before another delivery of the same may come in.
const DEFAULT_LEASE: Duration = Duration::from_secs(60);

/// Lets a delivery in when its signature verifies, its timestamp is fresh and it was not dealt with before;
/// puts [`VerifiedWebhook`](super::VerifiedWebhook) into its extensions and hands on its body, byte for
/// byte.
///
/// Everything else is answered with the status and code of a [`WebhookErrorKind`]; the handler does not see
/// it. See the [module docs](crate::webhook) for an example.
///
/// [`WebhookErrorKind`]: super::WebhookErrorKind
#[derive(Clone, Debug)]
#[must_use]
pub struct WebhookLayer(Arc<Shared>);

/// What becomes of a verified delivery when the store cannot say whether it came before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFailure {
    /// It is refused: 503, `webhook_store_unavailable`. The provider sends it again.
    #[default]
    Refuse,
    /// It is let in: for as long as the store is away, a copy of a delivery is let in too.
    Allow,
}

#[derive(Clone)]
pub(super) struct Shared {
    pub(super) verifier: WebhookVerifier,
    pub(super) limit: u64,
    pub(super) body_time: Duration,
    pub(super) checks_replay: bool,
    pub(super) store: Arc<dyn ReplayStore>,
    pub(super) tokens: Tokens,
    pub(super) lease: Duration,
    retention: Duration,
    duplicate: StatusCode,
    pub(super) store_failure: StoreFailure,
    pub(super) refusals: Refusals,
}

impl WebhookLayer {
    /// Demands deliveries that the verifier accepts. They are remembered in memory: about a million of them,
    /// four a second for three days. Where there may be more, [plug in](Self::with_store) a larger store, or
    /// deliveries are answered 503 for want of room.
    pub fn new(verifier: WebhookVerifier) -> Self {
        Self(Arc::new(Shared {
            verifier,
            limit: DEFAULT_LIMIT,
            body_time: DEFAULT_BODY_TIME,
            checks_replay: true,
            store: Arc::new(MemoryStore::new()),
            tokens: Tokens::default(),
            lease: DEFAULT_LEASE,
            retention: DEFAULT_RETENTION,
            duplicate: StatusCode::OK,
            store_failure: StoreFailure::default(),
            refusals: Refusals::new(),
        }))
    }

    /// Replaces the largest body that is read, in bytes; the default is 1 MiB. A larger one is answered 413,
    /// and not read to its end.
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.shared().limit = bytes;
        self
    }

    /// Replaces how long a body may take to come; the default is 30 s. A body that takes longer, or of which nothing
    /// comes any more, is answered 408.
    ///
    /// The time goes by the layer's clock where pieces come, and by a timer of tokio's where none does, which is
    /// only made for a body that has to be waited for. So the runtime needs its timers (`enable_time`; as
    /// everywhere, tokio panics without them). Outside of a runtime of tokio's, nothing wakes the layer: put a
    /// timeout outside.
    pub fn body_time(mut self, most: Duration) -> Self {
        self.shared().body_time = most;
        self
    }

    /// Plugs in the store that remembers deliveries; the default is a [`MemoryStore`] of the layer's own.
    /// Several processes that take deliveries of one provider need a store that they share.
    ///
    /// Layers that share one and take deliveries of a signed id (Standard Webhooks, Svix) for several endpoints
    /// need [names](super::WebhookScheme::named) of their own: a sender gives one message the same id at every
    /// endpoint, and the second would pass for a copy of the first.
    pub fn with_store(mut self, store: impl ReplayStore) -> Self {
        self.shared().store = Arc::new(store);
        self
    }

    /// Replaces how long a delivery is remembered; the default is 3 days. A delivery is never forgotten as
    /// long as its timestamp could pass for fresh; without a signed timestamp, this is all that keeps an old
    /// delivery out. It is a second at least.
    pub fn replay_retention(mut self, retention: Duration) -> Self {
        self.shared().retention = retention.max(LEAST);
        self
    }

    /// Replaces how long a handler may take; the default is 60 s. If it takes longer, or its process dies,
    /// the provider's next attempt is let in: give handlers less time than this, with a timeout inside. It is a
    /// second at least.
    pub fn claim_lease(mut self, lease: Duration) -> Self {
        self.shared().lease = lease.max(LEAST);
        self
    }

    /// Replaces the status that a delivery is answered with which was dealt with before; the default is 200.
    /// It is a success because providers repeat everything else.
    ///
    /// # Errors
    ///
    /// If it is not of the class 2xx.
    pub fn duplicate_status(mut self, status: StatusCode) -> Result<Self, ConfigError> {
        if !status.is_success() {
            let expected = "must be a success, or the provider sends the delivery for ever";
            return Err(ConfigError::new(
                "duplicate_status",
                status.as_str(),
                expected,
            ));
        }
        self.shared().duplicate = status;
        Ok(self)
    }

    /// Replaces what becomes of a verified delivery when the store fails; the default is to refuse it.
    pub fn on_store_error(mut self, failure: StoreFailure) -> Self {
        self.shared().store_failure = failure;
        self
    }

    /// Remembers nothing: a delivery is let in as often as it comes, for as long as its timestamp is fresh,
    /// and without a timestamp for ever. For handlers that see to it themselves.
    pub fn dangerous_without_replay_check(mut self) -> Self {
        self.shared().checks_replay = false;
        self
    }

    /// Plugs in the clock that timestamps are judged by; the default is the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.shared().refusals.set_clock(clock);
        self
    }

    refusal_setters!(self => self.shared().refusals);

    fn shared(&mut self) -> &mut Shared {
        Arc::make_mut(&mut self.0)
    }
}

impl<S> Layer<S> for WebhookLayer {
    type Service = Webhook<S>;

    fn layer(&self, inner: S) -> Webhook<S> {
        Webhook::new(inner, Arc::clone(&self.0))
    }
}

impl Shared {
    /// How long a delivery is remembered once it was dealt with.
    pub(super) fn keep(&self) -> Duration {
        self.verifier.fresh_for().map_or(self.retention, |fresh| {
            // A copy that begins to come while it is fresh may be there only after the time of its body.
            let fresh = fresh.saturating_add(self.body_time);
            self.retention.max(fresh.saturating_add(MARGIN))
        })
    }

    pub(super) fn refuse(&self, error: WebhookError, request: RequestHead<'_>) -> Response<Bytes> {
        self.refusals
            .refuse(NAME, error.audit_kind(), error.rejection(), request)
    }

    /// The answer to a delivery that was dealt with before: nothing but its status, because some providers
    /// show what is answered to their users.
    pub(super) fn answer_duplicate(
        &self,
        error: WebhookError,
        request: RequestHead<'_>,
    ) -> Response<Bytes> {
        let refused = self.refuse(error, request);
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.duplicate;
        *response.extensions_mut() = refused.into_parts().0.extensions;
        response
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("verifier", &self.verifier)
            .field("limit", &self.limit)
            .field("body_time", &self.body_time)
            .field("checks_replay", &self.checks_replay)
            .field("lease", &self.lease)
            .field("retention", &self.retention)
            .field("duplicate", &self.duplicate)
            .field("store_failure", &self.store_failure)
            .field("refusals", &self.refusals)
            .finish_non_exhaustive()
    }
}
