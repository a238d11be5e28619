//! [`Breaker`]: does not ask what does not answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::store::{StoreError, StoreErrorKind};

/// How many failures in a row are an outage.
const FAILURES: u32 = 3;

/// How often one request tries whether it is over.
const PAUSE: Duration = Duration::from_millis(100);

type Told = Arc<dyn Fn(bool) + Send + Sync>;

/// Counts failures in a row. While there is an outage, one request in a while asks, and all others are told
/// at once that the store cannot be reached.
#[derive(Clone, Default)]
pub(super) struct Breaker {
    state: Arc<Mutex<State>>,
    told: Option<Told>,
}

#[derive(Default)]
struct State {
    failures: u32,
    /// During an outage, when somebody may ask next.
    next: Option<Instant>,
}

/// Somebody is asking.
pub(super) struct Asking<'b>(&'b Breaker);

impl Breaker {
    pub(super) fn telling(told: Told) -> Self {
        Self {
            told: Some(told),
            ..Self::default()
        }
    }

    /// May somebody ask?
    pub(super) fn ask(&self) -> Result<Asking<'_>, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = &mut state.next {
            let now = Instant::now();
            if now < *next {
                return Err(StoreError::new(StoreErrorKind::Unreachable));
            }
            *next = now + PAUSE;
        }
        Ok(Asking(self))
    }

    fn tell(&self, out: bool) {
        if let Some(told) = &self.told {
            told(out);
        }
    }
}

impl Asking<'_> {
    /// What was heard.
    pub(super) fn heard<T>(self, answer: &Result<T, StoreError>) {
        let edge = {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Ok(_) => {
                    state.failures = 0;
                    state.next.take().map(|_| false)
                }
                Err(_) => {
                    state.failures = state.failures.saturating_add(1);
                    let out = state.failures >= FAILURES && state.next.is_none();
                    if out {
                        state.next = Some(Instant::now() + PAUSE);
                    }
                    out.then_some(true)
                }
            }
        };
        if let Some(out) = edge {
            self.0.tell(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn an_outage_is_told_once_at_each_edge_and_meanwhile_few_ask() {
        let edges = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let told = Arc::clone(&edges);
        let breaker = Breaker::telling(Arc::new(move |out| {
            let edge = if out { &told.0 } else { &told.1 };
            edge.fetch_add(1, Ordering::Relaxed);
        }));
        let failed: Result<(), _> = Err(StoreError::new(StoreErrorKind::Timeout));
        let mut asked = 0;
        for _ in 0..100 {
            if let Ok(asking) = breaker.ask() {
                asked += 1;
                asking.heard(&failed);
            }
        }
        assert!((3..10).contains(&asked), "{asked} asked");
        assert_eq!(edges.0.load(Ordering::Relaxed), 1);
        // The pause is over: one asks, and hears an answer.
        breaker.state.lock().unwrap().next = Some(Instant::now());
        breaker.ask().unwrap().heard(&Ok(()));
        assert_eq!(edges.1.load(Ordering::Relaxed), 1);
        assert!(breaker.ask().is_ok() && breaker.ask().is_ok());
    }
}
