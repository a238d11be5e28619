//! A delivery's claim in a replay store, given back whatever happens.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

use super::layer::Shared;
use crate::{
    random::RandomError,
    replay::{Claim, ClaimToken},
    store::{Reply, StoreError},
};

/// A reply that is asked for until it is there.
pub(super) struct Asked<T>(Option<Reply<T>>);

impl<T> From<Reply<T>> for Asked<T> {
    fn from(reply: Reply<T>) -> Self {
        Self(Some(reply))
    }
}

impl<T> Asked<T> {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, StoreError>> {
        match self.0.take() {
            Some(Reply::Ready(reply)) => Poll::Ready(reply),
            Some(Reply::Wait(mut future)) => match future.as_mut().poll(cx) {
                Poll::Ready(reply) => Poll::Ready(reply),
                Poll::Pending => {
                    self.0 = Some(Reply::Wait(future));
                    Poll::Pending
                }
            },
            None => unreachable!("asked again after the reply"),
        }
    }
}

/// The claim of one delivery. Dropped without a [`settle`](Self::settle), it is released: the handler
/// panicked, or whoever waited for the answer has gone.
pub(super) struct Held {
    shared: Arc<Shared>,
    key: Box<[u8]>,
    token: ClaimToken,
    settled: bool,
}

/// The end of a claim, asked of the store. Dropped before the store has answered, it is left to the runtime.
pub(super) struct Settling(Asked<bool>);

impl Held {
    pub(super) fn new(shared: &Arc<Shared>, replay_key: &[u8; 32]) -> Result<Self, RandomError> {
        // Of the scheme's name: two providers' ids may be the same.
        let name = shared.verifier.scheme().name().as_bytes();
        let key = [b"webhook ", name, b" ", replay_key].concat();
        Ok(Self {
            shared: Arc::clone(shared),
            key: key.into(),
            token: ClaimToken::generate()?,
            settled: false,
        })
    }

    pub(super) fn claim(&self) -> Asked<Claim> {
        let Shared {
            store,
            refusals,
            lease,
            ..
        } = &*self.shared;
        store
            .claim(&self.key, &self.token, refusals.now(), *lease)
            .into()
    }

    /// Ends the claim: for good if the delivery was dealt with, and otherwise so that it can come again.
    pub(super) fn settle(mut self, is_done: bool) -> Settling {
        self.settled = true;
        Settling::of(self.reply(is_done))
    }

    /// Forgets a claim that is somebody else's.
    pub(super) fn forget(mut self) {
        self.settled = true;
    }

    fn reply(&self, is_done: bool) -> Reply<bool> {
        let store = &self.shared.store;
        let now = self.shared.refusals.now();
        match is_done {
            true => store.commit(&self.key, &self.token, now, self.shared.keep()),
            false => store.release(&self.key, &self.token, now),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.settled {
            drop(Settling::of(self.reply(false)));
        }
    }
}

impl Settling {
    fn of(reply: Reply<bool>) -> Self {
        Self(reply.into())
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, StoreError>> {
        self.0.poll(cx)
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        // Without a runtime the claim runs out by itself.
        if let Some(Reply::Wait(future)) = self.0.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            drop(runtime.spawn(future));
        }
    }
}
