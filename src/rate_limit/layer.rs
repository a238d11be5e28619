//! [`RateLimitLayer`]: the limits of a service, and what counts them.

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    Quota, RateLimitFields, RateLimitGuard, RateLimitKey, RateLimitStore, fields::Policies,
};
use crate::{
    client_ip::ClientIp,
    clock::Clock,
    guard::{Guarded, Refusals},
    head::RequestHead,
    store::MemoryStore,
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

/// What a layer was told.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) limits: Vec<Limit>,
    pub(super) key: RateLimitKey,
    pub(super) exempt: Option<Arc<Exempt>>,
    pub(super) cost: Option<Arc<Cost>>,
    pub(super) store: Arc<dyn RateLimitStore>,
    pub(super) store_failure: StoreFailure,
    pub(super) fields: RateLimitFields,
    pub(super) refusals: Refusals,
}

pub(super) type Exempt = dyn Fn(RequestHead<'_>) -> bool + Send + Sync;
pub(super) type Cost = dyn Fn(RequestHead<'_>) -> u32 + Send + Sync;

/// A quota, and the key it counts under if it has one of its own.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) quota: Quota,
    pub(super) key: Option<RateLimitKey>,
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
}

impl RateLimitLayer {
    /// Holds every client address to the quota: the peer's, and of IPv6 addresses the network of 64 bits.
    /// Counts are kept in memory.
    pub fn new(quota: Quota) -> Self {
        Self {
            settings: Settings {
                limits: vec![Limit { quota, key: None }],
                key: RateLimitKey::client_ip(ClientIp::peer()),
                exempt: None,
                cost: None,
                store: Arc::new(MemoryStore::new()),
                store_failure: StoreFailure::default(),
                fields: RateLimitFields::default(),
                refusals: Refusals::new(),
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
    pub fn add_quota(mut self, quota: Quota) -> Self {
        self.settings.limits.push(Limit { quota, key: None });
        self
    }

    /// Appends another quota that counts under a key of its own, decided together with the others: an
    /// address and an account, say.
    pub fn add_quota_by(mut self, quota: Quota, key: RateLimitKey) -> Self {
        let key = Some(key);
        self.settings.limits.push(Limit { quota, key });
        self
    }

    /// Replaces what says how many units a request costs; without it each costs 1.
    ///
    /// A request that costs 0 is let in as long as nothing is wrong. One that costs more than the limit
    /// never is.
    pub fn cost(mut self, cost: impl Fn(RequestHead<'_>) -> u32 + Send + Sync + 'static) -> Self {
        self.settings.cost = Some(Arc::new(cost));
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

    /// Replaces the header fields that tell clients about their quota.
    pub fn fields(mut self, fields: RateLimitFields) -> Self {
        self.settings.fields = fields;
        self
    }

    /// Plugs in the store that counts; the default is a [`MemoryStore`] of this layer's own.
    pub fn with_store(mut self, store: impl RateLimitStore) -> Self {
        self.settings.store = Arc::new(store);
        self
    }

    /// Plugs in the clock that time is counted by; the default is the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.settings.refusals.set_clock(clock);
        self
    }

    refusal_setters!(self => self.settings.refusals);
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        let settings = self.settings.clone();
        let policies = Policies::new(settings.limits.iter().map(|limit| &limit.quota));
        Guarded::new(inner, RateLimitGuard::new(settings, policies))
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("limits", &self.limits)
            .field("key", &self.key)
            .field("exempt", &self.exempt.is_some())
            .field("cost", &self.cost.is_some())
            .field("store_failure", &self.store_failure)
            .field("fields", &self.fields)
            .field("refusals", &self.refusals)
            .finish_non_exhaustive()
    }
}
