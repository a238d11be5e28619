//! Units ahead, with the trips and the requests.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use redis::Pipeline;
use tokio::{
    runtime::{Handle, Id},
    time::sleep,
};

use super::{CountedAt, Found, LIFE, Left, Ticket, Wish, until};
use crate::rate_limit::{
    Decision, Decisions, Hit,
    identity::Identity,
    redis::{
        Inner,
        decide::{Deciding, Seen},
        group::{Costs, Few, Limit},
        time::{Now, Times},
        together::Together,
        trip::Asking,
        view::Span,
        wire::{Counted, Placed},
    },
};

/// The runtimes in which somebody gives back what is left: one that stands idle keeps it from no other.
#[derive(Clone, Default)]
pub(in crate::rate_limit::redis) struct Carers(Arc<Mutex<Vec<Id>>>);

/// Somebody who gives back what is left, over when his runtime ends in whichever way.
struct Caring {
    carers: Carers,
    id: Id,
}

/// When a trip set out: no later than when it read the time, which was so.
#[derive(Clone, Copy)]
pub(in crate::rate_limit::redis) struct Out {
    pub(in crate::rate_limit::redis) now: Now,
    pub(in crate::rate_limit::redis) started: Instant,
    /// Whether it goes on whoever goes away.
    pub(in crate::rate_limit::redis) drives: bool,
}

