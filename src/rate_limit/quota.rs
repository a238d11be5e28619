//! [`Quota`]: how much, in how long, counted in how many segments.

use std::{num::NonZeroU32, time::Duration};

use super::{Algorithm, segment::Segment};
use crate::config::ConfigError;

/// The most segments that a window can be cut into.
pub const MAX_SEGMENTS: u32 = 60;

/// What a quota is cut into unless it says otherwise: a unit comes back at most a sixteenth of the window
/// late, and the counts of most keys take half a cache line.
const DEFAULT_SEGMENTS: u32 = 16;

const MIN_WINDOW: u64 = 1_000_000;
const MAX_WINDOW: u64 = 366 * 24 * 60 * 60 * NANOS;
const MAX_NAME: usize = 64;
const NANOS: u64 = 1_000_000_000;

/// The most units that a quota counted [exactly](Quota::exact) can have: each takes 8 bytes of a key.
pub const MAX_EXACT: u32 = 1_000;

/// At most `limit` units in any window of the given length.
///
/// The window is cut into segments (16 unless [`Quota::segments`] says otherwise), and time counts in whole
/// nanoseconds. Small limits can be counted [exactly](Quota::exact) instead, and a [`burst`](Quota::burst)
/// makes it a pace. A quota is a plain value; as a constant, a mistake in it does not compile:
///
/// ```
/// use std::time::Duration;
/// use portcullis::rate_limit::Quota;
///
/// const SIGN_IN: Quota = Quota::new(5, Duration::from_secs(15 * 60)).name("sign-in");
/// assert_eq!((SIGN_IN.limit(), SIGN_IN.policy_name()), (5, "sign-in"));
///
/// // From a configuration file, which may hold anything:
/// assert!(Quota::try_new(0, Duration::from_secs(60)).is_err());
/// ```
///
/// ```compile_fail
/// const NOTHING: portcullis::rate_limit::Quota = portcullis::rate_limit::Quota::per_second(0);
/// # let _ = NOTHING;
/// ```
///
/// Two quotas that are equal, name and segments included, count together where they share a store and a
/// key; quotas that differ in anything count apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    limit: u32,
    segments: u32,
    /// In nanoseconds.
    window: u64,
    /// The window over the segments, rounded up.
    pub(super) segment: Segment,
    algorithm: Algorithm,
    /// The most units at once, which is the limit but for a pace.
    burst: u32,
    name: &'static str,
    fingerprint: u64,
}

