//! What is asked of a store of rates, asked of Redis.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::runtime::Handle;

use super::{
    Inner, RedisRateLimits,
    coalesce::{self, Joined, LaneOf},
    drive::OnTheWay,
    group::{self, Costs, Group, Limit, group_identity},
    together::Together,
};
use crate::{
    rate_limit::{Decisions, Hit, Quota, RateLimitStore, window::nanos},
    store::{Reply, StoreError, StoreErrorKind},
};

impl RateLimitStore for RedisRateLimits {
    fn hit(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<Decisions> {
        if hits.is_empty() {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Corrupt)));
        }
        let (inner, said) = (&self.0, nanos(now));
        let id = group_identity(&inner.identities, hits);
        if let Some(let_in) = inner.ahead(id, hits) {
            return Reply::Ready(Ok(let_in));
        }
        if inner.remembers
            && !inner.denied.is_empty()
            && let Some(now) = inner.time.known(said)
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
        // It takes its place among those who wait at once.
        let group = || Group::new(id, &inner.identities, &inner.store, hits);
        let windows = hits.iter().all(group::is_window);
        let lane = if windows && !inner.store.is_cluster() {
            LaneOf::All
        } else {
            LaneOf::group(id)
        };
        let joined = if windows || hits.len() == 1 {
            let gathers = || inner.gathers(id);
            let costs = Costs::of(hits);
            inner
                .coalescer
                .join((lane, id), group, costs, said, gathers)
        } else {
            // Of a log or a pace among several limits, it would have to be known beforehand whom the others
            // let in.
            Joined::First(coalesce::ALONE)
        };
        let inner = Arc::clone(inner);
        let away = |inner: &Arc<Inner>, ticket| OnTheWay {
            inner: Arc::clone(inner),
            lane,
            ticket,
            runtime: Handle::try_current().ok(),
        };
        let waits = match joined {
            Joined::First(ticket) => {
                let alone = [Together::alone(group(), Costs::of(hits), said)];
                return away(&inner, ticket).alone(alone);
            }
            Joined::Waits(waits) => waits,
            Joined::Gathers(waits, ticket) => {
                away(&inner, ticket).begin(Vec::new());
                waits
            }
            Joined::Goes(waits, ticket, others) => {
                away(&inner, ticket).begin(others);
                waits
            }
        };
        Reply::Wait(Box::pin(async move {
            inner.coalescer.watch(inner.deadline);
            let lost = |_| StoreError::new(StoreErrorKind::Unreachable);
            waits.await.map_err(lost)?
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
