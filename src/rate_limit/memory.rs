//! [`RateLimitStore`] for [`MemoryStore`]: counts in this process, sharded and bounded.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use foldhash::{SharedSeed, quality::FoldHasher};

use super::{
    Decision, Decisions, Hit, Quota, RateLimitStore, SlidingWindow,
    table::{Identity, Table, lifetime_code},
    window::nanos,
};
use crate::store::{Domain, MemoryStore, Reply, StoreError, StoreErrorKind};

/// Bytes of counts, by size of slot: with the 24 bytes of a slot's head these are 48, 64, 96, 160 and 272.
/// They hold 17 counts of one, two and four bytes (16 segments; limits up to 255, 65,535 and beyond), and
/// up to 61 of each.
const CELLS: [usize; 5] = [24, 40, 72, 136, 248];

const MOST_SHARDS: usize = 256;

/// Fewer keys to a shard, and chance would fill some long before the others.
const LEAST_KEYS: usize = 1_024;

/// The keys that a set holds.
const SET: usize = 8;

impl RateLimitStore for MemoryStore {
    fn hit(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<Decisions> {
        let max_keys = self.max_keys();
        let Some(counters) = self.table(Domain::RateLimit, || Counters::new(max_keys)) else {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Corrupt)));
        };
        let now = nanos(now);
        let decisions = match hits {
            [] => Err(StoreError::new(StoreErrorKind::Corrupt)),
            [hit] => Ok(Decisions::one(counters.hit_one(hit, now))),
            [first, rest @ ..] => Ok(counters.hit_all(first, rest, now)),
        };
        Reply::Ready(decisions)
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
        let max_keys = self.max_keys();
        self.table(Domain::RateLimit, || Counters::new(max_keys))
            .map_or(0, |counters| {
                let shards = counters.shards.iter();
                shards
                    .map(|shard| shard.lock().0.iter().map(&of).sum::<usize>())
                    .sum()
            })
    }
}

/// All counters of a store.
struct Counters {
    shards: Box<[Shard]>,
    /// The most sets that each of a shard's tables may have.
    most_sets: usize,
    keyed: RandomState,
    folded: (u64, SharedSeed),
}

/// On a pair of cache lines of its own, as the lines next to each other are fetched together.
#[repr(align(128))]
struct Shard(Mutex<Tables>);

struct Tables([Table; CELLS.len()]);

/// A hit, and where its counts are.
#[derive(Clone, Copy)]
struct Located<'h> {
    quota: &'h Quota,
    cost: u32,
    key: Identity,
    shard: usize,
    size: usize,
    width: usize,
    code: u32,
}

impl Counters {
    fn new(max_keys: usize) -> Self {
        let shards = (max_keys / LEAST_KEYS).clamp(1, MOST_SHARDS);
        let keyed = RandomState::new();
        let folded = (keyed.hash_one(0), SharedSeed::from_u64(keyed.hash_one(1)));
        Self {
            shards: (0..shards)
                .map(|_| Shard(Mutex::new(Tables(CELLS.map(Table::new)))))
                .collect(),
            most_sets: (max_keys / shards / SET).max(1),
            keyed,
            folded,
        }
    }

    /// What stands for a key, instead of the key.
    ///
    /// Keys come from clients, who must not be able to find two that count together. The first half is a
    /// SipHash under a key that the standard library takes from the operating system: who does not know
    /// that key does no better than guessing at 64 bits, and sees no more of a guess than whether two
    /// requests count together. With a million keys in the table, 2^40 tries find one of them with
    /// probability 2^-4 by this half alone. The second half is foldhash under seeds from the first one's
    /// key: it is not made to withstand attacks, and need not; being independent, it takes the number of
    /// accidental collisions to that of 128 bits, and chooses the second set.
    fn identify(&self, hit: &Hit<'_>) -> Identity {
        let mut first = self.keyed.build_hasher();
        first.write(hit.key());
        let mut second = FoldHasher::with_seed(self.folded.0, &self.folded.1);
        second.write(hit.key());
        // Quotas are the programmer's. Two keys' hashes differ by the difference of two fingerprints no
        // likelier than by any other number.
        let fingerprint = hit.quota().fingerprint();
        Identity {
            first: first.finish() ^ fingerprint,
            second: second.finish() ^ fingerprint.rotate_left(32),
        }
    }

    fn locate<'h>(&self, hit: &'h Hit<'_>) -> Located<'h> {
        let quota = hit.quota();
        let key = self.identify(hit);
        let width = match quota.limit() {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            _ => 4,
        };
        let needed = (quota.segment_count() as usize + 1) * width;
        Located {
            quota,
            cost: hit.cost(),
            key,
            // The low bits choose the set. There are at most 256 shards, a power of two.
            shard: (key.first >> 56) as usize & (self.shards.len() - 1),
            size: CELLS.partition_point(|cells| *cells < needed),
            width,
            // A second more, as the second of the last request may have been about to end.
            code: lifetime_code(quota.view_nanos() / 1_000_000_000 + 2),
        }
    }

