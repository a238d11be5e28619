//! [`View`]: the segments in view as Redis holds them, and what they leave room for.
//!
//! It says what a [`SlidingWindow`](crate::rate_limit::SlidingWindow) would, from counts that others go on
//! changing, and for a caller who does not know to the nanosecond what time it is.

use std::{sync::Arc, time::Duration};

use super::time::Times;
use crate::rate_limit::{Decision, MAX_SEGMENTS, Quota};

/// All segments in view, one more while it is uncertain which is the newest, and what is ahead of them.
const CELLS: usize = MAX_SEGMENTS as usize + 3;

/// What was counted of a key, the oldest segment first.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The segment of the first count.
    first: u64,
    /// Which of the counts is the newest: the one that units are counted in.
    newest: usize,
    counts: [u32; CELLS],
    /// Nothing was counted for who asked now: the newest count holds as much as it can.
    pub(super) full: bool,
}

/// Which segments a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The oldest in view, at the earliest that it may be.
    pub(super) first: u64,
    /// The one to count in, at the latest that it may be.
    pub(super) place: u64,
}

impl Span {
    pub(super) fn of(quota: &Quota, times: &Times) -> Self {
        let (segment, in_view) = (quota.segment_nanos(), u64::from(quota.segment_count()));
        Self {
            first: (times.early / segment).saturating_sub(in_view),
            place: times.late / segment,
        }
    }
}

impl View {
    /// A view that holds nothing.
    pub(super) fn empty(span: Span) -> Self {
        // One cell is for what is ahead.
        let newest = usize::try_from(span.place.saturating_sub(span.first)).unwrap_or(usize::MAX);
        let newest = newest.min(CELLS - 2);
        Self {
            first: span.place - newest as u64,
            newest,
            counts: [0; CELLS],
            full: false,
        }
    }

    /// The view of these segments that was [`kept`](View::kept).
    pub(super) fn of(span: Span, kept: &[u32]) -> Self {
        let mut view = Self::empty(span);
        for (cell, count) in view.counts.iter_mut().zip(kept) {
            *cell = *count;
        }
        view
    }

    /// All counts, and what is ahead.
    pub(super) fn kept(&self) -> Arc<[u32]> {
        self.counts[..=self.newest + 1].into()
    }

    /// What the newest segment holds.
    pub(super) fn newest(&self) -> u32 {
        self.counts[self.newest]
    }

    /// There is at least so much ahead.
    pub(super) fn ahead_at_least(&mut self, count: u32) {
        let ahead = &mut self.counts[self.newest + 1];
        *ahead = count.max(*ahead);
    }

