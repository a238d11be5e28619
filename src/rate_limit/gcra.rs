//! [`Gcra`]: the generic cell rate algorithm, a pure function of state, quota, cost and time.
//!
//! One time is kept: when all that was let in will have come back at the quota's pace. A request is let in
//! if letting it in puts that time no farther ahead than a whole burst takes to come back.
//!
//! The interval of a unit is the window over the limit, which need not be a whole number of nanoseconds. It
//! is never rounded: times are counted in nanoseconds times the limit, in which a unit takes the window.
//! What is told to clients is rounded up to the nanosecond.
//!
//! When the clock is set back, what is more than a burst and more than a minute ahead is taken for a whole
//! burst: a corrected clock shuts nobody out for longer.

use std::time::{Duration, SystemTime};

use super::{
    Decision, Quota,
    window::{is_beyond_belief, nanos},
};

/// The pace of one key under one quota, for quotas with a [burst](Quota::burst).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use portcullis::rate_limit::{Gcra, Quota};
///
/// // One in 100 ms, and two of them at once.
/// let quota = Quota::per_second(10).burst(2);
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let mut pace = Gcra::new();
/// assert!(pace.hit(&quota, 2, now).allowed);
/// assert_eq!(pace.hit(&quota, 1, now).retry_after, Some(Duration::from_millis(100)));
/// assert!(pace.hit(&quota, 1, now + Duration::from_millis(100)).allowed);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gcra {
    /// When all has come back, in nanoseconds times the limit.
    back: u128,
}

impl Gcra {
    /// A pace at which nothing has been let in.
    #[must_use]
    pub const fn new() -> Self {
        Self { back: 0 }
    }

    /// Decides about a request of this cost, and counts it if it is let in.
    ///
    /// A cost of 0 asks without counting. A pace belongs to one quota. Of the decision, `remaining` is what
    /// passes at once, `reset_after` when the whole burst is back.
    pub fn hit(&mut self, quota: &Quota, cost: u32, now: SystemTime) -> Decision {
        let now = nanos(now);
        let decision = self.look(quota, cost, now);
        if decision.allowed {
            self.take(quota, cost, now);
        }
        decision
    }

    /// Decides without counting.
    pub(super) fn look(&mut self, quota: &Quota, cost: u32, now: u64) -> Decision {
        let limit = quota.limit();
        let room = self.room(quota, now);
        let used = self.used(quota, now);
        if cost <= room {
            let used = used + u128::from(cost) * unit(quota);
            return Decision::pass(limit, room - cost, whole(used, quota));
        }
        let missing = (used + u128::from(cost) * unit(quota)).saturating_sub(burst(quota));
        let retry_after = (cost <= quota.burst_size()).then(|| whole(missing, quota));
        Decision::refuse(limit, room, whole(used, quota), retry_after)
    }

    /// Counts units for which there is room.
    pub(super) fn take(&mut self, quota: &Quota, cost: u32, now: u64) {
        self.back = self.back.max(scaled(quota, now)) + u128::from(cost) * unit(quota);
    }

    /// Takes back units that were counted at that time, as much of them as cannot have come back by itself
    /// since: had the pace been idle before, what more is taken back would be another's.
    pub(super) fn give_back(&mut self, quota: &Quota, cost: u32, counted: u64, now: u64) {
        let since = u128::from(now.saturating_sub(counted)) * u128::from(quota.limit());
        let left = (u128::from(cost) * unit(quota)).saturating_sub(since);
        self.back = self.back.saturating_sub(left);
    }

    /// How many units pass at this time.
    pub(super) fn room(&mut self, quota: &Quota, now: u64) -> u32 {
        let most = scaled(quota, now) + burst(quota);
        let ahead = self.back.saturating_sub(scaled(quota, now)) / u128::from(quota.limit());
        if is_beyond_belief(quota, u64::try_from(ahead).unwrap_or(u64::MAX)) {
            self.back = most;
        }
        let room = burst(quota).saturating_sub(self.used(quota, now)) / unit(quota);
        u32::try_from(room).unwrap_or(u32::MAX)
    }

    /// How far ahead of the time the pace is.
    fn used(&self, quota: &Quota, now: u64) -> u128 {
        self.back.saturating_sub(scaled(quota, now))
    }
}

/// A pace as a store keeps it.
impl Gcra {
    /// The bytes that a pace takes.
    pub(super) const PACKED: usize = 16;

    /// Reads what was [packed](Gcra::pack).
    pub(super) fn unpack(packed: &[u8]) -> Self {
        Self {
            back: packed
                .first_chunk()
                .map_or(0, |back| u128::from_le_bytes(*back)),
        }
    }

    /// Writes the pace where there are as many bytes as it takes.
    pub(super) fn pack(&self, packed: &mut [u8]) {
        if let Some(to) = packed.first_chunk_mut() {
            *to = self.back.to_le_bytes();
        }
    }
}

/// What a unit takes.
fn unit(quota: &Quota) -> u128 {
    u128::from(quota.window_nanos())
}

/// What a burst takes.
fn burst(quota: &Quota) -> u128 {
    u128::from(quota.burst_size()) * unit(quota)
}

/// A time in nanoseconds times the limit.
fn scaled(quota: &Quota, now: u64) -> u128 {
    u128::from(now) * u128::from(quota.limit())
}

/// Back to nanoseconds, rounded up.
fn whole(scaled: u128, quota: &Quota) -> Duration {
    let nanos = scaled.div_ceil(u128::from(quota.limit()));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
