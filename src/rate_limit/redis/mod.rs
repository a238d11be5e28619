//! [`RedisRateLimits`]: one limit for many processes, counted in Redis.
//!
//! # A window
//!
//! A key holds the counts of four views of segments, in four bytes each; the next key follows when they are
//! over, so that no count is ever written twice. A decision is a pipeline without a script: an increment of
//! the newest count, and a read of the others in view. The increment's reply says how many came before, so
//! callers at the same time have their places; what finds no room is given back. A request that is refused
//! is known to be refused until a segment leaves, and its like is refused without asking.
//!
//! What waits to be given back is counted for that moment. With costs over 1, a small request can so be
//! refused beside a larger one that is being refused; no request is let in for it that should not be.
//!
//! # Logs and paces
//!
//! They are read, decided about here, and written if they are still as they were read, or else once more:
//! two exchanges. They are meant for small limits.

mod behind;
mod breaker;
mod coalesce;
mod decide;
mod denied;
mod expiring;
mod group;
mod state;
mod time;
mod trip;
mod verbs;
mod view;
mod wire;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::runtime::Handle;

use self::{
    breaker::Breaker,
    coalesce::{Coalescer, Joined, OnTheWay},
    denied::Denied,
    expiring::Expiring,
    group::{Costs, Group, Limit, group_identity},
    time::{Now, ServerTime},
};
use super::{Decisions, Hit, Quota, RateLimitStore, identity::Identities, window::nanos};
use crate::{
    config::ConfigError,
    store::{Call, RedisStore, Reply, StoreError, StoreErrorKind},
};

const DEADLINE: Duration = Duration::from_millis(50);

/// Counts rates in a [`RedisStore`], for all processes that share it.
///
/// ```
/// use portcullis::{
///     rate_limit::{Quota, RateLimitLayer, RedisRateLimits},
///     store::RedisStore,
/// };
///
/// let redis = RedisStore::new("redis://localhost")?.key_prefix("shop:")?;
/// let layer = RateLimitLayer::new(Quota::per_minute(60)).with_store(RedisRateLimits::new(redis));
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
///
/// - Time is the server's: each process asks for it now and then, and counts on from there with a clock
///   that nobody sets, so clocks of machines that differ change nothing.
/// - Requests of one key at the same time travel together. Nothing waits for a timer.
/// - A decision has a [deadline](RedisRateLimits::deadline). When Redis does not answer, it is not asked for
///   a moment, and then by one request at a time until it does. What happens meanwhile is the layer's
///   [`StoreFailure`](super::StoreFailure).
/// - Keys are named after what is counted by, escaped. Where that is a secret (an API key in a
///   [header](super::RateLimitKey::header)), count by what it stands for instead.
/// - Every key expires: four views and a window after its first count at the latest.
/// - Limits under different keys are decided together in one round trip, each on its own key: what the others
///   counted is given back if one refuses.
#[derive(Clone)]
pub struct RedisRateLimits(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    store: RedisStore,
    identities: Arc<Identities>,
    deadline: Duration,
    time: ServerTime,
    denies: bool,
    denied: Denied,
    expiring: Expiring,
    coalescer: Coalescer,
    breaker: Breaker,
}

impl RedisRateLimits {
    /// Counts in this store.
    #[must_use]
    pub fn new(store: RedisStore) -> Self {
        let breaker = Breaker::of(&store);
        Self(Arc::new(Inner {
            store,
            identities: Arc::new(Identities::new()),
            deadline: DEADLINE,
            time: ServerTime::default(),
            denies: true,
            denied: Denied::default(),
            expiring: Expiring::default(),
            coalescer: Coalescer::default(),
            breaker,
        }))
    }

    fn change(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// Replaces how long a decision may take, connecting included. The default is 50 ms.
    ///
    /// # Errors
    ///
    /// If it is under a millisecond or over a minute.
    pub fn deadline(self, deadline: Duration) -> Result<Self, ConfigError> {
        if !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(&deadline) {
            let expected = "must be from 1 ms to 60 s";
            return Err(ConfigError::new(
                "deadline",
                format!("{deadline:?}"),
                expected,
            ));
        }
        Ok(self.change(|inner| inner.deadline = deadline))
    }

    /// Asks Redis about every request, also where it is known that the answer is no: what an operator
    /// [resets](RateLimitStore::reset) is then let in at once by every process, not a segment later.
    #[must_use]
    pub fn ask_always(self) -> Self {
        self.change(|inner| inner.denies = false)
    }

    /// Goes by the caller's clock instead of the server's: for tests, where time stands still.
    #[must_use]
    pub fn by_the_callers_clock(self) -> Self {
        self.change(|inner| inner.time = ServerTime::the_callers())
    }

    /// Replaces what is told when Redis no longer answers (`true`), and when it does again (`false`).
    #[must_use]
    pub fn on_outage(self, told: impl Fn(bool) + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.breaker = inner.breaker.telling(Arc::new(told)))
    }
}

