//! [`Table`]: a part of what is remembered in memory, and which of it ends next.
//!
//! What is remembered lasts for one of few times: a lease, a retention. So what comes later for one of them ends
//! later, and a queue for each holds its entries in the order of their ends, by the second. What fits into no
//! queue is in a tree. An entry that leaves the middle of a queue leaves a gap there, which is dropped when it
//! comes to the front.
//!
//! 1. An entry is listed in one place: in a queue or in the tree.
//! 2. No call looks at more than a few entries, whatever there is; but where there are twice as many as ever before,
//!    one call puts what says where they are into twice the room.
//! 3. Gaps are never more than entries, but for a few.

use std::collections::{BTreeSet, VecDeque};

use super::{
    ClaimToken,
    slots::{Fingerprint, MOST, Slots},
};

/// Nanoseconds since the Unix epoch, until the year 2554.
pub(super) type Nanos = u64;

/// As many lifetimes are in use at once, or nearly.
const QUEUES: usize = 4;
/// The place of an entry that is in no queue.
const TREE: usize = QUEUES;

/// What became of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Claimed by this one.
    Held(ClaimToken),
    /// Claimed and used by this one.
    Used(ClaimToken),
    /// Used in one step, or by one whose claim was lost.
    Consumed,
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) end: Nanos,
    pub(super) fate: Fate,
}

#[derive(Clone, Copy)]
struct Listed {
    entry: Entry,
    place: u8,
}

impl Listed {
    fn is_at(&self, second: u32, place: usize) -> bool {
        usize::from(self.place) == place && second_of(self.entry.end) == second
    }
}

/// The second of an end, and a slot.
type Item = (u32, u32);

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    gaps: usize,
}

#[derive(Default)]
pub(super) struct Table {
    slots: Slots<Listed>,
    ends: Ends,
}

/// The slots by when their entries end.
#[derive(Default)]
struct Ends {
    queues: [Queue; QUEUES],
    tree: BTreeSet<Item>,
}

/// What came of looking for something to drop.
enum Dropped {
    /// An entry whose time is over.
    Entry,
    /// No entry, but there may be one behind it.
    Other,
    Nothing,
}

impl Table {
    /// The slot of a key and its entry, though its time may be over.
    #[inline]
    pub(super) fn find(&self, key: Fingerprint) -> Option<(u32, Entry)> {
        let slot = self.slots.find(key)?;
        Some((slot, self.slots.at(slot)?.entry))
    }

    /// Whether there can be another entry.
    pub(super) fn has_room(&self) -> bool {
        self.slots.len() < MOST
    }

    /// Adds an entry for a key that has none.
    #[inline]
    pub(super) fn add(&mut self, key: Fingerprint, entry: Entry) {
        let place = TREE as u8;
        let slot = self.slots.add(key, Listed { entry, place });
        let place = self.ends.list(second_of(entry.end), slot);
        if let Some(listed) = self.slots.at_mut(slot) {
            listed.place = place;
        }
    }

    /// Replaces the entry of a slot.
    #[inline]
    pub(super) fn replace(&mut self, slot: u32, entry: Entry) {
        if let Some(listed) = self.slots.at_mut(slot) {
            self.ends.leave(slot, *listed);
            let place = self.ends.list(second_of(entry.end), slot);
            *listed = Listed { entry, place };
        }
    }

    /// Forgets the entry of a slot.
    pub(super) fn remove(&mut self, slot: u32) {
        if let Some(listed) = self.slots.at(slot) {
            self.ends.leave(slot, *listed);
            self.slots.remove(slot);
        }
    }

    /// Forgets a few entries whose time is over, and says how many: more than one call adds, and so few that no
    /// call is slow. Within the second of its end an entry may stay.
    pub(super) fn forget(&mut self, now: Nanos) -> usize {
        let mut forgotten = 0;
        for _ in 0..4 {
            match self.drop_one(now) {
                Dropped::Entry => forgotten += 1,
                Dropped::Other => {}
                Dropped::Nothing => break,
            }
        }
        forgotten
    }

    #[inline]
    fn drop_one(&mut self, now: Nanos) -> Dropped {
        let Self { slots, ends } = self;
        for (place, queue) in ends.queues.iter_mut().enumerate() {
            let Some((second, slot)) = queue.items.front().copied() else {
                continue;
            };
            if second > second_of(now) && queue.gaps == 0 {
                continue;
            }
            let listed = slots.at_mut(slot);
            let Some(listed) = listed.filter(|listed| listed.is_at(second, place)) else {
                queue.items.pop_front();
                queue.gaps = queue.gaps.saturating_sub(1);
                return Dropped::Other;
            };
            if listed.entry.end <= now {
                queue.items.pop_front();
                slots.remove(slot);
                return Dropped::Entry;
            }
            if queue.gaps > queue.items.len() / 2 {
                // It would keep the gaps behind it for as long as it lasts.
                queue.items.pop_front();
                listed.place = TREE as u8;
                ends.tree.insert((second, slot));
                return Dropped::Other;
            }
        }
        match ends.tree.first().copied() {
            Some((second, slot)) if second <= second_of(now) => {
                if slots.at(slot).is_some_and(|listed| listed.entry.end > now) {
                    return Dropped::Nothing;
                }
                ends.tree.pop_first();
                slots.remove(slot);
                Dropped::Entry
            }
            _ => Dropped::Nothing,
        }
    }
}

