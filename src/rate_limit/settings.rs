//! [`Settings`]: what a [`RateLimitLayer`](super::RateLimitLayer) was told.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode};

use super::{
    RateLimitEvent, RateLimitFields, RateLimitKey, RateLimitStore, StoreFailure, ask::QuotaOf,
    ticks::Ticks, window::nanos,
};
use crate::{guard::Refusals, head::RequestHead, store::MemoryStore};

/// What a layer was told.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) limits: Vec<Limit>,
    pub(super) key: RateLimitKey,
    pub(super) exempt: Option<Arc<Exempt>>,
    pub(super) cost: Option<Arc<Cost>>,
    pub(super) store: Arc<dyn RateLimitStore>,
    /// The store, if it is one in memory.
    pub(super) memory: Option<MemoryStore>,
    pub(super) settle: Option<Arc<Settle>>,
    pub(super) on_event: Option<Arc<OnEvent>>,
    /// How many percent of a quota are near its limit.
    pub(super) near: u32,
    pub(super) shadow: bool,
    pub(super) store_failure: StoreFailure,
    /// What counts while the store is away, where that was chosen.
    pub(super) local: MemoryStore,
    pub(super) fields: RateLimitFields,
    pub(super) refusals: Refusals,
    /// The system's time, where no clock was given.
    pub(super) ticks: Option<Arc<Ticks>>,
}

impl Settings {
    /// The time in nanoseconds since the Unix epoch.
    #[inline]
    pub(super) fn nanos(&self) -> u64 {
        match &self.ticks {
            Some(ticks) => ticks.now(),
            None => nanos(self.refusals.now()),
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        match &self.ticks {
            Some(ticks) => SystemTime::UNIX_EPOCH + Duration::from_nanos(ticks.now()),
            None => self.refusals.now(),
        }
    }
}

pub(super) type Exempt = dyn Fn(RequestHead<'_>) -> bool + Send + Sync;
pub(super) type Cost = dyn Fn(RequestHead<'_>) -> u32 + Send + Sync;

pub(super) type Settle = dyn Fn(u32, StatusCode, &HeaderMap) -> u32 + Send + Sync;
pub(super) type OnEvent = dyn Fn(&RateLimitEvent<'_>) + Send + Sync;

/// A quota, and the key it counts under if it has one of its own.
#[derive(Clone)]
pub(super) struct Limit {
    pub(super) quota: QuotaOf,
    pub(super) key: Option<RateLimitKey>,
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limit = f.debug_struct("Limit");
        match &self.quota {
            QuotaOf::Fixed(quota) => limit.field("quota", quota),
            QuotaOf::Chosen(_) => limit.field("quota", &format_args!("chosen")),
            QuotaOf::LookedUp(_) => limit.field("quota", &format_args!("looked up")),
        };
        limit.field("key", &self.key).finish()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("limits", &self.limits)
            .field("key", &self.key)
            .field("exempt", &self.exempt.is_some())
            .field("cost", &self.cost.is_some())
            .field("settle", &self.settle.is_some())
            .field("shadow", &self.shadow)
            .field("store_failure", &self.store_failure)
            .field("fields", &self.fields)
            .field("refusals", &self.refusals)
            .finish_non_exhaustive()
    }
}
