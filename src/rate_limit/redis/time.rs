//! [`ServerTime`]: the clock of Redis, as seen from here, and how far that may be off.
//!
//! The server is asked for its time now and then. Its answer was true at some time between asking and
//! hearing, so it is off by at most half of that, and by what the monotonic clock of this machine drifts
//! from it since. Between two answers the more certain one is kept, so a slow answer spoils nothing; an
//! answer that the one before cannot be reconciled with says that the server's clock was set, or that
//! another server has taken over, and is believed at once.
//!
//! Nobody waits for another's question: whoever must know asks himself. A question in the background puts the next
//! one off for a while; if it is lost with its runtime, somebody asks again then.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use super::sample::Sample;
use crate::{
    rate_limit::{Algorithm, Quota, identity::Identity, window::is_beyond_belief},
    store::{Call, RedisStore, Script, StoreError},
};

/// After so long the server is asked again, while nobody waits.
const FRESH: Duration = Duration::from_secs(1);

/// The same, where the answer was slow.
const UNCERTAIN: Duration = Duration::from_millis(100);

/// An answer that may be off by this at most is as good as they get, in nanoseconds: it took a millisecond.
const GOOD: u64 = 500_000;

/// After so long without an answer nothing is decided before there is one.
const CLOCK_TRUSTED: Duration = Duration::from_secs(180);

/// More uncertainty is not allowed for, in nanoseconds: half of an answer that took 200 ms. A first one that is
/// worse is asked for once more, then gone by.
const MOST_UNCERTAIN: u64 = 100_000_000;

/// How far ahead of one caller another may count, in nanoseconds: each is as uncertain of the time.
pub(super) const AHEAD: u64 = 2 * MOST_UNCERTAIN;

/// So long a request may be on its way back to whoever asked, without leaving the window that it is counted
/// in, in nanoseconds.
const GRACE: u64 = 5_000_000;

/// Callers whose time is gone by are remembered for so many keys.
const MOST_TRACKED: usize = 65_536;

/// What time it is: between `early` and `late`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// What the times that callers are told are counted from.
    pub(super) asked: u64,
    pub(super) early: u64,
    pub(super) late: u64,
}

impl Times {
    /// At exactly this time.
    pub(super) const fn exactly(now: u64) -> Self {
        Self {
            asked: now,
            early: now,
            late: now,
        }
    }
}

/// A time, and by how much it may be off, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) time: u64,
    error: u64,
    callers: bool,
}

impl Now {
    /// As the server said.
    fn of(sample: &Sample, at: Instant) -> Self {
        let (time, error) = sample.told(at);
        Self {
            time,
            error: error.min(MOST_UNCERTAIN),
            callers: false,
        }
    }

    /// As a server would say that is heard at once.
    #[cfg(test)]
    pub(super) fn exactly(time: u64) -> Self {
        Self {
            time,
            error: 0,
            callers: false,
        }
    }

    /// The bounds for a quota.
    pub(super) fn times(self, quota: &Quota) -> Times {
        if self.callers {
            return Times::exactly(self.time);
        }
        let grace = GRACE.min(quota.segment_nanos() / 8);
        let early = self.time.saturating_sub(self.error).saturating_sub(grace);
        Times {
            asked: early,
            early,
            late: self.time.saturating_add(self.error),
        }
    }

    /// Between when and when something was counted that took a caller at most so long, and that was asked for
    /// so long ago.
    pub(super) fn ago(self, age: u64, took: Duration) -> (u64, u64) {
        let counted = self.time.saturating_sub(age);
        let from = counted.saturating_sub(self.error);
        if self.callers {
            return (counted, counted);
        }
        let to = counted
            .saturating_add(self.error)
            .saturating_add(nanos(took));
        // It may lie ahead of what the time is now: it was counted at the latest that it could be.
        (from, to)
    }