impl Ends {
    #[inline]
    fn list(&mut self, second: u32, slot: u32) -> u8 {
        let mut place = TREE;
        let mut latest = None;
        for (at, queue) in self.queues.iter().enumerate() {
            // An empty one only where no other will do; and the one whose end is nearest, so that the others
            // stay for shorter times.
            let back = queue.items.back().map(|(end, _)| *end);
            let fits = back.is_none_or(|back| back <= second);
            if fits && (place == TREE || back > latest) {
                (place, latest) = (at, back);
            }
        }
        match self.queues.get_mut(place) {
            Some(queue) => queue.items.push_back((second, slot)),
            None => drop(self.tree.insert((second, slot))),
        }
        place as u8
    }

    /// Takes an entry out of the order of ends.
    #[inline]
    fn leave(&mut self, slot: u32, old: Listed) {
        let item = (second_of(old.entry.end), slot);
        let Some(queue) = self.queues.get_mut(usize::from(old.place)) else {
            self.tree.remove(&item);
            return;
        };
        if queue.items.back() == Some(&item) {
            queue.items.pop_back();
        } else if queue.items.front() == Some(&item) {
            queue.items.pop_front();
        } else {
            queue.gaps += 1;
        }
    }
}

/// Until the year 2106; what ends later is dropped later than it could be.
fn second_of(time: Nanos) -> u32 {
    (time / 1_000_000_000).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn key(number: u64) -> Fingerprint {
        Fingerprint([number, number.wrapping_mul(0x9e37_79b9_7f4a_7c15)])
    }

    fn entry(end: Nanos) -> Entry {
        Entry {
            end,
            fate: Fate::Consumed,
        }
    }

    /// As the store puts and removes.
    fn put(table: &mut Table, key: Fingerprint, entry: Entry) {
        match table.find(key) {
            Some((slot, _)) => table.replace(slot, entry),
            None => table.add(key, entry),
        }
    }

    fn remove(table: &mut Table, key: Fingerprint) -> bool {
        let found = table.find(key);
        found.map(|(slot, _)| table.remove(slot)).is_some()
    }

    /// Everything that is listed, gaps included.
    fn listed(table: &Table) -> usize {
        let queued: usize = table
            .ends
            .queues
            .iter()
            .map(|queue| queue.items.len())
            .sum();
        queued + table.ends.tree.len()
    }

    /// A claim, and a moment later what it becomes: the entry is the last of its queue.
    #[test]
    fn what_comes_in_turn_leaves_no_gap_and_needs_no_tree() {
        let mut table = Table::default();
        for number in 0..1000 {
            let now = number * SECOND / 10;
            table.forget(now);
            put(&mut table, key(number), entry(now + 60 * SECOND));
            put(&mut table, key(number), entry(now + 3600 * SECOND));
        }
        assert_eq!((table.slots.len(), listed(&table)), (1000, 1000));
        assert_eq!(table.ends.tree.len(), 0);
    }

    /// Others come between a claim and its end, and one never ends: what they leave behind is dropped.
    #[test]
    fn gaps_do_not_pile_up_behind_an_entry_that_lasts() {
        let mut table = Table::default();
        put(&mut table, key(u64::MAX), entry(60 * SECOND));
        for number in 0..100_000 {
            let now = number * SECOND / 10_000;
            assert_eq!(table.forget(now), 0);
            put(&mut table, key(number), entry(now + 60 * SECOND));
            if let Some(before) = number.checked_sub(5) {
                assert!(remove(&mut table, key(before)));
            }
        }
        assert_eq!(table.slots.len(), 6);
        assert!(listed(&table) < 24, "{}", listed(&table));
    }

    #[test]
    fn ends_of_any_order_are_all_found() {
        let mut table = Table::default();
        let ends = |number: u64| (number * 7919 % 1000) * SECOND + number;
        for number in 0..1000 {
            put(&mut table, key(number), entry(ends(number)));
            if number % 3 == 0 {
                // Another end, earlier or later.
                put(&mut table, key(number), entry(ends(number + 500)));
            }
        }
        assert_eq!(table.slots.len(), 1000);
        for now in (0..=1000).map(|second| second * SECOND + SECOND / 2) {
            while table.forget(now) > 0 {}
            let left = (0..1000).filter_map(|number| table.find(key(number)));
            assert!(
                left.map(|(_, entry)| entry.end).all(|end| end > now),
                "at {now}"
            );
        }
        assert_eq!((table.slots.len(), table.ends.tree.len()), (0, 0));
    }
}
