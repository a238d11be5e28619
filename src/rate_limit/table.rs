//! [`Table`]: counters of one size under one lock, in sets of eight.
//!
//! A key may lie in two sets, so no more than sixteen places are ever looked at, whether it is found, given
//! a place, or given somebody else's. The table doubles while it may; that moves a few thousand counters at
//! most (the lock covers only a small share of a store's) and happens a dozen times in its life.

const WAYS: usize = 8;

/// The bytes of a cache line.
const LINE: usize = 64;

/// Where the counts of a slot begin: after both halves of its key's identity and its newest segment.
const HEAD: usize = 24;

/// The identity of a key: 128 bits that stand for the key and its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) first: u64,
    pub(super) second: u64,
}

/// Eight tags and when each was last asked for, in one cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Set {
    /// 26 bits of the identity and 6 of the lifetime; 0 for a free place, as a lifetime is never 0.
    tags: [u32; WAYS],
    /// In seconds since the epoch, wrapping.
    touched: [u32; WAYS],
}

const LIFETIME_BITS: u32 = 0x3f;

impl Set {
    const FREE: Self = Self {
        tags: [0; WAYS],
        touched: [0; WAYS],
    };

    /// The ways with this tag, as bits.
    #[inline]
    fn matches(&self, tag: u32) -> u32 {
        let ways = self.tags.iter().enumerate();
        ways.fold(0, |bits, (way, other)| {
            bits | (u32::from(*other == tag) << way)
        })
    }

    /// Whether a place is free, or its counts have left their window.
    fn is_vacant(&self, way: usize, now: u32) -> bool {
        let code = self.tags[way] & LIFETIME_BITS;
        code == 0 || age(self.touched[way], now) > 1_i64 << (code - 1)
    }
}

/// The lifetime of a count in a tag's six bits: one more than the power of two that it is rounded up to.
pub(super) const fn lifetime_code(seconds: u64) -> u32 {
    1 + seconds.next_power_of_two().trailing_zeros()
}

#[derive(Debug)]
pub(super) struct Table {
    /// The bytes of a slot: the head, then the counts.
    stride: usize,
    sets: Vec<Set>,
    /// The slots begin at `base`, where a cache line does.
    slots: Vec<u8>,
    base: usize,
    taken: usize,
}

impl Table {
    /// A table without places, for slots with this many bytes of counts.
    pub(super) const fn new(cells: usize) -> Self {
        Self {
            stride: HEAD + cells,
            sets: Vec::new(),
            slots: Vec::new(),
            base: 0,
            taken: 0,
        }
    }

    /// The place of a key that is there, marked as asked for now.
    pub(super) fn find(&mut self, key: Identity, code: u32, now: u32) -> Option<usize> {
        let tag = tag(key, code);
        let choices = self.choices(key)?;
        // Both sets are looked at before either's slots, so that they come from memory together.
        let matches = choices.map(|set| self.sets[set].matches(tag));
        for (set, mut ways) in choices.into_iter().zip(matches) {
            while ways != 0 {
                let way = ways.trailing_zeros() as usize;
                if self.identity(set * WAYS + way) == key {
                    self.sets[set].touched[way] = now;
                    return Some(set * WAYS + way);
                }
                ways &= ways - 1;
            }
        }
        None
    }

    /// A place for a key that is not there: free, or of counts that have left the window, or, when the
    /// table has the greatest size it may have, of the key that nobody has asked for the longest. Whose
    /// counts lay there is still to be overwritten.
    pub(super) fn claim(&mut self, key: Identity, code: u32, now: u32, most_sets: usize) -> usize {
        let (set, way) = loop {
            let Some(choices) = self.choices(key) else {
                self.grow(now);
                continue;
            };
            if let Some(place) = self.vacant(choices, now) {
                break place;
            }
            if self.sets.len() >= most_sets {
                break self.stalest(choices, now);
            }
            self.grow(now);
        };
        let slot = set * WAYS + way;
        self.taken += usize::from(self.sets[set].tags[way] == 0);
        self.sets[set].tags[way] = tag(key, code);
        self.sets[set].touched[way] = now;
        let bytes = self.slot_mut(slot);
        bytes[..8].copy_from_slice(&key.first.to_le_bytes());
        bytes[8..16].copy_from_slice(&key.second.to_le_bytes());
        slot
    }

