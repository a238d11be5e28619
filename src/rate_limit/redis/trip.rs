//! One exchange about requests under the same limits.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use redis::{Pipeline, Value};

use super::{
    Inner,
    decide::{Deciding, Seen},
    group::{Group, Limit},
    time::{Now, Times},
    wire::{Counted, Placed, corrupt, expire_all},
};
use crate::{
    rate_limit::Decisions,
    store::{Call, StoreError, StoreErrorKind},
};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is to be asked about a limit.
pub(super) enum Asking {
    Window(Placed),
    /// The costs that a script is to try, one after the other.
    State(Vec<u32>),
}

/// Nothing is known of what was sent until it is answered.
struct Sent<'a> {
    inner: &'a Arc<Inner>,
    group: &'a Group,
    times: &'a [Times],
    answered: bool,
}

impl Inner {
    /// Decides about requests under the same limits, in one exchange, if Redis is there to be asked.
    pub(super) async fn ask(
        self: &Arc<Self>,
        group: &Group,
        requests: &[&[u32]],
        callers: u64,
        left: Duration,
    ) -> Result<Vec<Decisions>, StoreError> {
        let names = || group.limits.iter().map(|limit| limit.name.as_str());
        let asking = self.breaker.ask(names())?;
        let answer = self.trip(group, requests, callers, left).await;
        asking.heard(&answer);
        if answer.is_err() {
            // Each of them has failed.
            for _ in 1..requests.len() {
                self.breaker.ask(names())?.heard(&answer);
            }
        }
        answer
    }

    async fn trip(
        self: &Arc<Self>,
        group: &Group,
        requests: &[&[u32]],
        callers: u64,
        left: Duration,
    ) -> Result<Vec<Decisions>, StoreError> {
        let started = Instant::now();
        let now = self.now(callers, left).await?;
        let asked = Instant::now();
        let left = left.saturating_sub(asked - started);
        let changes: Vec<_> = group
            .limits
            .iter()
            .map(|limit| self.denied.change(limit.id))
            .collect();
        let times: Vec<_> = group
            .limits
            .iter()
            .map(|limit| self.time.of_key(now, &limit.quota, limit.id))
            .collect();
        let asking = self.asking(group, requests, &times);
        let mut sent = Sent {
            inner: self,
            group,
            times: &times,
            answered: false,
        };
        let call = Call::once().within(left);
        let counted = self.exchange(group, &asking, now, &times, call).await;
        sent.answered = true;
        drop(sent);
        let took = asked.elapsed();
        let mut error = None;
        if took > left {
            // This process stood still: meanwhile windows may have begun that others know of.
            error = Some(StoreError::new(StoreErrorKind::Timeout));
        }
        let counted: Vec<_> = counted
            .into_iter()
            .zip(&group.limits)
            .zip(&asking)
            .map(|((counted, limit), asking)| {
                counted
                    .inspect(|_| self.remember(limit, asking))
                    .map_err(|failed| {
                        self.forget(limit, asking);
                        error = Some(failed);
                    })
                    .ok()
            })
            .collect();
        let mut deciding = Deciding {
            group,
            seen: Vec::with_capacity(group.limits.len()),
            admitted: vec![0; group.limits.len()],
            begun: vec![false; group.limits.len()],
            times,
        };
        let mut decisions = Vec::new();
        if error.is_none() {
            let seen = counted
                .iter()
                .flatten()
                .map(|counted| match counted.blocked {
                    Some(until) => Seen::Blocked(until),
                    None => counted.seen.clone(),
                });
            deciding.seen.extend(seen);
            decisions.extend(requests.iter().map(|costs| deciding.decide(costs)));
            let taken = counted.iter().flatten().map(|counted| counted.taken);
            if taken
                .zip(&deciding.admitted)
                .any(|(taken, admitted)| taken < *admitted)
            {
                error = Some(corrupt());
            }
        }
        if error.is_some() {
            deciding.admitted.fill(0);
        }
        self.settle(&deciding, &asking, &counted, now, took);
        self.repair(group, &asking, &counted, now).await;
        if let Some(error) = error {
            return Err(error);
        }
        self.note(deciding, &changes, &decisions, now);
        Ok(decisions)
    }

