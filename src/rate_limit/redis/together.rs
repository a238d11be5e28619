//! [`Together`]: requests under the same limits, which are asked about as one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::group::{Costs, Few, Group};
use crate::{
    rate_limit::Decisions,
    store::{StoreError, StoreErrorKind},
};

pub(super) type Answer = Result<Decisions, StoreError>;

/// Requests under the same limits.
pub(super) struct Together {
    pub(super) group: Arc<Group>,
    pub(super) callers: Few<Caller>,
}

pub(super) struct Caller {
    pub(super) costs: Costs,
    pub(super) said: u64,
    pub(super) since: Instant,
    pub(super) answer: oneshot::Sender<Answer>,
}

impl Together {
    /// Nobody yet.
    pub(super) fn new(group: Group) -> Self {
        Self {
            group: Arc::new(group),
            callers: Few::new(),
        }
    }

    /// One request alone, which hears its answer itself.
    pub(super) fn alone(group: Group, costs: Costs, said: u64) -> Self {
        let mut alone = Self::new(group);
        let (answer, _) = oneshot::channel();
        alone.callers.push(Caller {
            costs,
            said,
            since: Instant::now(),
            answer,
        });
        alone
    }

    /// Since when the first of them waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.callers.first().map(|caller| caller.since)
    }

    /// Tells those who have waited for so long that their time is over, and says how many they were.
    pub(super) fn send_away(&mut self, now: Instant, patience: Duration) -> usize {
        let waited = |one: &Caller| now.saturating_duration_since(one.since);
        let late = self.callers.partition_point(|one| waited(one) >= patience);
        for caller in self.callers.drain(..late) {
            let timeout = StoreError::new(StoreErrorKind::Timeout);
            let _ = caller.answer.send(Err(timeout));
        }
        late
    }

    pub(super) fn answer(self, answer: Result<Few<Decisions>, StoreError>) {
        match answer {
            Ok(decisions) => {
                for (caller, decisions) in self.callers.into_iter().zip(decisions) {
                    let _ = caller.answer.send(Ok(decisions));
                }
            }
            Err(error) => {
                for caller in self.callers {
                    let _ = caller.answer.send(Err(error.clone()));
                }
            }
        }
    }
}
