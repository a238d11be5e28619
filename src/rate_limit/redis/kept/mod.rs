//! [`Kept`]: segments that are over, as they were read.
//!
//! What was counted in them changes no more but by what is given back, and of the newest the increment itself
//! says what it holds. So a key that was read a moment ago needs only the increment: half the work, here and
//! in Redis. They are gone by only where nobody can have counted there since:
//!
//! - They were read when the segment before the newest was over for longer than a request may be on its way.
//!   Whoever counts does so at the latest time that it may be, so what came later is counted later.
//! - Nobody can yet count ahead of the newest, or one segment ahead at most, which is read along.
//! - This process has since given nothing back, reset nothing and blocked nothing of the limit.
//!
//! What another process gives back, resets or blocks is seen after [`READING_TRUSTED`].

#[cfg(test)]
mod tests;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use super::{
    time::{AHEAD, Now, Times},
    view::Span,
};
use crate::rate_limit::{Quota, identity::Identity};

/// Limits are kept in so many places of so many; what finds all taken takes that of the one read first.
const PLACES: usize = 8_192;
const WAYS: usize = 4;

/// Changes are noticed in so many places: of two limits that share one, both are read once more.
const CHANGES: usize = 4_096;

/// So long a reading is gone by, in nanoseconds, and no longer than its segment. It bounds how late another process'
/// refund, reset or block is seen.
pub(super) const READING_TRUSTED: u64 = 1_000_000_000;

#[derive(Clone)]
pub(super) struct Kept(Arc<Table>);

struct Table {
    places: Box<[Mutex<Vec<Entry>>]>,
    changes: Box<[AtomicU32]>,
}

struct Entry {
    id: Identity,
    span: Span,
    change: u32,
    /// By the clock that decides.
    read: u64,
    counts: Arc<[u32]>,
}

/// What need not be read again.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    /// As a view keeps them.
    pub(super) counts: Arc<[u32]>,
    /// Whether somebody may count one segment ahead.
    pub(super) ahead: bool,
}

impl Default for Kept {
    fn default() -> Self {
        Self(Arc::new(Table {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
            changes: (0..CHANGES).map(|_| AtomicU32::new(0)).collect(),
        }))
    }
}

impl Kept {
    /// How often this process has changed what lies in segments that are over.
    pub(super) fn change(&self, id: Identity) -> u32 {
        self.at(id).load(Ordering::Acquire)
    }

    /// This process changes that.
    pub(super) fn changed(&self, id: Identity) {
        self.at(id).fetch_add(1, Ordering::AcqRel);
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
    fn at(&self, id: Identity) -> &AtomicU32 {
        &self.0.changes[id.spread() as usize % CHANGES]
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
    fn place(&self, id: Identity) -> &Mutex<Vec<Entry>> {
        &self.0.places[id.spread() as usize % PLACES]
    }

    /// Keeps what was read at a time, if nobody counts there any more. A request is on its way for so long at
    /// most.
    pub(super) fn keep(&self, id: Identity, reading: &Reading<'_>, counts: Arc<[u32]>, way: u64) {
        let Reading {
            quota, times, now, ..
        } = *reading;
        let (span, segment) = (Span::of(quota, &times), quota.segment_nanos());
        let over = span.place.saturating_mul(segment).saturating_add(way);
        if times.early < over || segment < AHEAD.saturating_add(2 * way) {
            return;
        }
        let entry = Entry {
            id,
            span,
            change: reading.change,
            read: now.time,
            counts,
        };
        let place = self.place(id);
        let mut ways = place.lock().unwrap_or_else(PoisonError::into_inner);
        let same = ways.iter().position(|way| way.id == id);
        let at = same.or_else(|| {
            let read = |at: &usize| ways[*at].read;
            (ways.len() >= WAYS).then(|| (0..WAYS).min_by_key(read))?
        });
        match at.and_then(|at| ways.get_mut(at)) {
            Some(way) => *way = entry,
            None => ways.push(entry),
        }
    }

    /// What is known of the segments of a limit, if the newest alone need be asked about.
    pub(super) fn find(&self, id: Identity, reading: &Reading<'_>, way: u64) -> Option<Remembered> {
        let Reading {
            quota, times, now, ..
        } = *reading;
        let span = Span::of(quota, &times);
        let place = self.place(id);
        let ways = place.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = ways.iter().find(|way| way.id == id)?;
        let holds = entry.span == span
            && entry.change == reading.change
            && (entry.read..entry.read.saturating_add(READING_TRUSTED)).contains(&now.time);
        holds.then(|| {
            let over = (span.place + 1).saturating_mul(quota.segment_nanos());
            let latest = times.late.saturating_add(AHEAD).saturating_add(way);
            Remembered {
                counts: Arc::clone(&entry.counts),
                ahead: latest >= over,
            }
        })
    }
}

/// When a limit is asked about, and how often it had been changed before.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) quota: &'a Quota,
    pub(super) times: Times,
    pub(super) now: Now,
    pub(super) change: u32,
}