impl Quota {
    /// `limit` units a second.
    ///
    /// # Panics
    ///
    /// If `limit` is 0; at compile time for a constant.
    #[must_use]
    pub const fn per_second(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(1))
    }

    /// `limit` units a minute.
    ///
    /// # Panics
    ///
    /// If `limit` is 0; at compile time for a constant.
    #[must_use]
    pub const fn per_minute(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(60))
    }

    /// `limit` units an hour.
    ///
    /// # Panics
    ///
    /// If `limit` is 0; at compile time for a constant.
    #[must_use]
    pub const fn per_hour(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(60 * 60))
    }

    /// `limit` units in any window of this length, from 1 ms to 366 days.
    ///
    /// # Panics
    ///
    /// If `limit` is 0 or the window is out of bounds; at compile time for a constant.
    #[must_use]
    pub const fn new(limit: u32, window: Duration) -> Self {
        assert!(limit > 0, "a quota's limit must be at least 1");
        let Some(window) = window_in_bounds(window) else {
            panic!("a quota's window must be from 1 ms to 366 days long");
        };
        Self::plain(limit, window)
    }

    /// As [`Quota::new`], for values that come from outside the program.
    ///
    /// # Errors
    ///
    /// If `limit` is 0, or the window is shorter than 1 ms or longer than 366 days.
    pub fn try_new(limit: u32, window: Duration) -> Result<Self, ConfigError> {
        if limit == 0 {
            return Err(ConfigError::new("limit", "0", "must be at least 1"));
        }
        let nanos = window_in_bounds(window).ok_or_else(|| {
            let expected = "must be from 1 ms to 366 days long";
            ConfigError::new("window", format!("{window:?}"), expected)
        })?;
        Ok(Self::plain(limit, nanos))
    }

    /// Replaces the number of segments, from 1 to [`MAX_SEGMENTS`].
    ///
    /// A unit comes back at most one segment late, so under sustained demand at least `n / (n + 1)` of the
    /// limit is served: 94 % with 16, 98 % with 60. More segments cost [memory](crate::rate_limit#memory) for each
    /// key and a little time; the promise that no window holds more
    /// than the limit is kept with any number.
    ///
    /// # Panics
    ///
    /// If `segments` is out of bounds; at compile time for a constant.
    #[must_use]
    pub const fn segments(self, segments: u32) -> Self {
        assert!(
            segments >= 1 && segments <= MAX_SEGMENTS,
            "a quota has from 1 to 60 segments"
        );
        Self {
            segments,
            segment: Segment::new(self.window.div_ceil(segments as u64)),
            algorithm: Algorithm::SlidingWindow,
            burst: self.limit,
            ..self
        }
        .sealed()
    }

    /// As [`Quota::segments`], for values that come from outside the program.
    ///
    /// # Errors
    ///
    /// If there are to be none, or more than [`MAX_SEGMENTS`].
    pub fn try_segments(self, segments: u32) -> Result<Self, ConfigError> {
        if !(1..=MAX_SEGMENTS).contains(&segments) {
            let given = segments.to_string();
            return Err(ConfigError::new("segments", given, "must be from 1 to 60"));
        }
        Ok(self.segments(segments))
    }

    /// Counts exactly: the time of each unit is kept, so that it comes back to the nanosecond and no room
    /// is ever withheld. For small limits (a sign-in's), as a key takes from 8 to 16 bytes for each unit.
    ///
    /// # Panics
    ///
    /// If the limit is more than [`MAX_EXACT`]; at compile time for a constant.
    #[must_use]
    pub const fn exact(self) -> Self {
        assert!(
            self.limit <= MAX_EXACT,
            "a quota that is counted exactly has a limit of at most 1,000"
        );
        Self {
            algorithm: Algorithm::SlidingLog,
            burst: self.limit,
            ..self
        }
        .sealed()
    }

    /// As [`Quota::exact`], for values that come from outside the program.
    ///
    /// # Errors
    ///
    /// If the limit is more than [`MAX_EXACT`].
    pub fn try_exact(self) -> Result<Self, ConfigError> {
        if self.limit > MAX_EXACT {
            let given = self.limit.to_string();
            let expected = "must be at most 1,000 for a quota that is counted exactly";
            return Err(ConfigError::new("limit", given, expected));
        }
        Ok(self.exact())
    }

    /// Makes the quota a pace (the generic cell rate algorithm): a unit comes back every
    /// `window / limit`, and at most `burst` pass at once. A window may so hold `limit + burst` units, but
    /// the long run holds to the limit, and what is let in is spread evenly.
    ///
    /// # Panics
    ///
    /// If `burst` is 0, or takes longer than 366 days to come back; at compile time for a constant.
    #[must_use]
    pub const fn burst(self, burst: u32) -> Self {
        assert!(
            burst > 0 && back_in_time(self.limit, self.window, burst),
            "a burst is at least 1 and comes back within 366 days"
        );
        Self {
            algorithm: Algorithm::Gcra,
            burst,
            ..self
        }
        .sealed()
    }

    /// As [`Quota::burst`], for values that come from outside the program.
    ///
    /// # Errors
    ///
    /// If `burst` is 0, or takes longer than 366 days to come back.
    pub fn try_burst(self, burst: u32) -> Result<Self, ConfigError> {
        if burst == 0 || !back_in_time(self.limit, self.window, burst) {
            let expected = "must be at least 1 and come back within 366 days";
            return Err(ConfigError::new("burst", burst.to_string(), expected));
        }
        Ok(self.burst(burst))
    }

    /// Replaces the name of the policy, which clients see in `RateLimit` and in `violated-policies`, and
    /// which sets the counters of equal quotas apart. The default is `default`.
    ///
    /// # Panics
    ///
    /// If the name is empty, longer than 64 characters, or holds anything but printable ASCII without `"`
    /// and `\` (what a String of RFC 9651 section 3.3.3 holds without escapes); at compile time for a
    /// constant.
    #[must_use]
    pub const fn name(self, name: &'static str) -> Self {
        if let Some(fault) = name_fault(name) {
            panic!("{}", fault);
        }
        Self { name, ..self }.sealed()
    }

    /// The units that a window may hold.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The length of the window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_nanos(self.window)
    }

    /// How the quota is counted.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The most units that pass at once: the limit, but for a quota with a [`burst`](Quota::burst).
    #[must_use]
    pub const fn burst_size(&self) -> u32 {
        self.burst
    }

    /// The number of segments that the window is cut into where it is cut. One more than these is in view.
    #[must_use]
    pub const fn segment_count(&self) -> u32 {
        self.segments
    }

    /// The length of a segment: the window over the number of segments, rounded up to a nanosecond.
    #[must_use]
    pub const fn segment_length(&self) -> Duration {
        Duration::from_nanos(self.segment.nanos())
    }

    /// The name of the policy.
    #[must_use]
    pub const fn policy_name(&self) -> &'static str {
        self.name
    }

    /// The part of one of so many, at least 1.
    pub(super) fn divided(self, among: NonZeroU32) -> Self {
        Self {
            limit: (self.limit / among).max(1),
            burst: (self.burst / among).max(1),
            ..self
        }
        .sealed()
    }

    /// The window in nanoseconds, never 0.
    pub(super) const fn window_nanos(&self) -> u64 {
        self.window
    }

    /// How long a count may matter, in nanoseconds.
    pub(super) const fn view_nanos(&self) -> u64 {
        match self.algorithm {
            // At most 732 days: the window's bound, twice, with a single segment.
            Algorithm::SlidingWindow => self.segment.nanos() * (self.segments as u64 + 1),
            Algorithm::SlidingLog => self.window,
            Algorithm::Gcra => back_after(self.limit, self.window, self.burst) as u64,
        }
    }

    /// Tells quotas apart in the key of a counter. It is chosen by the programmer, so it withstands
    /// accidents, not attacks.
    pub(super) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    const fn plain(limit: u32, window: u64) -> Self {
        Self {
            limit,
            segments: DEFAULT_SEGMENTS,
            window,
            segment: Segment::new(window.div_ceil(DEFAULT_SEGMENTS as u64)),
            algorithm: Algorithm::SlidingWindow,
            burst: limit,
            name: "default",
            fingerprint: 0,
        }
        .sealed()
    }

    /// With the fingerprint of what it is now.
    const fn sealed(self) -> Self {
        let mut fingerprint = fnv(0xcbf2_9ce4_8422_2325, &self.limit.to_be_bytes());
        fingerprint = fnv(fingerprint, &[self.algorithm as u8]);
        fingerprint = fnv(fingerprint, &self.burst.to_be_bytes());
        fingerprint = fnv(fingerprint, &self.segments.to_be_bytes());
        fingerprint = fnv(fingerprint, &self.window.to_be_bytes());
        fingerprint = fnv(fingerprint, self.name.as_bytes());
        Self {
            fingerprint,
            ..self
        }
    }
}