    /// Adds what a segment holds. What does not fit lies at an end: the oldest is told to leave later than
    /// it does, what is ahead to leave last.
    pub(super) fn add(&mut self, segment: u64, count: u32) {
        let at = usize::try_from(segment.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let cell = &mut self.counts[at.min(self.newest + 1)];
        *cell = cell.saturating_add(count);
    }

    /// Replaces what the newest segment holds.
    pub(super) fn set_newest(&mut self, count: u32) {
        self.counts[self.newest] = count;
    }

    /// Counts units in the newest segment.
    pub(super) fn take(&mut self, units: u32) {
        let cell = &mut self.counts[self.newest];
        *cell = cell.saturating_add(units);
    }

    /// Whether it holds more than can have been let in: units of others that are about to be given back.
    pub(super) fn is_over(&self, quota: &Quota) -> bool {
        self.used() > u64::from(quota.limit())
    }

    /// The room that is left.
    pub(super) fn room(&self, quota: &Quota) -> u32 {
        let used = u32::try_from(self.used()).unwrap_or(u32::MAX);
        quota.limit().saturating_sub(used)
    }

    /// Decides without counting, for somebody who asks at this time.
    pub(super) fn look(&self, quota: &Quota, cost: u32, asked: u64) -> Decision {
        let limit = quota.limit();
        let used = self.used();
        let room = self.room(quota);
        let oldest = self.counts.iter().position(|count| *count > 0);
        let reset_after = if used == 0 && (cost == 0 || cost > limit) {
            Duration::ZERO
        } else {
            self.until_gone(quota, oldest.unwrap_or(self.newest), asked)
        };
        if cost <= room && !(self.full && cost > 0) {
            return Decision::pass(limit, room - cost, reset_after);
        }
        let retry_after = (cost <= limit).then(|| {
            let free = self.until_free(quota, cost.saturating_sub(room), asked);
            free.max(Duration::from_nanos(1))
        });
        Decision::refuse(limit, room, reset_after, retry_after)
    }

    /// The counts of a segment, of those after it up to another, and then of those before it.
    pub(super) fn counts_about(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u32)> {
        let newest = self.first + self.newest as u64;
        let (from, to) = (from.min(newest), to.min(newest));
        let segments = (from..=to).chain((self.first..from.max(self.first)).rev());
        segments.filter_map(|segment| {
            let at = usize::try_from(segment.checked_sub(self.first)?).ok()?;
            Some((segment, *self.counts.get(at)?))
        })
    }

    fn used(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    fn until_free(&self, quota: &Quota, units: u32, asked: u64) -> Duration {
        let mut freed = 0_u32;
        for (at, count) in self.counts[..=self.newest].iter().enumerate() {
            freed = freed.saturating_add(*count);
            if freed >= units {
                return self.until_gone(quota, at, asked);
            }
        }
        self.until_gone(quota, self.newest + 1, asked)
    }

    /// How long until the segment of a cell has left the view.
    fn until_gone(&self, quota: &Quota, at: usize, asked: u64) -> Duration {
        let gone = (self.first + at as u64)
            .saturating_add(u64::from(quota.segment_count()) + 1)
            .saturating_mul(quota.segment_nanos());
        Duration::from_nanos(gone.saturating_sub(asked))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SEGMENT: u64 = 1_000_000;

    /// Asked at a true time by a process whose clock is wrong by `error`, and knows it is wrong by at most
    /// `bound`; answered `late` afterwards.
    #[derive(Clone, Debug)]
    struct Request {
        wait: u64,
        error: i64,
        slack: u64,
        late: u64,
        cost: u32,
    }

    fn requests() -> impl Strategy<Value = Vec<Request>> {
        let wait = prop_oneof![
            6 => 0..SEGMENT / 4,
            3 => 0..2 * SEGMENT,
            1 => 0..9 * SEGMENT
        ];
        let error = -3 * (SEGMENT as i64) / 2..3 * (SEGMENT as i64) / 2;
        let late = prop_oneof![4 => Just(0), 2 => 0..SEGMENT, 1 => 0..5 * SEGMENT];
        let request = (wait, error, 0..SEGMENT / 2, late, 1..4_u32).prop_map(
            |(wait, error, slack, late, cost)| Request {
                wait,
                error,
                slack,
                late,
                cost,
            },
        );
        prop::collection::vec(request, 1..200)
    }

    /// The argument of the module's documentation, played through: counts by segment instead of Redis.
    fn admitted(quota: &Quota, requests: &[Request]) -> Vec<(u64, u32)> {
        let (mut now, mut counts) = (1_000 * SEGMENT, BTreeMap::<u64, u32>::new());
        let (mut log, mut moves) = (Vec::new(), Vec::<(u64, u64, u64, u32)>::new());
        for request in requests {
            now += request.wait;
            // What was answered meanwhile after its segment was over stands where it belongs.
            moves.retain(|(at, from, to, units)| {
                if *at > now {
                    return true;
                }
                *counts.entry(*to).or_default() += units;
                *counts.get_mut(from).expect("it was counted") -= units;
                false
            });
            let bound = request.error.unsigned_abs() + request.slack;
            let times = |at: u64| {
                let told = at.checked_add_signed(request.error).unwrap();
                Times {
                    asked: told - bound,
                    early: told - bound,
                    late: told + bound,
                }
            };
            let span = Span::of(quota, &times(now));
            let mut view = View::empty(span);
            for (segment, count) in counts.range(span.first..) {
                view.add(*segment, *count);
            }
            if view.look(quota, request.cost, now).allowed {
                *counts.entry(span.place).or_default() += request.cost;
                let answered = now + request.late;
                log.push((answered, request.cost));
                let place = Span::of(quota, &times(answered)).place;
                if place > span.place {
                    moves.push((answered, span.place, place, request.cost));
                }
            }
        }
        log
    }

    fn most_in_a_window(quota: &Quota, log: &[(u64, u32)]) -> u32 {
        let window = quota.window_nanos();
        let held = |until: u64| {
            let inside = log
                .iter()
                .filter(|(at, _)| *at <= until && until - at < window);
            inside.map(|(_, cost)| cost).sum()
        };
        log.iter().map(|(at, _)| held(*at)).max().unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_window_holds_more_whatever_the_clocks_say(requests in requests(), limit in 1..20_u32) {
            for segments in [1, 2, 7, 16] {
                let window = Duration::from_nanos(SEGMENT * u64::from(segments));
                let quota = Quota::new(limit, window.max(Duration::from_millis(6)));
                let quota = quota.segments(segments.max(6));
                let log = admitted(&quota, &requests);
                prop_assert!(most_in_a_window(&quota, &log) <= limit);
            }
        }
    }

    #[test]
    fn what_is_ahead_counts_and_leaves_last() {
        let quota = Quota::per_second(10).segments(10);
        let times = Times::exactly(1_000_000_000_000);
        let span = Span::of(&quota, &times);
        let mut view = View::empty(span);
        view.add(span.place + 40, 7);
        view.add(span.first, 3);
        let refused = view.look(&quota, 4, times.asked);
        assert!(!refused.allowed && refused.remaining == 0);
        assert_eq!(refused.reset_after, Duration::from_millis(100));
        assert_eq!(refused.retry_after, Some(Duration::from_millis(1_200)));
        assert!(view.look(&quota, 0, times.asked).allowed);
    }
}
