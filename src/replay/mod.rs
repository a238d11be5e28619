//! [`ReplayStore`]: every single-use value in the crate goes through it.
//!
//! A value is used either in one step ([`consume`](ReplayStore::consume): a one-time code, the `jti` of a
//! proof), or in two: it is claimed while something is done about it, then committed if that went well or
//! released if not ([`claim`](ReplayStore::claim): a webhook's delivery, which its sender repeats until it
//! was answered well).
//!
//! 1. Of any number of callers at the same time, in any number of processes
//!    that share the store, one gets the value.
//! 2. A claim belongs to the [`ClaimToken`] that made it: a release that comes late, after the claim has run
//!    out and somebody else has made one, releases nothing.
//! 3. A claim runs out after its lease, so a process that dies while it holds one blocks nobody for longer.
//! 4. A used value is remembered for the time given and never forgotten earlier: a store without room
//!    refuses with [`StoreErrorKind::Full`](crate::store::StoreErrorKind::Full).
//!
//! Keys are any bytes and may come from clients. Who shares a store among several purposes begins the key
//! with the purpose. A key should be short: digest what may be longer than some hundred bytes.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use portcullis::{
//!     replay::{Claim, ClaimToken, ReplayStore},
//!     store::{MemoryStore, Reply},
//! };
//!
//! fn claim(store: &MemoryStore, token: &ClaimToken) -> Option<Claim> {
//!     match store.claim(b"stripe evt_1", token, SystemTime::now(), Duration::from_secs(30)) {
//!         Reply::Ready(claim) => claim.ok(),
//!         Reply::Wait(_) => None, // In memory there is nothing to wait for.
//!     }
//! }
//!
//! let store = MemoryStore::new();
//! let (first, second) = (ClaimToken::generate()?, ClaimToken::generate()?);
//! assert_eq!(claim(&store, &first), Some(Claim::Claimed));
//! assert_eq!(claim(&store, &second), Some(Claim::InFlight));
//! store.commit(b"stripe evt_1", &first, SystemTime::now(), Duration::from_secs(86_400));
//! assert_eq!(claim(&store, &second), Some(Claim::Used));
//! # Ok::<(), portcullis::random::RandomError>(())
//! ```

mod memory;
#[cfg(feature = "redis")]
mod redis;
mod slots;
mod table;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    random::{self, RandomError},
    store::Reply,
};

/// Whose claim it is: 128 bits that nobody else has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClaimToken([u8; 16]);

/// What came of an attempt to claim a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// It is the caller's now, until committed, released, or run out.
    Claimed,
    /// Somebody else holds it, and may yet release it.
    InFlight,
    /// It has been used.
    Used,
}

/// Remembers which values were used.
///
/// `now` is the caller's clock; a store with a clock of its own, shared by all callers, goes by that one.
pub trait ReplayStore: Send + Sync + 'static {
    /// Uses a value up in one step, and remembers it for `keep`.
    ///
    /// The reply is whether it was the caller's to use: `true` for exactly one of all callers, `false` also
    /// while somebody holds a claim to it.
    fn consume(&self, key: &[u8], now: SystemTime, keep: Duration) -> Reply<bool>;

    /// Claims a value for as long as `lease`.
    ///
    /// Claiming again with the token that holds the claim renews its lease.
    fn claim(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        lease: Duration,
    ) -> Reply<Claim>;

    /// Marks a value as used, and remembers it for `keep`.
    ///
    /// It is used after this whoever held it, as what it stood for has been done. The reply is whether the
    /// claim was still the caller's: if not, somebody else may have done it too.
    fn commit(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        keep: Duration,
    ) -> Reply<bool>;

    /// Gives a claim back, so that the value can be claimed again.
    ///
    /// The reply is whether there was a claim of the caller's to give back; if not, nothing has changed.
    fn release(&self, key: &[u8], token: &ClaimToken, now: SystemTime) -> Reply<bool>;
}

impl ClaimToken {
    /// A fresh token: one for each attempt to use a value.
    ///
    /// # Errors
    ///
    /// If the operating system has no randomness to give.
    pub fn generate() -> Result<Self, RandomError> {
        let mut bytes = [0; 16];
        random::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The token that comes so many after this one: as good as a fresh one for who counts and draws one to
    /// count from, as a token need not be unpredictable, only nobody else's.
    #[cfg(feature = "webhook")]
    pub(crate) fn counted(&self, number: u64) -> Self {
        let first = u128::from_ne_bytes(self.0);
        Self(first.wrapping_add(number.into()).to_ne_bytes())
    }
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimToken(..)")
    }
}

impl<S: ReplayStore + ?Sized> ReplayStore for Arc<S> {
    fn consume(&self, key: &[u8], now: SystemTime, keep: Duration) -> Reply<bool> {
        (**self).consume(key, now, keep)
    }

    fn claim(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        lease: Duration,
    ) -> Reply<Claim> {
        (**self).claim(key, token, now, lease)
    }

    fn commit(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        keep: Duration,
    ) -> Reply<bool> {
        (**self).commit(key, token, now, keep)
    }

    fn release(&self, key: &[u8], token: &ClaimToken, now: SystemTime) -> Reply<bool> {
        (**self).release(key, token, now)
    }
}
