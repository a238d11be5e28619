//! A delivery's claim in a replay store, given back whatever happens.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::SystemTime,
};

use http::StatusCode;
use tokio::runtime::Handle;

use super::{layer::Shared, witness::Witness};
use crate::{
    random::RandomError,
    replay::{Claim, ClaimToken},
    store::{Reply, StoreError},
};

/// A delivery was dealt with, and the store does not know of it.
const COMMIT_FAILED: &str = "webhook_commit_failed";
/// A delivery was not dealt with, and the store holds its claim until that runs out.
const RELEASE_FAILED: &str = "webhook_release_failed";
/// A delivery was dealt with and was nobody's by then: somebody else may have dealt with it too.
const CLAIM_LOST: &str = "webhook_claim_lost";

/// The longest key that needs no heap: of every scheme that the crate knows.
const SHORT: usize = 72;

/// Tokens of one layer: one drawn at random, and others counted from it. Asking the system for each would
/// cost as much as the check of a short body.
#[derive(Default)]
pub(super) struct Tokens {
    first: OnceLock<ClaimToken>,
    next: AtomicU64,
}

impl Tokens {
    fn next(&self) -> Result<ClaimToken, RandomError> {
        let first = match self.first.get() {
            Some(first) => first,
            None => {
                let drawn = ClaimToken::generate()?;
                self.first.get_or_init(|| drawn)
            }
        };
        Ok(first.counted(self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

/// A layer that was made from another draws a token of its own.
impl Clone for Tokens {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// The key of a delivery in the store.
enum Key {
    Short([u8; SHORT], usize),
    Long(Box<[u8]>),
}

impl Key {
    fn new(scheme: &str, replay_key: &[u8; 32]) -> Self {
        // Of the scheme's name: two providers' ids may be the same.
        let parts = [b"webhook ", scheme.as_bytes(), b" ", replay_key];
        let mut short = [0; SHORT];
        let mut length = 0;
        for part in parts {
            let Some(room) = short.get_mut(length..length + part.len()) else {
                return Self::Long(parts.concat().into());
            };
            room.copy_from_slice(part);
            length += part.len();
        }
        Self::Short(short, length)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, length) => &bytes[..*length],
            Self::Long(bytes) => bytes,
        }
    }
}

/// The claim of one delivery. Dropped without a [`settle`](Self::settle), it is released: the handler
/// panicked, or whoever waited for the answer has gone.
pub(super) struct Held {
    shared: Arc<Shared>,
    key: Key,
    token: ClaimToken,
    settled: bool,
    witness: Option<Box<Witness>>,
}

impl Held {
    pub(super) fn new(
        shared: &Arc<Shared>,
        replay_key: &[u8; 32],
        witness: Option<Box<Witness>>,
    ) -> Result<Self, RandomError> {
        Ok(Self {
            token: shared.tokens.next()?,
            shared: Arc::clone(shared),
            key: Key::new(shared.verifier.scheme().name(), replay_key),
            settled: false,
            witness,
        })
    }

    pub(super) fn claim(&self, now: SystemTime) -> Reply<Claim> {
        let Shared { store, lease, .. } = &*self.shared;
        store.claim(self.key.bytes(), &self.token, now, *lease)
    }

    /// Ends the claim: for good if the delivery was dealt with, and otherwise so that it can come again. There
    /// is nothing left to wait for where the store answers at once.
    pub(super) fn settle(mut self, status: StatusCode) -> Option<Settling> {
        self.end(status)
    }

    /// Forgets a claim that is somebody else's.
    pub(super) fn forget(mut self) {
        self.settled = true;
    }

    /// Gives back a claim that may not be there: the store has failed, and that was told.
    pub(super) fn give_back(mut self) {
        self.witness = None;
    }

    fn end(&mut self, status: StatusCode) -> Option<Settling> {
        self.settled = true;
        let Shared {
            store, refusals, ..
        } = &*self.shared;
        let (key, now) = (self.key.bytes(), refusals.now());
        let is_done = status.is_success();
        let reply = match is_done {
            true => store.commit(key, &self.token, now, self.shared.keep()),
            false => store.release(key, &self.token, now),
        };
        let outcome = Outcome {
            shared: Arc::clone(&self.shared),
            witness: self.witness.take(),
            status,
        };
        match reply {
            Reply::Ready(reply) => {
                outcome.see(&reply);
                None
            }
            Reply::Wait(future) => Some(Settling(Some((future, outcome)))),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.settled {
            drop(self.end(StatusCode::INTERNAL_SERVER_ERROR));
        }
    }
}

/// What the handler answered, and who is told if the store cannot be.
struct Outcome {
    shared: Arc<Shared>,
    witness: Option<Box<Witness>>,
    status: StatusCode,
}

impl Outcome {
    fn see(&self, reply: &Result<bool, StoreError>) {
        let code = match (self.status.is_success(), reply) {
            (true, Err(_)) => COMMIT_FAILED,
            (true, Ok(false)) => CLAIM_LOST,
            (false, Err(_)) => RELEASE_FAILED,
            (true, Ok(true)) | (false, Ok(_)) => return,
        };
        if let Some(witness) = &self.witness {
            witness.tell(self.shared.refusals.now(), code, self.status);
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>>;

/// The end of a claim, asked of the store. Dropped before the store has answered, it is left to the runtime.
pub(super) struct Settling(Option<(Answer, Outcome)>);

impl Settling {
    /// Waits for the store. What was done is done, whether it could be told or not: a failure of the request
    /// here would make the provider send it again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((future, outcome)) = &mut self.0 {
            let reply = ready!(future.as_mut().poll(cx));
            outcome.see(&reply);
            self.0 = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        // Without a runtime the claim runs out by itself.
        if let Some((future, outcome)) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            drop(runtime.spawn(async move { outcome.see(&future.await) }));
        }
    }
}
