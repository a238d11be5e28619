//! [`Breaker`]: does not ask what does not answer.
//!
//! 1. Three failures in a row are an outage. While it lasts, one request at a time asks whether it is over:
//!    10 ms after it began, then after twice as long each time, up to a tenth of a second. All others are told
//!    at once that nobody can be reached.
//! 2. Any answer ends it. A failure of what was asked before it ended does not begin another.
//! 3. A request that goes away before it is answered says nothing: otherwise clients that hang up could
//!    bring about an outage. If it was the one that asked, the next one does; also if it stands still, neither
//!    polled nor dropped, for four times as long as an answer may take.
//! 4. A value that cannot be right says nothing either: it is one key's fault.
//! 5. A Cluster has parts with outages of their own, as one of its masters may be away while the others
//!    answer. They are told as one: from the first part's beginning to the last one's end, each edge once and
//!    in order, by one caller at a time that holds no lock. A part that nobody asks about any more is taken for
//!    well as soon as another answers.

mod part;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use crate::store::{RedisStore, StoreError, StoreErrorKind};

/// How many failures in a row are an outage.
const FAILURES: u32 = 3;

/// How long after a failure somebody asks again: soon, as what broke may be a connection only.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Whoever asks during an outage is taken for lost after so many deadlines. It asks what time it is, then about its
/// keys, and repairs one that has come back. What takes longer, as a charge may, has a second one beside it.
const DEADLINES: u32 = 4;

/// So long after somebody could have asked about a part, nobody does.
const IDLE: Duration = Duration::from_secs(10);

/// How often idle parts are looked for.
const LOOK: Duration = Duration::from_secs(1);

pub(super) type Told = Arc<dyn Fn(bool) + Send + Sync>;

/// Counts failures in a row, for each part of a store.
#[derive(Clone)]
pub(super) struct Breaker(Arc<Shared>);

struct Shared {
    parts: Box<[Part]>,
    /// Whether a part is out.
    out: AtomicBool,
    edges: Mutex<Edges>,
    told: Option<Told>,
    /// Whoever asks has heard by then, or stands still.
    longest: Duration,
}

#[derive(Default)]
struct Part {
    /// Whether anything has failed since the last answer. While nothing has, nobody takes the lock.
    troubled: AtomicBool,
    /// How many outages are over.
    over: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    /// During an outage, when somebody may ask next.
    next: Option<Instant>,
    /// And how long after that one the next.
    pause: Duration,
}

#[derive(Default)]
struct Edges {
    /// The parts that are out. An end may be told of before its beginning.
    out: i64,
    told: bool,
    telling: bool,
    /// When idle parts were last looked for.
    looked: Option<Instant>,
}

/// Somebody is asking.
pub(super) struct Asking<'b> {
    breaker: &'b Shared,
    part: &'b Part,
    over: u32,
    /// Since when it asks for all, if it does.
    probe: Option<Instant>,
}

impl Breaker {
    pub(super) fn of(store: &RedisStore, deadline: Duration) -> Self {
        let parts = if store.is_cluster() { part::COUNT } else { 1 };
        Self::new(parts, None, deadline * DEADLINES)
    }

    fn new(parts: usize, told: Option<Told>, longest: Duration) -> Self {
        Self(Arc::new(Shared {
            parts: (0..parts).map(|_| Part::default()).collect(),
            out: AtomicBool::new(false),
            edges: Mutex::default(),
            told,
            longest,
        }))
    }

    /// The same with another deadline, as if nothing had been asked yet.
    pub(super) fn within(&self, deadline: Duration) -> Self {
        let told = self.0.told.clone();
        Self::new(self.0.parts.len(), told, deadline * DEADLINES)
    }

    /// The same for others to be told, as if nothing had been asked yet.
    pub(super) fn telling(&self, told: Told) -> Self {
        Self::new(self.0.parts.len(), Some(told), self.0.longest)
    }

    /// Whether nobody may ask about these keys now: then nobody should wait for another's answer either. They
    /// are only named if it matters.
    pub(super) fn refuses(&self, keys: impl FnOnce() -> Vec<String>) -> bool {
        if !self.0.out.load(Ordering::Acquire) {
            return false;
        }
        let part = match &self.0.parts[..] {
            [only] => only,
            parts => &parts[part::of(keys().iter().map(String::as_str))],
        };
        let next = part.lock().next;
        next.is_some_and(|next| Instant::now() < next)
    }

