//! [`Table`]: the counters under one lock, in blocks of eight places.
//!
//! A key may lie in two blocks, so no more than sixteen places are ever looked at, whether it is found,
//! given a place, or given somebody else's. Most lie in the pair of places that is looked at first, which is one
//! cache line, and most counts do, too. Those that do not are in a [record](super::slab), and the place says in
//! which. The table doubles while it may; that moves a few thousand places at most (the lock covers only a small
//! share of a store's) and happens a dozen times in its life.

use super::{
    Algorithm, Quota,
    counter::Counter,
    decision::Room,
    identity::Identity,
    slab::{Record, Slabs},
    state::{State, age},
};

/// The places of a block.
pub(super) const WAYS: usize = 8;

/// In a tag, the lifetime of what is counted; 0 for a free place, as a lifetime is never 0.
const LIFETIME: u64 = Identity::FREE_OF_SECOND;

/// In a key, that the place is taken.
const TAKEN: u64 = 0x2;

/// In a key, that what is counted is no small window.
const LARGE: u64 = 0x1;

/// In place of the segment of a window: that what is counted is none, and has room where its segments would be.
const HERE: u32 = u32::MAX;

/// The lifetime of a count in a tag's six bits: one more than the power of two that it is rounded up to.
pub(super) const fn lifetime_code(seconds: u64) -> u64 {
    1 + seconds.next_power_of_two().trailing_zeros() as u64
}

#[derive(Debug)]
pub(super) struct Table {
    /// None, or a power of two.
    blocks: Vec<Block>,
    taken: usize,
    slabs: Box<Slabs>,
}

/// A line of tags, and four of places.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
struct Block {
    /// The second halves of the keys' identities, and the lifetimes of what is counted.
    tags: [u64; WAYS],
    places: [Place; WAYS],
}

/// Half a cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Place {
    /// The first half of the key's identity, [`TAKEN`] and [`LARGE`]; 0 for a free place.
    key: u64,
    state: State,
}

/// Where a place is.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    block: usize,
    way: usize,
}

