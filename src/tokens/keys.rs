//! [`SigningKeys`]: the key that signs, the one that will, and those that did.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::SigningKey;
use crate::{
    config::ConfigError,
    jwt::{KeySet, VerifyingKey},
};

/// The keys of an issuer through a rotation.
///
/// A key is published before it signs, so that no verifier meets a token whose key it has not had time to
/// fetch, and stays published after it has signed, until the last token it signed has expired:
///
/// 1. `add_next` the new key, and wait for longer than verifiers cache the key set.
/// 2. [`rotate`](Self::rotate): the new key signs, the old one is retired.
/// 3. Leave the retired key out once the lifetime of a token has passed.
///
/// All instances of a service are given the same keys; see
/// [`TokenIssuer::replace_keys`](super::TokenIssuer::replace_keys).
///
/// ```
/// use portcullis::{jwt::Algorithm, tokens::{SigningKey, SigningKeys}};
///
/// let (old, new) = (SigningKey::generate(Algorithm::Es256)?, SigningKey::generate(Algorithm::Es256)?);
/// let keys = SigningKeys::new(old.clone()).add_next(new.clone()).rotate()?;
/// assert_eq!(keys.active().key_id(), new.key_id());
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SigningKeys {
    active: SigningKey,
    next: Vec<SigningKey>,
    retired: Vec<(VerifyingKey, Option<Value>)>,
}

impl SigningKeys {
    /// One key, which signs.
    pub fn new(active: SigningKey) -> Self {
        Self {
            active,
            next: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// Appends a key that is published and will sign after a [`rotate`](Self::rotate).
    pub fn add_next(mut self, key: SigningKey) -> Self {
        self.next.push(key);
        self
    }

    /// Appends a key that is published and signs no more; only its public part is kept.
    pub fn add_retired(mut self, key: &SigningKey) -> Self {
        self.retired.push((key.verifying_key(), key.public_jwk()));
        self
    }

    /// Appends the public JWK of a key that is published and signs no more, so that the private key need not
    /// be kept.
    ///
    /// # Errors
    ///
    /// If it is no sound public key, or has no `kid`.
    pub fn add_retired_jwk(mut self, json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let key = VerifyingKey::from_jwk(json.as_ref())?;
        let public = crate::jwt::read_json(json.as_ref());
        if key.algorithm().is_symmetric() || key.key_id().is_none() {
            let expected = "must be a public key with a kid";
            return Err(ConfigError::new(
                "retired_key",
                key.algorithm().as_str(),
                expected,
            ));
        }
        self.retired.push((key, public));
        Ok(self)
    }

    /// Retires the key that signs and lets the first of the next ones sign.
    ///
    /// # Errors
    ///
    /// If there is no next one.
    pub fn rotate(mut self) -> Result<Self, ConfigError> {
        if self.next.is_empty() {
            let expected = "must have a next key to rotate to";
            return Err(ConfigError::new("signing_keys", "no next key", expected));
        }
        let next = self.next.remove(0);
        let old = std::mem::replace(&mut self.active, next);
        Ok(self.add_retired(&old))
    }

    /// The key that signs.
    #[must_use]
    pub fn active(&self) -> &SigningKey {
        &self.active
    }

    /// Refuses keys that verifiers could not tell apart.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let mut ids = HashSet::new();
        let all = self.verifying();
        let several = all.len() > 1;
        for key in &all {
            let id = key.key_id().unwrap_or_default();
            if several && (id.is_empty() || !ids.insert(id)) {
                let expected = "must be there and differ where there are several keys";
                return Err(ConfigError::new("kid", id, expected));
            }
        }
        Ok(())
    }

    /// The keys that verify what these sign, have signed and will sign, the secrets among them included.
    #[must_use]
    pub fn verifying_keys(&self) -> KeySet {
        self.verifying().into()
    }

    /// The JWK Set (RFC 7517 section 5) to publish: public keys only, never a secret.
    #[must_use]
    pub fn jwks(&self) -> Value {
        let signing = std::iter::once(&self.active).chain(&self.next);
        let retired = self.retired.iter().filter_map(|(_, public)| public.clone());
        let keys: Vec<_> = signing
            .filter_map(SigningKey::public_jwk)
            .chain(retired)
            .collect();
        json!({ "keys": keys })
    }

    fn verifying(&self) -> Vec<VerifyingKey> {
        let signing = std::iter::once(&self.active).chain(&self.next);
        let retired = self.retired.iter().map(|(key, _)| key.clone());
        signing
            .map(SigningKey::verifying_key)
            .chain(retired)
            .collect()
    }
}

impl From<SigningKey> for SigningKeys {
    fn from(key: SigningKey) -> Self {
        Self::new(key)
    }
}
