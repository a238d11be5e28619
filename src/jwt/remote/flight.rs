//! [`Flight`]: an attempt under way, and whoever waits for it.

use tokio::sync::watch;

use super::{JwksError, JwksErrorKind};

/// How an attempt ended.
pub(super) type Outcome = Result<(), JwksError>;

/// An attempt under way. Its sender is dropped when it is over, whatever ended it.
#[derive(Clone)]
pub(super) struct Flight(pub(super) watch::Receiver<Option<Outcome>>);

impl Flight {
    pub(super) fn is_under_way(&self) -> bool {
        self.0.has_changed().is_ok()
    }

    /// Waits for the end.
    pub(super) async fn landed(mut self) -> Outcome {
        while self.0.changed().await.is_ok() {}
        let outcome = self.0.borrow().clone();
        outcome.unwrap_or_else(|| Err(JwksErrorKind::NoRuntime.into()))
    }
}