    /// What is to be asked, so that all requests can be decided about that might be let in.
    fn asking(&self, group: &Group, requests: &[&[u32]], times: &[Times]) -> Vec<Asking> {
        let hopeful = |costs: &&&[u32]| {
            let most = |at: &usize| group.limits[*at].quota.burst_size();
            group
                .hits
                .iter()
                .zip(costs.iter())
                .all(|(at, cost)| *cost <= most(at))
        };
        let costs_of = |at: usize| {
            requests.iter().filter(hopeful).flat_map(move |costs| {
                let hits = group.hits.iter().zip(costs.iter());
                let under = hits.filter(move |(limit, cost)| **limit == at && **cost > 0);
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
                    Asking::Window(Placed::new(limit, times, units, &self.expiring))
                } else {
                    Asking::State(costs_of(at).collect())
                }
            })
            .collect()
    }

    /// Sends everything at once, and reads what was counted of each limit.
    async fn exchange(
        &self,
        group: &Group,
        asking: &[Asking],
        now: Now,
        times: &[Times],
        call: Call,
    ) -> Vec<Result<Counted, StoreError>> {
        let mut trips = Vec::<Vec<usize>>::new();
        for (at, limit) in group.limits.iter().enumerate() {
            let together = |trip: &&mut Vec<usize>| {
                let other = &group.limits[trip[0]];
                let near = !self.store.is_cluster() || other.tag() == limit.tag();
                limit.is_window() && other.is_window() && near
            };
            match trips.iter_mut().find(together) {
                Some(trip) => trip.push(at),
                None => trips.push(vec![at]),
            }
        }
        let ask = |trip: Vec<usize>| self.one_trip(group, asking, now, times, trip, call);
        if trips.len() == 1 {
            let trip = trips.pop().unwrap_or_default();
            let answers = ask(trip).await;
            return answers.into_iter().map(|(_, answer)| answer).collect();
        }
        let trips = trips
            .into_iter()
            .map(|trip| Box::pin(ask(trip)) as Boxed<'_, _>);
        let mut answers: Vec<_> = all(trips.collect()).await.into_iter().flatten().collect();
        answers.sort_unstable_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn one_trip(
        &self,
        group: &Group,
        asking: &[Asking],
        now: Now,
        times: &[Times],
        trip: Vec<usize>,
        call: Call,
    ) -> Vec<(usize, Result<Counted, StoreError>)> {
        if let ([at], Asking::State(costs)) = (&trip[..], &asking[trip[0]]) {
            let taken = self.take(&group.limits[*at], costs, true, &times[*at], call);
            return vec![(*at, taken.await)];
        }
        let mut pipeline = Pipeline::with_capacity(trip.len() * 4);
        let windows = || {
            trip.iter().filter_map(|at| match &asking[*at] {
                Asking::Window(placed) => Some((*at, placed)),
                Asking::State(_) => None,
            })
        };
        for (at, placed) in windows() {
            placed.write(&group.limits[at], now, &mut pipeline);
        }
        match self.store.pipeline::<Vec<Value>>(&pipeline, call).await {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                let read =
                    |(at, placed): (usize, &Placed)| (at, placed.read(&times[at], &mut answers));
                windows().map(read).collect()
            }
            Err(error) => windows().map(|(at, _)| (at, Err(error.clone()))).collect(),
        }
    }

    fn remember(&self, limit: &Limit, asking: &Asking) {
        if let Asking::Window(placed) = asking
            && placed.units > 0
        {
            self.expiring.remember(limit.id, placed.part());
        }
    }

    /// It is not known whether anything was counted.
    fn forget(&self, limit: &Limit, asking: &Asking) {
        if let Asking::Window(placed) = asking {
            self.expiring.forget(limit.id, placed.part());
        }
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        // The caller went away. If the key had been deleted meanwhile, it is new, and nobody reads that.
        for (limit, times) in self.group.limits.iter().zip(self.times) {
            if limit.is_window() {
                self.inner.send_behind(expire_all(limit, times));
            }
        }
    }
}

/// Waits for all of them, side by side.
async fn all<T>(mut futures: Vec<Boxed<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut waits = false;
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(answer) => *done = Some(answer),
                    Poll::Pending => waits = true,
                }
            }
        }
        if waits {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
