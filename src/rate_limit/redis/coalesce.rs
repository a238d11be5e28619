//! [`Coalescer`]: requests at the same time travel together.
//!
//! Whoever comes first goes at once. Whoever comes while others are on their way waits for some of them to be
//! back, and those who wait go together in one pipeline; of those under the same limits the costs are summed
//! up, and what there is room for is shared out in the order in which they came. Nobody waits for a timer.
//!
//! All go in one lane, in which [`AT_ONCE`] may be on their way at a time, one after the other: whoever comes when
//! the last one has been away for a while goes with those who wait. Where many wait when somebody is back,
//! so many go that half of all are on their way before those who are back hear their answers, so that Redis has something to do while the next are
//! gathered. On a Cluster, and for logs and paces, each group of limits has a lane of its own in which one is
//! on its way at a time: another's server may be away. Nobody waits in a circle, as nobody who is on his way
//! waits for anybody.
//!
//! About a key that may have units ahead, whoever comes first goes as soon as the runtime comes to his task, with
//! those who have come by then.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Handle, Id},
    sync::oneshot,
    time::sleep,
};

use super::{
    group::{Costs, Group},
    lane::Lane,
    mix::Mixed,
    together::{Answer, Caller, Together},
};
use crate::rate_limit::identity::Identity;

/// How many are on their way at a time in the lane of all: one in Redis while the other's answers are heard. A
/// [`Lane`] splits those who wait into halves for that.
const AT_ONCE: u32 = 2;

/// The ticket of those who go alone, and whom nobody waits for.
pub(super) const ALONE: u64 = u64::MAX;

const SHARDS: usize = 64;

/// A lane, by the group that it belongs to or as that of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LaneOf {
    All,
    Group(u64, u64),
}

#[derive(Clone)]
pub(super) struct Coalescer(Arc<Shared>);

struct Shared {
    shards: [Mutex<HashMap<LaneOf, Lane, Mixed>>; SHARDS],
    tickets: AtomicU64,
    /// The runtimes that have a watch: one that stands idle keeps it for nobody but itself.
    watched: Mutex<Vec<Id>>,
    /// One of them, as a number that is never 0, so that most who wait need not take the lock.
    one_watched: AtomicU64,
}

/// What becomes of a request.
pub(super) enum Joined {
    /// It goes at once, with this ticket.
    First(u64),
    Waits(oneshot::Receiver<Answer>),
    /// It goes with those who come at the same moment, with this ticket.
    Gathers(oneshot::Receiver<Answer>, u64),
    /// It goes with those who have waited, who have this ticket.
    Goes(oneshot::Receiver<Answer>, u64, Vec<Together>),
}

impl LaneOf {
    pub(super) fn group(group: Identity) -> Self {
        Self::Group(group.first, group.second)
    }

    fn at_once(self) -> u32 {
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
            watched: Mutex::default(),
            one_watched: AtomicU64::new(0),
        }))
    }
}

impl Coalescer {
    /// Goes at once, or waits with others. Who would go alone may say that he gathers others first.
    pub(super) fn join(
        &self,
        (of, id): (LaneOf, Identity),
        group: impl FnOnce() -> Group,
        costs: Costs,
        said: u64,
        gathers: impl FnOnce() -> bool,
    ) -> Joined {
        let (since, at_once) = (Instant::now(), of.at_once());
        let mut lanes = self.lanes(of);
        let lane = lanes.entry(of).or_default();
        let alone = lane.go_alone(|| self.ticket(), since, at_once);
        if let Some(ticket) = alone
            && !gathers()
        {
            return Joined::First(ticket);
        }
        let (answer, waits) = oneshot::channel();
        let caller = Caller {
            costs,
            said,
            since,
            answer,
        };
        lane.wait(id, group, caller);
        if let Some(ticket) = alone {
            return Joined::Gathers(waits, ticket);
        }
        match lane.go_beside(|| self.ticket(), since, at_once) {
            Some((ticket, others)) => Joined::Goes(waits, ticket, others),
            None => Joined::Waits(waits),
        }
    }

