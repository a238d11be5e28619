//! What operators and outcomes change: refunds, charges, blocks, and forgetting a key.

use std::{iter, sync::Arc, time::Duration};

use redis::{Pipeline, Value};
use tokio::runtime::Handle;

use super::{
    Inner, RedisRateLimits,
    commands::{command, parts_about},
    decide::Seen,
    group::Limit,
    time::{Now, Times},
    wire::{Counted, Placed},
};
use crate::{
    rate_limit::{Algorithm, Hit},
    store::{Call, Expiry, Reply, StoreError, StoreErrorKind},
};

/// For rounding, and the way to Redis.
const BLOCK_SLACK: Duration = Duration::from_secs(1);

/// How often others may come between while a charge is fitted into a log or a pace.
const ATTEMPTS: usize = 4;

impl RedisRateLimits {
    /// Does something for each hit that costs anything, whether or not anybody waits for it.
    pub(super) fn background<F>(
        &self,
        hits: &[Hit<'_>],
        now: u64,
        work: impl Fn(Arc<Inner>, Arc<Limit>, u32, Now) -> F + Send + Sync + 'static,
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
        let names = || hits.iter().map(|(limit, _)| limit.name.clone()).collect();
        if inner.breaker.refuses(names) {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Unreachable)));
        }
        let running = runtime.spawn(async move {
            for (limit, cost) in hits {
                // As for a decision: also this one may be what asks whether an outage is over.
                let asking = inner.breaker.ask(iter::once(limit.name.as_str()))?;
                let done = async {
                    let now = inner.now(now, inner.deadline).await?;
                    // What was seen before is not what is there now, nor is what is seen meanwhile.
                    inner.changed(limit.id);
                    let done = work(Arc::clone(&inner), Arc::clone(&limit), cost, now).await;
                    inner.changed(limit.id);
                    done
                };
                let done = done.await;
                asking.heard(&done);
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
    fn call(&self) -> Call {
        // Sent twice, it would count twice.
        Call::once().within(self.deadline)
    }

    async fn send(&self, pipeline: &Pipeline) -> Result<(), StoreError> {
        if pipeline.is_empty() {
            return Ok(());
        }
        let answers = self.store.pipeline::<Vec<Value>>(pipeline, self.call());
        answers.await.map(drop)
    }

    /// Counts units, if any, whether or not there is room, and reads what was there before.
    async fn exchange_window(
        &self,
        limit: &Limit,
        placed: &Placed,
        now: Now,
        times: &Times,
    ) -> Result<Counted, StoreError> {
        let mut pipeline = Pipeline::new();
        placed.write(limit, now, &mut pipeline);
        let answers: Vec<Value> = self.store.pipeline(&pipeline, self.call()).await?;
        placed.read(times, &mut answers.into_iter())
    }

    /// Takes back what was asked for so long ago.
    pub(super) async fn refund(
        &self,
        limit: &Limit,
        units: u32,
        age: u64,
        now: Now,
    ) -> Result<(), StoreError> {
        let times = self.time.of_counted(now, &limit.quota, limit.id);
        let (from, to) = now.ago(age, self.deadline);
        match limit.quota.algorithm() {
            Algorithm::SlidingWindow => {}
            Algorithm::Gcra => {
                // As much as cannot have come back by itself.
                let took = u128::from(units) * u128::from(limit.quota.window_nanos());
                let since = u128::from(now.time.saturating_sub(from));
                let left = took.saturating_sub(since * u128::from(limit.quota.limit()));
                if left == 0 {
                    return Ok(());
                }
                return self.pace_back(limit, left, &[], self.call()).await;
            }
            Algorithm::SlidingLog => {
                return self.log_back(limit, units, (from, to), self.call()).await;
            }
        }
        let placed = Placed::new(limit, &times, 0, &self.expiring, None);
        let counted = self.exchange_window(limit, &placed, now, &times).await?;
        let Seen::Window(view) = counted.seen else {
            return Ok(());
        };
        let (mut left, mut behind) = (units, Pipeline::new());
        let segment = limit.quota.segment_nanos();
        // The oldest that may hold it, and what that does not hold from older ones, which leave earlier.
        for (segment, count) in view.counts_about(from / segment, to / segment) {
            let taken = left.min(count);
            if taken > 0 {
                placed.give_back(limit, segment, taken, now, &mut behind);
                left -= taken;
            }
        }
        self.send(&behind).await
    }

    /// Counts as far as there is room.
    pub(super) async fn charge(
        self: &Arc<Self>,
        limit: &Limit,
        units: u32,
        now: Now,
    ) -> Result<(), StoreError> {
        let (quota, times) = (&limit.quota, self.time.of_key(now, &limit.quota, limit.id));
        self.time.track(now, limit.id);
        if limit.is_window() {
            let units = units.min(quota.limit());
            let placed = Placed::new(limit, &times, units, &self.expiring, None);
            let counted = self.exchange_window(limit, &placed, now, &times).await;
            let mut counted = match counted {
                Ok(counted) => counted,
                Err(error) => {
                    self.forget(limit, &placed, now);
                    return Err(error);
                }
            };
            let fits = counted.taken.min(counted.seen.room(quota, &times));
            let mut behind = Pipeline::new();
            if counted.taken > fits {
                let back = counted.taken - fits;
                placed.give_back(limit, placed.span.place, back, now, &mut behind);
            }
            for part in &counted.short {
                placed.repair(limit, *part, now, &mut behind);
            }
            return self.send(&behind).await;
        }
        for _ in 0..ATTEMPTS {
            let mut counted = self.take(limit, &[], false, &times, self.call()).await?;
            let fits = units.min(counted.seen.room(quota, &times));
            if fits == 0 {
                break;
            }
            let counted = self
                .take(limit, &[fits], false, &times, self.call())
                .await?;
            // Otherwise somebody else took the room meanwhile.
            if counted.taken > 0 {
                break;
            }
        }
        Ok(())
    }

    /// Forgets a key and lifts its block.
    pub(super) async fn reset(self: &Arc<Self>, limit: &Limit, now: Now) -> Result<(), StoreError> {
        self.give_back_ahead(limit);
        let times = self.time.of_key(now, &limit.quota, limit.id);
        self.time.forget(limit.id);
        let mut delete = command("DEL", 6, 5 * limit.name.len());
        delete.arg(limit.block());
        if limit.is_window() {
            for name in parts_about(limit, &times) {
                delete.arg(name);
            }
        } else {
            delete.arg(&limit.name);
        }
        let deleted = self.store.command::<i64>(&delete, self.call()).await;
        self.discard_ahead(limit);
        deleted.map(drop)
    }

    /// Refuses all for so long.
    pub(super) async fn block(
        self: &Arc<Self>,
        limit: &Limit,
        span: Duration,
        now: Now,
    ) -> Result<(), StoreError> {
        self.give_back_ahead(limit);
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let until = now.times(&limit.quota).asked.saturating_add(nanos);
        let mut set = command("SET", 5, limit.name.len() + 32);
        // As many digits as any has, so that a script can compare them as texts.
        set.arg(limit.block()).arg(format!("{until:020}"));
        set.arg("PX");
        // What it holds says when it is over.
        set.arg(Expiry::after(span.saturating_add(BLOCK_SLACK)));
        let blocked = self.store.command::<String>(&set, self.call()).await;
        self.discard_ahead(limit);
        blocked.map(drop)
    }
}
