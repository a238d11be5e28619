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
    pub(super) newest: u64,
    /// The counts, the newest segment first.
    pub(super) counts: [u32; CELLS],
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

    /// Forgets what has left the view, and says how many units more fit.
    pub(super) fn room(&mut self, quota: &Quota, now: u64) -> u32 {
        self.advance(quota, now);
        quota.limit().saturating_sub(self.used(quota).0)
    }

    /// Takes back units that were counted at that time, as far as they are still in view.
    ///
    /// What the segment of that time does not hold is taken from older ones, whose units leave earlier: so
    /// nothing that stays leaves before its time.
    pub(super) fn give_back(&mut self, quota: &Quota, cost: u32, counted: u64) {
        let segment = quota.segment_of(counted);
        let age = usize::try_from(self.newest.saturating_sub(segment)).unwrap_or(usize::MAX);
        let mut left = cost;
        let view = &mut self.counts[..=quota.segment_count() as usize];
        for count in view.iter_mut().skip(age) {
            let taken = left.min(*count);
            *count -= taken;
            left -= taken;
        }
    }

    /// Moves the view to the segment of `now`.
    pub(super) fn advance(&mut self, quota: &Quota, now: u64) {
        let current = quota.segment_of(now);
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
        is_beyond_belief(quota, self.ahead(quota, now))
    }

    /// How far ahead of the clock the newest segment begins, in nanoseconds.
    pub(super) fn ahead(&self, quota: &Quota, now: u64) -> u64 {
        let start = self.newest.saturating_mul(quota.segment_nanos());
        start.saturating_sub(now)
    }

    /// What the segments in view hold together, and the age of the oldest that holds anything.
    #[inline]
    pub(super) fn used(&self, quota: &Quota) -> (u32, usize) {
        let view = self.view(quota);
        let sum = view.iter().map(|count| u64::from(*count)).sum::<u64>();
        let oldest = view.iter().rposition(|count| *count > 0);
        // It is never more than the limit.
        (u32::try_from(sum).unwrap_or(u32::MAX), oldest.unwrap_or(0))
    }

    pub(super) fn view(&self, quota: &Quota) -> &[u32] {
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
        Duration::from_nanos(gone(quota, self.newest, age).saturating_sub(now))
    }
}

/// When the segment that is `age` older than `newest` leaves the view.
#[inline]
pub(super) fn gone(quota: &Quota, newest: u64, age: usize) -> u64 {
    let segments = u64::from(quota.segment_count()) + 1 - age as u64;
    newest
        .saturating_add(segments)
        .saturating_mul(quota.segment_nanos())
}

impl Default for SlidingWindow {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether counts that are so far ahead of the clock say that the clock was set, not that a caller was slow.
pub(super) fn is_beyond_belief(quota: &Quota, ahead: u64) -> bool {
    ahead > quota.view_nanos().max(BELIEVED_AHEAD)
}

/// Nanoseconds since the Unix epoch, in which the year 2554 is the last.
#[inline]
pub(super) fn nanos(now: SystemTime) -> u64 {
    u64::try_from(since_epoch(now).as_nanos()).unwrap_or(u64::MAX)
}
