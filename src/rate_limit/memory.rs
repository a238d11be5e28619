//! [`RateLimitStore`] for [`MemoryStore`]: counts in this process, sharded and bounded.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{
    Algorithm, Decision, Decisions, Hit, Quota, RateLimitStore, SlidingWindow,
    blocks::Blocks,
    counter::Counter,
    identity::{Identities, Identity},
    table::{Place, Table, WAYS, lifetime_code},
    window::nanos,
};
use crate::store::{Domain, MemoryStore, Reply, StoreError, StoreErrorKind};

/// Bytes of state, by size of place: with the identity these are 48, 64, 96, 160 and 272 bytes, and for
/// long logs 1,024, 2,048 and 8,192. The first five hold windows of 16 segments with limits up to 255,
/// 65,535 and beyond, and of up to 60 segments of each.
const STATES: [usize; 8] = [32, 48, 80, 144, 256, 1_008, 2_032, 8_176];

const MOST_SHARDS: usize = 256;

/// Fewer keys to a shard, and chance would fill some long before the others.
const LEAST_KEYS: usize = 1_024;

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
        self.change(hits, now, |counter, hit| {
            counter.give_back(hit.quota, hit.cost, counted, now);
        })
    }

    fn charge(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<()> {
        let now = nanos(now);
        self.change(hits, now, |counter, hit| {
            counter.charge(hit.quota, hit.cost, now);
        })
    }

    fn reset(&self, key: &[u8], quota: &Quota) -> Reply<()> {
        Reply::Ready(self.counters().map(|counters| {
            let hit = Hit::new(key, *quota, 0);
            let hit = counters.locate(&hit);
            counters.blocks.lift(hit.key);
            counters.shard(&hit).lock().forget(hit.key, hit.code);
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
            let shards = counters.sizes.iter().flatten();
            shards.map(|shard| of(&shard.lock())).sum()
        })
    }

    #[inline]
    fn counters(&self) -> Result<&Counters, StoreError> {
        self.table(Domain::RateLimit, || Counters::new(self.max_keys()))
            .ok_or_else(corrupt)
    }

    /// Changes counts that are there, or that a change begins.
    fn change(
        &self,
        hits: &[Hit<'_>],
        now: u64,
        change: impl Fn(&mut Counter, &Located<'_>),
    ) -> Reply<()> {
        Reply::Ready(self.counters().map(|counters| {
            for hit in hits.iter().filter(|hit| hit.cost() > 0) {
                let hit = counters.locate(hit);
                let mut table = counters.shard(&hit).lock();
                table.update(&hit, now, counters.most_blocks, |counter| {
                    change(counter, &hit);
                });
            }
        }))
    }
}

/// All counters of a store.
struct Counters {
    /// For each size of place, its shards.
    sizes: [Box<[Shard]>; STATES.len()],
    /// The most blocks that each shard may have.
    most_blocks: usize,
    identities: Identities,
    blocks: Blocks,
}

/// On a pair of cache lines of its own, as the lines next to each other are fetched together.
#[repr(align(128))]
struct Shard(Mutex<Table>);

/// A hit, and where its counts are.
#[derive(Clone, Copy)]
struct Located<'h> {
    quota: &'h Quota,
    cost: u32,
    key: Identity,
    size: usize,
    shard: usize,
    code: u32,
}

impl Counters {
    fn new(max_keys: usize) -> Self {
        let shards = (max_keys / LEAST_KEYS).clamp(1, MOST_SHARDS);
        Self {
            sizes: STATES.map(|state| {
                (0..shards)
                    .map(|_| Shard(Mutex::new(Table::new(state))))
                    .collect()
            }),
            most_blocks: (max_keys / shards / WAYS).max(1),
            identities: Identities::new(),
            blocks: Blocks::default(),
        }
    }

    #[inline]
    fn locate<'h>(&self, hit: &'h Hit<'_>) -> Located<'h> {
        let quota = hit.quota();
        let key = self.identities.of(quota.fingerprint(), hit.key());
        let needed = Counter::packed(quota);
        let size = STATES.iter().position(|state| *state >= needed);
        let size = size.unwrap_or(STATES.len() - 1);
        Located {
            quota,
            cost: hit.cost(),
            key,
            size,
            // Other bits than those that choose the blocks. There are at most 256 shards, a power of two.
            shard: (key.spread() >> 24) as usize & (self.sizes[size].len() - 1),
            // A second more, as the second of the last request may have been about to end.
            code: lifetime_code(quota.view_nanos() / 1_000_000_000 + 2),
        }
    }

    #[inline]
    fn shard(&self, hit: &Located<'_>) -> &Shard {
        &self.sizes[hit.size][hit.shard]
    }

    #[inline]
    fn hit_one(&self, hit: &Hit<'_>, now: u64) -> Decision {
        let hit = self.locate(hit);
        if let Some(blocked) = self.blocked(&hit, now) {
            return blocked;
        }
        let mut table = self.shard(&hit).lock();
        table.decide(&hit, hit.cost, now, self.most_blocks)
    }

    /// Decides under the locks of all shards involved, which every caller takes in the same order.
    fn hit_all(&self, first: &Hit<'_>, rest: &[Hit<'_>], now: u64) -> Decisions {
        let first = self.locate(first);
        let rest: Vec<_> = rest.iter().map(|hit| self.locate(hit)).collect();
        let hits = || std::iter::once(&first).chain(&rest);
        let place = |hit: &Located<'_>| (hit.size, hit.shard);
        let mut shards: Vec<_> = hits().map(place).collect();
        shards.sort_unstable();
        shards.dedup();
        let mut locked: Vec<_> = shards
            .iter()
            .map(|(size, shard)| self.sizes[*size][*shard].lock())
            .collect();
        let at = |hit: &Located<'_>| shards.partition_point(|shard| *shard < place(hit));
        let look = |locked: &mut [MutexGuard<'_, Table>], hit: &Located<'_>| {
            let asking = Located { cost: 0, ..*hit };
            self.blocked(hit, now)
                .unwrap_or_else(|| locked[at(hit)].decide(&asking, hit.cost, now, self.most_blocks))
        };

        let mut decisions = Decisions::several(
            look(&mut locked, &first),
            rest.iter().map(|hit| look(&mut locked, hit)).collect(),
        );
        if decisions.allowed() {
            for (index, hit) in hits().enumerate() {
                let decision = locked[at(hit)].decide(hit, hit.cost, now, self.most_blocks);
                decisions.replace(index, decision);
                // Each had room by itself; only the same counts asked for twice can still run out.
                if !decision.allowed {
                    for hit in hits().take(index) {
                        locked[at(hit)].update(hit, now, self.most_blocks, |counter| {
                            counter.give_back(hit.quota, hit.cost, now, now);
                        });
                    }
                    break;
                }
            }
        }
        if !decisions.allowed() {
            // Nothing is counted after all, so those with room have all of it.
            for (index, hit) in hits().enumerate() {
                let idle = look(&mut locked, &Located { cost: 0, ..*hit });
                decisions.replace_if_allowed(index, idle);
            }
        }
        decisions
    }

    #[inline]
    fn blocked(&self, hit: &Located<'_>, now: u64) -> Option<Decision> {
        let left = self.blocks.left(hit.key, now)?;
        Some(Decision::refuse(hit.quota.limit(), 0, left, Some(left)))
    }
}

impl Shard {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics halfway through a change, so a poisoned lock guards whole counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Decides about `cost`, and counts the hit's own if there is room.
    #[inline]
    fn decide(&mut self, hit: &Located<'_>, cost: u32, now: u64, most: usize) -> Decision {
        let place = self.find(hit.key, hit.code, seconds(now));
        if let (Some(place), Algorithm::SlidingWindow) = (place, hit.quota.algorithm()) {
            let (state, count) = (self.state(place), hit.cost > 0);
            if let Some(decision) = SlidingWindow::hit_packed(hit.quota, state, cost, count, now) {
                return decision;
            }
        }
        self.decide_whole(hit, place, cost, now, most)
    }

    /// As [`Table::decide`], where the whole of what is counted must be looked at.
    fn decide_whole(
        &mut self,
        hit: &Located<'_>,
        place: Option<Place>,
        cost: u32,
        now: u64,
        most: usize,
    ) -> Decision {
        let mut counter = place.map_or_else(
            || Counter::empty(hit.quota),
            |place| Counter::unpack(hit.quota, self.state(place)),
        );
        let decision = counter.look(hit.quota, cost, now);
        let counts = decision.allowed && hit.cost > 0;
        if counts {
            counter.take(hit.quota, hit.cost, now);
        }
        // Neither asking nor a refusal takes a place.
        if let Some(place) = place.or_else(|| counts.then(|| self.take_place(hit, now, most))) {
            counter.pack(hit.quota, self.state(place));
        }
        decision
    }

    /// Changes what is counted, and takes a place for it if it has none.
    fn update(
        &mut self,
        hit: &Located<'_>,
        now: u64,
        most: usize,
        change: impl FnOnce(&mut Counter),
    ) {
        let place = self.find(hit.key, hit.code, seconds(now));
        let mut counter = place.map_or_else(
            || Counter::empty(hit.quota),
            |place| Counter::unpack(hit.quota, self.state(place)),
        );
        change(&mut counter);
        let place = place.unwrap_or_else(|| self.take_place(hit, now, most));
        counter.pack(hit.quota, self.state(place));
    }

    fn take_place(&mut self, hit: &Located<'_>, now: u64, most: usize) -> Place {
        self.claim(hit.key, hit.code, seconds(now), most)
    }
}

fn corrupt() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "seconds wrap in 2106, and are compared as wrapping"
)]
#[inline]
fn seconds(nanos: u64) -> u32 {
    (nanos / 1_000_000_000) as u32
}
