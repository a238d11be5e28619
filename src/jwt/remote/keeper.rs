//! The task that refreshes keys without being asked.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Weak},
    task::Poll,
};

use tokio::sync::watch;

use super::shared::{Shared, Why};
use crate::fetch::{Background, Work};

/// Refreshes whenever it is time. It holds the keys only while it fetches, and ends when `alive` closes.
pub(super) async fn keep(
    shared: Weak<Shared>,
    background: Arc<dyn Background>,
    mut alive: watch::Receiver<()>,
) {
    loop {
        let Some(pause) = shared.upgrade().map(|shared| shared.until_due()) else {
            return;
        };
        let closed = async { while alive.changed().await.is_ok() {} };
        if before(closed, background.sleep(pause)).await.is_some() {
            return;
        }
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let flight = match shared.is_due(shared.clock.now()) {
            true => shared.begin(Why::Due),
            false => None,
        };
        drop(shared);
        if let Some(flight) = flight {
            // How it ended was told to `on_event`.
            let _ = flight.landed().await;
        }
    }
}

/// The first of two futures to be done: its output, or none if it is the timer.
pub(super) async fn before<T>(work: impl Future<Output = T> + Send, timer: Work) -> Option<T> {
    let (mut work, mut timer) = (pin!(work), timer);
    poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}
