//! [`ServerTime`]: the clock of Redis, as seen from here.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use crate::store::{Call, RedisStore, StoreError};

/// After so long the server is asked again, while nobody waits.
const FRESH: Duration = Duration::from_secs(5);

/// After so long without an answer nothing is decided before there is one.
const TRUSTED: Duration = Duration::from_secs(60);

/// The server's time, asked for now and then and counted on with the monotonic clock.
#[derive(Clone, Default)]
pub(super) struct ServerTime {
    /// What the last caller said, if callers' times are taken instead.
    callers: Option<Arc<AtomicU64>>,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    last: Mutex<Option<(Instant, u64)>>,
    asking: AtomicBool,
}

impl ServerTime {
    /// The time of whoever asks, instead.
    pub(super) fn the_callers() -> Self {
        Self {
            callers: Some(Arc::default()),
            ..Self::default()
        }
    }

    /// The time, if it is known without asking.
    pub(super) fn known(&self, callers: u64) -> Option<u64> {
        if let Some(last) = &self.callers {
            last.store(callers, Ordering::Relaxed);
            return Some(callers);
        }
        let (at, time) = self.said.last().filter(|(at, _)| at.elapsed() < TRUSTED)?;
        Some(counted_on(at, time))
    }

    /// What a caller who names no time may go by; it is not heeded if the server's time is.
    pub(super) fn last(&self) -> u64 {
        let last = self.callers.as_ref();
        last.map_or(0, |last| last.load(Ordering::Relaxed))
    }

    /// The time, asked for if it must be.
    pub(super) async fn now(
        &self,
        callers: u64,
        store: &RedisStore,
        call: Call,
    ) -> Result<u64, StoreError> {
        let Some(known) = self.known(callers) else {
            return self.said.ask(store, call).await;
        };
        let stale = |(at, _): (Instant, u64)| at.elapsed() >= FRESH;
        if self.callers.is_none()
            && self.said.last().is_some_and(stale)
            && !self.said.asking.swap(true, Ordering::AcqRel)
            && let Ok(runtime) = Handle::try_current()
        {
            let (said, store) = (Arc::clone(&self.said), store.clone());
            runtime.spawn(async move {
                // If it fails, what was said before is trusted for a while.
                let _ = said.ask(&store, call).await;
                said.asking.store(false, Ordering::Release);
            });
        }
        Ok(known)
    }
}

impl Said {
    fn last(&self) -> Option<(Instant, u64)> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, store: &RedisStore, call: Call) -> Result<u64, StoreError> {
        let asked = Instant::now();
        let (seconds, micros): (u64, u64) = store.command(&redis::cmd("TIME"), call).await?;
        // It was that time some time between asking and hearing: taken for the middle.
        let at = asked + asked.elapsed() / 2;
        let time = seconds.saturating_mul(1_000_000_000) + micros.saturating_mul(1_000);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, time));
        Ok(counted_on(at, time))
    }
}

fn counted_on(at: Instant, time: u64) -> u64 {
    let since = u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX);
    time.saturating_add(since)
}
