//! A delivery's claim in a replay store, given back whatever happens.

use std::{
    future::Future,
    iter,
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

use super::{layer::Shared, replayed::ReplayKey, witness::Witness};
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

/// The keys of a delivery in the store: one, or all of several.
enum Keys {
    One(Key),
    /// In one order, whatever order the secrets are in: of copies that come at the same time, the one that claims
    /// the first key gets the others.
    Several(Arc<[Key]>),
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Short([u8; SHORT], usize),
    Long(Box<[u8]>),
}

impl Keys {
    #[inline]
    fn new(scheme: &str, mut replay_keys: impl Iterator<Item = ReplayKey>) -> Self {
        // Every proof has a key.
        let first = Key::new(scheme, &replay_keys.next().unwrap_or_default());
        let Some(second) = replay_keys.next() else {
            return Self::One(first);
        };
        let more = iter::once(second).chain(replay_keys);
        let more = more.map(|key| Key::new(scheme, &key));
        let mut keys: Vec<_> = iter::once(first).chain(more).collect();
        keys.sort_unstable();
        Self::Several(keys.into())
    }
}

impl Key {
    fn new(scheme: &str, replay_key: &ReplayKey) -> Self {
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
    keys: Keys,
    token: ClaimToken,
    settled: bool,
    witness: Option<Box<Witness>>,
}

impl Held {
    #[inline]
    pub(super) fn new(
        shared: &Arc<Shared>,
        replay_keys: impl Iterator<Item = ReplayKey>,
        witness: Option<Box<Witness>>,
    ) -> Result<Self, RandomError> {
        Ok(Self {
            token: shared.tokens.next()?,
            shared: Arc::clone(shared),
            keys: Keys::new(shared.verifier.scheme().name(), replay_keys),
            settled: false,
            witness,
        })
    }

    #[inline]
    pub(super) fn claim(&self, now: SystemTime) -> Reply<Claim> {
        let Shared { store, lease, .. } = &*self.shared;
        match &self.keys {
            Keys::One(key) => store.claim(key.bytes(), &self.token, now, *lease),
            Keys::Several(keys) => {
                let (shared, keys) = (Arc::clone(&self.shared), Arc::clone(keys));
                Reply::Wait(Box::pin(claim_all(shared, keys, self.token, now)))
            }
        }
    }

    /// Ends the claim: for good if the delivery was dealt with, and otherwise so that it can come again. There
    /// is nothing left to wait for where the store answers at once.
    #[inline]
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
        let shared = &*self.shared;
        let now = shared.refusals.now();
        let is_done = status.is_success();
        let ask = |key: &Key| match is_done {
            true => shared
                .store
                .commit(key.bytes(), &self.token, now, shared.keep()),
            false => shared.store.release(key.bytes(), &self.token, now),
        };
        let reply = match &self.keys {
            Keys::One(key) => ask(key),
            Keys::Several(keys) => all(keys.iter().map(ask)),
        };
        match reply {
            Reply::Ready(reply) => {
                see(shared, self.witness.as_deref(), status, &reply);
                None
            }
            Reply::Wait(answer) => Some(Settling(Some(Waiting {
                answer,
                shared: Arc::clone(&self.shared),
                witness: self.witness.take(),
                status,
            }))),
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

async fn answer<T>(reply: Reply<T>) -> Result<T, StoreError> {
    match reply {
        Reply::Ready(answer) => answer,
        Reply::Wait(answer) => answer.await,
    }
}

/// Claims every key, or none.
async fn claim_all(
    shared: Arc<Shared>,
    keys: Arc<[Key]>,
    token: ClaimToken,
    now: SystemTime,
) -> Result<Claim, StoreError> {
    let store = &shared.store;
    for (at, key) in keys.iter().enumerate() {
        let claim = answer(store.claim(key.bytes(), &token, now, shared.lease)).await?;
        if claim != Claim::Claimed {
            for key in &keys[..at] {
                // Where it fails, the key of a delivery that is somebody else's is held until its lease is over.
                let _ = answer(store.release(key.bytes(), &token, now)).await;
            }
            return Ok(claim);
        }
    }
    Ok(Claim::Claimed)
}

/// One reply of several: whether all of them say so. All are asked, whatever the first ones reply.
fn all(replies: impl Iterator<Item = Reply<bool>>) -> Reply<bool> {
    let both = |one: Result<bool, StoreError>, other| Ok(one? & other?);
    let (mut ready, mut waits) = (Ok(true), Vec::new());
    for reply in replies {
        match reply {
            Reply::Ready(reply) => ready = both(ready, reply),
            Reply::Wait(reply) => waits.push(reply),
        }
    }
    if waits.is_empty() {
        return Reply::Ready(ready);
    }
    Reply::Wait(Box::pin(async move {
        for reply in waits {
            ready = both(ready, reply.await);
        }
        ready
    }))
}

/// Tells of what the store could not be told.
fn see(
    shared: &Shared,
    witness: Option<&Witness>,
    status: StatusCode,
    reply: &Result<bool, StoreError>,
) {
    let code = match (status.is_success(), reply) {
        (true, Err(_)) => COMMIT_FAILED,
        (true, Ok(false)) => CLAIM_LOST,
        (false, Err(_)) => RELEASE_FAILED,
        (true, Ok(true)) | (false, Ok(_)) => return,
    };
    if let Some(witness) = witness {
        witness.tell(shared.refusals.now(), code, status);
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>>;

/// The end of a claim, asked of the store. Dropped before the store has answered, it is left to the runtime.
pub(super) struct Settling(Option<Waiting>);

/// What the store is to say, what the handler answered, and who is told if the store cannot be.
struct Waiting {
    answer: Answer,
    shared: Arc<Shared>,
    witness: Option<Box<Witness>>,
    status: StatusCode,
}

impl Waiting {
    fn see(&self, reply: &Result<bool, StoreError>) {
        see(&self.shared, self.witness.as_deref(), self.status, reply);
    }
}

impl Settling {
    /// Waits for the store. What was done is done, whether it could be told or not: a failure of the request
    /// here would make the provider send it again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(waiting) = &mut self.0 {
            let reply = ready!(waiting.answer.as_mut().poll(cx));
            waiting.see(&reply);
            self.0 = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        // Without a runtime the claim runs out by itself.
        if let Some(mut waiting) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            drop(runtime.spawn(async move {
                let reply = waiting.answer.as_mut().await;
                waiting.see(&reply);
            }));
        }
    }
}
