//! [`TestIssuer`]: keys and names for tests.

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::json;

use super::{TestKeyServer, TestToken};
use crate::{
    clock::{Clock, SystemClock},
    jwt::{Algorithm, JwtVerifier},
    tokens::{SigningKey, SigningKeys},
};

/// An issuer for tests, with a fresh key of its own.
///
/// Its tokens are for `https://api.test` and from `https://issuer.test` unless it is told otherwise.
#[derive(Clone, Debug)]
#[must_use]
pub struct TestIssuer {
    pub(super) key: SigningKey,
    /// Of the same kind, and in no key set.
    pub(super) stranger: SigningKey,
    pub(super) issuer: String,
    pub(super) audience: String,
    clock: Arc<dyn Clock>,
}

impl TestIssuer {
    /// An issuer that signs with ES256.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn new() -> Self {
        Self::signing_with(Algorithm::Es256)
    }

    /// An issuer that signs with this algorithm.
    ///
    /// # Panics
    ///
    /// If this build does not sign with it, or the operating system has no randomness to give.
    pub fn signing_with(algorithm: Algorithm) -> Self {
        let made = || SigningKey::generate(algorithm).expect("a key for a test");
        Self {
            key: made(),
            stranger: made(),
            issuer: "https://issuer.test".into(),
            audience: "https://api.test".into(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Replaces the name of the issuer.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Replaces whom its tokens are for.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Plugs in the clock that tokens are dated by; the default is the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The key that signs.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// A verifier that accepts its good tokens.
    pub fn verifier(&self) -> JwtVerifier {
        JwtVerifier::builder(self.key.verifying_key())
            .issuer(self.issuer.as_str())
            .audience(self.audience.as_str())
    }

    /// A good token in the making: for `user-1`, from now on for five minutes.
    pub fn token(&self) -> TestToken<'_> {
        TestToken::new(self)
    }

    /// The JWK Set (RFC 7517 section 5) as JSON.
    #[must_use]
    pub fn jwks(&self) -> String {
        SigningKeys::new(self.key.clone()).jwks().to_string()
    }

    /// The metadata of OpenID Connect Discovery 1.0 section 3, with the key set at this URL.
    #[must_use]
    pub fn metadata(&self, jwks_uri: &str) -> String {
        json!({
            "issuer": self.issuer,
            "jwks_uri": jwks_uri,
            "id_token_signing_alg_values_supported": [self.key.algorithm().as_str()],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
        })
        .to_string()
    }

    /// Serves the key set and the metadata on a free port of 127.0.0.1, in a thread of its own, until the
    /// server is dropped.
    ///
    /// # Errors
    ///
    /// If the operating system gives no port or no thread.
    pub fn serve(&self) -> io::Result<TestKeyServer> {
        TestKeyServer::start(self)
    }

    /// The whole seconds of its clock.
    pub(super) fn now(&self) -> u64 {
        let since = self.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        since.as_ref().map_or(0, Duration::as_secs)
    }
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self::new()
    }
}
