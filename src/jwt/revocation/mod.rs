//! Revocation: tokens that are taken back before they expire.
//!
//! A [`RevocationStore`] remembers single tokens by their `jti`, and subjects with the moment before which
//! all their tokens were issued in vain. [`Revocations`] writes into one, and
//! [`JwtAuthLayer::with_revocation`](super::JwtAuthLayer::with_revocation) asks it about every token that
//! verifies. Ids are unique within their issuer only (RFC 7519 sections 4.1.2 and 4.1.7), so everything is
//! kept by issuer.

mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::Claims;
use crate::{
    clock::{Clock, SystemClock},
    store::{Reply, StoreError},
};

/// The most that a verifier forgives two clocks, which an entry must outlast as well.
const MOST_LEEWAY: Duration = Duration::from_secs(10 * 60);
/// As good as for ever, and no moment so much later is beyond what a clock can tell.
const FOR_EVER: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// What a store is asked about a token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokenRef<'a> {
    /// `iss`; empty if the token does not say.
    pub issuer: &'a str,
    /// `sub`; empty if the token does not say.
    pub subject: &'a str,
    /// `jti`.
    pub jwt_id: Option<&'a str>,
    /// `iat`.
    pub issued_at: Option<SystemTime>,
}

impl<'a, T> From<&'a Claims<T>> for TokenRef<'a> {
    fn from(claims: &'a Claims<T>) -> Self {
        Self {
            issuer: claims.issuer(),
            subject: claims.subject(),
            jwt_id: claims.jwt_id(),
            issued_at: claims.issued_at(),
        }
    }
}

/// Remembers what was revoked.
///
/// Every verb is atomic. An entry is kept until its `until`, and no longer; it is never forgotten earlier to
/// make room: a store that is full refuses to take another.
pub trait RevocationStore: Send + Sync + 'static {
    /// Whether the token was revoked, by itself or with all of its subject's.
    ///
    /// Of a subject, tokens are revoked whose `iat` is before the moment. A token without `iat` may have been
    /// issued before any moment, and is revoked as soon as there is one.
    fn is_revoked(&self, token: &TokenRef<'_>, now: SystemTime) -> Reply<bool>;

    /// Revokes one token of an issuer, until a moment at which it has expired.
    fn revoke_token(
        &self,
        issuer: &str,
        jwt_id: &str,
        until: SystemTime,
        now: SystemTime,
    ) -> Reply<()>;

    /// Revokes all tokens of a subject of an issuer that were issued before a moment, until a moment at
    /// which all of them have expired. Of several calls, the latest of both moments holds.
    fn revoke_subject(
        &self,
        issuer: &str,
        subject: &str,
        issued_before: SystemTime,
        until: SystemTime,
        now: SystemTime,
    ) -> Reply<()>;
}

impl<S: RevocationStore + ?Sized> RevocationStore for Arc<S> {
    fn is_revoked(&self, token: &TokenRef<'_>, now: SystemTime) -> Reply<bool> {
        (**self).is_revoked(token, now)
    }

    fn revoke_token(
        &self,
        issuer: &str,
        jwt_id: &str,
        until: SystemTime,
        now: SystemTime,
    ) -> Reply<()> {
        (**self).revoke_token(issuer, jwt_id, until, now)
    }

    fn revoke_subject(
        &self,
        issuer: &str,
        subject: &str,
        issued_before: SystemTime,
        until: SystemTime,
        now: SystemTime,
    ) -> Reply<()> {
        (**self).revoke_subject(issuer, subject, issued_before, until, now)
    }
}

/// Revokes tokens.
///
/// ```
/// use std::time::Duration;
/// use portcullis::{jwt::Revocations, store::MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), portcullis::store::StoreError> {
/// let store = MemoryStore::new();
/// // No issuer's tokens live longer than an hour. The layer is given the same store.
/// let revocations = Revocations::new(store, Duration::from_secs(3600));
/// revocations.revoke_subject("https://login.example.com", "user-7").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Revocations {
    store: Arc<dyn RevocationStore>,
    clock: Arc<dyn Clock>,
    longest_life: Duration,
}

impl Revocations {
    /// Revokes in this store. `longest_life` is the longest time from `iat` to `exp` of any token: for so
    /// long a subject's revocation is remembered, and a token that lives longer comes back to life. Where no
    /// such time is known, `Duration::MAX` stands for a century.
    pub fn new(store: impl RevocationStore, longest_life: Duration) -> Self {
        Self {
            store: Arc::new(store),
            clock: Arc::new(SystemClock),
            longest_life: longest_life.min(FOR_EVER),
        }
    }

    /// Plugs in the clock that tells what was issued before now; the default is the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Revokes this one token, until it expires; false for one without `jti` or `exp`, which cannot be
    /// revoked alone.
    ///
    /// # Errors
    ///
    /// If the store does not answer, or is full.
    pub async fn revoke<T>(&self, claims: &Claims<T>) -> Result<bool, StoreError> {
        let (Some(jwt_id), Some(expires_at)) = (claims.jwt_id(), claims.expires_at()) else {
            return Ok(false);
        };
        self.revoke_token(claims.issuer(), jwt_id, expires_at)
            .await
            .map(|()| true)
    }

    /// Revokes one token of an issuer by its `jti`; `expires_at` is its `exp`, or any moment after it.
    ///
    /// # Errors
    ///
    /// If the store does not answer, or is full.
    pub async fn revoke_token(
        &self,
        issuer: &str,
        jwt_id: &str,
        expires_at: SystemTime,
    ) -> Result<(), StoreError> {
        let until = later(expires_at, MOST_LEEWAY);
        let now = self.clock.now();
        settle(self.store.revoke_token(issuer, jwt_id, until, now)).await
    }

    /// Revokes all tokens of a subject that were issued before now: a sign-out everywhere, a new password.
    ///
    /// `iat` is in whole seconds, so a token that is issued later within this second is revoked as well:
    /// sign in anew after it. A token without `iat` may have been issued before, so all of those are refused
    /// while the entry stands; where that is too many, demand `iat` of every token
    /// ([`add_required_claim`](super::JwtVerifier::add_required_claim)) and sign it into all.
    ///
    /// # Errors
    ///
    /// If the store does not answer, or is full.
    pub async fn revoke_subject(&self, issuer: &str, subject: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        let until = later(later(now, self.longest_life), MOST_LEEWAY);
        settle(self.store.revoke_subject(issuer, subject, now, until, now)).await
    }
}

fn later(moment: SystemTime, by: Duration) -> SystemTime {
    moment.checked_add(by).unwrap_or(moment)
}

async fn settle(reply: Reply<()>) -> Result<(), StoreError> {
    match reply {
        Reply::Ready(reply) => reply,
        Reply::Wait(reply) => reply.await,
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("clock", &self.clock)
            .field("longest_life", &self.longest_life)
            .finish_non_exhaustive()
    }
}
