//! [`Expiring`]: the keys that are known to have an expiry.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::rate_limit::identity::Identity;

/// So many keys are remembered, in pairs of places; one that is forgotten is given an expiry once more.
const MOST: usize = 65_536;

/// What stands for the keys that this process has given an expiry. A key that was deleted since is shorter
/// than it was made, see [`wire`](super::wire).
#[derive(Clone)]
pub(super) struct Expiring(Arc<[AtomicU64]>);

impl Default for Expiring {
    fn default() -> Self {
        Self((0..MOST).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Expiring {
    /// Whether a part of a limit's counts is known.
    pub(super) fn knows(&self, id: Identity, part: u64) -> bool {
        let (tag, places) = self.places(id, part);
        places
            .iter()
            .any(|place| place.load(Ordering::Relaxed) == tag)
    }

    /// Remembers one that has been given an expiry.
    pub(super) fn remember(&self, id: Identity, part: u64) {
        let (tag, [one, other]) = self.places(id, part);
        // The newer one stands first.
        let before = one.swap(tag, Ordering::Relaxed);
        if before != tag && before != 0 {
            other.store(before, Ordering::Relaxed);
        }
    }

    /// Forgets one, of which it is not known what became.
    pub(super) fn forget(&self, id: Identity, part: u64) {
        let (tag, places) = self.places(id, part);
        for place in places {
            let _ = place.compare_exchange(tag, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
    fn places(&self, id: Identity, part: u64) -> (u64, [&AtomicU64; 2]) {
        // Never 0, which is no key.
        let tag = (id.second ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        let at = id.spread() as usize % MOST;
        (tag, [&self.0[at], &self.0[at ^ 1]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_remembered_is_known_until_others_take_its_places() {
        let (known, id) = (Expiring::default(), |first| Identity {
            first,
            second: 1 << 60 | 7,
        });
        assert!(!known.knows(id(1), 3));
        known.remember(id(1), 3);
        assert!(known.knows(id(1), 3) && !known.knows(id(1), 4) && !known.knows(id(9), 3));
        known.remember(id(1), 4);
        assert!(known.knows(id(1), 3) && known.knows(id(1), 4));
        known.forget(id(1), 4);
        assert!(known.knows(id(1), 3) && !known.knows(id(1), 4));
    }
}