/// What is wrong with the name of a policy, if anything is.
pub(super) const fn name_fault(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > MAX_NAME {
        return Some("must have from 1 to 64 characters");
    }
    let mut at = 0;
    while at < bytes.len() {
        if !matches!(bytes[at], 0x20..=0x7e) || bytes[at] == b'"' || bytes[at] == b'\\' {
            return Some("must be printable ASCII without quotes and backslashes");
        }
        at += 1;
    }
    None
}

/// The nanoseconds in which a whole burst comes back, rounded up.
const fn back_after(limit: u32, window: u64, burst: u32) -> u128 {
    (burst as u128 * window as u128).div_ceil(limit as u128)
}

const fn back_in_time(limit: u32, window: u64, burst: u32) -> bool {
    back_after(limit, window, burst) <= MAX_WINDOW as u128
}

/// The window in nanoseconds, if it is within bounds.
const fn window_in_bounds(window: Duration) -> Option<u64> {
    let nanos = window.as_nanos();
    if nanos < MIN_WINDOW as u128 || nanos > MAX_WINDOW as u128 {
        return None;
    }
    #[allow(
        clippy::cast_possible_truncation,
        reason = "it was compared a line above"
    )]
    Some(nanos as u64)
}

/// FNV-1a, which a constant can be computed with.
const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}
