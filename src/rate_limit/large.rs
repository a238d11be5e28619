//! A large window: a [`SlidingWindow`] that lies [packed](super::packed) in a [record](super::slab), of which a
//! [`State`] holds what is needed within a segment.
//!
//! A busy key needs its record once a segment: to count, it is enough to know what room the other segments
//! leave.

use super::{
    Quota, SlidingWindow,
    decision::Room,
    slab::Record,
    state::{SURE, State, age, apart, low, seconds},
    window::gone,
};

/// The words of a large window, in place of older segments.
const RECORD: usize = 0;
const ROOM: usize = 1;
/// What was counted in the newest segment since the record was written.
const COUNTED: usize = 2;
/// The age of the oldest segment that holds anything.
const OLDEST: usize = 3;

impl State {
    /// Says in which record the counts are.
    pub(super) fn lie_in(&mut self, record: Record) {
        self.older = [0; _];
        self.newest = record.class.into();
        self.set_word(RECORD, record.index);
    }

    /// Where the counts are.
    #[inline]
    pub(super) fn record(&self) -> Record {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the lowest byte says which"
        )]
        Record {
            class: self.newest as u8,
            index: self.word(RECORD),
        }
    }

    /// Decides, and counts what there is room for, within the newest segment. `None` if it is over, or there is
    /// no room.
    #[inline]
    pub(super) fn hit_newest(
        &mut self,
        quota: &Quota,
        cost: u32,
        count: bool,
        now: u64,
    ) -> Option<Room> {
        let second = seconds(now);
        let current = quota.segment_of(now);
        let is_sure = age(self.touched, second).unsigned_abs() <= SURE;
        if !is_sure || apart(current, self.newest >> 8) != 0 {
            return None;
        }
        let room = self.word(ROOM);
        if cost > room || (cost == 0 && room == quota.limit()) {
            return None;
        }
        if count {
            self.set_word(ROOM, room - cost);
            self.set_word(COUNTED, self.word(COUNTED) + cost);
        }
        self.touch(second);
        Some(Room {
            remaining: room - cost,
            reset_after: gone(quota, current, self.word(OLDEST) as usize).saturating_sub(now),
        })
    }

    /// Writes into the record what was counted since.
    pub(super) fn settle(&mut self, quota: &Quota, packed: &mut [u8]) {
        SlidingWindow::add_packed(quota, packed, self.word(COUNTED));
        self.set_word(COUNTED, 0);
    }

    /// Takes from the record what is needed within its newest segment.
    pub(super) fn summarise(&mut self, quota: &Quota, packed: &[u8]) {
        let (newest, oldest, used) = SlidingWindow::sum_packed(quota, packed);
        self.newest = low(newest) << 8 | (self.newest & 0xff);
        self.set_word(ROOM, quota.limit().saturating_sub(used));
        self.set_word(OLDEST, oldest);
    }

    #[inline]
    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.older.as_chunks().0[at])
    }

    #[inline]
    fn set_word(&mut self, at: usize, word: u32) {
        self.older.as_chunks_mut().0[at] = word.to_le_bytes();
    }
}