impl Inner {
    /// The answer to a request that there are units for.
    pub(in crate::rate_limit::redis) fn ahead(
        &self,
        id: Identity,
        hits: &[Hit<'_>],
    ) -> Option<Decisions> {
        let [hit] = hits else {
            return None;
        };
        let (limit, cost) = (hit.quota().limit(), hit.cost());
        let taken = self.takes_ahead().then(Instant::now);
        let taken = taken.and_then(|now| self.ahead.take(id, limit, cost, now));
        taken.map(Decisions::one)
    }

    /// Whether it is better that who sets out about a key waits for those who come at the same moment.
    pub(in crate::rate_limit::redis) fn gathers(&self, id: Identity) -> bool {
        // Outside of a runtime nobody could set out before he is waited for.
        self.takes_ahead() && self.ahead.is_busy(id) && Handle::try_current().is_ok()
    }

    /// Answers those who have waited, as far as there are units by now.
    pub(in crate::rate_limit::redis) fn serve(&self, waiting: &mut Vec<Together>) {
        if !self.takes_ahead() {
            return;
        }
        let now = Instant::now();
        for Together { group, callers } in &mut *waiting {
            let [limit] = &group.limits[..] else {
                continue;
            };
            let quota = limit.quota.limit();
            let decisions = callers.iter().map_while(|caller| match caller.costs {
                Costs::One(cost) => self.ahead.take(group.id, quota, cost, now),
                Costs::Several(_) => None,
            });
            let decisions: Few<Decision> = decisions.collect();
            for (caller, decision) in callers.drain(..decisions.len()).zip(decisions) {
                let _ = caller.answer.send(Ok(Decisions::one(decision)));
            }
        }
        waiting.retain(|together| !together.callers.is_empty());
    }

    /// Lets a trip about one window take units ahead, if it may.
    pub(in crate::rate_limit::redis) fn take_ahead(
        self: &Arc<Self>,
        together: &Together,
        asking: &mut [Asking],
        times: &[Times],
        out: Out,
    ) -> Option<Ticket> {
        if !self.takes_ahead() || !out.drives || out.now.is_the_callers() {
            return None;
        }
        let Together { group, callers } = together;
        let ([limit], [times], [Asking::Window(placed)]) = (&group.limits[..], times, asking)
        else {
            return None;
        };
        let cost = cost_of_all(together)?;
        let requests = u32::try_from(callers.len()).ok()?;
        if cost == 0 || placed.units != cost.saturating_mul(requests) || placed.is_fresh() {
            return None;
        }
        let wish = Wish {
            id: group.id,
            limit: limit.quota.limit(),
            cost,
            requests,
            until: self.until(limit, placed, times, out),
        };
        let (ticket, left) = self.ahead.ask(&wish, Instant::now());
        if let Some(left) = left {
            self.give_back_left(left);
        }
        let ticket = ticket?;
        if self.kept.change(limit.id) != placed.change {
            // Of a block that began since nothing would be read, and what it was to end is ended already.
            return None;
        }
        placed.units = placed.units.saturating_add(ticket.units);
        Some(ticket)
    }

    /// How many of the units that were counted on a trip are not to be given back, as others may have them or as
    /// they are there no more. They may have them if all requests on the trip were let in.
    pub(in crate::rate_limit::redis) fn hold(
        self: &Arc<Self>,
        ticket: Ticket,
        together: &Together,
        deciding: &Deciding<'_>,
        counted: (&[Asking], &[Option<Counted>]),
        out: Out,
    ) -> u32 {
        let ([Asking::Window(placed)], [Some(counted)]) = counted else {
            return ticket.lost();
        };
        let ([limit], [times]) = (&together.group.limits[..], &deciding.times[..]) else {
            return ticket.lost();
        };
        let ([Seen::Window(view)], Some(cost)) = (&deciding.seen[..], cost_of_all(together)) else {
            return ticket.lost();
        };
        if view.full || !counted.short.is_empty() || counted.taken != placed.units {
            return ticket.lost();
        }
        let found = Found {
            limit: limit.quota.limit(),
            room: view.room(&limit.quota),
            reset_after: view.look(&limit.quota, cost, times.asked).reset_after,
            until: self.until(limit, placed, times, out),
            counted: CountedAt {
                group: Arc::clone(&together.group),
                segment: placed.span.place,
                now: out.now,
                asked: out.started,
            },
        };
        let units = ticket.found(found, Instant::now());
        if units > 0 {
            self.care();
        }
        units
    }

    /// Ends the units ahead of a limit that is about to be changed, and gives them back.
    pub(in crate::rate_limit::redis) fn give_back_ahead(self: &Arc<Self>, limit: &Limit) {
        if self.ahead.is_on()
            && let Some(left) = self.ahead.end(limit.id)
        {
            self.give_back_left(left);
        }
    }

    /// Ends those that were taken while it was changed. Whether what they were counted in is still there is not
    /// known, so they stay counted.
    pub(in crate::rate_limit::redis) fn discard_ahead(&self, limit: &Limit) {
        if self.ahead.is_on() {
            // Whoever sets out after this must not go by what was read before.
            self.changed(limit.id);
            self.ahead.end(limit.id);
        }
    }

    fn takes_ahead(&self) -> bool {
        // Where nothing is remembered, what others reset or block is heeded at once.
        self.ahead.is_on() && self.remembers
    }

    fn until(&self, limit: &Limit, placed: &Placed, times: &Times, out: Out) -> Instant {
        let counted = (times.late, placed.span.place);
        until(&limit.quota, counted, out.started, self.deadline)
    }

    fn give_back_left(self: &Arc<Self>, left: Left) {
        let Left { units, counted } = left;
        let [limit] = &counted.group.limits[..] else {
            return;
        };
        let now = counted.now.later(counted.asked.elapsed());
        let times = now.times(&limit.quota);
        let span = Span::of(&limit.quota, &times);
        if span.first > counted.segment {
            // It has left by itself.
            return;
        }
        self.denied.given_back(limit.id);
        if span.place > counted.segment {
            self.kept.changed(limit.id);
        }
        let mut behind = Pipeline::new();
        let placed = Placed::new(limit, &times, 0, &self.expiring, None);
        placed.give_back(limit, counted.segment, units, now, &mut behind);
        self.send_behind(behind);
    }

    /// Sees to it that what nobody comes for is given back.
    fn care(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let id = runtime.id();
        {
            let mut carers = self.carers.lock();
            if carers.contains(&id) {
                return;
            }
            carers.push(id);
        }
        let caring = Caring {
            carers: self.carers.clone(),
            id,
        };
        let inner = Arc::clone(self);
        runtime.spawn(async move {
            loop {
                sleep(LIFE / 4).await;
                let (left, more) = {
                    // Whoever holds units after this finds nobody who cares, what was held before is seen.
                    let mut carers = caring.carers.lock();
                    let swept = inner.ahead.sweep(Instant::now());
                    if !swept.1 {
                        carers.retain(|id| *id != caring.id);
                    }
                    swept
                };
                for left in left {
                    inner.give_back_left(left);
                }
                if !more {
                    return;
                }
            }
        });
    }
}

impl Carers {
    fn lock(&self) -> MutexGuard<'_, Vec<Id>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Caring {
    fn drop(&mut self) {
        // Should there be another by now, there will be a third: they do no harm to each other.
        self.carers.lock().retain(|id| *id != self.id);
    }
}

/// What each of the requests costs, if all cost the same.
fn cost_of_all(together: &Together) -> Option<u32> {
    let mut costs = together.callers.iter().map(|caller| match caller.costs {
        Costs::One(cost) => Some(cost),
        Costs::Several(_) => None,
    });
    let first = costs.next()??;
    costs.all(|cost| cost == Some(first)).then_some(first)
}
