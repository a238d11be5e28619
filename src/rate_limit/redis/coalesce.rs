//! [`Coalescer`]: requests at the same time travel together.
//!
//! Whoever comes first goes at once. Whoever comes while others are on their way waits for one of them to be
//! back, and all who wait go together in one pipeline; of those under the same limits the costs are summed
//! up, and what there is room for is shared out in the order in which they came. Nobody waits for a timer.
//!
//! All go in one lane, in which a few may be on their way at a time, so that Redis has something to do while
//! the next are gathered. On a Cluster, and for logs and paces, each group of limits has a lane of its own in
//! which one is on its way at a time: another's server may be away. Nobody waits in a circle, as nobody who
//! is on his way waits for anybody.

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::oneshot, task::yield_now, time::sleep};

use super::{
    Inner,
    group::{Costs, Group},
};
use crate::{
    rate_limit::{Decisions, identity::Identity},
    store::{StoreError, StoreErrorKind},
};

/// The most groups that travel together.
const MOST: usize = 256;

/// How many are on their way at a time in the lane of all.
const AT_ONCE: usize = 2;

/// The ticket of those who go alone, and whom nobody waits for.
pub(super) const ALONE: u64 = u64::MAX;

const SHARDS: usize = 64;

pub(super) type Answer = Result<Decisions, StoreError>;

/// A lane, by the group that it belongs to or as that of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LaneOf {
    All,
    Group(u64, u64),
}

#[derive(Clone)]
pub(super) struct Coalescer(Arc<Shared>);

struct Shared {
    shards: [Mutex<HashMap<LaneOf, Lane>>; SHARDS],
    tickets: AtomicU64,
    watched: AtomicBool,
}

#[derive(Default)]
struct Lane {
    /// Who is on the way, and since when.
    away: Vec<(u64, Instant)>,
    /// Where a group waits.
    places: HashMap<(u64, u64), usize>,
    waiting: Vec<Together>,
}

/// Requests under the same limits.
pub(super) struct Together {
    pub(super) group: Arc<Group>,
    pub(super) callers: Vec<Caller>,
}

pub(super) struct Caller {
    pub(super) costs: Costs,
    pub(super) said: u64,
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
    pub(super) lane: LaneOf,
    pub(super) ticket: u64,
}

impl LaneOf {
    pub(super) fn group(group: Identity) -> Self {
        Self::Group(group.first, group.second)
    }

