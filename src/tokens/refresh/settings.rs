//! What [`RefreshTokens`] is told.

use std::{fmt, sync::Arc, time::Duration};

use super::{RefreshTokenStore, RefreshTokens};
use crate::{
    audit::{AuditSink, NoAudit},
    clock::{Clock, SystemClock},
    config::ConfigError,
    crypto::MacKey,
    secret::Secret,
    store::MemoryStore,
};

const LEAST_KEY: usize = 32;
const MOST_KEYS: usize = 4;
const MOST_GRACE: Duration = Duration::from_secs(5 * 60);
const MOST_LIFE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

#[derive(Clone)]
pub(super) struct Settings {
    /// The first one makes tokens; all are taken.
    pub(super) keys: Vec<Arc<MacKey>>,
    pub(super) grace: Duration,
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    pub(super) store: Arc<dyn RefreshTokenStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) audit: Arc<dyn AuditSink>,
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

    /// Plugs in what is told of reuse ([`AuditKind::AuthnTokenReuse`](crate::audit::AuditKind::AuthnTokenReuse), with the kind of reuse as its code)
    /// and of stores that do not answer; the default is [`NoAudit`]. Method and path of such an event are
    /// empty.
    pub fn with_audit(mut self, audit: impl AuditSink) -> Self {
        self.settings().audit = Arc::new(audit);
        self
    }

    fn settings(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.0)
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
