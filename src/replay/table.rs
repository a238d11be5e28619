//! [`Table`]: a part of what is remembered in memory, and which of it ends next.
//!
//! What is remembered lasts for one of few times: a lease, a retention. So what comes later for one of them ends
//! later, and a queue for each holds its entries in the order of their ends, by the second. What fits into no
//! queue is in a tree. An entry that leaves the middle of a queue leaves a gap there, which is dropped when it
//! comes to the front.
//!
//! 1. An entry is listed in one place: in a queue or in the tree.
//! 2. No call looks at more than a few entries, whatever there is.
//! 3. Gaps are never more than entries, but for a few.

use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map},
    hash::{BuildHasherDefault, Hash, Hasher},
};

use super::ClaimToken;

/// Nanoseconds since the Unix epoch, until the year 2554.
pub(super) type Nanos = u64;

/// As many lifetimes are in use at once, or nearly.
const QUEUES: usize = 4;
/// The place of an entry that is in no queue.
const TREE: usize = QUEUES;

/// What stands for a key: two SipHashes under keys of this process, so that an entry has one size whatever
/// clients send. Two keys that met would be refused, not let through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fingerprint(pub(super) [u64; 2]);

/// The half that does not choose the shard.
impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[1]);
    }
}

/// A fingerprint is a hash under a key that no client knows: to hash it again would only take time.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What became of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Claimed by this one.
    Held(ClaimToken),
    /// Claimed and used by this one.
    Used(ClaimToken),
    /// Used in one step.
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
    fn is_at(&self, second: u64, place: usize) -> bool {
        usize::from(self.place) == place && second_of(self.entry.end) == second
    }
}

type Item = (u64, Fingerprint);

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    gaps: usize,
}

#[derive(Default)]
pub(super) struct Table {
    entries: HashMap<Fingerprint, Listed, BuildHasherDefault<AsItIs>>,
    ends: Ends,
}

/// The keys by when their entries end.
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
    /// The entry of a key, though its time may be over.
    #[inline]
    pub(super) fn entry(&self, key: Fingerprint) -> Option<Entry> {
        self.entries.get(&key).map(|listed| listed.entry)
    }

    /// Puts an entry in the place of the one that is there, if one is.
    pub(super) fn put(&mut self, key: Fingerprint, entry: Entry) {
        match self.entries.entry(key) {
            hash_map::Entry::Occupied(mut old) => {
                self.ends.leave(key, *old.get());
                let place = self.ends.list(second_of(entry.end), key);
                old.insert(Listed { entry, place });
            }
            hash_map::Entry::Vacant(vacant) => {
                let place = self.ends.list(second_of(entry.end), key);
                vacant.insert(Listed { entry, place });
            }
        }
    }

    /// Forgets a key; false if there was none.
    pub(super) fn remove(&mut self, key: Fingerprint) -> bool {
        let old = self.entries.remove(&key);
        if let Some(old) = old {
            self.ends.leave(key, old);
        }
        old.is_some()
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
        let Self { entries, ends } = self;
        for (place, queue) in ends.queues.iter_mut().enumerate() {
            let Some((second, key)) = queue.items.front().copied() else {
                continue;
            };
            let may_be_over = second <= second_of(now);
            if !may_be_over && queue.gaps == 0 {
                continue;
            }
            let listed = entries.get_mut(&key);
            let Some(listed) = listed.filter(|listed| listed.is_at(second, place)) else {
                queue.items.pop_front();
                queue.gaps = queue.gaps.saturating_sub(1);
                return Dropped::Other;
            };
            if listed.entry.end <= now {
                queue.items.pop_front();
                entries.remove(&key);
                return Dropped::Entry;
            }
            if queue.gaps > queue.items.len() / 2 {
                // It would keep the gaps behind it for as long as it lasts.
                queue.items.pop_front();
                listed.place = TREE as u8;
                ends.tree.insert((second, key));
                return Dropped::Other;
            }
        }
        match ends.tree.first().copied() {
            Some((second, key)) if second <= second_of(now) => {
                let is_over = |listed: &Listed| listed.entry.end <= now;
                if entries.get(&key).is_some_and(is_over) {
                    ends.tree.pop_first();
                    entries.remove(&key);
                    return Dropped::Entry;
                }
                Dropped::Nothing
            }
            _ => Dropped::Nothing,
        }
    }
}

impl Ends {
    #[inline]
    fn list(&mut self, second: u64, key: Fingerprint) -> u8 {
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
            Some(queue) => queue.items.push_back((second, key)),
            None => drop(self.tree.insert((second, key))),
        }
        place as u8
    }

    /// Takes an entry out of the order of ends.
    #[inline]
    fn leave(&mut self, key: Fingerprint, old: Listed) {
        let item = (second_of(old.entry.end), key);
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

fn second_of(time: Nanos) -> u64 {
    time / 1_000_000_000
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
            table.put(key(number), entry(now + 60 * SECOND));
            table.put(key(number), entry(now + 3600 * SECOND));
        }
        assert_eq!((table.entries.len(), listed(&table)), (1000, 1000));
        assert_eq!(table.ends.tree.len(), 0);
    }

    /// Others come between a claim and its end, and one never ends: what they leave behind is dropped.
    #[test]
    fn gaps_do_not_pile_up_behind_an_entry_that_lasts() {
        let mut table = Table::default();
        table.put(key(u64::MAX), entry(60 * SECOND));
        for number in 0..100_000 {
            let now = number * SECOND / 10_000;
            assert_eq!(table.forget(now), 0);
            table.put(key(number), entry(now + 60 * SECOND));
            if let Some(before) = number.checked_sub(5) {
                assert!(table.remove(key(before)));
            }
        }
        assert_eq!(table.entries.len(), 6);
        assert!(listed(&table) < 24, "{}", listed(&table));
    }

    #[test]
    fn ends_of_any_order_are_all_found() {
        let mut table = Table::default();
        let ends = |number: u64| (number * 7919 % 1000) * SECOND + number;
        for number in 0..1000 {
            table.put(key(number), entry(ends(number)));
            if number % 3 == 0 {
                // Another end, earlier or later.
                table.put(key(number), entry(ends(number + 500)));
            }
        }
        assert_eq!(table.entries.len(), 1000);
        for now in (0..=1000).map(|second| second * SECOND + SECOND / 2) {
            while table.forget(now) > 0 {}
            let is_over = |listed: &Listed| listed.entry.end <= now;
            assert!(!table.entries.values().any(is_over), "at {now}");
        }
        assert_eq!((table.entries.len(), table.ends.tree.len()), (0, 0));
    }
}
