//! [`RateLimitStore`]: where counts are kept.

use std::{sync::Arc, time::SystemTime};

use super::{Decisions, Quota};
use crate::store::Reply;

/// One limit that a request is held against.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'a> {
    key: &'a [u8],
    quota: Quota,
    cost: u32,
}

impl<'a> Hit<'a> {
    /// A request of this cost, counted under `key` and held against `quota`.
    #[must_use]
    pub const fn new(key: &'a [u8], quota: Quota, cost: u32) -> Self {
        Self { key, quota, cost }
    }

    /// Whose counts these are: never empty when it comes from a layer, at most some kilobytes, any bytes.
    #[must_use]
    pub const fn key(&self) -> &'a [u8] {
        self.key
    }

    /// The quota.
    #[must_use]
    pub const fn quota(&self) -> &Quota {
        &self.quota
    }

    /// The units that the request costs; 0 asks without counting.
    #[must_use]
    pub const fn cost(&self) -> u32 {
        self.cost
    }
}

/// Counts requests.
///
/// Counts belong to a key and a quota: hits with equal keys and equal [`Quota`]s count together, all others
/// apart.
pub trait RateLimitStore: Send + Sync + 'static {
    /// Decides about one request under all these limits together, in one atomic step, and counts it under
    /// each of them if all have room. A hit that costs 0 asks: what is left, and until when.
    ///
    /// If one has none, nothing is counted under any: a refused request costs nothing. Callers at the same
    /// time never jointly pass a limit. Every count expires by itself once it has left the window.
    ///
    /// The reply holds one decision for each hit, in their order. `now` is the caller's clock; a store with
    /// a clock of its own, shared by all callers, goes by that one.
    fn hit(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<Decisions>;

    /// Takes back what a hit counted at the time `counted`, as far as it has not left the window since.
    ///
    /// It never makes room that would not be there had the request not been made. So where the clock was set
    /// back between, what cannot be told from others' units stays counted until it leaves. What has to wait is
    /// begun at once, and goes on if the reply is dropped.
    fn refund(&self, hits: &[Hit<'_>], counted: SystemTime, now: SystemTime) -> Reply<()>;

    /// Counts without asking, but never past the limit: what does not fit is not counted.
    ///
    /// For costs that are known only afterwards. What has to wait is begun at once, and goes on if the
    /// reply is dropped.
    fn charge(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<()>;

    /// Forgets all that is counted under a key, and lifts a block.
    fn reset(&self, key: &[u8], quota: &Quota) -> Reply<()>;

    /// Refuses every request under a key until that time, whatever it costs.
    ///
    /// A block is never forgotten before; a store that can hold no more of them says that it is full.
    fn block(&self, key: &[u8], quota: &Quota, until: SystemTime, now: SystemTime) -> Reply<()>;
}

impl<S: RateLimitStore + ?Sized> RateLimitStore for Arc<S> {
    fn hit(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<Decisions> {
        (**self).hit(hits, now)
    }

    fn refund(&self, hits: &[Hit<'_>], counted: SystemTime, now: SystemTime) -> Reply<()> {
        (**self).refund(hits, counted, now)
    }

    fn charge(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<()> {
        (**self).charge(hits, now)
    }

    fn reset(&self, key: &[u8], quota: &Quota) -> Reply<()> {
        (**self).reset(key, quota)
    }

    fn block(&self, key: &[u8], quota: &Quota, until: SystemTime, now: SystemTime) -> Reply<()> {
        (**self).block(key, quota, until, now)
    }
}
