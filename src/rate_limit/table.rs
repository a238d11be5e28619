//! [`Table`]: counters of one size under one lock, in blocks of eight.
//!
//! A key may lie in two blocks, so no more than sixteen places are ever looked at, whether it is found,
//! given a place, or given somebody else's. Most lie at the first place that is looked at, and then a small
//! counter costs one cache line, and one more once a second. The table doubles while it may; that moves a few
//! thousand counters at most (the lock covers only a small share of a store's) and happens a dozen times in
//! its life.

use super::identity::Identity;

/// The places of a block.
pub(super) const WAYS: usize = 8;

/// The bytes of a cache line, and of the head of a block: eight tags, and when each was last asked for, in
/// seconds since the epoch, wrapping. The places follow.
const LINE: usize = 64;
const TOUCHED: usize = LINE / 2;

/// Where in a place it says once more when it was last asked for: after both halves of its key's identity.
const ASKED: usize = 16;

/// Where the state of a place begins.
pub(super) const HEAD: usize = ASKED + 4;

/// How far ahead of the clock counts are believed at least, in seconds, as
/// [windows](super::SlidingWindow) do. What is counted for longer than that outlives such a clock.
const BELIEVED_AHEAD: i64 = 60;

/// A tag is 26 bits of the identity and 6 of the lifetime; 0 for a free place, as a lifetime is never 0.
const LIFETIME_BITS: u32 = 0x3f;

/// The lifetime of a count in a tag's six bits: one more than the power of two that it is rounded up to.
pub(super) const fn lifetime_code(seconds: u64) -> u32 {
    1 + seconds.next_power_of_two().trailing_zeros()
}

#[derive(Debug)]
pub(super) struct Table {
    /// The bytes of a place: the head, then the state.
    stride: usize,
    /// The blocks begin at `base`, where a cache line does.
    bytes: Vec<u8>,
    base: usize,
    blocks: usize,
    taken: usize,
}

/// Where a place is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    block: usize,
    way: usize,
}

impl Table {
    /// A table without places, for places with this many bytes of state.
    pub(super) const fn new(state: usize) -> Self {
        Self {
            stride: HEAD + state,
            bytes: Vec::new(),
            base: 0,
            blocks: 0,
            taken: 0,
        }
    }

    /// The place of a key that is there, marked as asked for now.
    #[inline]
    pub(super) fn find(&mut self, key: Identity, code: u32, now: u32) -> Option<Place> {
        let spread = key.spread();
        let [first, second] = self.choices(spread)?;
        let likely = Place {
            block: first,
            way: preferred(spread),
        };
        // Whose identity it is needs no tag: free places have none.
        let found = if self.identity(likely) == key {
            likely
        } else {
            let tag = tag(key, code);
            self.search(first, key, tag)
                .or_else(|| self.search(second, key, tag))?
        };
        let asked = self.at(found) + ASKED;
        let asked = &mut self.bytes[asked..asked + 4];
        if *asked != now.to_le_bytes() {
            let last = asked
                .first_chunk()
                .map_or(now, |at| u32::from_le_bytes(*at));
            // By a clock that is a little behind, nothing becomes older than it is.
            if !(1..=BELIEVED_AHEAD).contains(&age(now, last)) {
                asked.copy_from_slice(&now.to_le_bytes());
                self.set_word(found, TOUCHED, now);
            }
        }
        Some(found)
    }

    /// A place for a key that is not there: free, or of counts that have left the window, or, when the
    /// table has the greatest size it may have, of the key that nobody has asked for the longest. Whose
    /// state lay there is still to be overwritten.
    pub(super) fn claim(&mut self, key: Identity, code: u32, now: u32, most: usize) -> Place {
        let place = loop {
            let spread = key.spread();
            let Some(choices) = self.choices(spread) else {
                self.grow(now);
                continue;
            };
            if let Some(place) = self.vacant(choices, spread, now) {
                break place;
            }
            if self.blocks < most {
                self.grow(now);
                continue;
            }
            break self
                .make_room(choices, now)
                .unwrap_or_else(|| self.stalest(choices, now));
        };
        self.taken += usize::from(self.tag(place) == 0);
        self.occupy(place, key, tag(key, code), now);
        place
    }

    /// Frees the place of a key, if it has one.
    pub(super) fn forget(&mut self, key: Identity, code: u32) {
        if let Some(place) = self.find(key, code, 0) {
            self.free(place);
            self.taken -= 1;
        }
    }

    /// The state of a place.
    #[inline]
    pub(super) fn state(&mut self, place: Place) -> &mut [u8] {
        let at = self.at(place);
        &mut self.bytes[at + HEAD..at + self.stride]
    }

    /// The keys that have a place, those included whose counts have left the window.
    pub(super) fn keys(&self) -> usize {
        self.taken
    }

