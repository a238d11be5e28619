//! One exchange with Redis about groups of requests, and what each request is answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::Pipeline;
use tokio::task::JoinHandle;

use super::{
    Inner,
    ahead::{Out, Ticket},
    breaker,
    commands::{corrupt, expire_all},
    decide::Deciding,
    denied::Change,
    group::{Few, Limit},
    kept::Reading,
    time::{Now, Times, nanos},
    together::Together,
    wire::{Counted, Placed},
};
use crate::{
    rate_limit::Decisions,
    store::{Call, StoreError, StoreErrorKind},
};

/// What is to be asked about a limit.
pub(super) enum Asking {
    Window(Placed),
    /// The costs that a script is to try, one after the other.
    State(Vec<u32>),
}

/// What one group asks.
pub(super) struct Asked<'g> {
    pub(super) together: &'g Together,
    pub(super) times: Few<Times>,
    /// The changes of its limits before.
    changes: Few<Change>,
    pub(super) asking: Few<Asking>,
    /// If it takes units ahead.
    ticket: Option<Ticket>,
}

/// Nothing is known of what was sent until it is answered.
struct Sent<'a> {
    inner: &'a Arc<Inner>,
    asked: &'a [Asked<'a>],
    answered: bool,
}

impl Inner {
    /// Decides about requests in one exchange, if Redis is there to be asked. Those of several groups are all
    /// under windows, on a server that has them all. Who drives goes on whichever callers go away.
    pub(super) async fn ask(
        self: &Arc<Self>,
        requests: &[Together],
        drives: bool,
    ) -> Vec<Result<Few<Decisions>, StoreError>> {
        let names = || {
            let limits = requests.iter().flat_map(|together| &together.group.limits);
            limits.map(|limit| limit.name.as_str())
        };
        let asking = match self.breaker.ask(names()) {
            Ok(asking) => asking,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let answers = match self.trip(requests, drives).await {
            Ok(answers) => answers,
            Err(error) => requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let heard = breaker::heard_of(&answers);
        asking.heard(&heard);
        if heard.is_err() {
            // Each of them has failed.
            for _ in requests
                .iter()
                .flat_map(|together| &together.callers)
                .skip(1)
            {
                if let Ok(asking) = self.breaker.ask(names()) {
                    asking.heard(&heard);
                }
            }
        }
        answers
    }

    async fn trip(
        self: &Arc<Self>,
        requests: &[Together],
        drives: bool,
    ) -> Result<Vec<Result<Few<Decisions>, StoreError>>, StoreError> {
        let callers = requests.iter().flat_map(|together| &together.callers);
        let said = callers.map(|caller| caller.said).max().unwrap_or(0);
        let started = Instant::now();
        let first = requests.iter().filter_map(Together::since).min();
        let waited = started.saturating_duration_since(first.unwrap_or(started));
        let left = self.deadline.saturating_sub(waited);
        let now = self.now(said, left).await?;
        let at = Instant::now();
        let left = left.saturating_sub(at - started);
        let out = Out {
            now,
            started,
            drives,
        };
        let asked: Vec<_> = requests
            .iter()
            .map(|together| self.asked(together, out))
            .collect();
        let mut sent = Sent {
            inner: self,
            asked: &asked,
            answered: false,
        };
        let call = Call::once().within(left);
        let counted = match &asked[..] {
            [one] => vec![self.exchange(one, now, call).await],
            _ => self.exchange_all(&asked, now, call).await,
        };
        sent.answered = true;
        drop(sent);
        let took = at.elapsed();
        let (mut answers, mut repairing) = (Vec::with_capacity(asked.len()), Vec::new());
        for (asked, counted) in asked.into_iter().zip(counted) {
            // A process that stood still does not know which windows have begun meanwhile.
            let late = (took > left).then(|| StoreError::new(StoreErrorKind::Timeout));
            answers.push(self.answer(asked, counted, late, (out, took), &mut repairing));
        }
        for repair in repairing {
            // Whoever reads it next would try again.
            let _ = repair.await;
        }
        Ok(answers)
    }

    fn asked<'g>(self: &Arc<Self>, together: &'g Together, out: Out) -> Asked<'g> {
        let (limits, now) = (&together.group.limits, out.now);
        let change = |limit: &Limit| self.denied.change(limit.id);
        let time = |limit: &Limit| self.time.of_key(now, &limit.quota, limit.id);
        let times: Few<_> = limits.iter().map(time).collect();
        let changes = limits.iter().map(change).collect();
        let mut asking = self.asking(together, &times, now);
        Asked {
            ticket: self.take_ahead(together, &mut asking, &times, out),
            changes,
            asking,
            together,
            times,
        }
    }

