//! What the crate remembers between requests, and the rules that every store obeys.
//!
//! Each domain has a trait of its own, of two to five atomic verbs (`RateLimitStore::hit`,
//! [`ReplayStore::claim`](crate::replay::ReplayStore::claim)). One [`MemoryStore`] implements them all, and
//! so does one `RedisStore` (feature `redis`); every layer starts on the first and is handed another with
//! `with_store`.
//!
//! The rules: a verb is atomic under any interleaving; every entry expires; memory is bounded, and what
//! may be forgotten when it is full (counters, caches) is, while what may not is refused; a store that
//! cannot answer says so with [`StoreError`] and never guesses.

mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

pub(crate) use self::memory::Domain;
pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
#[allow(
    unused_imports,
    reason = "each module with a store of its own uses its part"
)]
pub(crate) use self::redis::{Call, Expiry, Key, Script};
#[cfg(feature = "redis")]
pub use self::redis::{RedisCertificates, RedisSentinel, RedisStore};

/// A store's reply: at once, where it needs to wait for nothing, or later.
///
/// A store in memory answers at once, and then a layer neither boxes nor waits.
pub enum Reply<T> {
    /// The reply.
    Ready(Result<T, StoreError>),
    /// The reply, when the store has answered.
    Wait(Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>),
}

impl<T: fmt::Debug> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(reply) => f.debug_tuple("Ready").field(reply).finish(),
            Self::Wait(_) => f.write_str("Wait(..)"),
        }
    }
}

/// A store could not answer.
///
/// It is neither the client's fault nor a decision; what happens then is a named policy of the layer.
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Why a store could not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It did not answer in time.
    Timeout,
    /// It cannot be reached, or is not ready to serve yet.
    Unreachable,
    /// It refuses to serve: wrong credentials, a missing permission, a server that may not write.
    Refused,
    /// It holds as much as it may and must not forget any of it.
    Full,
    /// It answered something that cannot be right.
    Corrupt,
}

impl StoreError {
    /// An error without a cause of its own.
    #[must_use]
    pub fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// An error with the client library's own error as its source.
    #[must_use]
    pub fn caused_by(kind: StoreErrorKind, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            kind,
            source: Some(Arc::new(source)),
        }
    }

    /// Why the store could not answer.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Timeout => "the store did not answer in time",
            StoreErrorKind::Unreachable => "the store cannot be reached",
            StoreErrorKind::Refused => "the store refused to serve",
            StoreErrorKind::Full => "the store is full",
            StoreErrorKind::Corrupt => "the store answered something that cannot be right",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}
