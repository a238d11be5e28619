//! [`SlidingLog`]: the exact sliding window, a pure function of state, quota, cost and time.
//!
//! The time of every unit is kept. A unit leaves exactly one window after it was let in, so no sliding
//! window ever holds more than the limit, and a request is refused only if its window leaves no room.
//!
//! A clock that is set is dealt with as in [`SlidingWindow`](super::SlidingWindow): a time before the newest
//! unit's counts as that one, and units from more than a window and more than a minute ahead are moved to
//! the time that it is now.

use std::time::{Duration, SystemTime};

use super::{
    Decision, Quota,
    window::{is_beyond_belief, nanos},
};

/// The units of one key under one quota, for quotas that are counted [exactly](Quota::exact).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use portcullis::rate_limit::{Quota, SlidingLog};
///
/// let quota = Quota::per_minute(1).exact();
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let mut log = SlidingLog::new();
/// assert!(log.hit(&quota, 1, now).allowed);
/// assert!(!log.hit(&quota, 1, now + Duration::from_millis(59_999)).allowed);
/// assert!(log.hit(&quota, 1, now + Duration::from_secs(60)).allowed);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlidingLog {
    /// In nanoseconds, the oldest first.
    times: Vec<u64>,
}

impl SlidingLog {
    /// A log that holds nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { times: Vec::new() }
    }

    /// Decides about a request of this cost, and counts it if it is let in.
    ///
    /// A cost of 0 asks without counting. A log belongs to one quota.
    pub fn hit(&mut self, quota: &Quota, cost: u32, now: SystemTime) -> Decision {
        let now = nanos(now);
        let decision = self.look(quota, cost, now);
        if decision.allowed {
            self.take(cost, now);
        }
        decision
    }

    /// Decides without counting. What has left the window is forgotten.
    pub(super) fn look(&mut self, quota: &Quota, cost: u32, now: u64) -> Decision {
        let limit = quota.limit();
        let room = self.room(quota, now);
        let leaves = |time: u64| {
            let gone = time.saturating_add(quota.window_nanos());
            Duration::from_nanos(gone.saturating_sub(now))
        };
        let asked = now.max(self.times.last().copied().unwrap_or(0));
        let counted = (cost > 0 && cost <= limit).then_some(asked);
        let oldest = self.times.first().copied().or(counted);
        let reset_after = oldest.map_or(Duration::ZERO, leaves);
        if cost <= room {
            return Decision::pass(limit, room - cost, reset_after);
        }
        // The unit whose leaving makes room for the last one that is missing.
        let last = self.times.get((cost - room) as usize - 1);
        // Never zero, nor at the end of time, where nothing comes free any more.
        let retry_after = last
            .filter(|_| cost <= limit)
            .map(|time| leaves(*time).max(Duration::from_nanos(1)));
        Decision::refuse(limit, room, reset_after, retry_after)
    }

    /// Counts units for which there is room.
    pub(super) fn take(&mut self, cost: u32, now: u64) {
        let now = now.max(self.times.last().copied().unwrap_or(0));
        self.times.extend((0..cost).map(|_| now));
    }

    /// Takes back units that were counted at that time, or else before.
    pub(super) fn give_back(&mut self, cost: u32, counted: u64) {
        let until = self.times.partition_point(|time| *time <= counted);
        self.times.drain(until.saturating_sub(cost as usize)..until);
    }

    /// How far ahead of the clock the newest unit was counted, in nanoseconds.
    pub(super) fn ahead(&self, now: u64) -> u64 {
        let newest = self.times.last().copied().unwrap_or(0);
        newest.saturating_sub(now)
    }

    /// Forgets what has left the window, and says how many units more fit.
    pub(super) fn room(&mut self, quota: &Quota, now: u64) -> u32 {
        if is_beyond_belief(quota, self.ahead(now)) {
            self.times.fill(now);
        }
        let window = quota.window_nanos();
        let gone = self
            .times
            .partition_point(|time| time.saturating_add(window) <= now);
        self.times.drain(..gone);
        let held = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        quota.limit().saturating_sub(held)
    }
}

/// A log as a store keeps it: how many times there are, and the times, in 8 bytes each.
impl SlidingLog {
    /// The bytes that a log of this quota takes.
    pub(super) const fn packed(quota: &Quota) -> usize {
        8 + 8 * quota.limit() as usize
    }

    /// Reads what was [packed](SlidingLog::pack).
    pub(super) fn unpack(packed: &[u8]) -> Self {
        let (words, _) = packed.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let held = words.next().unwrap_or(0);
        let held = usize::try_from(held).unwrap_or(0);
        Self {
            times: words.take(held).collect(),
        }
    }

    /// Writes the log where there are as many bytes as it takes.
    pub(super) fn pack(&self, packed: &mut [u8]) {
        let words = std::iter::once(self.times.len() as u64).chain(self.times.iter().copied());
        for (to, word) in packed.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
    }
}
