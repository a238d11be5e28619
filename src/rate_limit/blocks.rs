//! [`Blocks`]: keys that an operator shut out until a time.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::identity::Identity;
use crate::store::{StoreError, StoreErrorKind};

/// More blocks than this at a time are refused: none is forgotten to make room for another.
const MOST: usize = 65_536;

/// The keys that are shut out, with the time until when, in nanoseconds.
#[derive(Default)]
pub(super) struct Blocks {
    until: RwLock<HashMap<(u64, u64), u64>>,
    /// How many there are, so that nobody takes the lock while there are none.
    count: AtomicUsize,
}

impl Blocks {
    /// Shuts a key out, or changes until when it is.
    pub(super) fn set(&self, key: Identity, until: u64, now: u64) -> Result<(), StoreError> {
        let mut blocks = self.until.write().unwrap_or_else(PoisonError::into_inner);
        if blocks.len() >= MOST {
            blocks.retain(|_, until| *until > now);
        }
        if blocks.len() >= MOST && !blocks.contains_key(&both(key)) {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        blocks.insert(both(key), until);
        self.count.store(blocks.len(), Ordering::Release);
        Ok(())
    }

    /// Lets a key in again.
    pub(super) fn lift(&self, key: Identity) {
        let mut blocks = self.until.write().unwrap_or_else(PoisonError::into_inner);
        blocks.remove(&both(key));
        self.count.store(blocks.len(), Ordering::Release);
    }

    /// Whether nobody is shut out.
    #[inline]
    pub(super) fn are_none(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// How long a key is still shut out, if it is.
    #[inline]
    pub(super) fn left(&self, key: Identity, now: u64) -> Option<Duration> {
        if self.are_none() {
            return None;
        }
        let blocks = self.until.read().unwrap_or_else(PoisonError::into_inner);
        let left = blocks.get(&both(key))?.saturating_sub(now);
        (left > 0).then(|| Duration::from_nanos(left))
    }
}

fn both(key: Identity) -> (u64, u64) {
    (key.first, key.second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Identity {
        Identity {
            first: number as u64,
            second: 0,
        }
    }

    #[test]
    fn what_is_blocked_is_never_forgotten_for_another_and_what_is_over_makes_room() {
        let blocks = Blocks::default();
        for number in 0..MOST {
            blocks.set(key(number), 10, 0).unwrap();
        }
        let error = blocks.set(key(MOST), 10, 9).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Full);
        assert!(blocks.set(key(0), 20, 9).is_ok());
        assert!(blocks.left(key(1), 9).is_some() && blocks.left(key(1), 10).is_none());
        assert!(blocks.set(key(MOST), 30, 10).is_ok());
        assert!(blocks.left(key(0), 19).is_some() && blocks.left(key(MOST), 29).is_some());
        blocks.lift(key(0));
        assert!(blocks.left(key(0), 19).is_none());
    }
}
