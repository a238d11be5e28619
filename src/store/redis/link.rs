//! The one connection of a store, made anew when it breaks.
//!
//! - Connecting is a task of its own: a request that gives up waiting takes nothing from the others.
//! - One attempt at a time. After a failed one, requests fail at once until the next is due: 50 ms later,
//!   then twice as long each time, up to a second. One that takes longer than it may is on a runtime that
//!   stands idle or is overwhelmed: another is made, and nobody waits for that one any more.
//! - A connection over which nothing has come back for three seconds while commands ran out of time is given
//!   up, too: its other end may be gone without a word, and TCP would believe in it for a quarter of an hour.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, time::Instant};

use super::{
    fault::{self, Fault},
    target::{Connection, Target},
};
use crate::{
    random,
    store::{StoreError, StoreErrorKind},
};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) struct Link {
    target: Target,
    state: RwLock<State>,
    made: Instant,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    attempt: Option<Attempt>,
    failures: u32,
    pause: Option<(Instant, StoreError)>,
}

type Outcome = Option<Result<Current, StoreError>>;

/// Somebody connects since then.
struct Attempt {
    since: Instant,
    outcome: watch::Receiver<Outcome>,
}

/// A connection, and since when it has not answered.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) connection: Connection,
    /// Milliseconds since the link was made; 0 while it answers.
    silent_since: Arc<AtomicU64>,
}

impl Link {
    pub(super) fn new(target: Target) -> Arc<Self> {
        Arc::new(Self {
            target,
            state: RwLock::default(),
            made: Instant::now(),
        })
    }

    /// The connection; made if there is none, unless that has just failed.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<Current, StoreError> {
        if let Some(current) = &self.read().current {
            return Ok(current.clone());
        }
        let mut attempt = match self.attempt()? {
            Ok(current) => return Ok(current),
            Err(attempt) => attempt,
        };
        let outcome = attempt.wait_for(Option::is_some).await;
        match outcome.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The runtime that was connecting has ended.
            _ => Err(unreachable("the attempt to connect was stopped")),
        }
    }

    /// Joins the attempt to connect, or starts one.
    fn attempt(self: &Arc<Self>) -> Result<Result<Current, watch::Receiver<Outcome>>, StoreError> {
        let mut state = self.write();
        if let Some(current) = &state.current {
            return Ok(Ok(current.clone()));
        }
        if let Some(attempt) = &state.attempt {
            // That fails only if the runtime that was connecting has ended.
            let goes_on = attempt.outcome.has_changed().is_ok();
            if goes_on && attempt.since.elapsed() < PATIENCE {
                return Ok(Err(attempt.outcome.clone()));
            }
        }
        match &state.pause {
            Some((until, error)) if Instant::now() < *until => return Err(error.clone()),
            _ => {}
        }
        let runtime = Handle::try_current().map_err(|_| unreachable("needs a tokio runtime"))?;
        let (sender, receiver) = watch::channel(None);
        state.attempt = Some(Attempt {
            since: Instant::now(),
            outcome: receiver.clone(),
        });
        drop(state);
        let (link, own) = (Arc::clone(self), receiver.clone());
        runtime.spawn(async move {
            let outcome = link.target.connect().await;
            let _ = sender.send(Some(link.finish(outcome, &own)));
        });
        Ok(Err(receiver))
    }

    fn finish(
        &self,
        outcome: redis::RedisResult<Connection>,
        own: &watch::Receiver<Outcome>,
    ) -> Result<Current, StoreError> {
        let mut state = self.write();
        let is_own = |attempt: &mut Attempt| attempt.outcome.same_channel(own);
        let is_late = state.attempt.take_if(is_own).is_none();
        match outcome {
            Ok(connection) => {
                let current = Current {
                    connection,
                    silent_since: Arc::default(),
                };
                if is_late {
                    // For those who still wait for it; another has taken its place.
                    return Ok(current);
                }
                state.current = Some(current.clone());
                state.failures = 0;
                state.pause = None;
                Ok(current)
            }
            Err(error) => {
                let error = fault::store_error(&error);
                if is_late {
                    return Err(error);
                }
                let pause = pause(state.failures);
                state.failures = state.failures.saturating_add(1);
                state.pause = Some((Instant::now() + pause, error.clone()));
                Err(error)
            }
        }
    }

    /// Gives the connection up, unless another has taken its place already.
    pub(super) fn discard(&self, broken: &Current) {
        let mut state = self.write();
        let is_current =
            |current: &mut Current| Arc::ptr_eq(&current.silent_since, &broken.silent_since);
        drop(state.current.take_if(is_current));
    }

    pub(super) fn answered(&self, current: &Current) {
        // Nearly always 0: the cache line stays shared.
        if current.silent_since.load(Ordering::Relaxed) != 0 {
            current.silent_since.store(0, Ordering::Relaxed);
        }
    }

    /// A command that was sent at `started` has had no answer in time.
    pub(super) fn unanswered(&self, current: &Current, started: Instant) {
        let since_made = |at: Instant| {
            u64::try_from((at - self.made).as_millis())
                .unwrap_or(u64::MAX)
                .max(1)
        };
        let first = match current.silent_since.compare_exchange(
            0,
            since_made(started),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            Ok(_) => since_made(started),
            Err(first) => first,
        };
        let silence = since_made(Instant::now()).saturating_sub(first);
        if u128::from(silence) >= PATIENCE.as_millis() {
            self.discard(current);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // Every change is a single assignment or two that cannot panic in between.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreachable(why: &str) -> StoreError {
    StoreError::caused_by(StoreErrorKind::Unreachable, Fault::new(why))
}

/// Between half and the whole of the step, so that many processes do not come back in step.
fn pause(failures: u32) -> Duration {
    let whole = FIRST_PAUSE
        .saturating_mul(1 << failures.min(16))
        .min(LONGEST_PAUSE);
    let mut chance = [0];
    // Without randomness there is no jitter, and nothing worse.
    let _ = random::fill(&mut chance);
    whole - whole.mul_f64(f64::from(chance[0]) / 512.0)
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("target", &self.target)
            .field("connected", &self.read().current.is_some())
            .finish_non_exhaustive()
    }
}
