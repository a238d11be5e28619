//! [`Denied`]: keys that are known to be refused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::rate_limit::{Decision, Quota, SlidingWindow};

/// More keys than this are not remembered: they are asked about.
const MOST: usize = 16_384;

/// What was seen of keys when they were refused, each until the segment is over in which it was seen: what
/// was counted then still is, so what had no room then has none now.
#[derive(Clone, Default)]
pub(super) struct Denied(Arc<Mutex<HashMap<String, (u64, SlidingWindow)>>>);

impl Denied {
    /// Remembers what was seen.
    pub(super) fn remember(&self, key: &str, quota: &Quota, seen: SlidingWindow, now: u64) {
        let segment = quota.segment_nanos();
        let until = (now / segment).saturating_add(1).saturating_mul(segment);
        let mut denied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if denied.len() >= MOST {
            denied.retain(|_, (until, _)| *until > now);
        }
        if denied.len() < MOST {
            denied.insert(key.to_owned(), (until, seen));
        }
    }

    /// The refusal, if there is no doubt about it.
    pub(super) fn look(&self, key: &str, quota: &Quota, cost: u32, now: u64) -> Option<Decision> {
        let mut denied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, seen) = denied.get(key)?;
        // A time before the segment is one of a caller's clock that was set.
        if now >= *until || until - now > quota.segment_nanos() {
            denied.remove(key);
            return None;
        }
        let decision = seen.clone().look(quota, cost, now);
        (!decision.allowed).then_some(decision)
    }

    /// Forgets a key.
    pub(super) fn forget(&self, key: &str) {
        let mut denied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        denied.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_over_with_its_segment() {
        let (denied, quota) = (Denied::default(), Quota::per_second(1).segments(1));
        let full = SlidingWindow::counted(0, [1, 0].into_iter());
        for key in 0..MOST + 10 {
            denied.remember(&key.to_string(), &quota, full.clone(), 5);
        }
        assert!(denied.look("0", &quota, 1, 6).is_some());
        assert!(denied.look("0", &quota, 0, 6).is_none());
        assert!(denied.look(&MOST.to_string(), &quota, 1, 6).is_none());
        assert!(denied.look("0", &quota, 1, 1_000_000_000).is_none());
        for key in ["new", "newer"] {
            denied.remember(key, &quota, full.clone(), 1_000_000_001);
        }
        assert!(denied.0.lock().unwrap().len() < MOST);
    }
}
