//! What all clones of a [`RemoteJwks`](super::RemoteJwks) share: the keys, and the one fetch at a time.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderValue, Uri, header};
use tokio::sync::watch;

use super::{
    super::{
        KeySet,
        source::{Keys, LiveKeys, Wait},
    },
    JwksError, JwksErrorKind, JwksEvent,
    flight::{Flight, Outcome},
    keeper::{self, before},
    load::{Answer, Loader},
    schedule::{Schedule, after, millis},
};
use crate::{clock::Clock, fetch::Background};

/// The shortest sleep of the task that refreshes: whatever the clock shows, it never spins.
const SHORTEST_SLEEP: Duration = Duration::from_secs(1);

pub(super) type OnEvent = Arc<dyn Fn(&JwksEvent<'_>) + Send + Sync>;

pub(super) struct Shared {
    pub(super) from: String,
    pub(super) loader: Loader,
    pub(super) schedule: Schedule,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) background: Arc<dyn Background>,
    pub(super) on_event: OnEvent,
    loaded: ArcSwapOption<Loaded>,
    /// When the last attempt began and when the next is due, in milliseconds since 1970: what every token
    /// is compared with, without a lock.
    attempted: AtomicU64,
    due: AtomicU64,
    control: Mutex<Control>,
    /// Closed when nobody has these keys any more.
    alive: watch::Sender<()>,
}

/// The last good document, and how long it is good for.
pub(super) struct Loaded {
    pub(super) keys: Arc<Keys>,
    pub(super) document: Bytes,
    /// Where it came from and with which entity tag, if with any.
    tag: Option<(Uri, HeaderValue)>,
    pub(super) at: SystemTime,
    pub(super) until: SystemTime,
}

/// Held for a few instructions at a time, and across nothing that waits.
#[derive(Default)]
struct Control {
    failures: u32,
    flight: Option<Flight>,
    keeper: Option<watch::Receiver<()>>,
}

/// Why an attempt is to be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is time.
    Due,
    /// A token needs a key that is not there.
    Missing,
    /// The application says so.
    Asked,
}

impl Shared {
    pub(super) fn new(
        from: String,
        loader: Loader,
        schedule: Schedule,
        clock: Arc<dyn Clock>,
        background: Arc<dyn Background>,
        on_event: OnEvent,
    ) -> Self {
        Self {
            from,
            loader,
            schedule,
            clock,
            background,
            on_event,
            loaded: ArcSwapOption::empty(),
            attempted: AtomicU64::new(0),
            due: AtomicU64::new(0),
            control: Mutex::default(),
            alive: watch::Sender::new(()),
        }
    }

    /// Goes by these keys until others were loaded, which is due at once.
    pub(super) fn seed(&self, document: Bytes, at: SystemTime) -> Result<(), JwksError> {
        let keys = self.loader.rules.read(&document)?;
        // Nothing was fetched in the future: a clock that was wrong then makes the set no better now.
        let at = at.min(self.clock.now());
        self.loaded.store(Some(Arc::new(Loaded {
            keys: Arc::new(Keys::new(keys, 1)),
            document,
            tag: None,
            at,
            until: after(after(at, self.schedule.least), self.schedule.stale),
        })));
        Ok(())
    }

    /// The keys, if they are not too old.
    pub(super) fn usable(&self, now: SystemTime) -> Option<Arc<Loaded>> {
        self.loaded.load_full().filter(|loaded| now < loaded.until)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the next attempt is due: also, once, when the clock was set back. By less than a cooldown,
    /// it is rather a time that was read a while ago.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        let last = self.attempted.load(Ordering::Relaxed);
        let was_set_back = millis(after(now, self.schedule.cooldown)) < last;
        was_set_back || millis(now) >= self.due.load(Ordering::Relaxed)
    }

    fn may_begin(&self, why: Why, now: SystemTime) -> bool {
        if why == Why::Asked || self.is_due(now) {
            return true;
        }
        let since = millis(now).saturating_sub(self.attempted.load(Ordering::Relaxed));
        let cooled = u128::from(since) >= self.schedule.cooldown.as_millis();
        why == Why::Missing && cooled && self.usable(now).is_some()
    }

    /// The attempt that is under way, or a new one, if it is time for one.
    pub(super) fn begin(self: &Arc<Self>, why: Why) -> Option<Flight> {
        let (landing, flight) = watch::channel(None);
        let flight = Flight(flight);
        let before = {
            let mut control = self.control();
            if let Some(under_way) = control.flight.as_ref().filter(|one| one.is_under_way()) {
                return Some(under_way.clone());
            }
            // Read under the lock: a time from before the last attempt would say that there was none.
            let now = self.clock.now();
            if !self.may_begin(why, now) {
                return None;
            }
            // Due again should the attempt vanish without an end (a runtime that is shut down, a fetch
            // that panics).
            let has_keys = self.usable(now).is_some();
            let retry = self.schedule.retry_in(control.failures + 1, has_keys);
            control.flight = Some(flight.clone());
            (
                self.attempted.swap(millis(now), Ordering::Relaxed),
                self.due.swap(millis(after(now, retry)), Ordering::Relaxed),
            )
        };
        let attempt = Arc::clone(self).attempt(landing);
        if !self.background.spawn(Box::pin(attempt)) {
            // Nothing was tried, so nothing has to wait for the next try.
            self.attempted.store(before.0, Ordering::Relaxed);
            self.due.store(before.1, Ordering::Relaxed);
            return None;
        }
        self.keep();
        Some(flight)
    }

