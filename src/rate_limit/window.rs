//! [`SlidingWindow`]: the segmented sliding window, a pure function of state, quota, cost and time.
//!
//! Segments are aligned to the clock. In view are the current one and the `N` before it, the oldest counted
//! whole: any sliding window of the quota's length overlaps at most these `N + 1`, so what they hold is
//! never less than what such a window holds, and a request is let in only if that leaves room for it.
//!
//! # When the clock is set
//!
//! A time before the newest segment counts as the newest segment: what is counted leaves no earlier than
//! it would have, and a caller that read the clock a moment before another does no harm. So that a clock
//! that was far ahead and is corrected cannot shut a key out until that far time comes, counts from more
//! than a view and more than a minute ahead are moved, all of them, into the segment that it is now. After
//! a correction a key is therefore refused for at most two views, or a view and a minute if that is longer,
//! whatever the jump; and none of its units leaves before the window it was counted in is over.

use std::time::{Duration, SystemTime};

use super::{Decision, MAX_SEGMENTS, Quota};
use crate::clock::since_epoch;

const CELLS: usize = MAX_SEGMENTS as usize + 1;

/// How far ahead of the clock counts are believed at least, in nanoseconds. A caller that stood still
/// between reading the clock and deciding looks like a clock that was set back; none stands for a minute.
const BELIEVED_AHEAD: u64 = 60_000_000_000;

/// The counts of one key under one quota.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use portcullis::rate_limit::{Quota, SlidingWindow};
///
/// let quota = Quota::per_minute(2);
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let mut window = SlidingWindow::new();
/// assert!(window.hit(&quota, 1, now).allowed && window.hit(&quota, 1, now).allowed);
///
/// let third = window.hit(&quota, 1, now);
/// assert!(!third.allowed);
/// // 60 s, and the rest of the segment (60 s / 16) in which the two were counted.
/// assert_eq!(third.retry_after, Some(Duration::from_millis(63_750)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    /// The newest segment: its start over the length of a segment.
    newest: u64,
    /// The counts, the newest segment first.
    counts: [u32; CELLS],
}

impl SlidingWindow {
    /// A window that holds nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            newest: 0,
            counts: [0; CELLS],
        }
    }

    /// Decides about a request of this cost, and counts it if it is let in.
    ///
    /// A cost of 0 asks without counting. A window belongs to one quota.
    pub fn hit(&mut self, quota: &Quota, cost: u32, now: SystemTime) -> Decision {
        let decision = self.look(quota, cost, nanos(now));
        if decision.allowed {
            self.take(cost);
        }
        decision
    }

    /// Decides without counting. What has left the view is forgotten.
    pub(super) fn look(&mut self, quota: &Quota, cost: u32, now: u64) -> Decision {
        self.advance(quota, now);
        let limit = quota.limit();
        let (used, oldest) = self.used(quota);
        let room = limit.saturating_sub(used);
        let reset_after = if used == 0 && (cost == 0 || cost > limit) {
            Duration::ZERO
        } else {
            self.until_gone(quota, now, oldest)
        };
        if cost <= room {
            return Decision::pass(limit, room - cost, reset_after);
        }
        // Never zero, nor at the end of time, where nothing comes free any more.
        let retry_after = (cost <= limit).then(|| {
            let free = self.until_free(quota, now, cost - room);
            free.max(Duration::from_nanos(1))
        });
        Decision::refuse(limit, room, reset_after, retry_after)
    }

    /// Counts units in the newest segment, for which [`SlidingWindow::look`] has just found room.
    pub(super) fn take(&mut self, cost: u32) {
        self.counts[0] = self.counts[0].saturating_add(cost);
    }

    /// Takes back what was counted at this very time.
    pub(super) fn give_back(&mut self, cost: u32) {
        self.counts[0] = self.counts[0].saturating_sub(cost);
    }

    /// Moves the view to the segment of `now`.
    fn advance(&mut self, quota: &Quota, now: u64) {
        let current = now / quota.segment_nanos();
        let in_view = quota.segment_count() as usize + 1;
        if current > self.newest {
            let by = usize::try_from(current - self.newest).map_or(in_view, |by| by.min(in_view));
            self.counts.copy_within(..in_view - by, by);
            self.counts[..by].fill(0);
            self.newest = current;
        } else if self.is_beyond_belief(quota, now) {
            let (all, _) = self.used(quota);
            self.counts.fill(0);
            self.counts[0] = all;
            self.newest = current;
        }
    }

    fn is_beyond_belief(&self, quota: &Quota, now: u64) -> bool {
        let ahead = self
            .newest
            .saturating_mul(quota.segment_nanos())
            .saturating_sub(now);
        ahead > quota.view_nanos().max(BELIEVED_AHEAD)
    }

    /// What the segments in view hold together, and the age of the oldest that holds anything.
    #[inline]
    fn used(&self, quota: &Quota) -> (u32, usize) {
        let (mut sum, mut oldest) = (0, 0);
        for (age, count) in self.view(quota).iter().enumerate() {
            sum += u64::from(*count);
            oldest = if *count > 0 { age } else { oldest };
        }
        // It is never more than the limit.
        (u32::try_from(sum).unwrap_or(u32::MAX), oldest)
    }

    fn view(&self, quota: &Quota) -> &[u32] {
        &self.counts[..=quota.segment_count() as usize]
    }

    /// How long until at least `units` of those in view have left it.
    fn until_free(&self, quota: &Quota, now: u64, units: u32) -> Duration {
        let mut freed = 0_u32;
        for (age, count) in self.view(quota).iter().enumerate().rev() {
            freed = freed.saturating_add(*count);
            if freed >= units {
                return self.until_gone(quota, now, age);
            }
        }
        self.until_gone(quota, now, 0)
    }

    /// How long until the segment that is `age` older than the newest leaves the view.
    fn until_gone(&self, quota: &Quota, now: u64, age: usize) -> Duration {
        let segments = u64::from(quota.segment_count()) + 1 - age as u64;
        let gone = self
            .newest
            .saturating_add(segments)
            .saturating_mul(quota.segment_nanos());
        Duration::from_nanos(gone.saturating_sub(now))
    }
}

