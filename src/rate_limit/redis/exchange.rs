//! What is asked, on its way to Redis and back.

use std::{future::poll_fn, pin::Pin, task::Poll};

use redis::Pipeline;

use super::{
    Inner,
    group::{Few, Limit},
    time::{Now, Times},
    trip::{Asked, Asking},
    wire::{Counted, Placed},
};
use crate::store::{Call, StoreError};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

type Window<'a> = (&'a Limit, &'a Placed, &'a Times);

impl Inner {
    /// Sends everything at once, and reads what was counted of each limit.
    pub(super) async fn exchange(
        &self,
        asked: &Asked<'_>,
        now: Now,
        call: Call,
    ) -> Few<Result<Counted, StoreError>> {
        let limits = &asked.together.group.limits;
        let mut trips = Vec::<Vec<usize>>::new();
        for (at, limit) in limits.iter().enumerate() {
            let together = |trip: &&mut Vec<usize>| {
                let other = &limits[trip[0]];
                let near = !self.store.is_cluster() || other.tag() == limit.tag();
                limit.is_window() && other.is_window() && near
            };
            match trips.iter_mut().find(together) {
                Some(trip) => trip.push(at),
                None => trips.push(vec![at]),
            }
        }
        let ask = |trip: Vec<usize>| self.one_trip(asked, now, trip, call);
        if trips.len() == 1 {
            let trip = trips.pop().unwrap_or_default();
            let answers = ask(trip).await;
            return answers.into_iter().map(|(_, answer)| answer).collect();
        }
        let trips = trips
            .into_iter()
            .map(|trip| Box::pin(ask(trip)) as Boxed<'_, _>);
        let answers = all(trips.collect()).await;
        let mut answers: Vec<_> = answers.into_iter().flatten().collect();
        answers.sort_unstable_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn one_trip(
        &self,
        asked: &Asked<'_>,
        now: Now,
        trip: Vec<usize>,
        call: Call,
    ) -> Vec<(usize, Result<Counted, StoreError>)> {
        let Asked {
            together,
            times,
            asking,
            ..
        } = asked;
        let limits = &together.group.limits;
        if let ([at], Asking::State(costs)) = (&trip[..], &asking[trip[0]]) {
            let taken = self.take(&limits[*at], costs, true, &times[*at], call);
            return vec![(*at, taken.await)];
        }
        let windows = trip.iter().filter_map(|at| match &asking[*at] {
            Asking::Window(placed) => Some((&limits[*at], placed, &times[*at])),
            Asking::State(_) => None,
        });
        let windows: Vec<Window<'_>> = windows.collect();
        let answers = self.one_pipeline(&windows, now, call).await;
        trip.iter().copied().zip(answers).collect()
    }

    /// Sends what all groups ask, and reads what was counted of the limits of each. All limits are windows, as
    /// answers are dealt out by their number: only groups of windows share a lane.
    pub(super) async fn exchange_all(
        &self,
        asked: &[Asked<'_>],
        now: Now,
        call: Call,
    ) -> Vec<Few<Result<Counted, StoreError>>> {
        let windows = asked.iter().flat_map(|asked| {
            let limits = asked.together.group.limits.iter();
            let limits = limits.zip(&asked.asking).zip(&asked.times);
            limits.filter_map(|((limit, asking), times)| match asking {
                Asking::Window(placed) => Some((limit, placed, times)),
                Asking::State(_) => None,
            })
        });
        let windows: Vec<Window<'_>> = windows.collect();
        debug_assert_eq!(
            windows.len(),
            asked.iter().map(|asked| asked.asking.len()).sum::<usize>()
        );
        let answers = self.one_pipeline(&windows, now, call).await;
        let mut answers = answers.into_iter();
        let of = |asked: &Asked<'_>| answers.by_ref().take(asked.asking.len()).collect();
        asked.iter().map(of).collect()
    }

    async fn one_pipeline(
        &self,
        windows: &[Window<'_>],
        now: Now,
        call: Call,
    ) -> Vec<Result<Counted, StoreError>> {
        let mut pipeline = Pipeline::with_capacity(2 * windows.len());
        for (limit, placed, _) in windows {
            placed.write(limit, now, &mut pipeline);
        }
        match self.store.each(&pipeline, call).await {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                let windows = windows.iter();
                windows
                    .map(|(_, placed, times)| placed.read(times, &mut answers))
                    .collect()
            }
            Err(error) => windows.iter().map(|_| Err(error.clone())).collect(),
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
