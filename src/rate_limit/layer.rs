//! [`RateLimitLayer`]: the limits of a service, and what counts them.

use std::{any::Any, fmt, future::Future, num::NonZeroU32, sync::Arc};

use http::{HeaderMap, StatusCode};
use tower_layer::Layer;

use super::{
    Plan, Quota, RateLimitEvent, RateLimitFields, RateLimitGuard, RateLimitKey, RateLimitStore,
    ask::{Lookup, QuotaOf},
    fields::Policies,
    settings::{Limit, Settings},
    ticks::Ticks,
};
use crate::{
    client_ip::ClientIp,
    clock::Clock,
    config::ConfigError,
    guard::{Guarded, Refusals},
    head::RequestHead,
    store::{MemoryStore, StoreError},
};

/// The service of [`RateLimitLayer`].
pub type RateLimit<S> = Guarded<S, RateLimitGuard>;

/// Refuses requests beyond their quota.
///
/// See the [module docs](crate::rate_limit) for an example.
#[derive(Clone)]
#[must_use]
pub struct RateLimitLayer {
    settings: Settings,
}

/// What happens to a request when the store cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StoreFailure {
    /// It is refused: 503, `rate_limit_store_unavailable`.
    #[default]
    Refuse,
    /// It is let in uncounted: for as long as the store is away, there is no limit.
    Allow,
    /// It is counted in this process alone, against the limit divided by the number of processes that
    /// share it, at least 1; what costs more than that share is refused. Such requests are told as
    /// [`CountedLocally`](super::RateLimitEventKind::CountedLocally).
    ///
    /// While the store answers, what it lets in is counted here as well, in at most
    /// [so many keys](RateLimitLayer::local_keys). So an outage gives no client a fresh share where requests are spread
    /// evenly: then a window that it begins in holds at most the limit.
    Local {
        /// How many processes share the limit.
        instances: NonZeroU32,
    },
}

impl RateLimitLayer {
    /// Holds every client address to the quota: the peer's, and of IPv6 addresses the network of 64 bits.
    /// Counts are kept in memory.
    pub fn new(quota: Quota) -> Self {
        let memory = MemoryStore::new();
        Self {
            settings: Settings {
                limits: vec![Limit {
                    quota: QuotaOf::Fixed(quota),
                    key: None,
                }],
                key: RateLimitKey::client_ip(ClientIp::peer()),
                exempt: None,
                cost: None,
                settle: None,
                on_event: None,
                near: 100,
                shadow: false,
                store: Arc::new(memory.clone()),
                memory: Some(memory),
                store_failure: StoreFailure::default(),
                local: MemoryStore::new(),
                fields: RateLimitFields::default(),
                refusals: Refusals::new(),
                ticks: None,
            },
        }
    }

    /// Replaces the key that requests are counted under.
    pub fn key(mut self, key: RateLimitKey) -> Self {
        self.settings.key = key;
        self
    }

    /// Appends another quota, under the same key. All are decided together: if one has no room, the
    /// request is refused and costs none of them anything.
    ///
    /// Give the quotas [names](Quota::name) by which clients can tell them apart; a name that is taken
    /// gets its position appended (`default`, `default-2`).
    pub fn add_quota(self, quota: Quota) -> Self {
        self.add_limit(quota, None)
    }

    /// Appends another quota that counts under a key of its own, decided together with the others: an
    /// address and an account, say.
    pub fn add_quota_by(self, quota: Quota, key: RateLimitKey) -> Self {
        self.add_limit(quota, Some(key))
    }

    fn add_limit(mut self, quota: Quota, key: Option<RateLimitKey>) -> Self {
        let quota = QuotaOf::Fixed(quota);
        self.settings.limits.push(Limit { quota, key });
        self
    }

