//! [`RefreshTokens`]: refresh tokens that are rotated at each use.

mod error;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod store;
mod token;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::StatusCode;

use self::token::Parts;
pub use self::{
    error::{RefreshError, RefreshErrorKind, ReuseKind},
    store::{FamilyFacts, NewFamily, REMEMBERED_ROTATIONS, RefreshTokenStore, Turn, Turned},
    token::{FamilyId, RefreshToken, TokenHash, subject_tag},
};
use crate::{
    audit::{AuditEvent, AuditKind, AuditSink, NoAudit},
    clock::{Clock, SystemClock},
    config::ConfigError,
    crypto::MacKey,
    secret::Secret,
    store::{MemoryStore, Reply, StoreError},
};

const LEAST_KEY: usize = 32;
const LONGEST_SUBJECT: usize = 1024;
const LONGEST_PAYLOAD: usize = 16 * 1024;
const MOST_KEYS: usize = 4;
const MOST_GRACE: Duration = Duration::from_secs(5 * 60);
const MOST_LIFE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

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

#[derive(Clone)]
struct Settings {
    /// The first one makes tokens; all are taken.
    keys: Vec<Arc<MacKey>>,
    grace: Duration,
    idle: Duration,
    absolute: Duration,
    store: Arc<dyn RefreshTokenStore>,
    clock: Arc<dyn Clock>,
    audit: Arc<dyn AuditSink>,
}

impl RefreshTokens {
    /// Refresh tokens under this key, kept in memory.
    ///
    /// The key is a secret of the service, the same for all instances, random, and of 32 bytes or more. The
    /// windows are a grace of 10 seconds, 7 days idle and 30 days altogether.
    ///
    /// # Errors
    ///
    /// If the key is shorter.
    pub fn new(key: impl Into<Secret>) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(Settings {
            keys: vec![mac_key(&key.into())?],
            grace: Duration::from_secs(10),
            idle: Duration::from_secs(7 * 24 * 60 * 60),
            absolute: Duration::from_secs(30 * 24 * 60 * 60),
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(SystemClock),
            audit: Arc::new(NoAudit),
        })))
    }

    /// Appends a key under which tokens are taken and not made: the one before, or, on the way to a new one,
    /// the one to come, so that every instance knows it before any uses it.
    ///
    /// # Errors
    ///
    /// If the key has less than 32 bytes, or there are four already.
    pub fn add_other_key(mut self, key: impl Into<Secret>) -> Result<Self, ConfigError> {
        let key = mac_key(&key.into())?;
        let keys = &mut self.settings().keys;
        if keys.len() == MOST_KEYS {
            let expected = "must be at most four";
            return Err(ConfigError::new("refresh_keys", "a fifth key", expected));
        }
        keys.push(key);
        Ok(self)
    }

    /// Replaces how long after its rotation a token may be presented again; the default is 10 seconds. With
    /// 0, two refreshes at once sign the user out.
    ///
    /// A thief who is as quick as this shares the family, until one of the two comes later than that.
    ///
    /// # Errors
    ///
    /// If it is more than 5 minutes.
    pub fn grace(mut self, grace: Duration) -> Result<Self, ConfigError> {
        self.settings().grace = at_most("grace", grace, MOST_GRACE)?;
        Ok(self)
    }

    /// Replaces how long a family may go without a refresh; the default is 7 days.
    ///
    /// # Errors
    ///
    /// If it is none at all, or more than 400 days.
    pub fn idle(mut self, idle: Duration) -> Result<Self, ConfigError> {
        self.settings().idle = positive("idle", idle)?;
        Ok(self)
    }

    /// Replaces how long a family may go on altogether; the default is 30 days.
    ///
    /// # Errors
    ///
    /// If it is none at all, or more than 400 days.
    pub fn absolute(mut self, absolute: Duration) -> Result<Self, ConfigError> {
        self.settings().absolute = positive("absolute", absolute)?;
        Ok(self)
    }

    /// Plugs in the store that keeps families; the default is a [`MemoryStore`] of its own.
    pub fn with_store(mut self, store: impl RefreshTokenStore) -> Self {
        self.settings().store = Arc::new(store);
        self
    }

    /// Plugs in the clock that all windows are measured by; the default is the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.settings().clock = Arc::new(clock);
        self
    }

    /// Plugs in what is told of reuse ([`AuditKind::AuthnTokenReuse`], with the kind of reuse as its code)
    /// and of stores that do not answer; the default is [`NoAudit`]. Method and path of such an event are
    /// empty.
    pub fn with_audit(mut self, audit: impl AuditSink) -> Self {
        self.settings().audit = Arc::new(audit);
        self
    }

    fn settings(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.0)
    }

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
            successor: successor.hash(),
            grace: self.0.grace,
            idle: self.0.idle,
        };
        let now = self.0.clock.now();
        let turned = settle(self.0.store.rotate(&turn, now)).await;
        let (facts, live, is_again) = match turned.map_err(|error| self.store_failed(error))? {
            Turned::Rotated(facts) => (facts, successor, false),
            Turned::Again {
                facts,
                generation,
                live,
            } => {
                let live = self.follow(&parts, generation, &live);
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
    fn follow(&self, from: &Parts, generation: u32, hash: &TokenHash) -> Option<Parts> {
        self.0.keys.iter().find_map(|key| {
            let next = from.successor(key)?;
            if next.generation == generation {
                (next.hash() == *hash).then_some(next)
            } else {
                // A store says so of the latest rotations only, so this is not deep.
                let within = generation.checked_sub(next.generation)? < REMEMBERED_ROTATIONS as u32;
                within.then(|| self.follow(&next, generation, hash))?
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
        let status = match kind {
            AuditKind::SysDependencyFail => StatusCode::SERVICE_UNAVAILABLE,
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

fn mac_key(secret: &Secret) -> Result<Arc<MacKey>, ConfigError> {
    if secret.len() < LEAST_KEY {
        let given = format!("{} bytes", secret.len());
        return Err(ConfigError::new(
            "refresh_key",
            given,
            "must have 32 bytes or more",
        ));
    }
    Ok(Arc::new(MacKey::new(secret.expose())))
}

fn at_most(
    setting: &'static str,
    given: Duration,
    most: Duration,
) -> Result<Duration, ConfigError> {
    match given <= most {
        true => Ok(given),
        false => {
            let expected = format!("must be {} seconds at most", most.as_secs());
            Err(ConfigError::new(setting, format!("{given:?}"), expected))
        }
    }
}

fn positive(setting: &'static str, given: Duration) -> Result<Duration, ConfigError> {
    match given.is_zero() {
        true => Err(ConfigError::new(setting, "0", "must be more than nothing")),
        false => at_most(setting, given, MOST_LIFE),
    }
}

impl fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTokens")
            .field("keys", &self.0.keys.len())
            .field("grace", &self.0.grace)
            .field("idle", &self.0.idle)
            .field("absolute", &self.0.absolute)
            .field("clock", &self.0.clock)
            .finish_non_exhaustive()
    }
}

/// A refresh that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    token: RefreshToken,
    facts: FamilyFacts,
    is_again: bool,
}

impl Refreshed {
    /// The token to use next.
    #[must_use]
    pub fn token(&self) -> &RefreshToken {
        &self.token
    }

    /// Who signed in.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.facts.subject
    }

    /// What the family was begun with.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.facts.payload
    }

    /// The moment from which the user must sign in anew, however often it refreshes.
    #[must_use]
    pub fn ends_at(&self) -> SystemTime {
        self.facts.ends_at
    }

    /// Whether the token had been presented before, within the grace window.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.is_again
    }
}