impl RateLimitStore for RedisRateLimits {
    fn hit(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<Decisions> {
        if hits.is_empty() {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Corrupt)));
        }
        let (inner, callers) = (&self.0, nanos(now));
        let id = group_identity(&inner.identities, hits);
        if inner.denies
            && let Some(now) = inner.time.known(callers)
            && let Some(refused) = inner.denied.look(id, hits, &inner.time, now)
        {
            return Reply::Ready(Ok(refused));
        }
        let names = || {
            let limits = hits
                .iter()
                .map(|hit| Limit::of(&inner.identities, &inner.store, hit));
            limits.map(|limit| limit.name).collect()
        };
        if inner.breaker.refuses(names) {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Unreachable)));
        }
        // It takes its place among those who wait at once, and is first only if nobody is on the way.
        let joined = if group::is_shared(hits) {
            inner.coalescer.join(id, Costs::of(hits), callers)
        } else {
            Joined::First(coalesce::ALONE)
        };
        let ticket = match joined {
            Joined::First(ticket) => ticket,
            Joined::Waits(waits) => {
                let inner = Arc::clone(inner);
                return Reply::Wait(Box::pin(async move {
                    inner.coalescer.watch(inner.deadline);
                    let lost = |_| StoreError::new(StoreErrorKind::Unreachable);
                    waits.await.map_err(lost)?
                }));
            }
        };
        let group = Group::new(id, &inner.identities, &inner.store, hits);
        let on_the_way = OnTheWay {
            inner: Arc::clone(inner),
            group: Arc::new(group),
            ticket,
        };
        let costs = Costs::of(hits);
        Reply::Wait(Box::pin(async move {
            let OnTheWay { inner, group, .. } = &on_the_way;
            let requests = [costs.as_slice()];
            let decisions = inner.ask(group, &requests, callers, inner.deadline).await?;
            let corrupt = || StoreError::new(StoreErrorKind::Corrupt);
            decisions.into_iter().next().ok_or_else(corrupt)
        }))
    }

    fn refund(&self, hits: &[Hit<'_>], counted: SystemTime, now: SystemTime) -> Reply<()> {
        let age = nanos(now).saturating_sub(nanos(counted));
        self.background(hits, nanos(now), move |inner, limit, cost, now| async move {
            inner.refund(&limit, cost, age, now).await
        })
    }

    fn charge(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<()> {
        self.background(hits, nanos(now), |inner, limit, cost, now| async move {
            inner.charge(&limit, cost, now).await
        })
    }

    fn reset(&self, key: &[u8], quota: &Quota) -> Reply<()> {
        let hit = Hit::new(key, *quota, 1);
        let last = self.0.time.last();
        self.background(&[hit], last, |inner, limit, _, now| async move {
            inner.reset(&limit, now).await
        })
    }

    fn block(&self, key: &[u8], quota: &Quota, until: SystemTime, now: SystemTime) -> Reply<()> {
        let span = Duration::from_nanos(nanos(until).saturating_sub(nanos(now)));
        let hit = Hit::new(key, *quota, 1);
        self.background(&[hit], nanos(now), move |inner, limit, _, now| async move {
            inner.block(&limit, span, now).await
        })
    }
}

impl RedisRateLimits {
    /// Does something for each hit that costs anything, whether or not anybody waits for it.
    fn background<F>(
        &self,
        hits: &[Hit<'_>],
        now: u64,
        work: impl Fn(Arc<Inner>, Arc<Limit>, u32, Now) -> F + Send + 'static,
    ) -> Reply<()>
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Unreachable)));
        };
        let hits = hits.iter().filter(|hit| hit.cost() > 0);
        let hits: Vec<_> = hits
            .map(|hit| {
                let limit = Limit::of(&self.0.identities, &self.0.store, hit);
                (Arc::new(limit), hit.cost())
            })
            .collect();
        let inner = Arc::clone(&self.0);
        let running = runtime.spawn(async move {
            let now = inner.now(now, inner.deadline).await?;
            for (limit, cost) in hits {
                // What was seen before is not what is there now, nor is what is seen meanwhile.
                inner.denied.changed(limit.id);
                let done = work(Arc::clone(&inner), Arc::clone(&limit), cost, now).await;
                inner.denied.changed(limit.id);
                done?;
            }
            Ok(())
        });
        Reply::Wait(Box::pin(async move {
            let lost = |_| StoreError::new(StoreErrorKind::Unreachable);
            running.await.map_err(lost)?
        }))
    }
}

impl Inner {
    async fn now(&self, callers: u64, left: Duration) -> Result<Now, StoreError> {
        let call = Call::idempotent().within(left);
        self.time.now(callers, &self.store, call).await
    }
}

impl fmt::Debug for RedisRateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimits")
            .field("store", &self.0.store)
            .field("deadline", &self.0.deadline)
            .field("denies", &self.0.denies)
            .finish_non_exhaustive()
    }
}