    async fn attempt(self: Arc<Self>, landing: watch::Sender<Option<Outcome>>) {
        let now = self.clock.now();
        let last = self.loaded.load_full();
        let tag = last.as_ref().and_then(|last| last.tag.clone());
        let deadline = self.background.sleep(self.loader.limits.deadline);
        let answer = before(self.loader.load(tag, now), deadline).await;
        let answer = answer.unwrap_or_else(|| Err(JwksErrorKind::Late.into()));
        let outcome = answer.and_then(|answer| self.adopt(last, answer));
        if let Err(error) = &outcome {
            self.fail(error);
        }
        landing.send_replace(Some(outcome));
    }

    /// Goes by what was answered, if it is sound.
    fn adopt(&self, last: Option<Arc<Loaded>>, answer: Answer) -> Outcome {
        let same = match (&answer.document, last) {
            (Some(document), Some(last)) if last.document == *document => Some(last),
            (None, Some(last)) => Some(last),
            (Some(_), _) => None,
            (None, None) => return Err(JwksErrorKind::Malformed.into()),
        };
        let is_new = same.is_none();
        let (keys, document) = match (same, answer.document) {
            (Some(last), _) => (Arc::clone(&last.keys), last.document.clone()),
            (None, document) => {
                let document = document.unwrap_or_default();
                let set = self.loader.rules.read(&document)?;
                let generation = self.generation() + 1;
                (Arc::new(Keys::new(set, generation)), document)
            }
        };
        let tag = answer.headers.get(header::ETAG).cloned();
        let now = self.clock.now();
        let life = self.schedule.life(&answer.headers, now);
        let loaded = Arc::new(Loaded {
            keys,
            document,
            tag: tag.map(|tag| (answer.at, tag)),
            at: now,
            until: after(after(now, life), self.schedule.stale),
        });
        let next = after(now, self.schedule.refresh_in(life));
        self.loaded.store(Some(Arc::clone(&loaded)));
        self.due.store(millis(next), Ordering::Relaxed);
        self.control().failures = 0;
        let from = &*self.from;
        (self.on_event)(&match is_new {
            true => JwksEvent::Loaded {
                from,
                generation: loaded.keys.generation(),
                keys: loaded.keys.set(),
                document: &loaded.document,
            },
            false => JwksEvent::Confirmed { from },
        });
        Ok(())
    }

    /// Goes on with the last good keys, while they are not too old.
    fn fail(&self, error: &JwksError) {
        let now = self.clock.now();
        let usable_until = self.usable(now).map(|loaded| loaded.until);
        let failures = {
            let mut control = self.control();
            control.failures = control.failures.saturating_add(1);
            control.failures
        };
        let pause = self.schedule.retry_in(failures, usable_until.is_some());
        self.due.store(millis(after(now, pause)), Ordering::Relaxed);
        (self.on_event)(&JwksEvent::Failed {
            from: &self.from,
            error,
            failures,
            usable_until,
        });
    }

    pub(super) fn generation(&self) -> u64 {
        let loaded = self.loaded.load();
        loaded.as_ref().map_or(0, |loaded| loaded.keys.generation())
    }

    pub(super) fn key_set(&self) -> Option<KeySet> {
        let loaded = self.usable(self.clock.now())?;
        Some(loaded.keys.set().clone())
    }

    /// Sees to it that a task refreshes the keys without being asked. It is gone with its runtime, or when
    /// nobody has the keys any more.
    fn keep(self: &Arc<Self>) {
        let (own, keeper) = watch::channel(());
        {
            let mut control = self.control();
            let kept = control.keeper.as_ref();
            if kept.is_some_and(|keeper| keeper.has_changed().is_ok()) {
                return;
            }
            control.keeper = Some(keeper);
        }
        let kept = keeper::keep(
            Arc::downgrade(self),
            Arc::clone(&self.background),
            self.alive.subscribe(),
        );
        self.background.spawn(Box::pin(async move {
            let _own = own;
            kept.await;
        }));
    }

    pub(super) fn until_due(&self) -> Duration {
        self.due_in().max(SHORTEST_SLEEP)
    }

    fn due_in(&self) -> Duration {
        let due = self.due.load(Ordering::Relaxed);
        Duration::from_millis(due.saturating_sub(millis(self.clock.now())))
    }
}

/// The keys by which tokens are verified, behind one counter.
#[derive(Clone)]
pub(super) struct Live(pub(super) Arc<Shared>);

impl LiveKeys for Live {
    fn current(&self) -> Option<Arc<Keys>> {
        let Self(shared) = self;
        let now = shared.clock.now();
        if shared.is_due(now) {
            // Nobody waits for it: the keys that are there are good meanwhile.
            shared.begin(Why::Due);
        }
        let loaded = shared.loaded.load();
        let loaded = loaded.as_ref().filter(|loaded| now < loaded.until)?;
        Some(Arc::clone(&loaded.keys))
    }

    fn missing(&self) -> Option<Wait> {
        let flight = self.0.begin(Why::Missing)?;
        Some(Box::pin(async move {
            // Whether it brought the key is found out by verifying again.
            let _ = flight.landed().await;
        }))
    }

    fn due_in(&self) -> Duration {
        self.0.due_in()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJwks")
            .field("from", &self.from)
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
