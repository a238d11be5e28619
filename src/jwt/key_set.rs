//! [`KeySet`]: the keys that a verifier goes by.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Algorithm, json,
    key::{KeyError, KeyErrorKind, VerifyingKey},
};

/// The keys that tokens may be signed with.
///
/// Keys of several algorithms may stand in one set; each verifies only its own. For one token at most eight
/// keys are tried: give keys ids where there are more of one algorithm. Cloning a set costs two counters.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Arc<[VerifyingKey]>,
    left_out: Arc<[LeftOut]>,
}

/// An entry of a key set that cannot verify.
#[derive(Clone, Debug)]
pub struct LeftOut {
    index: usize,
    error: KeyError,
}

impl LeftOut {
    /// The position in the set's `keys`, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Why it was left out.
    #[must_use]
    pub fn error(&self) -> &KeyError {
        &self.error
    }
}

impl KeySet {
    /// Reads a JWK Set (RFC 7517 section 5).
    ///
    /// An entry that cannot verify is left out with a reason and takes no other entry with it. Secrets
    /// (`oct`) are always left out: sets are published. A key without `alg` is taken as
    /// [`VerifyingKey::from_jwk`] takes it.
    ///
    /// # Errors
    ///
    /// If the text is no JSON object with a list `keys`, or has duplicate members; and if nothing is left of
    /// it ([`KeyErrorKind::NoneUsable`]), so that a verifier that could accept nothing is never built from a
    /// set. The error says why each key was left out, as [`KeySet::left_out`] does of a set with other keys.
    pub fn from_jwks(json: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Self::read(&[], json.as_ref())
    }

    /// As [`KeySet::from_jwks`], but takes only keys of `algorithms`. A key without `alg` is taken for each
    /// of them that it can be a key of.
    ///
    /// # Errors
    ///
    /// As for [`KeySet::from_jwks`].
    pub fn from_jwks_for(
        algorithms: &[Algorithm],
        json: impl AsRef<[u8]>,
    ) -> Result<Self, KeyError> {
        Self::read(algorithms, json.as_ref())
    }

    fn read(algorithms: &[Algorithm], json: &[u8]) -> Result<Self, KeyError> {
        let malformed = || KeyError::malformed("a JWK Set is a JSON object with a list of keys");
        let set = json::read(json).ok_or_else(malformed)?;
        let entries = set
            .get("keys")
            .and_then(Value::as_array)
            .ok_or_else(malformed)?;
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            match VerifyingKey::of_set(algorithms, entry) {
                Ok(read) => keys.extend(read),
                Err(error) => left_out.push(LeftOut { index, error }),
            }
        }
        if keys.is_empty() {
            return Err(none_usable(&left_out));
        }
        Ok(Self {
            keys: keys.into(),
            left_out: left_out.into(),
        })
    }

    /// The keys, in the order they were given.
    #[must_use]
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// What [`KeySet::from_jwks`] left out, and why.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The keys that a token with this `kid` may be signed with, and their positions.
    pub(super) fn candidates<'s, 'k>(
        &'s self,
        kid: Option<&'k str>,
    ) -> impl Iterator<Item = (usize, &'s VerifyingKey)> + use<'s, 'k> {
        let named = move |key: &VerifyingKey| match (key.key_id(), kid) {
            (Some(own), Some(asked)) => own == asked,
            _ => true,
        };
        self.keys
            .iter()
            .enumerate()
            .filter(move |(_, key)| named(key))
    }
}

/// The error of a set of which nothing is left. A set may be long: of the reasons, the first are shown.
fn none_usable(left_out: &[LeftOut]) -> KeyError {
    const MOST_SHOWN: usize = 8;
    let mut detail = match left_out.len() {
        0 => String::from("the set has no keys"),
        1 => String::from("the only key of the set cannot verify"),
        several => format!("none of the {several} keys of the set can verify"),
    };
    for (nth, entry) in left_out.iter().take(MOST_SHOWN).enumerate() {
        let mark = if nth == 0 { ':' } else { ';' };
        detail.push_str(&format!("{mark} key {}: {}", entry.index, entry.error));
    }
    if let Some(more @ 1..) = left_out.len().checked_sub(MOST_SHOWN) {
        detail.push_str(&format!("; and {more} more"));
    }
    KeyError::new(KeyErrorKind::NoneUsable, detail)
}

impl From<VerifyingKey> for KeySet {
    fn from(key: VerifyingKey) -> Self {
        Self::from_iter([key])
    }
}

impl From<Vec<VerifyingKey>> for KeySet {
    fn from(keys: Vec<VerifyingKey>) -> Self {
        Self::from_iter(keys)
    }
}

impl<const N: usize> From<[VerifyingKey; N]> for KeySet {
    fn from(keys: [VerifyingKey; N]) -> Self {
        Self::from_iter(keys)
    }
}

impl FromIterator<VerifyingKey> for KeySet {
    fn from_iter<I: IntoIterator<Item = VerifyingKey>>(keys: I) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            left_out: Arc::new([]),
        }
    }
}