    /// Whether it is as a caller says.
    pub(super) fn is_the_callers(self) -> bool {
        self.callers
    }

    /// The same so much later.
    pub(super) fn later(self, by: Duration) -> Self {
        if self.callers {
            return self;
        }
        Self {
            time: self.time.saturating_add(nanos(by)),
            ..self
        }
    }
}

/// The server's time, asked for now and then and counted on with the monotonic clock.
#[derive(Clone, Default)]
pub(super) struct ServerTime {
    /// What the callers said, if their times are taken instead.
    callers: Option<Arc<Callers>>,
    said: Arc<Said>,
}

#[derive(Default)]
struct Callers {
    last: AtomicU64,
    /// The latest time that each key was looked at.
    keys: Mutex<HashMap<(u64, u64), u64>>,
}

#[derive(Default)]
struct Said {
    best: RwLock<Option<Sample>>,
    /// When it is to be asked again, by its own clock. While somebody asks, that is when another would.
    due: AtomicU64,
}

impl ServerTime {
    /// The time of whoever asks, instead.
    pub(super) fn the_callers() -> Self {
        Self {
            callers: Some(Arc::default()),
            ..Self::default()
        }
    }

    /// The time, if it is known without asking.
    pub(super) fn known(&self, callers: u64) -> Option<Now> {
        if let Some(said) = &self.callers {
            said.last.store(callers, Ordering::Relaxed);
            return Some(Now {
                time: callers,
                error: 0,
                callers: true,
            });
        }
        let best = self.said.best()?;
        let at = Instant::now();
        (at.saturating_duration_since(best.heard) < CLOCK_TRUSTED).then(|| Now::of(&best, at))
    }

    /// What a caller who names no time may go by; it is not heeded if the server's time is.
    pub(super) fn last(&self) -> u64 {
        let said = self.callers.as_ref();
        said.map_or(0, |said| said.last.load(Ordering::Relaxed))
    }

    /// The times for a key. In memory, a key's time does not go back; where callers' times are gone by,
    /// neither does it here.
    pub(super) fn of_key(&self, now: Now, quota: &Quota, key: Identity) -> Times {
        let times = now.times(quota);
        let Some(said) = &self.callers else {
            return times;
        };
        let mut keys = said.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(latest) = keys.get_mut(&(key.first, key.second)) else {
            return times;
        };
        let ahead = latest.saturating_sub(now.time);
        if *latest < now.time || is_beyond_belief(quota, ahead) {
            *latest = now.time;
        }
        // A segment stays the newest; of a log, it is what has left that stays away.
        let window = quota.algorithm() == Algorithm::SlidingWindow;
        Times {
            early: *latest,
            late: if window { *latest } else { times.late },
            ..times
        }
    }

    /// The times at which something was counted that is given back. That it is does not make it later.
    pub(super) fn of_counted(&self, now: Now, quota: &Quota, key: Identity) -> Times {
        let Some(said) = &self.callers else {
            return now.times(quota);
        };
        let keys = said.keys.lock().unwrap_or_else(PoisonError::into_inner);
        Times::exactly(keys.get(&(key.first, key.second)).copied().unwrap_or(0))
    }

    /// A key is counted under from this time on.
    pub(super) fn track(&self, now: Now, key: Identity) {
        if let Some(said) = &self.callers {
            let mut keys = said.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if keys.len() >= MOST_TRACKED {
                keys.clear();
            }
            keys.entry((key.first, key.second)).or_insert(now.time);
        }
    }

    /// A key is forgotten.
    pub(super) fn forget(&self, key: Identity) {
        if let Some(said) = &self.callers {
            let mut keys = said.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.remove(&(key.first, key.second));
        }
    }