    /// May somebody ask about these keys?
    pub(super) fn ask<'k>(
        &self,
        keys: impl Iterator<Item = &'k str>,
    ) -> Result<Asking<'_>, StoreError> {
        let part = self.part_of(keys);
        self.ask_part(part)
    }

    /// So many waited too long behind somebody who asked about these keys. If nothing was heard since he failed,
    /// they have failed, too; otherwise there were only many.
    pub(super) fn waited<'k>(&self, keys: impl Iterator<Item = &'k str>, many: usize) {
        let part = self.part_of(keys);
        if part.troubled.load(Ordering::Acquire) {
            let now = Instant::now();
            for _ in 0..many.min(FAILURES as usize) {
                self.asking(part, None).failed(now);
            }
        }
    }

    fn part_of<'k>(&self, keys: impl Iterator<Item = &'k str>) -> &Part {
        match &self.0.parts[..] {
            [only] => only,
            parts => &parts[part::of(keys)],
        }
    }

    fn ask_part<'b>(&'b self, part: &'b Part) -> Result<Asking<'b>, StoreError> {
        if part.troubled.load(Ordering::Acquire) {
            return self.ask_at(part, Instant::now());
        }
        Ok(self.asking(part, None))
    }

    fn ask_at<'b>(&'b self, part: &'b Part, now: Instant) -> Result<Asking<'b>, StoreError> {
        let mut state = part.lock();
        let Some(next) = &mut state.next else {
            return Ok(self.asking(part, None));
        };
        if now < *next {
            return Err(StoreError::new(StoreErrorKind::Unreachable));
        }
        *next = now + self.0.longest;
        Ok(self.asking(part, Some(now)))
    }

    fn asking<'b>(&'b self, part: &'b Part, probe: Option<Instant>) -> Asking<'b> {
        Asking {
            breaker: &self.0,
            part,
            over: part.over.load(Ordering::Acquire),
            probe,
        }
    }
}

/// What was heard by those who asked together: an answer if anybody has one, and a value that cannot be right
/// only if there is nothing else.
pub(super) fn heard_of<T>(answers: &[Result<T, StoreError>]) -> Result<(), StoreError> {
    let errors = || answers.iter().filter_map(|answer| answer.as_ref().err());
    if answers.iter().any(Result::is_ok) {
        return Ok(());
    }
    let telling = errors().find(|error| error.kind() != StoreErrorKind::Corrupt);
    let first = telling.or_else(|| errors().next());
    first.map_or(Ok(()), |error| Err(error.clone()))
}

impl Asking<'_> {
    /// What was heard.
    pub(super) fn heard<T>(self, answer: &Result<T, StoreError>) {
        match answer {
            Ok(_) => self.answered(),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {}
            Err(_) => self.failed(Instant::now()),
        }
    }

    fn answered(&self) {
        if self.part.troubled.load(Ordering::Acquire) && self.part.lock().end(self.part) {
            self.breaker.tell(-1);
        }
        if self.breaker.out.load(Ordering::Relaxed) {
            self.breaker.end_idle(Instant::now());
        }
    }

    fn failed(mut self, now: Instant) {
        let begun = {
            let mut state = self.part.lock();
            if self.is_past() {
                return;
            }
            state.failures = state.failures.saturating_add(1);
            self.part.troubled.store(true, Ordering::Release);
            let begun = state.next.is_none() && state.failures >= FAILURES;
            if begun {
                state.pause = FIRST_PAUSE;
                state.next = Some(now + FIRST_PAUSE);
            } else if self.probe.take().is_some() {
                state.pause = state.pause.saturating_mul(2).min(LONGEST_PAUSE);
                state.next = Some(now + state.pause);
            }
            begun
        };
        if begun {
            self.breaker.tell(1);
        }
    }

    /// Whether an outage has ended since it was asked.
    fn is_past(&self) -> bool {
        self.part.over.load(Ordering::Acquire) != self.over
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(since) = self.probe {
            let mut state = self.part.lock();
            if !self.is_past() && state.next.is_some() {
                state.next = Some(since + state.pause);
            }
        }
    }
}

impl Part {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is a few assignments that cannot panic in between.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets all failures. Whether that ended an outage.
    fn end(&mut self, part: &Part) -> bool {
        let ended = self.next.take().is_some();
        if ended {
            part.over.fetch_add(1, Ordering::AcqRel);
        }
        self.failures = 0;
        part.troubled.store(false, Ordering::Release);
        ended
    }
}

impl Shared {
    /// Ends the outages of parts whose end nobody would notice.
    fn end_idle(&self, now: Instant) {
        {
            let mut edges = self.edges();
            if edges.looked.is_some_and(|at| now < at + LOOK) {
                return;
            }
            edges.looked = Some(now);
        }
        for part in &self.parts {
            let mut state = part.lock();
            let idle = state.next.is_some_and(|next| now > next + IDLE);
            let ended = idle && state.end(part);
            drop(state);
            if ended {
                self.tell(-1);
            }
        }
    }

    fn edges(&self) -> MutexGuard<'_, Edges> {
        self.edges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many parts more are out.
    fn tell(&self, out: i64) {
        {
            let mut edges = self.edges();
            edges.out += out;
            self.out.store(edges.out > 0, Ordering::Release);
            if edges.telling {
                // Whoever is telling looks again before he is done.
                return;
            }
            edges.telling = true;
        }
        let mut telling = Telling {
            breaker: self,
            done: false,
        };
        loop {
            let out = {
                let mut edges = self.edges();
                let out = edges.out > 0;
                if edges.told == out {
                    edges.telling = false;
                    telling.done = true;
                    return;
                }
                edges.told = out;
                out
            };
            if let Some(told) = &self.told {
                told(out);
            }
        }
    }
}

/// Lets others tell, should what is told panic.
struct Telling<'b> {
    breaker: &'b Shared,
    done: bool,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.breaker.edges().telling = false;
        }
    }
}