    fn hit_one(&self, hit: &Hit<'_>, now: u64) -> Decision {
        let hit = self.locate(hit);
        self.shards[hit.shard].lock().hit(&hit, now, self.most_sets)
    }

    /// Decides under the locks of all shards involved, which every caller takes in the same order.
    fn hit_all(&self, first: &Hit<'_>, rest: &[Hit<'_>], now: u64) -> Decisions {
        let first = self.locate(first);
        let rest: Vec<_> = rest.iter().map(|hit| self.locate(hit)).collect();
        let hits = || std::iter::once(&first).chain(&rest);
        let mut shards: Vec<_> = hits().map(|hit| hit.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        let mut locked: Vec<_> = shards
            .iter()
            .map(|shard| self.shards[*shard].lock())
            .collect();
        let at = |hit: &Located<'_>| shards.partition_point(|shard| *shard < hit.shard);

        let mut decisions = Decisions::several(
            locked[at(&first)].look(&first, now),
            rest.iter()
                .map(|hit| locked[at(hit)].look(hit, now))
                .collect(),
        );
        if decisions.allowed() {
            for (index, hit) in hits().enumerate() {
                decisions.replace(index, locked[at(hit)].hit(hit, now, self.most_sets));
                // Each had room by itself; only the same counts asked for twice can still run out.
                if !decisions.allowed() {
                    hits()
                        .take(index)
                        .for_each(|hit| locked[at(hit)].give_back(hit, now));
                    break;
                }
            }
        }
        if !decisions.allowed() {
            // Nothing is counted after all, so those with room have all of it.
            for (index, hit) in hits().enumerate() {
                let asking = Located { cost: 0, ..*hit };
                let idle = locked[at(hit)].look(&asking, now);
                decisions.replace_if_allowed(index, idle);
            }
        }
        decisions
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        // Nothing panics halfway through a change, so a poisoned lock guards whole counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// Decides without counting.
    fn look(&mut self, hit: &Located<'_>, now: u64) -> Decision {
        let asking = Located { cost: 0, ..*hit };
        self.decide(&asking, hit.cost, now, 0)
    }

    /// Decides, and counts if there is room.
    fn hit(&mut self, hit: &Located<'_>, now: u64, most_sets: usize) -> Decision {
        self.decide(hit, hit.cost, now, most_sets)
    }

    /// Decides about `cost`, and counts the hit's own if there is room.
    #[inline]
    fn decide(&mut self, hit: &Located<'_>, cost: u32, now: u64, most_sets: usize) -> Decision {
        let table = &mut self.0[hit.size];
        let seconds = seconds(now);
        let slot = table.find(hit.key, hit.code, seconds);
        let mut window = SlidingWindow::new();
        let mut newest = 0;
        if let Some(slot) = slot {
            let (segment, cells) = table.read(slot);
            newest = segment;
            window.read(newest, cells, hit.width);
        }
        let decision = window.look(hit.quota, cost, now);
        if decision.allowed && hit.cost > 0 {
            window.take(hit.cost);
            if let Some(slot) = slot.filter(|_| window.newest() == newest) {
                window.write_newest(table.cells_mut(slot), hit.width);
            } else {
                let slot =
                    slot.unwrap_or_else(|| table.claim(hit.key, hit.code, seconds, most_sets));
                write(table, slot, &window, hit.width);
            }
        } else if let Some(slot) = slot.filter(|_| window.newest() < newest) {
            // The clock was far ahead: where the counts were moved to must last.
            write(table, slot, &window, hit.width);
        }
        decision
    }

    /// Takes back what was counted at this very time.
    fn give_back(&mut self, hit: &Located<'_>, now: u64) {
        let table = &mut self.0[hit.size];
        if let Some(slot) = table.find(hit.key, hit.code, seconds(now)) {
            let (newest, cells) = table.read(slot);
            let mut window = SlidingWindow::new();
            window.read(newest, cells, hit.width);
            window.give_back(hit.cost);
            write(table, slot, &window, hit.width);
        }
    }
}

fn write(table: &mut Table, slot: usize, window: &SlidingWindow, width: usize) {
    window.write(table.cells_mut(slot), width);
    table.set_newest(slot, window.newest());
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "seconds wrap in 2106, and are compared as wrapping"
)]
fn seconds(nanos: u64) -> u32 {
    (nanos / 1_000_000_000) as u32
}