    /// The time, asked for if it must be.
    pub(super) async fn now(
        &self,
        callers: u64,
        store: &RedisStore,
        call: Call,
    ) -> Result<Now, StoreError> {
        let Some(known) = self.known(callers) else {
            let asked = Instant::now();
            self.said.ask(store, call).await?;
            if self.said.is_beyond_uncertain() {
                // It had to connect first, say.
                let patience = call.patience().unwrap_or(FRESH);
                let left = patience.saturating_sub(asked.elapsed());
                self.said.ask(store, call.within(left)).await?;
            }
            let unknown = || StoreError::new(crate::store::StoreErrorKind::Unreachable);
            return self.known(callers).ok_or_else(unknown);
        };
        if self.callers.is_none() {
            self.refresh(known, store, call);
        }
        Ok(known)
    }

    /// Asks again, if it is time to, while nobody waits.
    fn refresh(&self, known: Now, store: &RedisStore, call: Call) {
        let due = self.said.due.load(Ordering::Relaxed);
        // Far ahead is a clock that was set back.
        if known.time < due && due - known.time <= nanos(FRESH) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        // By then it is heard, or somebody else asks: what was said before is trusted for a while.
        let patience = call.patience().unwrap_or(FRESH).clamp(UNCERTAIN, FRESH);
        let again = known.time.saturating_add(nanos(patience));
        let put_off =
            self.said
                .due
                .compare_exchange(due, again, Ordering::AcqRel, Ordering::Relaxed);
        if put_off.is_ok() {
            let (said, store) = (Arc::clone(&self.said), store.clone());
            runtime.spawn(async move { said.ask(&store, call).await });
        }
    }
}

impl Said {
    fn best(&self) -> Option<Sample> {
        *self.best.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is less certain than is allowed for.
    fn is_beyond_uncertain(&self) -> bool {
        self.best().is_some_and(|best| best.error > MOST_UNCERTAIN)
    }

    async fn ask(&self, store: &RedisStore, call: Call) -> Result<(), StoreError> {
        let asked = Instant::now();
        let (seconds, micros): (u64, u64) = if store.is_cluster() {
            // Its nodes have a clock each. All processes ask the one that this key belongs to.
            let key = store.key("rate", &[b"clock"]);
            store.script(&TIME, &[&key], &[] as &[u8; 0], call).await?
        } else {
            store.command(&redis::cmd("TIME"), call).await?
        };
        let time = seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(micros.saturating_mul(1_000));
        let sample = Sample::new(time, asked, Instant::now());
        let mut best = self.best.write().unwrap_or_else(PoisonError::into_inner);
        let better = best.map_or(sample, |before| sample.or(before));
        *best = Some(better);
        let pause = if better.error <= GOOD {
            FRESH
        } else {
            UNCERTAIN
        };
        let (now, _) = better.told(Instant::now());
        self.due
            .store(now.saturating_add(nanos(pause)), Ordering::Relaxed);
        Ok(())
    }
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

// A text and its digest; no state.
static TIME: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('TIME')"));

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_time_is_between_early_and_late_and_what_is_unknown_grows() {
        let at = Instant::now();
        let sample = Sample::new(50 * SECOND, at, at + Duration::from_micros(200));
        let minute = Now::of(&sample, at + Duration::from_secs(60));
        assert!(minute.error >= 30_000_000);
        let quota = Quota::per_second(10);
        let times = minute.times(&quota);
        assert!(times.early < 110 * SECOND && 110 * SECOND < times.late);
        let long = Now::of(&sample, at + Duration::from_secs(6_000));
        assert_eq!(long.error, MOST_UNCERTAIN);
    }

    #[test]
    fn what_was_counted_just_now_may_lie_as_far_ahead_as_is_uncertain() {
        let at = Instant::now();
        let sample = Sample::new(50 * SECOND, at, at + Duration::from_micros(200));
        let now = Now::of(&sample, at + Duration::from_micros(200));
        let late = now.times(&Quota::per_second(10)).late;
        let (from, to) = now.ago(0, Duration::from_millis(50));
        assert!(from < now.time && to >= late);
    }
}
