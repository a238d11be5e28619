//! [`Together`]: requests under the same limits, which are asked about as one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::group::{Costs, Group};
use crate::{rate_limit::Decisions, store::StoreError};

pub(super) type Answer = Result<Decisions, StoreError>;

/// Requests under the same limits.
pub(super) struct Together {
    pub(super) group: Arc<Group>,
    pub(super) callers: Vec<Caller>,
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
            callers: Vec::with_capacity(1),
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

    /// How long the first of them has waited.
    pub(super) fn waited(&self) -> Duration {
        let since = self.callers.first().map(|caller| caller.since.elapsed());
        since.unwrap_or_default()
    }

    pub(super) fn answer(self, answer: Result<Vec<Decisions>, StoreError>) {
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
