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

mod breaker;
mod coalesce;
mod denied;
mod expiring;
mod state;
mod time;
mod trip;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{runtime::Handle, time::timeout};

use self::{
    breaker::Breaker, coalesce::Coalescer, denied::Denied, expiring::Expiring, time::ServerTime,
};
use super::{Algorithm, Decision, Decisions, Hit, Quota, RateLimitStore, window::nanos};
use crate::{
    config::ConfigError,
    store::{Call, Key, RedisStore, Reply, StoreError, StoreErrorKind},
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
    deadline: Duration,
    time: ServerTime,
    denies: bool,
    denied: Denied,
    expiring: Expiring,
    coalescer: Coalescer,
    breaker: Breaker,
}

/// One limit, named in Redis.
#[derive(Clone, Debug)]
struct Asked {
    quota: Quota,
    cost: u32,
    /// The name, and it as text, to which more is appended.
    name: Key,
    key: String,
}

impl RedisRateLimits {
    /// Counts in this store.
    #[must_use]
    pub fn new(store: RedisStore) -> Self {
        Self(Arc::new(Inner {
            breaker: Breaker::of(&store),
            store,
            deadline: DEADLINE,
            time: ServerTime::default(),
            denies: true,
            denied: Denied::default(),
            expiring: Expiring::default(),
            coalescer: Coalescer::default(),
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
        let now = nanos(now);
        let asked: Vec<_> = hits.iter().map(|hit| self.0.asked(hit)).collect();
        if let ([one], Some(now)) = (&asked[..], self.0.time.known(now))
            && let Some(refused) = self.0.refused_without_asking(one, now)
        {
            return Reply::Ready(Ok(Decisions::one(refused)));
        }
        let keys = || asked.iter().map(|hit| hit.key.clone()).collect();
        if self.0.breaker.refuses(keys) {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Unreachable)));
        }
        let inner = Arc::clone(&self.0);
        Reply::Wait(Box::pin(async move {
            let guard = inner
                .breaker
                .ask(asked.iter().map(|hit| hit.key.as_str()))?;
            // All of it together; each exchange by itself has this deadline, too.
            let deciding = timeout(inner.deadline, inner.decide(asked, now));
            let late = |_| StoreError::new(StoreErrorKind::Timeout);
            let answer = deciding.await.map_err(late).and_then(|answer| answer);
            guard.heard(&answer);
            answer
        }))
    }

