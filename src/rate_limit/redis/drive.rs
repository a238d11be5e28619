//! [`OnTheWay`]: somebody is on the way, and takes others with him when he is back.

use std::{
    future::{poll_fn, ready},
    mem,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Instant,
};

use tokio::{runtime::Handle, task::yield_now};

use super::{Inner, coalesce::LaneOf, group::Few, together::Together};
use crate::{
    rate_limit::Decisions,
    store::{Reply, StoreError, StoreErrorKind},
};

/// Somebody is on the way. Whatever becomes of him, those who wait go next.
pub(super) struct OnTheWay {
    pub(super) inner: Arc<Inner>,
    pub(super) lane: LaneOf,
    pub(super) ticket: u64,
    /// Where he set out: he may be dropped where there is no runtime, and others wait in this one.
    pub(super) runtime: Option<Handle>,
}

/// Who asked, and what each was answered.
type Back = (Vec<Together>, Vec<Result<Few<Decisions>, StoreError>>);

/// Those who are away.
type Going = Pin<Box<dyn Future<Output = Back> + Send>>;

impl OnTheWay {
    /// One request that goes by itself.
    pub(super) fn alone(self, alone: [Together; 1]) -> Reply<Decisions> {
        Reply::Wait(Box::pin(async move {
            let mut answers = self.inner.ask(&alone, false).await;
            let corrupt = || StoreError::new(StoreErrorKind::Corrupt);
            let mut decisions = answers.pop().ok_or_else(corrupt)??;
            decisions.pop().ok_or_else(corrupt)
        }))
    }

    /// Goes with those who wait, in the background: with none, with those who come until it begins.
    pub(super) fn begin(self, waiting: Vec<Together>) {
        // Outside of a runtime nobody waits any more: their senders are dropped with them.
        let here = Handle::try_current().ok();
        if let Some(runtime) = here.or_else(|| self.runtime.clone()) {
            runtime.spawn(self.drive(waiting));
        } else {
            self.inner.coalescer.give_up(self.lane);
        }
    }

    /// Takes those who wait, and those who come meanwhile, until nobody waits.
    async fn drive(self, mut waiting: Vec<Together>) {
        let coalescer = &self.inner.coalescer;
        if waiting.is_empty() {
            yield_now().await;
            waiting = coalescer.gather(self.lane);
        }
        let mut going = self.go(waiting);
        loop {
            let (back, answers) = going.await;
            let ahead = coalescer.go_ahead(self.lane, self.ticket, back.len());
            going = if ahead.is_empty() {
                answer(back, answers);
                // Those who were answered may well ask again.
                yield_now().await;
                let next = coalescer.go_on(self.lane, self.ticket);
                if next.is_empty() {
                    return;
                }
                sent(self.go(next)).await
            } else {
                // They are sent before whoever is answered now can ask again.
                let going = sent(self.go(ahead)).await;
                answer(back, answers);
                yield_now().await;
                going
            };
            if let Some((ticket, after)) = coalescer.go_after(self.lane) {
                self.with(ticket).begin(after);
            }
        }
    }

    /// Somebody else in the same lane.
    fn with(&self, ticket: u64) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            lane: self.lane,
            ticket,
            runtime: self.runtime.clone(),
        }
    }

    fn go(&self, mut waiting: Vec<Together>) -> Going {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            inner.serve(&mut waiting);
            inner.send_late_away(&mut waiting);
            if waiting.is_empty() {
                return (waiting, Vec::new());
            }
            let answers = inner.ask(&waiting, true).await;
            (waiting, answers)
        })
    }
}

impl Inner {
    /// Who could hardly be answered in time is no longer waited for, and others' time is not cut by his.
    fn send_late_away(&self, waiting: &mut Vec<Together>) {
        let now = Instant::now();
        // The last quarter is left for the trip itself.
        let patience = self.deadline - self.deadline / 4;
        for together in &mut *waiting {
            let late = together.send_away(now, patience);
            if late > 0 {
                let limits = together.group.limits.iter();
                let names = limits.map(|limit| limit.name.as_str());
                self.breaker.waited(names, late);
            }
        }
        waiting.retain(|together| !together.callers.is_empty());
    }
}

fn answer(back: Vec<Together>, answers: Vec<Result<Few<Decisions>, StoreError>>) {
    for (together, answer) in back.into_iter().zip(answers) {
        together.answer(answer);
    }
}

/// Begins to go, and lets the connection send it before it goes on: behind what is to be done already, but
/// before more is looked for.
async fn sent(mut going: Going) -> Going {
    let mut back = None;
    let mut begun = false;
    poll_fn(|context| {
        if mem::replace(&mut begun, true) {
            return Poll::Ready(());
        }
        match going.as_mut().poll(context) {
            Poll::Ready(done) => {
                back = Some(done);
                Poll::Ready(())
            }
            Poll::Pending => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await;
    match back {
        Some(back) => Box::pin(ready(back)),
        None => going,
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        let next = self.inner.coalescer.go_on(self.lane, self.ticket);
        if next.is_empty() {
            return;
        }
        self.with(self.ticket).begin(next);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot::{self, error::TryRecvError};

    use super::*;
    use crate::{
        rate_limit::{
            Hit, Quota, RedisRateLimits,
            redis::{
                group::{Costs, Group, group_identity},
                together::Caller,
            },
        },
        store::RedisStore,
    };

    #[test]
    fn who_has_waited_too_long_goes_nowhere_and_takes_no_time_from_others() {
        let store = RedisStore::new("redis://localhost").unwrap();
        let limits = RedisRateLimits::new(store.clone());
        let limits = limits.deadline(Duration::from_secs(40)).unwrap();
        let inner = &limits.0;
        let hits = [Hit::new(b"key", Quota::per_second(1), 1)];
        let id = group_identity(&inner.identities, &hits);
        let mut waiting = Vec::new();
        let mut answers = Vec::new();
        // A quarter of the deadline is left for the way.
        for waited in [[39, 31], [31, 1]] {
            let mut together = Together::new(Group::new(id, &inner.identities, &store, &hits));
            for seconds in waited {
                let (answer, hears) = oneshot::channel();
                together.callers.push(Caller {
                    costs: Costs::of(&hits),
                    said: 0,
                    since: Instant::now()
                        .checked_sub(Duration::from_secs(seconds))
                        .unwrap(),
                    answer,
                });
                answers.push(hears);
            }
            waiting.push(together);
        }
        inner.send_late_away(&mut waiting);
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].callers.len(), 1);
        let [.., stays] = &mut answers[..] else {
            panic!("four have asked");
        };
        assert!(matches!(stays.try_recv(), Err(TryRecvError::Empty)));
        for late in &mut answers[..3] {
            let answer = late.try_recv().unwrap();
            assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Timeout);
        }
    }
}