    /// The newest segment and the counts of a slot.
    pub(super) fn read(&self, slot: usize) -> (u64, &[u8]) {
        let bytes = &self.slots[self.base + slot * self.stride..][..self.stride];
        (word(bytes, 16), &bytes[HEAD..])
    }

    /// The counts of a slot, to be written.
    pub(super) fn cells_mut(&mut self, slot: usize) -> &mut [u8] {
        &mut self.slot_mut(slot)[HEAD..]
    }

    /// Writes the newest segment of a slot.
    pub(super) fn set_newest(&mut self, slot: usize, newest: u64) {
        self.slot_mut(slot)[16..HEAD].copy_from_slice(&newest.to_le_bytes());
    }

    /// The keys that have a place, those included whose counts have left the window.
    pub(super) fn keys(&self) -> usize {
        self.taken
    }

    /// The bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.sets.capacity() * size_of::<Set>() + self.slots.capacity()
    }

    /// The two sets that a key may lie in, which may be one; none in a table without places.
    fn choices(&self, key: Identity) -> Option<[usize; 2]> {
        let mask = self.sets.len().checked_sub(1)?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the low bits are what is wanted"
        )]
        Some([key.first as usize & mask, key.second as usize & mask])
    }

    /// A place that is free, or whose counts have left the window, in the set that has more of them.
    fn vacant(&self, choices: [usize; 2], now: u32) -> Option<(usize, usize)> {
        let vacant = |set: usize| (0..WAYS).filter(move |way| self.sets[set].is_vacant(*way, now));
        let [one, two] = choices;
        let set = if vacant(two).count() > vacant(one).count() {
            two
        } else {
            one
        };
        vacant(set).next().map(|way| (set, way))
    }

    /// The place that has not been asked for the longest. What was touched in a future that the clock has
    /// come back from is as stale as it is far, or such keys would stay for ever and crowd out live ones.
    fn stalest(&self, choices: [usize; 2], now: u32) -> (usize, usize) {
        places(choices)
            .max_by_key(|(set, way)| age(self.sets[*set].touched[*way], now).abs())
            .unwrap_or((choices[0], 0))
    }

    /// Twice as many sets. What is alive is placed anew; with room for twice as many, one of its two sets
    /// has a place but for a chance in billions, and then it is forgotten as when the table is full.
    #[cold]
    fn grow(&mut self, now: u32) {
        let count = (self.sets.len() * 2).max(1);
        let sets = std::mem::replace(&mut self.sets, vec![Set::FREE; count]);
        let fresh = vec![0; count * WAYS * self.stride + LINE];
        let base = std::mem::replace(&mut self.base, fresh.as_ptr().align_offset(LINE).min(LINE));
        let slots = std::mem::replace(&mut self.slots, fresh);
        self.taken = 0;
        for (at, set) in sets.iter().enumerate() {
            for way in (0..WAYS).filter(|way| !set.is_vacant(*way, now)) {
                let slot = &slots[base + (at * WAYS + way) * self.stride..][..self.stride];
                let place = self
                    .choices(identity(slot))
                    .and_then(|choices| self.vacant(choices, now));
                if let Some((to, free)) = place {
                    self.sets[to].tags[free] = set.tags[way];
                    self.sets[to].touched[free] = set.touched[way];
                    self.slot_mut(to * WAYS + free).copy_from_slice(slot);
                    self.taken += 1;
                }
            }
        }
    }

    fn identity(&self, slot: usize) -> Identity {
        identity(&self.slots[self.base + slot * self.stride..])
    }

    fn slot_mut(&mut self, slot: usize) -> &mut [u8] {
        &mut self.slots[self.base + slot * self.stride..][..self.stride]
    }
}

fn identity(slot: &[u8]) -> Identity {
    Identity {
        first: word(slot, 0),
        second: word(slot, 8),
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |word| u64::from_le_bytes(*word))
}

fn tag(key: Identity, code: u32) -> u32 {
    // The low half chooses the set, so the tag is taken from the high one.
    ((key.second >> 32) as u32 & !LIFETIME_BITS) | code
}

/// The seconds since a place was asked for, negative if that is in the future.
fn age(touched: u32, now: u32) -> i64 {
    i64::from(now.wrapping_sub(touched).cast_signed())
}

fn places(choices: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    choices
        .into_iter()
        .flat_map(|set| (0..WAYS).map(move |way| (set, way)))
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.tags.iter().filter(|tag| **tag != 0))
            .finish()
    }
}
