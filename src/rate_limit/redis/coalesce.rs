//! [`Coalescer`]: requests under the same limits at the same time travel together.
//!
//! Whoever comes first goes at once. Whoever comes while that one is on its way waits for it, and all who
//! wait go together in the next one: their costs are summed up, and what there is room for is shared out in
//! the order in which they came. Nobody waits for a timer.
//!
//! Requests under the very same limits (an address held to a quota a second and another an hour, say) go
//! together. Limits that others share besides are not waited for, so nobody waits in a circle: two exchanges
//! about one key are then under way at once, and Redis puts them in order.

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::oneshot, time::sleep};

use super::{
    Inner,
    group::{Costs, Group},
};
use crate::{
    rate_limit::{Decisions, identity::Identity},
    store::{StoreError, StoreErrorKind},
};

/// The most that travel together.
const MOST: usize = 1_024;

/// The ticket of those who go alone, and whom nobody waits for.
pub(super) const ALONE: u64 = u64::MAX;

const SHARDS: usize = 64;

pub(super) type Answer = Result<Decisions, StoreError>;

type Queues = HashMap<(u64, u64), Queue>;

/// Those who wait, for each group that somebody is on the way for.
#[derive(Clone)]
pub(super) struct Coalescer(Arc<Shared>);

struct Shared {
    shards: [Mutex<Queues>; SHARDS],
    tickets: AtomicU64,
    watched: AtomicBool,
}

struct Queue {
    /// Whose it is: who is on the way.
    ticket: u64,
    since: Instant,
    waiting: Vec<Waiting>,
}

struct Waiting {
    costs: Costs,
    callers: u64,
    since: Instant,
    answer: oneshot::Sender<Answer>,
}

/// What becomes of a request.
pub(super) enum Joined {
    /// It goes at once, with this ticket.
    First(u64),
    Waits(oneshot::Receiver<Answer>),
}

/// Somebody is on the way. Whatever becomes of him, those who wait go next.
pub(super) struct OnTheWay {
    pub(super) inner: Arc<Inner>,
    pub(super) group: Arc<Group>,
    pub(super) ticket: u64,
}

impl Default for Coalescer {
    fn default() -> Self {
        Self(Arc::new(Shared {
            shards: std::array::from_fn(|_| Mutex::default()),
            tickets: AtomicU64::new(0),
            watched: AtomicBool::new(false),
        }))
    }
}

impl Coalescer {
    pub(super) fn join(&self, group: Identity, costs: Costs, callers: u64) -> Joined {
        match self.shard(group).entry((group.first, group.second)) {
            Entry::Vacant(first) => {
                let ticket = self.0.tickets.fetch_add(1, Ordering::Relaxed);
                first.insert(Queue {
                    ticket,
                    since: Instant::now(),
                    waiting: Vec::new(),
                });
                Joined::First(ticket)
            }
            Entry::Occupied(mut others) => {
                let (answer, waits) = oneshot::channel();
                others.get_mut().waiting.push(Waiting {
                    costs,
                    callers,
                    since: Instant::now(),
                    answer,
                });
                Joined::Waits(waits)
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
    fn shard(&self, group: Identity) -> MutexGuard<'_, Queues> {
        let shard = &self.0.shards[(group.spread() >> 32) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who wait; if nobody does, nobody is on the way any more.
    fn next(&self, group: Identity, ticket: u64) -> Vec<Waiting> {
        let mut queues = self.shard(group);
        let Entry::Occupied(mut queue) = queues.entry((group.first, group.second)) else {
            return Vec::new();
        };
        if queue.get().ticket != ticket {
            return Vec::new();
        }
        let waiting = &mut queue.get_mut().waiting;
        let rest = waiting.split_off(waiting.len().min(MOST));
        let mut next = mem::replace(waiting, rest);
        // Who went away no longer wants to know.
        next.retain(|waiting| !waiting.answer.is_closed());
        if next.is_empty() {
            queue.remove();
        } else {
            queue.get_mut().since = Instant::now();
        }
        next
    }

    /// Sees to it that nobody waits for ever for somebody who stands still: a first request whose future is
    /// kept, but no longer polled.
    pub(super) fn watch(&self, deadline: Duration) {
        if self.0.watched.load(Ordering::Relaxed) || self.0.watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let watching = Watching(Arc::clone(&self.0));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                loop {
                    sleep(deadline / 8).await;
                    if !watching.0.sweep(deadline) {
                        return;
                    }
                }
            });
        }
    }
}

/// The watch, over when it ends in whichever way.
struct Watching(Arc<Shared>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watched.store(false, Ordering::Release);
    }
}

impl Shared {
    /// Answers those who have waited too long, and says whether anybody still waits.
    fn sweep(&self, deadline: Duration) -> bool {
        let mut waits = false;
        for shard in &self.shards {
            let mut queues = shard.lock().unwrap_or_else(PoisonError::into_inner);
            queues.retain(|_, queue| {
                let late = |since: Instant| since.elapsed() >= deadline;
                // In the order in which they came.
                let over = queue.waiting.partition_point(|waiting| late(waiting.since));
                for waiting in queue.waiting.drain(..over) {
                    let timeout = StoreError::new(StoreErrorKind::Timeout);
                    let _ = waiting.answer.send(Err(timeout));
                }
                waits |= !queue.waiting.is_empty();
                over == 0 || !late(queue.since)
            });
        }
        waits
    }
}

impl OnTheWay {
    /// Lets those who wait go next, if any do.
    fn go_on(&self) {
        let next = self.inner.coalescer.next(self.group.id, self.ticket);
        if next.is_empty() {
            return;
        }
        // Outside of a runtime nobody waits any more: their senders are dropped with them.
        if let Ok(runtime) = Handle::try_current() {
            let on_the_way = Self {
                inner: Arc::clone(&self.inner),
                group: Arc::clone(&self.group),
                ticket: self.ticket,
            };
            runtime.spawn(on_the_way.drive(next));
        } else {
            self.inner.coalescer.next(self.group.id, self.ticket);
        }
    }

    /// Takes those who wait, and those who come meanwhile, until nobody waits.
    async fn drive(self, mut waiting: Vec<Waiting>) {
        while !waiting.is_empty() {
            let costs: Vec<_> = waiting.iter().map(|one| one.costs.as_slice()).collect();
            let callers = waiting.iter().map(|one| one.callers).max().unwrap_or(0);
            let waited = waiting.iter().map(|one| one.since.elapsed()).max();
            let left = self
                .inner
                .deadline
                .saturating_sub(waited.unwrap_or_default());
            let answer = self.inner.ask(&self.group, &costs, callers, left).await;
            drop(costs);
            match answer {
                Ok(decisions) => {
                    for (one, decisions) in waiting.into_iter().zip(decisions) {
                        let _ = one.answer.send(Ok(decisions));
                    }
                }
                Err(error) => {
                    for one in waiting {
                        let _ = one.answer.send(Err(error.clone()));
                    }
                }
            }
            waiting = self.inner.coalescer.next(self.group.id, self.ticket);
        }
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.go_on();
    }
}
