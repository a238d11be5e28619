//! [`Counters`]: what a store in memory counts, sharded and bounded.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    Decision, Decisions, Hit, Quota,
    blocks::Blocks,
    decision::Room,
    identity::{Identities, Identity},
    state::NANOS,
    table::{Table, WAYS, lifetime_code},
};

const MOST_SHARDS: usize = 128;

/// Fewer keys to a shard, and chance would fill some long before the others.
const LEAST_KEYS: usize = 1_024;

/// All counters of a store.
pub(super) struct Counters {
    pub(super) shards: Box<[Shard]>,
    /// The most blocks that each shard may have.
    pub(super) most_blocks: usize,
    pub(super) identities: Identities,
    pub(super) blocks: Blocks,
}

/// On a cache line of its own.
#[repr(align(64))]
pub(super) struct Shard(Mutex<Table>);

/// A quota, and what of it a table is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) quota: Quota,
    code: u64,
}

impl Stored {
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            quota,
            code: lifetime_code(lifetime(&quota, 0)),
        }
    }
}

/// A hit, and where its counts are.
#[derive(Clone, Copy)]
pub(super) struct Located<'h> {
    pub(super) quota: &'h Quota,
    pub(super) cost: u32,
    pub(super) key: Identity,
    shard: usize,
    pub(super) code: u64,
}

impl Counters {
    pub(super) fn new(max_keys: usize) -> Self {
        let shards = (max_keys / LEAST_KEYS).clamp(1, MOST_SHARDS);
        Self {
            shards: (0..shards)
                .map(|_| Shard(Mutex::new(Table::new())))
                .collect(),
            most_blocks: (max_keys / shards / WAYS).max(1),
            identities: Identities::new(),
            blocks: Blocks::default(),
        }
    }

    pub(super) fn locate<'h>(&self, hit: &'h Hit<'_>) -> Located<'h> {
        let key = self.identities.of(hit.quota().fingerprint(), hit.key());
        Located {
            quota: hit.quota(),
            cost: hit.cost(),
            key,
            shard: self.shard_of(key),
            code: Stored::new(*hit.quota()).code,
        }
    }

    #[inline]
    fn shard_of(&self, key: Identity) -> usize {
        // Other bits than those that choose the blocks. There are at most 256 shards, a power of two.
        (key.spread() >> 24) as usize & (self.shards.len() - 1)
    }

    /// As a hit of this cost. What is decided on the shortest way is told shortly.
    #[inline]
    pub(super) fn pass(
        &self,
        stored: &Stored,
        key: Identity,
        cost: u32,
        now: u64,
    ) -> Result<Room, Decision> {
        let hit = Located {
            quota: &stored.quota,
            cost,
            key,
            shard: self.shard_of(key),
            code: stored.code,
        };
        if self.blocks.are_none() {
            let mut table = self.shard(&hit).lock();
            let (room, place) = table.quick(&hit, cost, now);
            return match room {
                Some(room) => Ok(room),
                None => Err(table.decide_whole(&hit, place, cost, now, self.most_blocks)),
            };
        }
        Err(self.decide(&hit, now))
    }

    #[inline]
    pub(super) fn shard(&self, hit: &Located<'_>) -> &Shard {
        &self.shards[hit.shard]
    }

    #[inline]
    pub(super) fn hit_one(&self, hit: &Hit<'_>, now: u64) -> Decision {
        self.decide(&self.locate(hit), now)
    }

    fn decide(&self, hit: &Located<'_>, now: u64) -> Decision {
        if let Some(blocked) = self.blocked(hit, now) {
            return blocked;
        }
        let mut table = self.shard(hit).lock();
        table.decide(hit, hit.cost, now, self.most_blocks)
    }

    /// Decides under the locks of all shards involved, which every caller takes in the same order.
    pub(super) fn hit_all(&self, first: &Hit<'_>, rest: &[Hit<'_>], now: u64) -> Decisions {
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
                        // The newest units, as these are: whatever the time says.
                        locked[at(hit)].give_back(hit, u64::MAX, now, self.most_blocks);
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
    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics halfway through a change, so a poisoned lock guards whole counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The seconds from when a key was last asked for until its counts have left the window, if they are from so many
/// nanoseconds later than that.
pub(super) fn lifetime(quota: &Quota, ahead: u64) -> u64 {
    // A second more, as the second of the last request may have been about to end.
    quota.view_nanos().saturating_add(ahead) / NANOS + 2
}