    /// The bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The two blocks that a key may lie in, which may be one; none in a table without places.
    #[inline]
    fn choices(&self, spread: u64) -> Option<[usize; 2]> {
        let mask = self.blocks.checked_sub(1)?;
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
    fn search(&self, block: usize, key: Identity, tag: u32) -> Option<Place> {
        places(block)
            .filter(|place| self.tag(*place) == tag)
            .find(|place| self.identity(*place) == key)
    }

    /// A place that is free, or whose counts have left the window. It is in the first block, and there the
    /// one that is looked at first, unless the first block is about to run out and the second is not.
    fn vacant(&self, [first, second]: [usize; 2], spread: u64, now: u32) -> Option<Place> {
        let vacant = |block| places(block).filter(|place| self.is_vacant(*place, now));
        let room = vacant(first).count();
        if room < WAYS / 2 && vacant(second).count() > room {
            return vacant(second).next();
        }
        let likely = Place {
            block: first,
            way: preferred(spread),
        };
        if self.is_vacant(likely, now) {
            return Some(likely);
        }
        vacant(first).next()
    }

    /// A place that somebody leaves who has room in the other one of its two blocks.
    #[cold]
    fn make_room(&mut self, choices: [usize; 2], now: u32) -> Option<Place> {
        for from in choices.into_iter().flat_map(places) {
            let key = self.identity(from);
            let others = self.choices(key.spread())?;
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
    fn stalest(&self, choices: [usize; 2], now: u32) -> Place {
        let likely = Place {
            block: choices[0],
            way: 0,
        };
        choices
            .into_iter()
            .flat_map(places)
            .max_by_key(|place| age(self.word(*place, TOUCHED), now).abs())
            .unwrap_or(likely)
    }

    /// Twice as many blocks. What is alive is placed anew; with room for twice as many, one of its two
    /// blocks has a place but for a chance in billions, and then it is forgotten as when the table is full.
    #[cold]
    fn grow(&mut self, now: u32) {
        let blocks = (self.blocks * 2).max(1);
        let bytes = vec![0; blocks * (LINE + WAYS * self.stride) + LINE];
        let base = bytes.as_ptr().align_offset(LINE).min(LINE);
        let old = std::mem::replace(
            self,
            Self {
                stride: self.stride,
                bytes,
                base,
                blocks,
                taken: 0,
            },
        );
        for block in 0..old.blocks {
            for way in 0..WAYS {
                let from = Place { block, way };
                let key = old.identity(from);
                if old.is_vacant(from, now) {
                    continue;
                }
                let spread = key.spread();
                let room = self.choices(spread).and_then(|choices| {
                    self.vacant(choices, spread, now)
                        .or_else(|| self.make_room(choices, now))
                });
                if let Some(to) = room {
                    self.occupy(to, key, old.tag(from), old.word(from, TOUCHED));
                    let state = old.at(from) + HEAD..old.at(from) + old.stride;
                    self.state(to).copy_from_slice(&old.bytes[state]);
                    self.taken += 1;
                }
            }
        }
    }

    fn occupy(&mut self, place: Place, key: Identity, tag: u32, touched: u32) {
        self.set_word(place, 0, tag);
        self.set_word(place, TOUCHED, touched);
        let at = self.at(place);
        let head = &mut self.bytes[at..at + HEAD];
        head[..8].copy_from_slice(&key.first.to_le_bytes());
        head[8..ASKED].copy_from_slice(&key.second.to_le_bytes());
        head[ASKED..].copy_from_slice(&touched.to_le_bytes());
    }

    /// Moves what lies in a place to a vacant one.
    fn relocate(&mut self, from: Place, to: Place) {
        self.taken += usize::from(self.tag(to) == 0);
        let (tag, touched) = (self.tag(from), self.word(from, TOUCHED));
        self.occupy(to, self.identity(from), tag, touched);
        let (old, new) = (self.at(from), self.at(to));
        let state = old + HEAD..old + self.stride;
        self.bytes.copy_within(state, new + HEAD);
        self.free(from);
        self.taken -= 1;
    }

    fn free(&mut self, place: Place) {
        let nobody = Identity {
            first: 0,
            second: 0,
        };
        self.occupy(place, nobody, 0, 0);
    }

    /// Whether a place is free, or its counts have left their window.
    fn is_vacant(&self, place: Place, now: u32) -> bool {
        let code = self.tag(place) & LIFETIME_BITS;
        code == 0 || age(self.word(place, TOUCHED), now) > 1_i64 << (code - 1)
    }

    #[inline]
    fn tag(&self, place: Place) -> u32 {
        self.word(place, 0)
    }

    /// A word of a place in the head of its block.
    #[inline]
    fn word(&self, place: Place, column: usize) -> u32 {
        let at = self.block_at(place.block) + column + place.way * 4;
        self.bytes[at..]
            .first_chunk()
            .map_or(0, |word| u32::from_le_bytes(*word))
    }

    #[inline]
    fn set_word(&mut self, place: Place, column: usize, word: u32) {
        let at = self.block_at(place.block) + column + place.way * 4;
        self.bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    #[inline]
    fn identity(&self, place: Place) -> Identity {
        let at = self.at(place);
        let half = |at: usize| {
            self.bytes[at..]
                .first_chunk()
                .map_or(0, |half| u64::from_le_bytes(*half))
        };
        Identity {
            first: half(at),
            second: half(at + 8),
        }
    }

    #[inline]
    fn at(&self, place: Place) -> usize {
        self.block_at(place.block) + LINE + place.way * self.stride
    }

    #[inline]
    fn block_at(&self, block: usize) -> usize {
        self.base + block * (LINE + WAYS * self.stride)
    }
}

/// The places of a block.
#[inline]
fn places(block: usize) -> impl Iterator<Item = Place> {
    (0..WAYS).map(move |way| Place { block, way })
}

#[inline]
fn tag(key: Identity, code: u32) -> u32 {
    // The low half chooses the block, so the tag is taken from the high one.
    ((key.second >> 32) as u32 & !LIFETIME_BITS) | code
}

/// The way that a key lies in if it was free.
#[inline]
fn preferred(spread: u64) -> usize {
    (spread >> 61) as usize
}

/// The seconds since a place was asked for, negative if that is in the future.
fn age(touched: u32, now: u32) -> i64 {
    i64::from(now.wrapping_sub(touched).cast_signed())
}
