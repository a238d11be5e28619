//! [`Slots`]: entries in slots that never move, and an index that finds them by their keys.
//!
//! What is asked for is mostly what came lately, so new entries lie beside one another. The index has four bytes an
//! entry: eight bits of the key, which tell most others apart, and the number of the slot.

/// What stands for a key: two SipHashes under keys of this process, so that an entry has one size whatever
/// clients send. Two keys that met would be refused, not let through. One half chooses the shard, the other the
/// place in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u64; 2]);

/// The most entries: a place in the index has so many bits for the number of a slot.
pub(super) const MOST: usize = (1 << SLOT_BITS) - 1;

const SLOT_BITS: u32 = 24;
/// No slot.
const EMPTY: u32 = 0;
/// The fewest places of an index that has any.
const LEAST: usize = 16;
/// How many slots are made at once: what is there stays where it is.
const CHUNK: usize = 256;

#[derive(Clone)]
struct Slot<T> {
    key: Fingerprint,
    /// None, if the slot is free.
    entry: Option<T>,
}

/// A map from fingerprints, which are spread evenly whatever clients send.
pub(super) struct Slots<T> {
    /// All but the last are full.
    chunks: Vec<Vec<Slot<T>>>,
    free: Vec<u32>,
    taken: usize,
    /// For each entry a part of its fingerprint and the number of its slot from 1, at the first place that was free
    /// from the one that the fingerprint names; at most three of four places are taken.
    index: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            taken: 0,
            index: Vec::new(),
        }
    }
}

impl<T: Copy> Slots<T> {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// The slot of a key.
    #[inline]
    pub(super) fn find(&self, key: Fingerprint) -> Option<u32> {
        let place = self.place_of(key, |slot| {
            self.slot(slot).is_some_and(|slot| slot.key == key)
        })?;
        Some(slot_of(self.index[place]))
    }

    #[inline]
    pub(super) fn at(&self, slot: u32) -> Option<&T> {
        self.slot(slot)?.entry.as_ref()
    }

    #[inline]
    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slot_mut(slot)?.entry.as_mut()
    }

    /// Adds an entry for a key that has none.
    #[inline]
    pub(super) fn add(&mut self, key: Fingerprint, entry: T) -> u32 {
        if self.taken >= self.index.len() / 4 * 3 {
            self.grow();
        }
        let new = Slot {
            key,
            entry: Some(entry),
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(free) = self.slot_mut(slot) {
                    *free = new;
                }
                slot
            }
            None => self.push(new),
        };
        self.taken += 1;
        self.enter(key, slot);
        slot
    }

    /// Frees a slot.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(taken) = self.slot_mut(slot) else {
            return;
        };
        if taken.entry.take().is_none() {
            return;
        }
        let key = taken.key;
        self.free.push(slot);
        self.taken -= 1;
        let Some(mut gap) = self.place_of(key, |other| other == slot) else {
            return;
        };
        // What comes behind is moved up, unless it stands at or behind the place that its fingerprint names.
        let mask = self.index.len() - 1;
        let mut next = gap;
        loop {
            next = (next + 1) & mask;
            let word = self.index[next];
            if word == EMPTY {
                break;
            }
            let Some(key) = self.slot(slot_of(word)).map(|slot| slot.key) else {
                break;
            };
            let home = home(key) & mask;
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(gap) & mask {
                self.index[gap] = word;
                gap = next;
            }
        }
        self.index[gap] = EMPTY;
    }

    #[inline]
    fn slot(&self, slot: u32) -> Option<&Slot<T>> {
        let slot = slot as usize;
        self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)
    }

    #[inline]
    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        let slot = slot as usize;
        self.chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)
    }

    #[inline]
    fn push(&mut self, new: Slot<T>) -> u32 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => {
                chunk.push(new);
                (full + chunk.len() - 1) as u32
            }
            _ => {
                // A few are no chunk yet.
                let room = if self.chunks.is_empty() { 0 } else { CHUNK };
                let mut chunk = Vec::with_capacity(room);
                chunk.push(new);
                self.chunks.push(chunk);
                ((self.chunks.len() - 1) * CHUNK) as u32
            }
        }
    }

    /// Where the index has a slot with the fingerprint's part that is the one looked for.
    #[inline]
    fn place_of(&self, key: Fingerprint, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.index.len().checked_sub(1)?;
        let mut place = home(key) & mask;
        loop {
            let word = self.index[place];
            if word == EMPTY {
                return None;
            }
            if word >> SLOT_BITS == part(key) && is_it(slot_of(word)) {
                return Some(place);
            }
            place = (place + 1) & mask;
        }
    }

    #[inline]
    fn enter(&mut self, key: Fingerprint, slot: u32) {
        let mask = self.index.len() - 1;
        let mut place = home(key) & mask;
        while self.index[place] != EMPTY {
            place = (place + 1) & mask;
        }
        self.index[place] = part(key) << SLOT_BITS | (slot + 1);
    }

    #[cold]
    fn grow(&mut self) {
        let places = (self.index.len() * 2).max(LEAST);
        self.index = vec![EMPTY; places];
        for chunk in 0..self.chunks.len() {
            for at in 0..self.chunks[chunk].len() {
                let Slot { key, entry } = &self.chunks[chunk][at];
                if entry.is_some() {
                    self.enter(*key, (chunk * CHUNK + at) as u32);
                }
            }
        }
    }
}

fn home(key: Fingerprint) -> usize {
    key.0[1] as usize
}

/// The part that is not the place: the uppermost bits.
fn part(key: Fingerprint) -> u32 {
    (key.0[1] >> 56) as u32
}

fn slot_of(word: u32) -> u32 {
    (word & MOST as u32) - 1
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a map of the standard library, with fingerprints that meet in the index as often as can be.
        #[test]
        fn agrees_with_a_plain_map(steps in prop::collection::vec((any::<bool>(), 0..40_u64), 0..400)) {
            let mut slots = Slots::default();
            let mut plain = HashMap::new();
            for (number, (adds, key)) in steps.into_iter().enumerate() {
                // Few homes, few parts.
                let fingerprint = Fingerprint([key, key % 7 + ((key % 3) << 62)]);
                let found = slots.find(fingerprint);
                prop_assert_eq!(found.and_then(|slot| slots.at(slot)), plain.get(&key));
                match found {
                    None if adds => {
                        let slot = slots.add(fingerprint, number);
                        prop_assert_eq!(slots.find(fingerprint), Some(slot));
                        plain.insert(key, number);
                    }
                    Some(slot) if !adds => {
                        slots.remove(slot);
                        // Twice is once.
                        slots.remove(slot);
                        prop_assert_eq!(slots.at(slot), None);
                        plain.remove(&key);
                    }
                    _ => {}
                }
                prop_assert_eq!(slots.len(), plain.len());
            }
            for key in 0..40 {
                let fingerprint = Fingerprint([key, key % 7 + ((key % 3) << 62)]);
                let found = slots.find(fingerprint).and_then(|slot| slots.at(slot));
                prop_assert_eq!(found, plain.get(&key));
            }
        }
    }
}
