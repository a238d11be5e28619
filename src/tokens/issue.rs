//! [`TokenIssuer`]: access tokens (RFC 9068).

use std::{
    error::Error,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::json;
use zeroize::Zeroize;

use super::{Grant, JwksService, SigningKey, SigningKeys};
use crate::{
    clock::{Clock, SystemClock},
    config::ConfigError,
    jwt::KeySet,
    random,
};

/// How long a token lives unless something else is said: it cannot be taken back.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Issues access tokens in the shape of RFC 9068, and publishes the keys that verify them.
///
/// A token has `typ` `at+jwt`, the `kid` of its key, and `iss`, `sub`, `aud`, `client_id`, `iat`, `exp` and a
/// `jti` of 128 random bits, beside what the [`Grant`] says. Cloning an issuer gives another handle to the
/// same one: all of them sign with the new key once one [`replace_keys`](Self::replace_keys).
///
/// See the [module docs](crate::tokens) for an example.
#[derive(Clone)]
#[must_use]
pub struct TokenIssuer {
    settings: Arc<Settings>,
    keys: Arc<RwLock<Arc<Ready>>>,
}

#[derive(Clone, Debug)]
struct Settings {
    issuer: String,
    audience: Vec<String>,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
}

/// What is made of the keys once.
pub(super) struct Ready {
    active: SigningKey,
    header: Vec<u8>,
    pub(super) jwks: Bytes,
    verifying: KeySet,
}

impl TokenIssuer {
    /// Issues tokens of `issuer` for `audience`, unless a grant names others, that live five minutes.
    ///
    /// # Errors
    ///
    /// If the issuer or the audience is empty, or if there are several keys and some lack an id or share
    /// one.
    pub fn new(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        keys: impl Into<SigningKeys>,
    ) -> Result<Self, ConfigError> {
        let (issuer, audience) = (issuer.into(), audience.into());
        for (setting, text) in [("issuer", &issuer), ("audience", &audience)] {
            if text.is_empty() {
                return Err(ConfigError::new(setting, "", "must not be empty"));
            }
        }
        let ready = Ready::new(&keys.into())?;
        Ok(Self {
            settings: Arc::new(Settings {
                issuer,
                audience: vec![audience],
                lifetime: LIFETIME,
                clock: Arc::new(SystemClock),
            }),
            keys: Arc::new(RwLock::new(Arc::new(ready))),
        })
    }

    /// Replaces how long a token lives; the default is five minutes.
    ///
    /// # Errors
    ///
    /// If it is not a whole number of seconds, none at all, or more than a day.
    pub fn lifetime(mut self, lifetime: Duration) -> Result<Self, ConfigError> {
        if lifetime.is_zero() || lifetime > LONGEST || lifetime.subsec_nanos() != 0 {
            let expected = "must be a whole number of seconds, from 1 to 86,400";
            return Err(ConfigError::new(
                "lifetime",
                format!("{lifetime:?}"),
                expected,
            ));
        }
        Arc::make_mut(&mut self.settings).lifetime = lifetime;
        Ok(self)
    }

    /// Plugs in the clock that tokens are dated by; the default is the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        Arc::make_mut(&mut self.settings).clock = Arc::new(clock);
        self
    }

    /// Replaces the keys, for every clone of this issuer and for its key set at once.
    ///
    /// # Errors
    ///
    /// If there are several keys and some lack an id or share one; the keys are then left as they were.
    pub fn replace_keys(&self, keys: impl Into<SigningKeys>) -> Result<(), ConfigError> {
        let ready = Arc::new(Ready::new(&keys.into())?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = ready;
        Ok(())
    }

    /// Issues a token by the issuer's clock.
    ///
    /// # Errors
    ///
    /// If the operating system has no randomness to give, the backend does not sign, or the clock stands
    /// before 1970 or at the end of what it can show.
    pub fn issue(&self, grant: &Grant) -> Result<AccessToken, IssueError> {
        self.issue_at(grant, self.settings.clock.now())
    }

    /// Issues a token at a time.
    ///
    /// # Errors
    ///
    /// As for [`issue`](Self::issue).
    pub fn issue_at(&self, grant: &Grant, now: SystemTime) -> Result<AccessToken, IssueError> {
        let Settings {
            issuer,
            audience,
            lifetime,
            ..
        } = &*self.settings;
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
        let issued = since_epoch.map_err(|_| IssueErrorKind::ClockUnset)?;
        let issued = Duration::from_secs(issued.as_secs());
        let expires_at = SystemTime::UNIX_EPOCH.checked_add(issued + *lifetime);
        let expires_at = expires_at.ok_or(IssueErrorKind::ClockUnset)?;
        let mut id = [0; 16];
        random::fill(&mut id).map_err(|_| IssueErrorKind::RandomFailed)?;
        let jwt_id = URL_SAFE_NO_PAD.encode(id);
        let claims = grant.claims(issuer, audience, &jwt_id, issued, *lifetime);
        let ready = ready(&self.keys);
        let text = ready.active.sign(&ready.header, claims.as_bytes());
        Ok(AccessToken {
            text: text.ok_or(IssueErrorKind::SigningFailed)?,
            jwt_id,
            expires_at,
            expires_in: *lifetime,
        })
    }

    /// The keys that verify this issuer's tokens, for a verifier in the same process.
    #[must_use]
    pub fn verifying_keys(&self) -> KeySet {
        ready(&self.keys).verifying.clone()
    }

    /// The JWK Set (RFC 7517 section 5) as JSON: public keys only, never a secret.
    #[must_use]
    pub fn jwks(&self) -> Bytes {
        ready(&self.keys).jwks.clone()
    }

    /// A service that answers with the key set as it is at each request.
    pub fn jwks_service(&self) -> JwksService {
        JwksService::new(Arc::clone(&self.keys))
    }
}

pub(super) fn ready(keys: &RwLock<Arc<Ready>>) -> Arc<Ready> {
    Arc::clone(&keys.read().unwrap_or_else(PoisonError::into_inner))
}

impl Ready {
    fn new(keys: &SigningKeys) -> Result<Self, ConfigError> {
        keys.check()?;
        let active = keys.active().clone();
        let mut header = json!({"alg": active.algorithm().as_str(), "typ": "at+jwt"});
        if let Some(kid) = active.key_id() {
            header["kid"] = kid.into();
        }
        Ok(Self {
            active,
            header: header.to_string().into_bytes(),
            jwks: keys.jwks().to_string().into(),
            verifying: keys.verifying_keys(),
        })
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("settings", &self.settings)
            .field("active", &ready(&self.keys).active)
            .finish_non_exhaustive()
    }
}

/// An access token that was issued.
///
/// `Debug` does not show the token, and it is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    text: String,
    jwt_id: String,
    expires_at: SystemTime,
    expires_in: Duration,
}

