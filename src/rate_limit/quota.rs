//! [`Quota`]: how much, in how long, counted in how many segments.

use std::time::Duration;

use crate::config::ConfigError;

/// The most segments that a window can be cut into.
pub const MAX_SEGMENTS: u32 = 60;

/// What a quota is cut into unless it says otherwise: a unit comes back at most a sixteenth of the window
/// late, and a limit of up to 65,535 keeps a key's counts within one cache line.
const DEFAULT_SEGMENTS: u32 = 16;

const MIN_WINDOW: u64 = 1_000_000;
const MAX_WINDOW: u64 = 366 * 24 * 60 * 60 * NANOS;
const MAX_NAME: usize = 64;
const NANOS: u64 = 1_000_000_000;

/// At most `limit` units in any window of the given length.
///
/// The window is cut into segments (16 unless [`Quota::segments`] says otherwise), and time counts in whole
/// nanoseconds. A quota is a plain value; as a constant, a mistake in it does not compile:
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
    /// In nanoseconds: the window over the segments, rounded up.
    segment: u64,
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
        Self::from_parts(limit, window, DEFAULT_SEGMENTS, "default")
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
        Ok(Self::from_parts(limit, nanos, DEFAULT_SEGMENTS, "default"))
    }

    /// Replaces the number of segments, from 1 to [`MAX_SEGMENTS`].
    ///
    /// A unit comes back at most one segment late, so under sustained demand at least `n / (n + 1)` of the
    /// limit is served: 94 % with 16, 98 % with 60. More segments cost memory for each key (see
    /// [`MemoryStore`](crate::store::MemoryStore)) and a little time; the promise that no window holds more
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
        Self::from_parts(self.limit, self.window, segments, self.name)
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
        let bytes = name.as_bytes();
        assert!(
            !bytes.is_empty() && bytes.len() <= MAX_NAME,
            "a policy's name has from 1 to 64 characters"
        );
        let mut at = 0;
        while at < bytes.len() {
            assert!(
                matches!(bytes[at], 0x20..=0x7e) && bytes[at] != b'"' && bytes[at] != b'\\',
                "a policy's name is printable ASCII without quotes and backslashes"
            );
            at += 1;
        }
        Self::from_parts(self.limit, self.window, self.segments, name)
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

    /// The number of segments that the window is cut into. One more than these is in view.
    #[must_use]
    pub const fn segment_count(&self) -> u32 {
        self.segments
    }

    /// The length of a segment: the window over the number of segments, rounded up to a nanosecond.
    #[must_use]
    pub const fn segment_length(&self) -> Duration {
        Duration::from_nanos(self.segment)
    }

    /// The name of the policy.
    #[must_use]
    pub const fn policy_name(&self) -> &'static str {
        self.name
    }

    /// The length of a segment in nanoseconds, never 0.
    pub(super) const fn segment_nanos(&self) -> u64 {
        self.segment
    }

    /// The length of all segments in view, in nanoseconds.
    pub(super) const fn view_nanos(&self) -> u64 {
        // At most 732 days: the window's bound, twice, with a single segment.
        self.segment * (self.segments as u64 + 1)
    }

    /// Tells quotas apart in the key of a counter. It is chosen by the programmer, so it withstands
    /// accidents, not attacks.
    pub(super) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    const fn from_parts(limit: u32, window: u64, segments: u32, name: &'static str) -> Self {
        let mut fingerprint = fnv(0xcbf2_9ce4_8422_2325, &limit.to_be_bytes());
        fingerprint = fnv(fingerprint, &segments.to_be_bytes());
        fingerprint = fnv(fingerprint, &window.to_be_bytes());
        fingerprint = fnv(fingerprint, name.as_bytes());
        Self {
            limit,
            segments,
            window,
            segment: window.div_ceil(segments as u64),
            name,
            fingerprint,
        }
    }
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
