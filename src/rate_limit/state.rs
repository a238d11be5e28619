//! [`State`]: what a place says of a key, in 24 bytes.

/// The segments before the newest that have a byte.
pub(super) const OLDER: usize = 16;

/// How far ahead of the clock counts are believed at least, in seconds, as
/// [windows](super::SlidingWindow) do. What is farther ahead has a longer lifetime for it.
const BELIEVED_AHEAD: i32 = 60;

/// How far from the last time, in seconds, 24 bits of a segment's number surely say which it is.
///
/// The newest segment is at most a minute, or a view if that is longer, ahead of the last time, and at most a
/// minute behind it. With this it is less than 2^24 segments from the clock, as even the shortest, of 16.7 us,
/// make 279 s; and those that have a byte, of 62.5 us and longer, less than half of that many.
pub(super) const SURE: u32 = 200;

pub(super) const NANOS: u64 = 1_000_000_000;

/// When a key was asked for, and its counts, or where they are.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct State {
    /// When its key was last asked for, in seconds since the epoch, wrapping: times are told apart within 68 years.
    pub(super) touched: u32,
    /// The lower 24 bits of the newest segment's number, then what it holds. Of a large window, the size of its
    /// record stands in place of what it holds; of a log, only that; a pace has a mark that says that it lies here.
    pub(super) newest: u32,
    /// What each of the segments before it holds, the newest first. Of a large window, what `large.rs` says; of a
    /// log, which record it has; the whole of a pace.
    pub(super) older: [u8; OLDER],
}

impl State {
    /// Nothing, asked for now.
    pub(super) const fn new(now: u32) -> Self {
        Self {
            touched: now,
            newest: 0,
            older: [0; OLDER],
        }
    }

    /// Remembers that its key is asked for now, in this second. By a clock that is a little behind, nothing
    /// becomes older than it is.
    #[inline]
    pub(super) fn touch(&mut self, now: u32) {
        if !(-BELIEVED_AHEAD..=0).contains(&age(self.touched, now)) {
            self.touched = now;
        }
    }
}

/// The second of a time, wrapping in 2106.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "compared as wrapping")]
pub(super) fn seconds(nanos: u64) -> u32 {
    (nanos / NANOS) as u32
}

/// The seconds since a second, negative if that is in the future.
#[inline]
pub(super) fn age(touched: u32, now: u32) -> i32 {
    now.wrapping_sub(touched).cast_signed()
}

/// How many segments a segment is after the one near it of which the lower 24 bits are these.
#[inline]
pub(super) fn apart(segment: u64, newest: u32) -> i32 {
    (low(segment).wrapping_sub(newest) << 8).cast_signed() >> 8
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
pub(super) fn low(segment: u64) -> u32 {
    segment as u32
}
