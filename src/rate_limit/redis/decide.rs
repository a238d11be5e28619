//! What was seen of limits, and what that says to the requests that were counted.

use std::time::Duration;

use smallvec::smallvec;

use super::{
    denied::Known,
    group::{Few, Group, Limit},
    time::{Now, ServerTime, Times},
    view::View,
};
use crate::rate_limit::{Decision, Decisions, Gcra, Hit, Quota, SlidingLog};

/// What was counted of a limit, before what was counted for those who asked.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "most are windows, and few are kept"
)]
pub(super) enum Seen {
    Window(View),
    Log(SlidingLog),
    Pace(Gcra),
    /// Until then.
    Blocked(u64),
}

impl Seen {
    pub(super) fn look(&mut self, quota: &Quota, cost: u32, times: &Times) -> Decision {
        match self {
            Self::Window(view) => view.look(quota, cost, times.asked),
            Self::Log(log) => log.look(quota, cost, times.asked),
            Self::Pace(pace) => pace.look(quota, cost, times.asked),
            Self::Blocked(until) => {
                let left = Duration::from_nanos(until.saturating_sub(times.asked));
                Decision::refuse(quota.limit(), 0, left, Some(left))
            }
        }
    }

    fn take(&mut self, quota: &Quota, cost: u32, times: &Times) {
        match self {
            Self::Window(view) => view.take(cost),
            Self::Log(log) => log.take(cost, times.late),
            Self::Pace(pace) => pace.take(quota, cost, times.asked),
            Self::Blocked(_) => {}
        }
    }

    /// Whether it is not a block that is over.
    pub(super) fn is_in_force(&self, times: &Times) -> bool {
        !matches!(self, Self::Blocked(until) if *until <= times.asked)
    }

    /// The units more that fit.
    pub(super) fn room(&mut self, quota: &Quota, times: &Times) -> u32 {
        self.look(quota, 0, times).remaining
    }

    /// Whether nothing that it counts is about to be given back, so that it may be remembered.
    pub(super) fn is_settled(&self, quota: &Quota) -> bool {
        match self {
            Self::Window(view) => !view.full && !view.is_over(quota),
            // 64 times are half a kilobyte. Longer ones are not worth their memory.
            Self::Log(_) => quota.limit() <= 64,
            Self::Pace(_) | Self::Blocked(_) => true,
        }
    }
}

/// The limits as they are while requests are decided about, one after the other.
pub(super) struct Deciding<'g> {
    pub(super) group: &'g Group,
    pub(super) times: Few<Times>,
    pub(super) seen: Few<Seen>,
    /// The units that were let in under each limit.
    pub(super) admitted: Few<u32>,
    /// Whether anything was ever, also if it was taken back.
    pub(super) begun: Few<bool>,
}

impl<'g> Deciding<'g> {
    /// Before anything was seen.
    pub(super) fn new(group: &'g Group, times: Few<Times>) -> Self {
        let limits = group.limits.len();
        Self {
            group,
            times,
            seen: Few::with_capacity(limits),
            admitted: smallvec![0; limits],
            begun: smallvec![false; limits],
        }
    }
}

impl Deciding<'_> {
    /// Decides about a request as memory does: each limit is looked at by itself, then all are counted or
    /// none.
    pub(super) fn decide(&mut self, costs: &[u32]) -> Decisions {
        let group = self.group;
        let limit = |at: usize| &group.limits[at];
        if let (&[cost], at) = (costs, 0) {
            let decision = self.seen[at].look(&limit(at).quota, cost, &self.times[at]);
            if decision.allowed {
                self.take(at, cost);
            }
            return Decisions::one(decision);
        }
        let hits = || {
            let hits = costs.iter().enumerate();
            hits.map(|(hit, cost)| (group.under(hit), *cost))
        };
        let mut decisions = collect(hits().map(|(at, cost)| self.look(at, cost)));
        if decisions.allowed() {
            let before = (self.seen.clone(), self.admitted.clone());
            for (index, (at, cost)) in hits().enumerate() {
                let decision = self.look(at, cost);
                decisions.replace(index, decision);
                if !decision.allowed {
                    // The same counts were asked for twice.
                    (self.seen, self.admitted) = before;
                    break;
                }
                self.take(at, cost);
            }
        }
        if !decisions.allowed() {
            for (index, (at, _)) in hits().enumerate() {
                let idle = self.look(at, 0);
                decisions.replace_if_allowed(index, idle);
            }
        }
        decisions
    }

    fn look(&mut self, at: usize, cost: u32) -> Decision {
        let Limit { quota, .. } = &self.group.limits[at];
        self.seen[at].look(quota, cost, &self.times[at])
    }

    fn take(&mut self, at: usize, cost: u32) {
        let Limit { quota, .. } = &self.group.limits[at];
        self.seen[at].take(quota, cost, &self.times[at]);
        self.admitted[at] += cost;
        self.begun[at] |= cost > 0;
    }
}

/// The refusal of a request whose limits were seen before, if it is one.
pub(super) fn refused(
    limits: &mut [Known],
    hits: &[Hit<'_>],
    time: &ServerTime,
    now: Now,
) -> Option<Decisions> {
    let mut look = |asks: bool| {
        let seen = limits.iter_mut().zip(hits).map(|(known, hit)| {
            let times = time.of_key(now, hit.quota(), known.id);
            let cost = if asks { hit.cost() } else { 0 };
            known.seen.look(hit.quota(), cost, &times)
        });
        collect(seen)
    };
    let mut decisions = look(true);
    if decisions.allowed() {
        return None;
    }
    if hits.len() > 1 {
        let idle = look(false);
        for (index, idle) in idle.iter().enumerate() {
            decisions.replace_if_allowed(index, *idle);
        }
    }
    Some(decisions)
}

/// There is always one.
fn collect(mut decisions: impl Iterator<Item = Decision>) -> Decisions {
    let nothing = Decision::refuse(0, 0, Duration::ZERO, None);
    let first = decisions.next().unwrap_or(nothing);
    Decisions::several(first, decisions.collect())
}