impl AccessToken {
    /// The text to hand to the client: `access_token` of RFC 6749 section 5.1.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// `jti`, by which the token can be revoked.
    #[must_use]
    pub fn jwt_id(&self) -> &str {
        &self.jwt_id
    }

    /// `exp`, the moment from which it is no longer accepted.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// How long it lives: `expires_in` of RFC 6749 section 5.1.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }
}

impl Drop for AccessToken {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("jwt_id", &self.jwt_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A token could not be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssueError(IssueErrorKind);

/// Why a token could not be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IssueErrorKind {
    /// The operating system has no randomness to give.
    RandomFailed,
    /// The crypto backend does not sign.
    SigningFailed,
    /// The clock stands before 1970, or at the end of what it can show: it was never set.
    ClockUnset,
}

impl IssueErrorKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::RandomFailed => "token_random_failed",
            Self::SigningFailed => "token_signing_failed",
            Self::ClockUnset => "token_clock_unset",
        }
    }
}

impl IssueError {
    /// Why, to be told apart by a program.
    #[must_use]
    pub fn kind(&self) -> IssueErrorKind {
        self.0
    }

    /// The stable code of the kind.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code()
    }
}

impl From<IssueErrorKind> for IssueError {
    fn from(kind: IssueErrorKind) -> Self {
        Self(kind)
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            IssueErrorKind::RandomFailed => "the operating system's random generator failed",
            IssueErrorKind::SigningFailed => "the crypto backend did not sign",
            IssueErrorKind::ClockUnset => "the clock was never set",
        })
    }
}

impl Error for IssueError {}