/// What is counted at a place.
pub(super) enum Held<'t> {
    /// A small window, or nothing.
    Small(&'t mut State),
    /// Something else, here.
    Here(&'t mut [u8]),
    /// Something else, in a record.
    Record(&'t mut State, &'t mut [u8]),
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            blocks: Vec::new(),
            taken: 0,
            slabs: Box::new(Slabs::new()),
        }
    }

    /// The place of a key that is there.
    #[inline]
    pub(super) fn find(&self, key: Identity) -> Option<At> {
        let spread = key.spread();
        let [block, other] = self.choices(spread)?;
        let way = preferred(spread);
        let places = &self.blocks[block].places;
        // Which of the two it is nobody could guess, so nothing branches on that.
        let way = way + usize::from(!places[way].is_of(key));
        if places[way].is_of(key) {
            return Some(At { block, way });
        }
        self.search(block, key).or_else(|| self.search(other, key))
    }

    /// A place for a key that is not there: free, or of counts that have left the window, or, when the
    /// table has the greatest size it may have, of the key that nobody has asked for the longest. It holds a
    /// small window without counts.
    pub(super) fn claim(&mut self, key: Identity, code: u64, now: u32, most: usize) -> At {
        let at = loop {
            let spread = key.spread();
            let Some(choices) = self.choices(spread) else {
                self.grow(now);
                continue;
            };
            if let Some(at) = self.vacant(choices, spread, now) {
                break at;
            }
            if self.blocks.len() < most {
                self.grow(now);
                continue;
            }
            break self
                .make_room(choices, now)
                .unwrap_or_else(|| self.stalest(choices, now));
        };
        self.free(at);
        self.blocks[at.block].tags[at.way] = key.second | code;
        *self.place(at) = Place {
            key: key.first | TAKEN,
            state: State::new(now),
        };
        self.taken += 1;
        at
    }

    /// Frees the place of a key, if it has one.
    pub(super) fn forget(&mut self, key: Identity) {
        if let Some(at) = self.find(key) {
            self.free(at);
        }
    }

    /// What is counted at a place.
    #[inline]
    pub(super) fn held(&mut self, at: At) -> Held<'_> {
        let place = &mut self.blocks[at.block].places[at.way];
        match (place.key & LARGE, place.record()) {
            (0, _) => Held::Small(&mut place.state),
            (_, None) => Held::Here(&mut place.state.older),
            (_, Some(record)) => Held::Record(&mut place.state, self.slabs.state(record)),
        }
    }

    /// As [`Table::held`], with room for whatever this quota counts. A pace has room in the place.
    pub(super) fn hold(&mut self, at: At, quota: &Quota, most: usize) -> Held<'_> {
        let place = &mut self.blocks[at.block].places[at.way];
        if place.key & LARGE == 0 {
            place.key |= LARGE;
            place.state.newest = HERE;
            if quota.algorithm() != Algorithm::Gcra {
                let record = self.slabs.take(Counter::packed(quota), most * WAYS);
                place.state.lie_in(record);
            }
        }
        self.held(at)
    }

    /// Decides within the segment of the last time, if that is what is needed and known here.
    #[inline]
    pub(super) fn hit(
        &mut self,
        at: At,
        quota: &Quota,
        cost: u32,
        count: bool,
        now: u64,
    ) -> Option<Room> {
        let Place { key, state } = self.place(at);
        if *key & LARGE == 0 {
            return state.hit_small(quota, cost, count, now);
        }
        if quota.algorithm() != Algorithm::SlidingWindow {
            return None;
        }
        state.hit_newest(quota, cost, count, now)
    }

    /// Remembers that the key of a place is asked for now.
    #[inline]
    pub(super) fn touch(&mut self, at: At, now: u32) {
        self.place(at).state.touch(now);
    }

    /// Keeps what is counted at a place for so many seconds after its key was last asked for, if that is longer
    /// than it would be kept.
    pub(super) fn outlast(&mut self, at: At, seconds: u64) {
        let tag = &mut self.blocks[at.block].tags[at.way];
        *tag = *tag & !LIFETIME | lifetime_code(seconds).max(*tag & LIFETIME);
    }

    /// The keys that have a place, those included whose counts have left the window.
    pub(super) fn keys(&self) -> usize {
        self.taken
    }

    /// The bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>() + size_of::<Slabs>() + self.slabs.bytes()
    }

    /// The two blocks that a key may lie in, which may be one; none in a table without places.
    #[inline]
    fn choices(&self, spread: u64) -> Option<[usize; 2]> {
        let mask = self.blocks.len().checked_sub(1)?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the low bits are what is wanted"
        )]
        Some([
            (spread & 0x00ff_ffff) as usize & mask,
            (spread >> 32) as usize & mask,
        ])
    }

    /// The place of a key in a block.
    fn search(&self, block: usize, key: Identity) -> Option<At> {
        let Block { tags, places } = &self.blocks[block];
        let way = tags
            .iter()
            .zip(places)
            .position(|(tag, place)| *tag & !LIFETIME == key.second && place.is_of(key))?;
        Some(At { block, way })
    }

    /// A place that is free, or whose counts have left the window. It is in the first block, and there in the
    /// pair that is looked at first, unless the first block is about to run out and the second is not.
    fn vacant(&self, [first, second]: [usize; 2], spread: u64, now: u32) -> Option<At> {
        let vacant = |block| places(block).filter(|at| self.is_vacant(*at, now));
        let room = vacant(first).count();
        if room < WAYS / 2 && vacant(second).count() > room {
            return vacant(second).next();
        }
        let likely = preferred(spread);
        let is_likely = |at: &At| at.way == likely || at.way == likely + 1;
        vacant(first)
            .find(is_likely)
            .or_else(|| vacant(first).next())
    }

    /// A place that somebody leaves who has room in the other one of its two blocks.
    #[cold]
    fn make_room(&mut self, choices: [usize; 2], now: u32) -> Option<At> {
        for from in choices.into_iter().flat_map(places) {
            let others = self.choices(self.identity(from).spread())?;
            let other = others.into_iter().find(|block| *block != from.block);
            let to = other.and_then(|block| places(block).find(|to| self.is_vacant(*to, now)));
            if let Some(to) = to {
                self.relocate(from, to);
                return Some(from);
            }
        }
        None
    }

    /// The place that has not been asked for the longest. What was touched in a future that the clock has
    /// come back from is as stale as it is far, or such keys would stay for ever and crowd out live ones.
    fn stalest(&self, choices: [usize; 2], now: u32) -> At {
        let likely = At {
            block: choices[0],
            way: 0,
        };
        choices
            .into_iter()
            .flat_map(places)
            .max_by_key(|at| age(self.touched(*at), now).unsigned_abs())
            .unwrap_or(likely)
    }

    /// Twice as many blocks. What is alive is placed anew; with room for twice as many, one of its two
    /// blocks has a place but for a chance in billions, and then it is forgotten as when the table is full.
    #[cold]
    fn grow(&mut self, now: u32) {
        let blocks = vec![Block::default(); (self.blocks.len() * 2).max(1)];
        let old = std::mem::replace(&mut self.blocks, blocks);
        self.taken = 0;
        for Block { tags, places } in old {
            for (tag, place) in tags.into_iter().zip(places) {
                if tag != 0 {
                    self.place_anew(tag, place, now);
                }
            }
        }
    }

    fn place_anew(&mut self, tag: u64, place: Place, now: u32) {
        let spread = identity(tag, place).spread();
        let room = self
            .choices(spread)
            .filter(|_| !is_over(tag, place.state.touched, now))
            .and_then(|choices| {
                self.vacant(choices, spread, now)
                    .or_else(|| self.make_room(choices, now))
            });
        if let Some(to) = room {
            self.blocks[to.block].tags[to.way] = tag;
            *self.place(to) = place;
            self.taken += 1;
        } else if let Some(record) = place.record() {
            self.slabs.give_back(record);
        }
    }

    /// Moves what lies in a place to a vacant one.
    fn relocate(&mut self, from: At, to: At) {
        self.free(to);
        let tag = std::mem::take(&mut self.blocks[from.block].tags[from.way]);
        self.blocks[to.block].tags[to.way] = tag;
        *self.place(to) = std::mem::take(self.place(from));
    }

    fn free(&mut self, at: At) {
        let tag = std::mem::take(&mut self.blocks[at.block].tags[at.way]);
        self.taken -= usize::from(tag != 0);
        if let Some(record) = std::mem::take(self.place(at)).record() {
            self.slabs.give_back(record);
        }
    }

    /// Whether a place is free, or its counts have left their window.
    fn is_vacant(&self, at: At, now: u32) -> bool {
        let tag = self.blocks[at.block].tags[at.way];
        tag == 0 || is_over(tag, self.touched(at), now)
    }

    fn touched(&self, at: At) -> u32 {
        self.blocks[at.block].places[at.way].state.touched
    }

    fn identity(&self, at: At) -> Identity {
        let Block { tags, places } = &self.blocks[at.block];
        identity(tags[at.way], places[at.way])
    }

    #[inline]
    fn place(&mut self, at: At) -> &mut Place {
        &mut self.blocks[at.block].places[at.way]
    }
}

impl Place {
    #[inline]
    fn is_of(&self, key: Identity) -> bool {
        self.key & !LARGE == key.first | TAKEN
    }

    /// Where what is counted lies, if not here.
    #[inline]
    fn record(&self) -> Option<Record> {
        let is_here = self.key & LARGE == 0 || self.state.newest == HERE;
        (!is_here).then(|| self.state.record())
    }
}

/// The places of a block.
#[inline]
fn places(block: usize) -> impl Iterator<Item = At> {
    (0..WAYS).map(move |way| At { block, way })
}

fn identity(tag: u64, place: Place) -> Identity {
    Identity {
        first: place.key & !Identity::FREE_OF_FIRST,
        second: tag & !LIFETIME,
    }
}

/// Whether counts of this lifetime have left their window.
fn is_over(tag: u64, touched: u32, now: u32) -> bool {
    i64::from(age(touched, now)) > 1 << (tag & LIFETIME).saturating_sub(1)
}

/// The first place of the pair that a key lies in if there was room.
#[inline]
fn preferred(spread: u64) -> usize {
    (spread >> 62) as usize * 2
}