    /// Decides about the requests of a group, from what was read of its limits.
    fn answer(
        self: &Arc<Self>,
        asked: Asked<'_>,
        counted: Few<Result<Counted, StoreError>>,
        mut error: Option<StoreError>,
        (out, took): (Out, Duration),
        repairing: &mut Vec<JoinHandle<()>>,
    ) -> Result<Few<Decisions>, StoreError> {
        let Asked {
            together,
            times,
            mut changes,
            asking,
            ticket,
        } = asked;
        let (Together { group, callers }, now) = (together, out.now);
        let limits = group.limits.iter().zip(&asking);
        let mut counted: Few<_> = counted
            .into_iter()
            .zip(limits)
            .map(|(counted, (limit, asking))| match counted {
                Ok(counted) => {
                    self.remember(limit, asking);
                    Some(counted)
                }
                Err(failed) => {
                    if let Asking::Window(placed) = asking {
                        self.forget(limit, placed, now);
                    }
                    error = Some(failed);
                    None
                }
            })
            .collect();
        let mut deciding = Deciding::new(group, times);
        let mut decisions = Few::new();
        if error.is_none() {
            let seen = counted.iter_mut().flatten().map(Counted::take_seen);
            deciding.seen.extend(seen);
            let costs = callers.iter().map(|caller| caller.costs.as_slice());
            decisions.extend(costs.map(|costs| deciding.decide(costs)));
            let taken = counted.iter().flatten().map(|counted| counted.taken);
            let mut pairs = taken.zip(&deciding.admitted);
            if pairs.any(|(taken, admitted)| taken < *admitted) {
                error = Some(corrupt());
            }
        }
        if error.is_some() {
            deciding.admitted.fill(0);
        }
        let held = ticket.map_or(0, |ticket| {
            if error.is_none() && decisions.iter().all(Decisions::allowed) {
                self.hold(ticket, together, &deciding, (&asking, &counted), out)
            } else {
                ticket.lost()
            }
        });
        let held = (held, now, took);
        self.settle(&deciding, &asking, &counted, &mut changes, held);
        if counted
            .iter()
            .flatten()
            .any(|counted| !counted.short.is_empty())
        {
            self.repair(group, &asking, &counted, now, repairing);
        }
        if let Some(error) = error {
            return Err(error);
        }
        self.keep(&deciding, &asking, now);
        self.note(deciding, &changes, &decisions, now);
        Ok(decisions)
    }

    /// What is to be asked, so that all requests can be decided about that might be let in.
    fn asking(&self, together: &Together, times: &[Times], now: Now) -> Few<Asking> {
        let Together { group, callers } = together;
        let hopeful = |costs: &&[u32]| {
            let most = |hit: usize| group.limits[group.under(hit)].quota.burst_size();
            let mut hits = costs.iter().enumerate();
            hits.all(|(hit, cost)| *cost <= most(hit))
        };
        let costs_of = |at: usize| {
            let requests = callers.iter().map(|caller| caller.costs.as_slice());
            requests.filter(hopeful).flat_map(move |costs| {
                let hits = costs.iter().enumerate();
                let under = hits.filter(move |(hit, cost)| group.under(*hit) == at && **cost > 0);
                under.map(|(_, cost)| *cost)
            })
        };
        let limits = group.limits.iter().zip(times).enumerate();
        limits
            .map(|(at, (limit, times))| {
                if limit.is_window() {
                    // More than the limit can never be let in, and is not counted to be given back.
                    let sum = costs_of(at).fold(0_u32, u32::saturating_add);
                    let units = sum.min(limit.quota.limit());
                    Asking::Window(self.placed(limit, *times, units, now))
                } else {
                    Asking::State(costs_of(at).collect())
                }
            })
            .collect()
    }

    /// Where units are to be counted, and what must be read for it.
    fn placed(&self, limit: &Limit, times: Times, units: u32, now: Now) -> Placed {
        let reading = Reading {
            quota: &limit.quota,
            times,
            now,
            change: self.kept.change(limit.id),
        };
        let remembered = if self.remembers && units > 0 {
            self.kept.find(limit.id, &reading, self.way(now))
        } else {
            None
        };
        let mut placed = Placed::new(limit, &times, units, &self.expiring, remembered);
        placed.change = reading.change;
        placed
    }

    /// How long a request may be on its way, in nanoseconds; where time is what the callers say, none passes.
    pub(super) fn way(&self, now: Now) -> u64 {
        if now.is_the_callers() {
            0
        } else {
            nanos(self.deadline)
        }
    }

    fn remember(&self, limit: &Limit, asking: &Asking) {
        if let Asking::Window(placed) = asking
            && placed.units > 0
            && placed.is_whole()
        {
            self.expiring.remember(limit.id, placed.part());
        }
    }

    /// It is not known whether anything was counted. If the key had been deleted meanwhile, it may be new, and
    /// nobody has read that.
    pub(super) fn forget(self: &Arc<Self>, limit: &Limit, placed: &Placed, now: Now) {
        self.expiring.forget(limit.id, placed.part());
        let mut behind = Pipeline::new();
        placed.let_expire(limit, now, &mut behind);
        self.send_behind(behind);
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        // The caller went away. If the key had been deleted meanwhile, it is new, and nobody reads that.
        for Asked {
            together, times, ..
        } in self.asked
        {
            for (limit, times) in together.group.limits.iter().zip(times) {
                if limit.is_window() {
                    self.inner.send_behind(expire_all(limit, times));
                }
            }
        }
    }
}