    fn refund(&self, hits: &[Hit<'_>], counted: SystemTime, now: SystemTime) -> Reply<()> {
        let age = nanos(now).saturating_sub(nanos(counted));
        self.background(hits, nanos(now), move |inner, hit, now| async move {
            inner.refund(&hit, now.saturating_sub(age), now).await
        })
    }

    fn charge(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<()> {
        self.background(hits, nanos(now), |inner, hit, now| async move {
            inner.charge(&hit, now).await
        })
    }

    fn reset(&self, key: &[u8], quota: &Quota) -> Reply<()> {
        let hit = Hit::new(key, *quota, 0);
        let last = self.0.time.last();
        self.background(&[hit], last, |inner, hit, now| async move {
            inner.reset(&hit, now).await
        })
    }

    fn block(&self, key: &[u8], quota: &Quota, until: SystemTime, now: SystemTime) -> Reply<()> {
        let span = Duration::from_nanos(nanos(until).saturating_sub(nanos(now)));
        let hit = Hit::new(key, *quota, 0);
        self.background(&[hit], nanos(now), move |inner, hit, _| async move {
            inner.block(&hit, span).await
        })
    }
}

impl RedisRateLimits {
    /// Does something for each hit, whether or not anybody waits for it.
    fn background<F>(
        &self,
        hits: &[Hit<'_>],
        now: u64,
        work: impl Fn(Arc<Inner>, Asked, u64) -> F + Send + 'static,
    ) -> Reply<()>
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Unreachable)));
        };
        let hits: Vec<_> = hits.iter().map(|hit| self.0.asked(hit)).collect();
        let inner = Arc::clone(&self.0);
        let running = runtime.spawn(async move {
            let now = inner.now(now).await?;
            for hit in hits {
                work(Arc::clone(&inner), hit, now).await?;
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
    fn asked(&self, hit: &Hit<'_>) -> Asked {
        let quota = *hit.quota();
        let fingerprint = quota.fingerprint().to_be_bytes();
        let tag = fingerprint.iter().fold(String::new(), |mut text, byte| {
            use fmt::Write;
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        let name = self.store.key("rate", &[tag.as_bytes(), hit.key()]);
        Asked {
            quota,
            cost: hit.cost(),
            key: name.as_str().to_owned(),
            name,
        }
    }

    fn call(&self) -> Call {
        // Sent twice, it would count twice.
        Call::once().within(self.deadline)
    }

    async fn now(&self, callers: u64) -> Result<u64, StoreError> {
        self.time.now(callers, &self.store, self.call()).await
    }

    fn refused_without_asking(&self, hit: &Asked, now: u64) -> Option<Decision> {
        self.denies
            .then(|| self.denied.look(&hit.key, &hit.quota, hit.cost, now))?
    }

    async fn decide(
        self: &Arc<Self>,
        asked: Vec<Asked>,
        now: u64,
    ) -> Result<Decisions, StoreError> {
        let now = self.now(now).await?;
        if let [one] = &asked[..] {
            if let Some(refused) = self.refused_without_asking(one, now) {
                return Ok(Decisions::one(refused));
            }
            return self.decide_one(one, now).await.map(Decisions::one);
        }
        self.decide_all(&asked, now).await
    }

    async fn decide_one(self: &Arc<Self>, hit: &Asked, now: u64) -> Result<Decision, StoreError> {
        if hit.cost > hit.quota.burst_size() || hit.cost == 0 {
            return self.look(hit, now).await;
        }
        if hit.quota.algorithm() != Algorithm::SlidingWindow {
            let counted = self.update(hit, |counter| counter.decide(&hit.quota, hit.cost, now));
            return counted.await;
        }
        self.coalescer.decide(self, hit, now).await
    }

    /// Decides about several, each on its own key and all at once; gives everything back if one refuses.
    async fn decide_all(
        self: &Arc<Self>,
        asked: &[Asked],
        now: u64,
    ) -> Result<Decisions, StoreError> {
        let mut running = Vec::with_capacity(asked.len());
        for hit in asked {
            let (inner, hit) = (Arc::clone(self), hit.clone());
            running.push(tokio::spawn(
                async move { inner.decide_one(&hit, now).await },
            ));
        }
        let mut answers = Vec::with_capacity(asked.len());
        for one in running {
            let lost = |_| StoreError::new(StoreErrorKind::Unreachable);
            answers.push(one.await.map_err(lost).and_then(|answer| answer));
        }
        let passed = |answer: &Result<Decision, _>| matches!(answer, Ok(one) if one.allowed);
        if answers.iter().all(passed) {
            return collect(answers.into_iter());
        }
        for (hit, answer) in asked.iter().zip(&mut answers) {
            if let Ok(decision) = answer
                && decision.allowed
            {
                if hit.cost > 0 {
                    self.refund(hit, now, now).await?;
                }
                let idle = Asked {
                    cost: 0,
                    ..hit.clone()
                };
                *answer = self.look(&idle, now).await;
            }
        }
        collect(answers.into_iter())
    }
}

fn collect(
    mut answers: impl Iterator<Item = Result<Decision, StoreError>>,
) -> Result<Decisions, StoreError> {
    let corrupt = || StoreError::new(StoreErrorKind::Corrupt);
    let first = answers.next().ok_or_else(corrupt)??;
    Ok(Decisions::several(
        first,
        answers.collect::<Result<_, _>>()?,
    ))
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
