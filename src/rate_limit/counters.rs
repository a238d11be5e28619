//! [`Counters`]: what a store in memory counts, sharded and bounded.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    Algorithm, Decision, Decisions, Hit, Quota, SlidingWindow,
    blocks::Blocks,
    counter::Counter,
    decision::Room,
    identity::{Identities, Identity},
    table::{HEAD, Place, Table, WAYS, lifetime_code},
};

/// Bytes of state, by size of place: with what stands before it these are 48, 64, 96, 104, 168 and 280
/// bytes, and for long logs 1,024, 2,048 and 8,192. The first six hold windows of 16 segments with limits up
/// to 255, 65,535 and beyond, and of up to 60 segments of each.
const STATES: [usize; 9] = [
    48 - HEAD,
    64 - HEAD,
    96 - HEAD,
    104 - HEAD,
    168 - HEAD,
    280 - HEAD,
    1_024 - HEAD,
    2_048 - HEAD,
    8_192 - HEAD,
];

const MOST_SHARDS: usize = 128;

/// Fewer keys to a shard, and chance would fill some long before the others.
const LEAST_KEYS: usize = 1_024;

/// All counters of a store.
pub(super) struct Counters {
    /// For each size of place, its shards.
    pub(super) sizes: [Box<[Shard]>; STATES.len()],
    /// The most blocks that each shard may have.
    pub(super) most_blocks: usize,
    pub(super) identities: Identities,
    pub(super) blocks: Blocks,
}

/// On a pair of cache lines of its own, as the lines next to each other are fetched together.
#[repr(align(64))]
pub(super) struct Shard(Mutex<Table>);

/// A quota, and where in any store its counts are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) quota: Quota,
    size: usize,
    code: u32,
}

impl Stored {
    pub(super) fn new(quota: Quota) -> Self {
        let needed = Counter::packed(&quota);
        let size = STATES.iter().position(|state| *state >= needed);
        Self {
            quota,
            size: size.unwrap_or(STATES.len() - 1),
            // A second more, as the second of the last request may have been about to end.
            code: lifetime_code(quota.view_nanos() / 1_000_000_000 + 2),
        }
    }
}

/// A hit, and where its counts are.
#[derive(Clone, Copy)]
pub(super) struct Located<'h> {
    pub(super) quota: &'h Quota,
    pub(super) cost: u32,
    pub(super) key: Identity,
    size: usize,
    shard: usize,
    pub(super) code: u32,
}

impl Counters {
    pub(super) fn new(max_keys: usize) -> Self {
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

    pub(super) fn locate<'h>(&self, hit: &'h Hit<'_>) -> Located<'h> {
        let Stored { size, code, .. } = Stored::new(*hit.quota());
        let key = self.identities.of(hit.quota().fingerprint(), hit.key());
        Located {
            quota: hit.quota(),
            cost: hit.cost(),
            key,
            size,
            shard: self.shard_of(key, size),
            code,
        }
    }

    #[inline]
    fn shard_of(&self, key: Identity, size: usize) -> usize {
        // Other bits than those that choose the blocks. There are at most 256 shards, a power of two.
        (key.spread() >> 24) as usize & (self.sizes[size].len() - 1)
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
            size: stored.size,
            shard: self.shard_of(key, stored.size),
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
        &self.sizes[hit.size][hit.shard]
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
                        // The newest units, as these are: whatever the time says.
                        locked[at(hit)].give_back(hit, u64::MAX, now);
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

impl Table {
    /// Decides about `cost`, and counts the hit's own if there is room.
    #[inline]
    fn decide(&mut self, hit: &Located<'_>, cost: u32, now: u64, most: usize) -> Decision {
        let (room, place) = self.quick(hit, cost, now);
        match room {
            Some(room) => room.decision(hit.quota.limit()),
            None => self.decide_whole(hit, place, cost, now, most),
        }
    }

    /// Decides where only the newest of a window's segments need be looked at, and says where they are.
    #[inline]
    fn quick(&mut self, hit: &Located<'_>, cost: u32, now: u64) -> (Option<Room>, Option<Place>) {
        let Some(place) = self.find(hit.key, hit.code, seconds(now)) else {
            return (None, None);
        };
        if hit.quota.algorithm() != Algorithm::SlidingWindow {
            return (None, Some(place));
        }
        let (state, count) = (self.state(place), hit.cost > 0);
        let room = SlidingWindow::hit_packed(hit.quota, state, cost, count, now);
        (room, Some(place))
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

    /// Takes back units that were counted at that time. What is not there takes no place for it.
    pub(super) fn give_back(&mut self, hit: &Located<'_>, counted: u64, now: u64) {
        if let Some(place) = self.find(hit.key, hit.code, seconds(now)) {
            let mut counter = Counter::unpack(hit.quota, self.state(place));
            counter.give_back(hit.quota, hit.cost, counted, now);
            counter.pack(hit.quota, self.state(place));
        }
    }

    /// Counts units as far as there is room for them.
    pub(super) fn charge(&mut self, hit: &Located<'_>, now: u64, most: usize) {
        let place = self.find(hit.key, hit.code, seconds(now));
        let mut counter = place.map_or_else(
            || Counter::empty(hit.quota),
            |place| Counter::unpack(hit.quota, self.state(place)),
        );
        counter.charge(hit.quota, hit.cost, now);
        let place = place.unwrap_or_else(|| self.take_place(hit, now, most));
        counter.pack(hit.quota, self.state(place));
    }

    fn take_place(&mut self, hit: &Located<'_>, now: u64, most: usize) -> Place {
        self.claim(hit.key, hit.code, seconds(now), most)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "seconds wrap in 2106, and are compared as wrapping"
)]
#[inline]
fn seconds(nanos: u64) -> u32 {
    (nanos / 1_000_000_000) as u32
}
