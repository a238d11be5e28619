//! [`RefreshTokens`]: refresh tokens that are rotated at each use.

mod error;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod refreshed;
mod settings;
mod store;
mod token;

use std::{sync::Arc, time::SystemTime};

use http::StatusCode;

pub use self::{
    error::{RefreshError, RefreshErrorKind, ReuseKind},
    refreshed::Refreshed,
    store::{
        FamilyFacts, MOST_FAMILIES, NewFamily, REMEMBERED_ROTATIONS, RefreshTokenStore, Turn,
        Turned,
    },
    token::{FamilyId, RefreshToken, TokenHash, subject_tag},
};
use self::{settings::Settings, token::Parts};
use crate::{
    audit::{AuditEvent, AuditKind},
    store::{Reply, StoreError},
};

/// The code of the event that a store had lost a rotation.
const LOST_ROTATION: &str = "refresh_store_lost_rotation";
/// How many successors are made at most to find the live one: enough for two keys in any order as far back as
/// a store remembers. With four it would be 87,380, at any client's wish.
const MOST_TRIES: u32 = 1 << (REMEMBERED_ROTATIONS + 1);
const LONGEST_SUBJECT: usize = 1024;
const LONGEST_PAYLOAD: usize = 16 * 1024;

/// Refresh tokens of which each is good once (RFC 9700 section 4.14.2).
///
/// Every sign-in begins a family. A refresh takes the live token of a family and gives its successor; a
/// token that is used again ends the family, because one of the two who had it stole it. Only within the
/// [`grace`](Self::grace) window a token may be presented again, and then the answer is the family's live
/// token, the same for everyone: two tabs that refresh together both stay signed in, and there is one family
/// still.
///
/// A family ends after [`absolute`](Self::absolute), and sooner if it is not used for
/// [`idle`](Self::idle). A store has only hashes of tokens; the [`RefreshTokenStore`] says what else.
///
/// # When Redis fails over
///
/// A rotation that is sent again finds itself done, or not, and gives the same successor either way. A master
/// that dies may take along the last rotations that it answered: then its replica holds the token before to be
/// live, and whoever comes with the one that was handed out proves by it what was lost. So nobody is signed out,
/// unless the replica is two rotations of one family behind. A sign-in that the replica never heard of is lost,
/// and so is a revocation: repeat the latter when Redis has failed over.
///
/// # What an operator is told
///
/// [`with_audit`](Self::with_audit) is told, always with the layer `refresh_tokens`:
///
/// | kind | code | what happened |
/// |---|---|---|
/// | `authn_token_reuse` | `refresh_reuse_predecessor`, `refresh_reuse_ancestor`, `refresh_reuse_orphan` | a family was revoked: see [`ReuseKind`]. The subject is named. Once for each family. |
/// | `sys_dependency_fail` | `refresh_store_unavailable` | the store did not answer, or is full; nothing was decided. |
/// | `sys_dependency_fail` | `refresh_store_lost_rotation` | a rotation that the store had lost was done again. The subject is named; the client notices nothing. |
///
/// # Bounds
///
/// A subject has at most [`MOST_FAMILIES`] families that have not expired, and memory at most
/// [`MemoryStore::max_keys`](crate::store::MemoryStore::max_keys) of all subjects. A store that is full refuses
/// to begin another, and forgets none. A subject and a payload have at most 1 and 16 KiB.
///
/// ```
/// use std::time::Duration;
/// use portcullis::{
///     clock::ManualClock,
///     tokens::{RefreshErrorKind, RefreshTokens},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = std::sync::Arc::new(ManualClock::at_unix(1_800_000_000));
/// let refresh = RefreshTokens::new("a secret key of the service, of 32 bytes or more")?
///     .with_clock(clock.clone());
///
/// let first = refresh.begin("user-7", "web-app").await?;
/// let second = refresh.rotate(first.expose()).await?;
/// assert_eq!((second.subject(), second.payload()), ("user-7", "web-app"));
///
/// // The other tab, a moment later.
/// assert_eq!(refresh.rotate(first.expose()).await?.token(), second.token());
///
/// // Somebody else, an hour later: nobody has this family any more.
/// clock.advance(Duration::from_secs(3600));
/// assert!(refresh.rotate(first.expose()).await.is_err());
/// let ended = refresh.rotate(second.token().expose()).await.unwrap_err();
/// assert_eq!(ended.kind(), RefreshErrorKind::Revoked);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RefreshTokens(Arc<Settings>);

impl RefreshTokens {
    /// Begins a family at a sign-in. `payload` is handed back at each refresh: what the application needs to
    /// issue an access token (the client, the scopes).
    ///
    /// # Errors
    ///
    /// If the subject is empty or has more than 1 KiB, or the payload more than 16 KiB
    /// ([`RefreshErrorKind::Malformed`]); if the store does not answer or is full; if the operating system
    /// has no randomness to give.
    pub async fn begin(&self, subject: &str, payload: &str) -> Result<RefreshToken, RefreshError> {
        if !(1..=LONGEST_SUBJECT).contains(&subject.len()) || payload.len() > LONGEST_PAYLOAD {
            return Err(RefreshErrorKind::Malformed.into());
        }
        let no_random = |_| RefreshErrorKind::RandomFailed;
        let id = FamilyId::generate(subject).map_err(no_random)?;
        let parts = Parts::first(id).map_err(no_random)?;
        let now = self.0.clock.now();
        let family = NewFamily {
            id,
            subject,
            payload,
            hash: parts.hash(),
            ends_at: now.checked_add(self.0.absolute).unwrap_or(now),
            idle: self.0.idle,
        };
        let begun = settle(self.0.store.begin(&family, now)).await;
        begun.map_err(|error| self.store_failed(error))?;
        Ok(parts.token(&self.0.keys[0]))
    }

