//! [`Counter`]: what is counted for one key, in whichever way its quota says.

use super::{Algorithm, Decision, Gcra, Quota, SlidingLog, SlidingWindow};

/// The counts of one key.
#[allow(
    clippy::large_enum_variant,
    reason = "it never leaves the stack, and most are windows"
)]
pub(super) enum Counter {
    Window(SlidingWindow),
    Log(SlidingLog),
    Pace(Gcra),
}

impl Counter {
    /// The bytes that the counter of a quota takes.
    pub(super) fn packed(quota: &Quota) -> usize {
        match quota.algorithm() {
            Algorithm::SlidingWindow => SlidingWindow::packed(quota),
            Algorithm::SlidingLog => SlidingLog::packed(quota),
            Algorithm::Gcra => Gcra::PACKED,
        }
    }

    /// A counter that holds nothing.
    pub(super) fn empty(quota: &Quota) -> Self {
        match quota.algorithm() {
            Algorithm::SlidingWindow => Self::Window(SlidingWindow::new()),
            Algorithm::SlidingLog => Self::Log(SlidingLog::new()),
            Algorithm::Gcra => Self::Pace(Gcra::new()),
        }
    }

    /// Reads what was [packed](Counter::pack).
    pub(super) fn unpack(quota: &Quota, packed: &[u8]) -> Self {
        match quota.algorithm() {
            Algorithm::SlidingWindow => Self::Window(SlidingWindow::unpack(quota, packed)),
            Algorithm::SlidingLog => Self::Log(SlidingLog::unpack(packed)),
            Algorithm::Gcra => Self::Pace(Gcra::unpack(packed)),
        }
    }

    /// Writes the counter where there are as many bytes as it takes.
    pub(super) fn pack(&self, quota: &Quota, packed: &mut [u8]) {
        match self {
            Self::Window(window) => window.pack(quota, packed),
            Self::Log(log) => log.pack(packed),
            Self::Pace(pace) => pace.pack(packed),
        }
    }

    /// Decides without counting.
    pub(super) fn look(&mut self, quota: &Quota, cost: u32, now: u64) -> Decision {
        match self {
            Self::Window(window) => window.look(quota, cost, now),
            Self::Log(log) => log.look(quota, cost, now),
            Self::Pace(pace) => pace.look(quota, cost, now),
        }
    }

    /// How far ahead of the clock what is counted is, in nanoseconds: 0 unless the clock was set back. A pace that
    /// is more than a minute ahead is moved.
    pub(super) fn ahead(&self, quota: &Quota, now: u64) -> u64 {
        match self {
            Self::Window(window) => window.ahead(quota, now),
            Self::Log(log) => log.ahead(now),
            Self::Pace(_) => 0,
        }
    }

    /// Counts units for which there is room.
    pub(super) fn take(&mut self, quota: &Quota, cost: u32, now: u64) {
        match self {
            Self::Window(window) => window.take(cost),
            Self::Log(log) => log.take(cost, now),
            Self::Pace(pace) => pace.take(quota, cost, now),
        }
    }

    /// Counts units as far as there is room for them.
    pub(super) fn charge(&mut self, quota: &Quota, cost: u32, now: u64) {
        let room = match self {
            Self::Window(window) => window.room(quota, now),
            Self::Log(log) => log.room(quota, now),
            Self::Pace(pace) => pace.room(quota, now),
        };
        self.take(quota, cost.min(room), now);
    }

    /// Takes back units that were counted at that time, as far as they have not come back by themselves.
    pub(super) fn give_back(&mut self, quota: &Quota, cost: u32, counted: u64, now: u64) {
        match self {
            Self::Window(window) => window.give_back(quota, cost, counted),
            Self::Log(log) => log.give_back(cost, counted),
            Self::Pace(pace) => pace.give_back(quota, cost, counted, now),
        }
    }
}
