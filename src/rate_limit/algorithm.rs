//! [`Algorithm`]: how a quota is counted.

/// How a quota is counted. The last of [`Quota::segments`](super::Quota::segments),
/// [`Quota::exact`](super::Quota::exact) and [`Quota::burst`](super::Quota::burst) decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// The window in segments, the oldest counted whole: [`SlidingWindow`](super::SlidingWindow).
    SlidingWindow,
    /// The time of every unit: [`SlidingLog`](super::SlidingLog).
    SlidingLog,
    /// A steady pace, and at most so many units at once: [`Gcra`](super::Gcra).
    Gcra,
}
