//! [`Decision`] and [`Decisions`]: what was decided about a request, limit by limit.

use std::time::Duration;

/// What one limit says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether this limit has room for the request.
    pub allowed: bool,
    /// The units that a window may hold.
    pub limit: u32,
    /// The units that are left, after this request if it was let in.
    pub remaining: u32,
    /// When `remaining` next grows by itself, exactly; zero if nothing is used.
    pub reset_after: Duration,
    /// When this very request would find room, exactly and never zero; `None` if it has room now, and if
    /// it costs more than the limit and can never have.
    pub retry_after: Option<Duration>,
}

impl Decision {
    /// A decision to let in.
    #[must_use]
    pub const fn pass(limit: u32, remaining: u32, reset_after: Duration) -> Self {
        Self {
            allowed: true,
            limit,
            remaining,
            reset_after,
            retry_after: None,
        }
    }

    /// A decision to refuse.
    #[must_use]
    pub const fn refuse(
        limit: u32,
        remaining: u32,
        reset_after: Duration,
        retry_after: Option<Duration>,
    ) -> Self {
        Self {
            allowed: false,
            limit,
            remaining,
            reset_after,
            retry_after,
        }
    }
}

/// What is left to a request that was let in: as much of a [`Decision`] as is worth carrying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) remaining: u32,
    /// In nanoseconds.
    pub(super) reset_after: u64,
}

impl Room {
    pub(super) fn decision(self, limit: u32) -> Decision {
        Decision::pass(
            limit,
            self.remaining,
            Duration::from_nanos(self.reset_after),
        )
    }
}

/// The decisions about one request, one for each limit and in the order they were asked.
///
/// They stand together: if one refuses, the request is refused, and then nothing was counted by any.
/// One decision needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    first: Decision,
    rest: Vec<Decision>,
}

impl Decisions {
    /// The decision of one limit.
    #[must_use]
    pub const fn one(decision: Decision) -> Self {
        Self {
            first: decision,
            rest: Vec::new(),
        }
    }

    /// The decisions of several limits.
    #[must_use]
    pub const fn several(first: Decision, rest: Vec<Decision>) -> Self {
        Self { first, rest }
    }

    /// Whether all limits have room, and the request was counted.
    #[must_use]
    #[inline]
    pub fn allowed(&self) -> bool {
        self.first.allowed && self.rest.iter().all(|decision| decision.allowed)
    }

    /// When the request would find room with all of them: the latest of theirs. `None` if it has room now,
    /// or can never have.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.iter()
            .filter(|decision| !decision.allowed)
            .map(|decision| decision.retry_after)
            // `None` is the least of options, but here it means never.
            .try_fold(None, |latest, retry| Some(latest.max(Some(retry?))))?
    }

    pub(super) fn replace(&mut self, at: usize, decision: Decision) {
        if let Some(replaced) = self.at(at) {
            *replaced = decision;
        }
    }

    pub(super) fn replace_if_allowed(&mut self, at: usize, decision: Decision) {
        if let Some(replaced) = self.at(at).filter(|replaced| replaced.allowed) {
            *replaced = decision;
        }
    }

    fn at(&mut self, at: usize) -> Option<&mut Decision> {
        at.checked_sub(1)
            .map_or(Some(&mut self.first), |at| self.rest.get_mut(at))
    }

    /// The decisions, in the order of the limits.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Decision> {
        Both(Some(&self.first), self.rest.iter())
    }
}

impl From<Decision> for Decisions {
    fn from(decision: Decision) -> Self {
        Self::one(decision)
    }
}

/// One, then the others.
struct Both<'a>(Option<&'a Decision>, std::slice::Iter<'a, Decision>);

impl<'a> Iterator for Both<'a> {
    type Item = &'a Decision;

    fn next(&mut self) -> Option<&'a Decision> {
        self.0.take().or_else(|| self.1.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = usize::from(self.0.is_some()) + self.1.len();
        (count, Some(count))
    }
}

impl ExactSizeIterator for Both<'_> {}