    fn ticket(&self) -> u64 {
        self.0.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Those who have come to go with this ticket, which is on the way already.
    pub(super) fn gather(&self, of: LaneOf) -> Vec<Together> {
        let mut lanes = self.lanes(of);
        lanes.get_mut(&of).map_or_else(Vec::new, Lane::gather)
    }

    /// Those who go before so many groups that are back with this ticket hear their answers.
    pub(super) fn go_ahead(&self, of: LaneOf, ticket: u64, back: usize) -> Vec<Together> {
        let mut lanes = self.lanes(of);
        let lane = lanes.get_mut(&of);
        lane.map_or_else(Vec::new, |lane| lane.go_ahead(ticket, Instant::now(), back))
    }

    /// Those who go beside those who have just gone, with a ticket of their own.
    pub(super) fn go_after(&self, of: LaneOf) -> Option<(u64, Vec<Together>)> {
        let mut lanes = self.lanes(of);
        let lane = lanes.get_mut(&of)?;
        lane.go_after(|| self.ticket(), Instant::now(), of.at_once())
    }

    /// Those who go next with this ticket; if there are none, whoever has it is on the way no more.
    pub(super) fn go_on(&self, of: LaneOf, ticket: u64) -> Vec<Together> {
        let mut lanes = self.lanes(of);
        let Entry::Occupied(mut entry) = lanes.entry(of) else {
            return Vec::new();
        };
        let next = entry.get_mut().go_on(ticket, Instant::now(), of.at_once());
        if entry.get().is_empty() && of != LaneOf::All {
            entry.remove();
        }
        next
    }

    /// Nobody is on the way in this lane any more, nor can be.
    pub(super) fn give_up(&self, of: LaneOf) {
        self.lanes(of).remove(&of);
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
    fn lanes(&self, lane: LaneOf) -> MutexGuard<'_, HashMap<LaneOf, Lane, Mixed>> {
        let shard = match lane {
            LaneOf::All => 0,
            LaneOf::Group(first, second) => Identity { first, second }.spread() as usize % SHARDS,
        };
        self.0.lanes(shard)
    }

    /// Sees to it that nobody waits for ever for somebody who stands still: a first request whose future is
    /// kept, but no longer polled. Each runtime has a watch of its own, as another may stand still itself.
    pub(super) fn watch(&self, deadline: Duration) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let id = runtime.id();
        // Whoever is about to end a watch forgets it first, and then looks for who waits.
        if self.0.one_watched.load(Ordering::Acquire) == number(id) {
            return;
        }
        {
            let mut watched = self.0.watched();
            let known = watched.contains(&id);
            if !known {
                watched.push(id);
            }
            self.0.one_watched.store(number(id), Ordering::Release);
            if known {
                return;
            }
        }
        let watching = Watching {
            shared: Arc::clone(&self.0),
            id,
        };
        runtime.spawn(async move {
            loop {
                sleep(deadline / 8).await;
                watching.shared.sweep(deadline);
                // Whoever comes to wait after this finds no watch, whoever came before is seen.
                let mut watched = watching.shared.watched();
                watching.shared.forget_one();
                if !watching.shared.waits() {
                    watched.retain(|id| *id != watching.id);
                    return;
                }
            }
        });
    }
}

/// The watch of a runtime, over when it ends in whichever way.
struct Watching {
    shared: Arc<Shared>,
    id: Id,
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Should there be a new one by now, there will be a third: they do no harm to each other.
        let mut watched = self.shared.watched();
        self.shared.forget_one();
        watched.retain(|id| *id != self.id);
    }
}

impl Shared {
    fn lanes(&self, shard: usize) -> MutexGuard<'_, HashMap<LaneOf, Lane, Mixed>> {
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> MutexGuard<'_, Vec<Id>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With the lock of the runtimes taken, in which alone it is set.
    fn forget_one(&self) {
        self.one_watched.store(0, Ordering::Release);
    }

    fn sweep(&self, deadline: Duration) {
        for shard in 0..SHARDS {
            self.lanes(shard).retain(|of, lane| {
                lane.sweep(deadline);
                !lane.is_empty() || *of == LaneOf::All
            });
        }
    }

    /// Whether anybody waits.
    fn waits(&self) -> bool {
        (0..SHARDS).any(|shard| self.lanes(shard).values().any(|lane| !lane.is_clear()))
    }
}

fn number(id: Id) -> u64 {
    Mixed::default().hash_one(id) | 1 << 63
}
