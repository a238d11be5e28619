//! [`Sample`]: one answer of the server about its time, and which of two is the better.

use std::time::Instant;

use super::time::nanos;

/// How much two clocks drift apart at most: one part in so many, which is as fast as NTP makes a clock run.
const DRIFT: u64 = 2_000;

/// What the server said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) heard: Instant,
    /// When it was heard, by the server's clock.
    time: u64,
    pub(super) error: u64,
}

impl Sample {
    pub(super) fn new(time: u64, asked: Instant, heard: Instant) -> Self {
        let took = nanos(heard - asked);
        Self {
            heard,
            time: time.saturating_add(took / 2),
            // The server tells whole microseconds.
            error: (took / 2).saturating_add(1_000),
        }
    }

    /// The time, and by how much it may be off however much that is.
    pub(super) fn told(&self, at: Instant) -> (u64, u64) {
        let since = nanos(at.saturating_duration_since(self.heard));
        (
            self.time.saturating_add(since),
            self.error.saturating_add(since / DRIFT),
        )
    }

    /// The better one of two, this being the newer.
    pub(super) fn or(self, before: Self) -> Self {
        let ((old, old_error), (new, new_error)) = (before.told(self.heard), self.told(self.heard));
        let agree = old.abs_diff(new) <= old_error.saturating_add(new_error);
        if agree && old_error < new_error {
            before
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn heard(at: Instant, after: Duration, took: Duration, time: u64) -> Sample {
        Sample::new(time, at + after, at + after + took)
    }

    #[test]
    fn a_slow_answer_spoils_nothing_and_a_clock_that_was_set_is_believed() {
        let (at, micro) = (Instant::now(), Duration::from_micros(1));
        let quick = heard(at, Duration::ZERO, 100 * micro, 1_000 * SECOND);
        assert_eq!((quick.time, quick.error), (1_000 * SECOND + 50_000, 51_000));
        // A second later, an answer that took 40 ms.
        let second = Duration::from_secs(1);
        let slow = heard(at, second, 40_000 * micro, 1_001 * SECOND + 100_000);
        let kept = slow.or(quick);
        assert_eq!(kept.error, quick.error);
        // As uncertain as the drift has made the first one, a quick answer replaces it.
        let next = heard(at, second, 120 * micro, 1_001 * SECOND);
        assert_eq!(next.or(quick).time, next.time);
        for set in [400 * SECOND, 1_700 * SECOND, 1_000 * SECOND + 900_000_000] {
            let set = heard(at, second, 40_000 * micro, set);
            assert_eq!(set.or(quick).time, set.time);
        }
        // Asked while the server stood still: it was told when it went on, or before it stood.
        for told in [1_001 * SECOND, 1_002 * SECOND + 400_000_000] {
            let stood = heard(at, second, 1_500_000 * micro, told);
            assert_eq!(stood.or(quick).time, quick.time);
        }
    }
}
