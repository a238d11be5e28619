//! [`Coalescer`]: requests of one key at the same time travel together.
//!
//! Whoever comes first goes at once. Whoever comes while that one is on its way waits for it, and all who
//! wait go together in the next one: their costs are summed up, and what there is room for is shared out in
//! the order in which they came. Nobody waits for a timer.

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{runtime::Handle, sync::oneshot};

use super::{Asked, Inner};
use crate::{
    rate_limit::Decision,
    store::{StoreError, StoreErrorKind},
};

/// The most that travel together.
const MOST: usize = 256;

type Answer = Result<Decision, StoreError>;

/// Those who wait, for each key that somebody is on the way for.
#[derive(Clone, Default)]
pub(super) struct Coalescer(Arc<Mutex<HashMap<String, Vec<Waiting>>>>);

struct Waiting {
    cost: u32,
    answer: oneshot::Sender<Answer>,
}

/// On the way. Whatever becomes of it, those who wait go next.
struct OnTheWay {
    inner: Arc<Inner>,
    hit: Asked,
    callers: u64,
}

impl Coalescer {
    /// Decides about a request, together with others of its key.
    pub(super) async fn decide(&self, inner: &Arc<Inner>, hit: &Asked, now: u64) -> Answer {
        let waiting = {
            let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match keys.entry(hit.key.clone()) {
                Entry::Vacant(first) => {
                    first.insert(Vec::new());
                    None
                }
                Entry::Occupied(mut others) => {
                    let (answer, waiting) = oneshot::channel();
                    let cost = hit.cost;
                    others.get_mut().push(Waiting { cost, answer });
                    Some(waiting)
                }
            }
        };
        if let Some(waiting) = waiting {
            let lost = |_| StoreError::new(StoreErrorKind::Unreachable);
            return waiting.await.map_err(lost)?;
        }
        let _on_the_way = OnTheWay {
            inner: Arc::clone(inner),
            hit: hit.clone(),
            callers: now,
        };
        let mut decisions = inner.share_out(hit, &[hit.cost], now).await?;
        decisions
            .pop()
            .ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt))
    }

    /// Those who wait for a key; if nobody does, nobody is on the way for it any more.
    fn next(&self, key: &str) -> Vec<Waiting> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiting) = keys.get_mut(key) else {
            return Vec::new();
        };
        if waiting.is_empty() {
            keys.remove(key);
            return Vec::new();
        }
        let rest = waiting.split_off(waiting.len().min(MOST));
        mem::replace(waiting, rest)
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        let waiting = self.inner.coalescer.next(&self.hit.key);
        if waiting.is_empty() {
            return;
        }
        // Outside of a runtime nobody waits any more: their senders are dropped with them.
        if let Ok(runtime) = Handle::try_current() {
            let (inner, hit) = (Arc::clone(&self.inner), self.hit.clone());
            let callers = self.callers;
            runtime.spawn(async move {
                let on_the_way = OnTheWay {
                    inner,
                    hit,
                    callers,
                };
                let costs: Vec<_> = waiting.iter().map(|waiting| waiting.cost).collect();
                let OnTheWay { inner, hit, .. } = &on_the_way;
                let answer = match inner.now(callers).await {
                    Ok(now) => inner.share_out(hit, &costs, now).await,
                    Err(error) => Err(error),
                };
                match answer {
                    Ok(decisions) => {
                        for (waiting, decision) in waiting.into_iter().zip(decisions) {
                            // Who went away no longer wants to know.
                            let _ = waiting.answer.send(Ok(decision));
                        }
                    }
                    Err(error) => {
                        for waiting in waiting {
                            let _ = waiting.answer.send(Err(error.clone()));
                        }
                    }
                }
            });
        }
    }
}

impl Inner {
    /// Counts all of it, shares out what there is room for, and gives the rest back.
    async fn share_out(
        &self,
        hit: &Asked,
        costs: &[u32],
        now: u64,
    ) -> Result<Vec<Decision>, StoreError> {
        let quota = &hit.quota;
        // More than the limit can never be let in, and is not counted to be given back.
        let all = costs
            .iter()
            .fold(0_u32, |sum, cost| sum.saturating_add(*cost));
        let units = all.min(quota.limit());
        let mut seen = self.exchange(hit, units, now).await?;
        if let Some(left) = seen.blocked {
            if seen.counted {
                self.give_back(hit, units, now).await?;
            }
            let refused = Decision::refuse(quota.limit(), 0, left, Some(left));
            return Ok(vec![refused; costs.len()]);
        }
        let mut granted = 0;
        let (mut decisions, mut refused) = (Vec::with_capacity(costs.len()), false);
        for cost in costs {
            let decision = seen.window.look(quota, *cost, now);
            if decision.allowed {
                seen.window.take(*cost);
                granted += cost;
            }
            refused |= !decision.allowed;
            decisions.push(decision);
        }
        if !seen.counted {
            // Four bytes cannot hold more: there was no room for any of it.
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        self.give_back(hit, units - granted, now).await?;
        if refused && self.denies {
            self.denied.remember(&hit.key, quota, seen.window, now);
        }
        Ok(decisions)
    }
}
