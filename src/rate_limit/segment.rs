//! [`Segment`]: a length of time that all time is divided into, quickly.

use super::Quota;

/// A length in nanoseconds, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Segment {
    nanos: u64,
    /// So many of them, rounded down, are 2^64 - 1 ns: to multiply by that is faster than to divide.
    in_all: u64,
}

impl Segment {
    pub(super) const fn new(nanos: u64) -> Self {
        let in_all = u64::MAX / nanos;
        Self { nanos, in_all }
    }

    pub(super) const fn nanos(self) -> u64 {
        self.nanos
    }

    /// How many were over before a time in nanoseconds.
    #[inline]
    const fn over_before(self, time: u64) -> u64 {
        let near = (time as u128 * self.in_all as u128) >> 64;
        #[allow(clippy::cast_possible_truncation, reason = "the upper half is left")]
        let near = near as u64;
        // `in_all` is at most one below 2^64 / nanos, so `near` is less than one below time / nanos, and that
        // is rounded down: it is what was asked for, or one less.
        near + (time - near * self.nanos >= self.nanos) as u64
    }
}

impl Quota {
    /// The length of a segment in nanoseconds, never 0.
    pub(super) const fn segment_nanos(&self) -> u64 {
        self.segment.nanos
    }

    /// The segment that a time in nanoseconds since the Unix epoch lies in.
    #[inline]
    pub(super) const fn segment_of(&self, time: u64) -> u64 {
        self.segment.over_before(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_divides() {
        let mut state = 7_u64;
        let mut any = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state >> (state >> 59)
        };
        for _ in 0..200_000 {
            let (nanos, count) = (any().max(1), any());
            let segment = Segment::new(nanos);
            let whole = (count / nanos) * nanos;
            for time in [count, whole, whole.saturating_sub(1), u64::MAX, 0] {
                assert_eq!(segment.over_before(time), time / nanos, "{time} / {nanos}");
            }
        }
    }
}