impl Default for SlidingWindow {
    fn default() -> Self {
        Self::new()
    }
}

/// The counts as a store keeps them: each in `width` bytes, the newest segment first.
impl SlidingWindow {
    /// Reads what was [written](SlidingWindow::write) as `cells` into a window that holds nothing.
    #[inline]
    pub(super) fn read(&mut self, newest: u64, cells: &[u8], width: usize) {
        self.newest = newest;
        let counts = self.counts.iter_mut();
        match width {
            1 => counts
                .zip(cells)
                .for_each(|(count, cell)| *count = u32::from(*cell)),
            2 => counts
                .zip(cells.as_chunks().0)
                .for_each(|(count, cell)| *count = u32::from(u16::from_le_bytes(*cell))),
            _ => counts
                .zip(cells.as_chunks().0)
                .for_each(|(count, cell)| *count = u32::from_le_bytes(*cell)),
        }
    }

    /// Writes the counts. They are at most the quota's limit, which the width was chosen for.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "they fit")]
    pub(super) fn write(&self, cells: &mut [u8], width: usize) {
        let counts = self.counts.iter();
        match width {
            1 => counts
                .zip(cells)
                .for_each(|(count, cell)| *cell = *count as u8),
            2 => counts
                .zip(cells.as_chunks_mut().0)
                .for_each(|(count, cell)| *cell = (*count as u16).to_le_bytes()),
            _ => counts
                .zip(cells.as_chunks_mut().0)
                .for_each(|(count, cell)| *cell = count.to_le_bytes()),
        }
    }

    /// Writes the count of the newest segment, where no other has changed.
    #[inline]
    pub(super) fn write_newest(&self, cells: &mut [u8], width: usize) {
        if let Some(cell) = cells.get_mut(..width) {
            cell.copy_from_slice(&self.counts[0].to_le_bytes()[..width]);
        }
    }

    /// The newest segment.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }
}

/// Nanoseconds since the Unix epoch, in which the year 2554 is the last.
pub(super) fn nanos(now: SystemTime) -> u64 {
    u64::try_from(since_epoch(now).as_nanos()).unwrap_or(u64::MAX)
}