    fn at_once(self) -> usize {
        match self {
            Self::All => AT_ONCE,
            Self::Group(..) => 1,
        }
    }
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
    /// Goes at once, or waits with others.
    pub(super) fn join(
        &self,
        lane: LaneOf,
        id: Identity,
        group: impl FnOnce() -> Group,
        costs: Costs,
        said: u64,
    ) -> Joined {
        let since = Instant::now();
        let mut lanes = self.lanes(lane);
        let at = lanes.entry(lane).or_default();
        if at.away.len() < lane.at_once() && at.waiting.is_empty() {
            let ticket = self.0.tickets.fetch_add(1, Ordering::Relaxed);
            at.away.push((ticket, since));
            return Joined::First(ticket);
        }
        let (answer, waits) = oneshot::channel();
        let caller = Caller {
            costs,
            said,
            since,
            answer,
        };
        match at.places.entry((id.first, id.second)) {
            Entry::Occupied(place) => at.waiting[*place.get()].callers.push(caller),
            Entry::Vacant(place) => {
                place.insert(at.waiting.len());
                at.waiting.push(Together {
                    group: Arc::new(group()),
                    callers: vec![caller],
                });
            }
        }
        Joined::Waits(waits)
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
    fn lanes(&self, lane: LaneOf) -> MutexGuard<'_, HashMap<LaneOf, Lane>> {
        let shard = match lane {
            LaneOf::All => 0,
            LaneOf::Group(first, second) => Identity { first, second }.spread() as usize % SHARDS,
        };
        let shard = &self.0.shards[shard];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who wait; if nobody does, whoever has this ticket is on the way no more.
    fn next(&self, of: LaneOf, ticket: u64) -> Vec<Together> {
        let mut lanes = self.lanes(of);
        let Entry::Occupied(mut entry) = lanes.entry(of) else {
            return Vec::new();
        };
        let lane = entry.get_mut();
        let Some(at) = lane.away.iter().position(|(other, _)| *other == ticket) else {
            return Vec::new();
        };
        let mut next = lane.take();
        for together in &mut next {
            // Who went away no longer wants to know.
            together.callers.retain(|caller| !caller.answer.is_closed());
        }
        next.retain(|together| !together.callers.is_empty());
        if next.is_empty() {
            lane.away.swap_remove(at);
            if lane.away.is_empty() && of != LaneOf::All {
                entry.remove();
            }
        } else {
            lane.away[at].1 = Instant::now();
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

impl Lane {
    /// The first of those who wait, in the order in which they came.
    fn take(&mut self) -> Vec<Together> {
        if self.waiting.len() <= MOST {
            self.places.clear();
            return mem::take(&mut self.waiting);
        }
        let rest = self.waiting.split_off(MOST);
        let next = mem::replace(&mut self.waiting, rest);
        self.find_places();
        next
    }

    fn find_places(&mut self) {
        let ids = self.waiting.iter().map(|together| together.group.id);
        let places = ids.enumerate().map(|(at, id)| ((id.first, id.second), at));
        self.places = places.collect();
    }

    /// Answers those who have waited too long, and lets others go in place of those who stand still.
    fn sweep(&mut self, deadline: Duration) {
        let late = |since: Instant| since.elapsed() >= deadline;
        let mut over = false;
        for together in &mut self.waiting {
            let until = together.callers.partition_point(|one| late(one.since));
            for caller in together.callers.drain(..until) {
                over = true;
                let timeout = StoreError::new(StoreErrorKind::Timeout);
                let _ = caller.answer.send(Err(timeout));
            }
        }
        if over {
            self.waiting.retain(|together| !together.callers.is_empty());
            self.find_places();
            self.away.retain(|(_, since)| !late(*since));
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
    /// Says whether anybody still waits.
    fn sweep(&self, deadline: Duration) -> bool {
        let mut waits = false;
        for shard in &self.shards {
            let mut lanes = shard.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.retain(|_, lane| {
                lane.sweep(deadline);
                waits |= !lane.waiting.is_empty();
                !lane.waiting.is_empty() || !lane.away.is_empty()
            });
        }
        waits
    }
}

impl OnTheWay {
    /// Lets those who wait go next, if any do.
    fn go_on(&self) {
        let next = self.inner.coalescer.next(self.lane, self.ticket);
        if next.is_empty() {
            return;
        }
        // Outside of a runtime nobody waits any more: their senders are dropped with them.
        if let Ok(runtime) = Handle::try_current() {
            let on_the_way = Self {
                inner: Arc::clone(&self.inner),
                lane: self.lane,
                ticket: self.ticket,
            };
            runtime.spawn(on_the_way.drive(next));
        } else {
            self.inner.coalescer.next(self.lane, self.ticket);
        }
    }

    /// Takes those who wait, and those who come meanwhile, until nobody waits.
    async fn drive(self, mut waiting: Vec<Together>) {
        while !waiting.is_empty() {
            let answers = self.inner.ask(&waiting).await;
            for (together, answer) in waiting.into_iter().zip(answers) {
                together.answer(answer);
            }
            // Those who were answered may well ask again.
            yield_now().await;
            waiting = self.inner.coalescer.next(self.lane, self.ticket);
        }
    }
}

impl Together {
    fn answer(self, answer: Result<Vec<Decisions>, StoreError>) {
        match answer {
            Ok(decisions) => {
                for (caller, decisions) in self.callers.into_iter().zip(decisions) {
                    let _ = caller.answer.send(Ok(decisions));
                }
            }
            Err(error) => {
                for caller in self.callers {
                    let _ = caller.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// One request alone, which hears its answer itself.
    pub(super) fn alone(group: Group, costs: Costs, said: u64) -> Self {
        let (answer, _) = oneshot::channel();
        Self {
            group: Arc::new(group),
            callers: vec![Caller {
                costs,
                said,
                since: Instant::now(),
                answer,
            }],
        }
    }

    /// How long the first of them has waited.
    pub(super) fn waited(&self) -> Duration {
        let since = self.callers.first().map(|caller| caller.since.elapsed());
        since.unwrap_or_default()
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.go_on();
    }
}
