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
        // The sum never passes the limit, which fits; saturating all the same, for what a store may hold.
        let used = self
            .view(quota)
            .iter()
            .fold(0_u32, |sum, count| sum.saturating_add(*count));
        let room = limit.saturating_sub(used);
        if cost > room {
            let reset_after = self.until_free(quota, now, 1);
            let needed = cost.checked_sub(room).filter(|_| cost <= limit);
            let retry_after = needed.map(|needed| self.until_free(quota, now, needed));
            return Decision::refuse(limit, room, reset_after, retry_after);
        }
        let reset_after = match (used, cost) {
            (0, 0) => Duration::ZERO,
            (0, _) => self.until_gone(quota, now, 0),
            _ => self.until_free(quota, now, 1),
        };
        Decision::pass(limit, room - cost, reset_after)
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
            let all = self
                .view(quota)
                .iter()
                .fold(0_u32, |sum, count| sum.saturating_add(*count));
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
    /// The window that was [written](SlidingWindow::write) as `cells`.
    #[inline]
    pub(super) fn read(newest: u64, cells: &[u8], width: usize) -> Self {
        let mut window = Self::new();
        window.newest = newest;
        let counts = window.counts.iter_mut();
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
        window
    }

    /// Writes the counts, which fit as they are at most the quota's limit.
    #[inline]
    pub(super) fn write(&self, cells: &mut [u8], width: usize) {
        let counts = self.counts.iter();
        match width {
            1 => counts
                .zip(cells)
                .for_each(|(count, cell)| *cell = u8::try_from(*count).unwrap_or(u8::MAX)),
            2 => counts
                .zip(cells.as_chunks_mut().0)
                .for_each(|(count, cell)| {
                    *cell = u16::try_from(*count).unwrap_or(u16::MAX).to_le_bytes();
                }),
            _ => counts
                .zip(cells.as_chunks_mut().0)
                .for_each(|(count, cell)| *cell = count.to_le_bytes()),
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
