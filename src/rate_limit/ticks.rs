//! [`Ticks`]: the system's time, read from the processor's counter in between.
//!
//! To ask the system for the time takes longer than to decide about a request. So it is asked once a
//! millisecond, and in between the ticks of the processor since then are added. The time so read is the
//! system's to a microsecond, and what is set or slewed there is seen a millisecond later at most. Where the
//! processor has no counter that runs evenly, every time is the system's own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::{Clock, SystemClock};

use super::window::nanos;

/// How long the system is not asked again, in nanoseconds.
const HELD: u64 = 1_000_000;

/// How long asking may take to be believed, in nanoseconds: a thread may stand still between two readings.
const BELIEVED: u64 = 1_000;

/// The system's time.
///
/// Each of the two numbers is right by itself, so it does no harm if one of them is read just before the other
/// is changed: the older difference then serves for another millisecond.
pub(super) struct Ticks {
    counter: quanta::Clock,
    /// The counter when the system was last asked, in nanoseconds.
    asked: AtomicU64,
    /// What the system's time was more than the counter.
    difference: AtomicU64,
}

impl Ticks {
    pub(super) fn new() -> Self {
        let ticks = Self {
            counter: quanta::Clock::new(),
            asked: AtomicU64::new(0),
            difference: AtomicU64::new(0),
        };
        ticks.ask();
        ticks
    }

    /// The time in nanoseconds since the Unix epoch.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        let counted = self.counted();
        if counted.wrapping_sub(self.asked.load(Relaxed)) < HELD {
            return counted.wrapping_add(self.difference.load(Relaxed));
        }
        self.ask()
    }

    /// The counter in nanoseconds.
    #[inline]
    fn counted(&self) -> u64 {
        self.counter.delta_as_nanos(0, self.counter.raw())
    }

    #[cold]
    fn ask(&self) -> u64 {
        let before = self.counted();
        let now = nanos(SystemClock.now());
        if self.counted().wrapping_sub(before) < BELIEVED {
            self.difference.store(now.wrapping_sub(before), Relaxed);
            self.asked.store(before, Relaxed);
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Less than any mistake in a unit or a sign makes, and more than a clock is set forth or back by whoever
    /// keeps it right.
    const NEAR: u64 = 5_000_000;

    #[test]
    fn it_is_the_systems_time() {
        let ticks = Ticks::new();
        for _ in 0..100_000 {
            let before = nanos(SystemClock.now());
            let now = ticks.now();
            let after = nanos(SystemClock.now());
            assert!(
                before <= now + NEAR && now <= after + NEAR,
                "{before} {now} {after}"
            );
        }
    }
}