    /// Chooses the first quota anew for each request, in place of the one that the layer was made with: by
    /// the plan that a token names, say. Requests that get different quotas count apart.
    pub fn quota_by(
        mut self,
        choose: impl Fn(RequestHead<'_>) -> Quota + Send + Sync + 'static,
    ) -> Self {
        self.replace_first(QuotaOf::Chosen(Arc::new(choose)));
        self
    }

    /// As [`RateLimitLayer::quota_by`], where the quota must be waited for, and with it perhaps what the
    /// request costs: a [`Quota`] or a [`Plan`]. The closure takes from the request what it needs; its future
    /// asks. Where that fails, the request is treated as [`RateLimitLayer::on_store_error`] says; without a
    /// quota nothing can be counted locally, so [`StoreFailure::Local`] refuses then.
    ///
    /// It is asked about every request, those included that are then refused: keep what it says for a while
    /// where asking is expensive, and let a limit by address stand outside where anybody may ask.
    ///
    /// ```
    /// use std::io;
    ///
    /// use portcullis::{
    ///     principal::Principal,
    ///     rate_limit::{Quota, RateLimitKey, RateLimitLayer},
    ///     store::{StoreError, StoreErrorKind},
    /// };
    ///
    /// const FREE: Quota = Quota::per_minute(60).name("free");
    /// const PAID: Quota = Quota::per_minute(6_000).name("paid");
    ///
    /// // In your database.
    /// async fn is_paying(subject: &str) -> io::Result<bool> {
    ///     Ok(subject == "alice")
    /// }
    ///
    /// let layer = RateLimitLayer::new(FREE)
    ///     .key(RateLimitKey::principal())
    ///     .quota_lookup(|request| {
    ///         let principal = request.extensions().get::<Principal>();
    ///         let subject = principal.map(|principal| principal.subject().to_owned());
    ///         async move {
    ///             let failed = |error| StoreError::caused_by(StoreErrorKind::Unreachable, error);
    ///             match is_paying(&subject.unwrap_or_default()).await.map_err(failed)? {
    ///                 true => Ok(PAID),
    ///                 false => Ok(FREE),
    ///             }
    ///         }
    ///     });
    /// # let _ = layer;
    /// ```
    pub fn quota_lookup<F, P>(
        mut self,
        look_up: impl Fn(RequestHead<'_>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<P, StoreError>> + Send + 'static,
        P: Into<Plan>,
    {
        let look_up = move |request: RequestHead<'_>| -> Lookup {
            let answer = look_up(request);
            Box::pin(async move { answer.await.map(Into::into) })
        };
        self.replace_first(QuotaOf::LookedUp(Arc::new(look_up)));
        self
    }

    fn replace_first(&mut self, quota: QuotaOf) {
        if let Some(first) = self.settings.limits.first_mut() {
            first.quota = quota;
        }
    }

    /// Replaces what says how many units a request costs; without it each costs 1.
    ///
    /// A request that costs 0 is let in as long as nothing is wrong. One that costs more than the limit
    /// never is.
    pub fn cost(mut self, cost: impl Fn(RequestHead<'_>) -> u32 + Send + Sync + 'static) -> Self {
        self.settings.cost = Some(Arc::new(cost));
        self
    }

    /// Replaces what a request costs in the end, given what it was let in with, and the status and header
    /// fields of its response. The difference is given back, or charged as far as there is room.
    ///
    /// The request is counted before it is let in all the same, so that requests at once never jointly pass
    /// the limit; and it stays counted if it is never answered.
    pub fn settle(
        mut self,
        settle: impl Fn(u32, StatusCode, &HeaderMap) -> u32 + Send + Sync + 'static,
    ) -> Self {
        self.settings.settle = Some(Arc::new(settle));
        self
    }

    /// Counts only requests with such an outcome: what the others cost is given back once they are
    /// answered. It replaces [`RateLimitLayer::settle`].
    ///
    /// ```
    /// use portcullis::rate_limit::{Quota, RateLimitLayer};
    ///
    /// // Five failed sign-ins in 15 minutes; those that succeed cost nothing.
    /// let layer = RateLimitLayer::new(Quota::sign_in()).count_if(|status, _| status == 401);
    /// ```
    pub fn count_if(
        self,
        counts: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settle(move |cost, status, headers| if counts(status, headers) { cost } else { 0 })
    }

    /// Replaces how much of a quota is near its limit, in percent, from 1 to 100: the request that reaches
    /// it raises [`NearLimit`](super::RateLimitEventKind::NearLimit). Without it that is 100, the last one
    /// that is let in.
    ///
    /// # Errors
    ///
    /// If it is none of these percentages.
    pub fn near_limit(mut self, percent: u32) -> Result<Self, ConfigError> {
        if !(1..=100).contains(&percent) {
            let expected = "must be a percentage from 1 to 100";
            return Err(ConfigError::new(
                "near_limit",
                percent.to_string(),
                expected,
            ));
        }
        self.settings.near = percent;
        Ok(self)
    }

    /// Replaces what is told of [events](RateLimitEvent): quotas that are nearly used up, and requests that
    /// were let in although they would have been refused, or could not be counted. It is called while the
    /// request waits.
    pub fn on_event(mut self, told: impl Fn(&RateLimitEvent<'_>) + Send + Sync + 'static) -> Self {
        self.settings.on_event = Some(Arc::new(told));
        self
    }

    /// Shadow mode: decides and counts, and [tells](RateLimitLayer::on_event) whom it would have refused,
    /// but lets everybody in. For trying limits before they are in force.
    pub fn dangerous_shadow(mut self) -> Self {
        self.settings.shadow = true;
        self
    }

    /// Replaces what says which requests are let in uncounted; without it none is. Such responses have no
    /// header fields of this layer.
    pub fn exempt(
        mut self,
        exempt: impl Fn(RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.exempt = Some(Arc::new(exempt));
        self
    }

    /// Replaces what happens when the store cannot answer.
    pub fn on_store_error(mut self, failure: StoreFailure) -> Self {
        self.settings.store_failure = failure;
        self
    }

    /// Replaces in how many keys [`StoreFailure::Local`] counts at most, rounded up to a power of two of at
    /// least 64; without it, in as many as a [`MemoryStore`] holds by default. It is memory on top of the
    /// store's own, and one that is full forgets the keys that matter least.
    pub fn local_keys(mut self, max_keys: usize) -> Self {
        self.settings.local = MemoryStore::bounded(max_keys);
        self
    }

    /// Replaces the header fields that tell clients about their quota.
    pub fn fields(mut self, fields: RateLimitFields) -> Self {
        self.settings.fields = fields;
        self
    }

    /// Plugs in the store that counts; the default is a [`MemoryStore`] of this layer's own.
    pub fn with_store(mut self, store: impl RateLimitStore) -> Self {
        self.settings.memory = (&store as &dyn Any).downcast_ref().cloned();
        self.settings.store = Arc::new(store);
        self
    }

    /// Plugs in the clock that time is counted by; the default is the system's, asked once a millisecond and
    /// continued by the processor's counter in between.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.settings.refusals.set_clock(clock);
        self
    }

    refusal_setters!(self => self.settings.refusals);
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        let mut settings = self.settings.clone();
        let own_clock = settings.refusals.clock().is_some();
        settings.ticks = (!own_clock).then(|| Arc::new(Ticks::new()));
        let quotas = settings
            .limits
            .iter()
            .filter_map(|limit| limit.quota.fixed());
        let policies = Policies::new(quotas);
        Guarded::new(inner, RateLimitGuard::new(settings, policies))
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}