    /// Takes a refresh token and gives the one to use next.
    ///
    /// # Errors
    ///
    /// If it is not to be accepted; [`RefreshErrorKind`] says why. A store that does not answer accepts
    /// nothing.
    pub async fn rotate(&self, presented: &str) -> Result<Refreshed, RefreshError> {
        let parts = self.read(presented)?;
        let key = &self.0.keys[0];
        let successor = parts.successor(key).ok_or(RefreshErrorKind::Malformed)?;
        let turn = Turn {
            family: parts.family,
            generation: parts.generation,
            presented: parts.hash(),
            predecessor: parts.predecessor(),
            successor: successor.hash(),
            grace: self.0.grace,
            idle: self.0.idle,
        };
        let now = self.0.clock.now();
        let turned = settle(self.0.store.rotate(&turn, now)).await;
        let (facts, live, is_again) = match turned.map_err(|error| self.store_failed(error))? {
            Turned::Rotated(facts) => (facts, successor, false),
            Turned::CaughtUp(facts) => {
                let subject = Some(&*facts.subject);
                self.tell(AuditKind::SysDependencyFail, LOST_ROTATION, subject, now);
                (facts, successor, false)
            }
            Turned::Again {
                facts,
                generation,
                live,
            } => {
                let live = self.follow(&parts, generation, &live, &mut { MOST_TRIES });
                (facts, live.ok_or(RefreshErrorKind::SuccessorUnknown)?, true)
            }
            Turned::Reused(kind, facts) => {
                let subject = Some(&*facts.subject);
                self.tell(AuditKind::AuthnTokenReuse, kind.code(), subject, now);
                return Err(RefreshErrorKind::Reused(kind).into());
            }
            Turned::Revoked => return Err(RefreshErrorKind::Revoked.into()),
            Turned::Unknown => return Err(RefreshErrorKind::Unknown.into()),
        };
        Ok(Refreshed {
            token: live.token(key),
            facts,
            is_again,
        })
    }

    /// Revokes the family of a token, used or not (RFC 7009 section 2.1); whether there was one to revoke.
    ///
    /// # Errors
    ///
    /// If it is no token that was ever handed out, or if the store does not answer.
    pub async fn revoke(&self, token: &str) -> Result<bool, RefreshError> {
        let family = self.read(token)?.family;
        self.revoke_family(family).await
    }

    /// Revokes a family: one sign-in; whether there was one to revoke.
    ///
    /// # Errors
    ///
    /// If the store does not answer.
    pub async fn revoke_family(&self, family: FamilyId) -> Result<bool, RefreshError> {
        let now = self.0.clock.now();
        let revoked = settle(self.0.store.revoke_family(family, now)).await;
        revoked.map_err(|error| self.store_failed(error))
    }

    /// Revokes every family of a subject: all its sign-ins; how many there were to revoke.
    ///
    /// # Errors
    ///
    /// If the store does not answer.
    pub async fn revoke_subject(&self, subject: &str) -> Result<u64, RefreshError> {
        let now = self.0.clock.now();
        let revoked = settle(self.0.store.revoke_subject(subject, now)).await;
        revoked.map_err(|error| self.store_failed(error))
    }

    fn read(&self, token: &str) -> Result<Parts, RefreshError> {
        let keys = self.0.keys.iter().map(Arc::as_ref);
        Parts::read(token, keys).ok_or_else(|| RefreshErrorKind::Malformed.into())
    }

    /// The descendant of that generation and hash, whichever keys the ones between were made under.
    fn follow(
        &self,
        from: &Parts,
        generation: u32,
        hash: &TokenHash,
        tries: &mut u32,
    ) -> Option<Parts> {
        self.0.keys.iter().find_map(|key| {
            *tries = tries.checked_sub(1)?;
            let next = from.successor(key)?;
            if next.generation == generation {
                (next.hash() == *hash).then_some(next)
            } else {
                // A store says so of the latest rotations only, so this is not deep.
                let within = generation.checked_sub(next.generation)? < REMEMBERED_ROTATIONS as u32;
                within.then(|| self.follow(&next, generation, hash, tries))?
            }
        })
    }

    fn store_failed(&self, error: StoreError) -> RefreshError {
        let error = RefreshError::from(error);
        let now = self.0.clock.now();
        self.tell(AuditKind::SysDependencyFail, error.code(), None, now);
        error
    }

    fn tell(&self, kind: AuditKind, code: &'static str, subject: Option<&str>, at: SystemTime) {
        let status = match (kind, code) {
            (_, LOST_ROTATION) => StatusCode::OK,
            (AuditKind::SysDependencyFail, _) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        self.0.audit.record(&AuditEvent {
            kind,
            at,
            layer: "refresh_tokens",
            code,
            status,
            method: "",
            path: "",
            peer: None,
            client: None,
            subject,
        });
    }
}

/// A store's reply, waited for.
async fn settle<T>(reply: Reply<T>) -> Result<T, StoreError> {
    match reply {
        Reply::Ready(reply) => reply,
        Reply::Wait(reply) => reply.await,
    }
}
