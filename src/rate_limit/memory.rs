//! [`RateLimitStore`] for [`MemoryStore`]: counts in this process, sharded and bounded.

use std::{sync::Arc, time::SystemTime};

use super::{
    Decisions, Hit, Quota, RateLimitStore,
    counters::{Counters, Located},
    table::Table,
    window::nanos,
};
use crate::store::{Domain, MemoryStore, Reply, StoreError, StoreErrorKind};

impl RateLimitStore for MemoryStore {
    #[inline]
    fn hit(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<Decisions> {
        Reply::Ready(self.counters().and_then(|counters| {
            let now = nanos(now);
            match hits {
                [] => Err(corrupt()),
                [hit] => Ok(Decisions::one(counters.hit_one(hit, now))),
                [first, rest @ ..] => Ok(counters.hit_all(first, rest, now)),
            }
        }))
    }

    fn refund(&self, hits: &[Hit<'_>], counted: SystemTime, now: SystemTime) -> Reply<()> {
        let (counted, now) = (nanos(counted), nanos(now));
        self.change(hits, |table, hit, most| {
            table.give_back(hit, counted, now, most);
        })
    }

    fn charge(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<()> {
        let now = nanos(now);
        self.change(hits, |table, hit, most| table.charge(hit, now, most))
    }

    fn reset(&self, key: &[u8], quota: &Quota) -> Reply<()> {
        Reply::Ready(self.counters().map(|counters| {
            let hit = Hit::new(key, *quota, 0);
            let hit = counters.locate(&hit);
            counters.blocks.lift(hit.key);
            counters.shard(&hit).lock().forget(hit.key);
        }))
    }

    fn block(&self, key: &[u8], quota: &Quota, until: SystemTime, now: SystemTime) -> Reply<()> {
        Reply::Ready(self.counters().and_then(|counters| {
            let key = counters.identities.of(quota.fingerprint(), key);
            counters.blocks.set(key, nanos(until), nanos(now))
        }))
    }
}

impl MemoryStore {
    /// The keys whose rates are counted at the moment, those not yet replaced included whose counts have
    /// left their window.
    #[must_use]
    pub fn rate_limit_keys(&self) -> usize {
        self.counters_sum(Table::keys)
    }

    /// The heap bytes that counted rates take at the moment.
    #[must_use]
    pub fn rate_limit_bytes(&self) -> usize {
        self.counters_sum(Table::bytes)
    }

    fn counters_sum(&self, of: impl Fn(&Table) -> usize) -> usize {
        self.counters().map_or(0, |counters| {
            let shards = counters.shards.iter();
            shards.map(|shard| of(&shard.lock())).sum()
        })
    }

    #[inline]
    pub(super) fn counters(&self) -> Result<&Arc<Counters>, StoreError> {
        self.table(Domain::RateLimit, || {
            Arc::new(Counters::new(self.max_keys()))
        })
        .ok_or_else(corrupt)
    }

    /// Changes the counts of hits that cost anything, each under its lock and in a table of so many blocks.
    fn change(
        &self,
        hits: &[Hit<'_>],
        change: impl Fn(&mut Table, &Located<'_>, usize),
    ) -> Reply<()> {
        Reply::Ready(self.counters().map(|counters| {
            for hit in hits.iter().filter(|hit| hit.cost() > 0) {
                let hit = counters.locate(hit);
                let mut table = counters.shard(&hit).lock();
                change(&mut table, &hit, counters.most_blocks);
            }
        }))
    }
}

fn corrupt() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt)
}
