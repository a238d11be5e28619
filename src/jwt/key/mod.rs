//! [`VerifyingKey`]: a key and the one algorithm it is for.

mod der;
mod error;
mod jwk;
mod numbers;

use std::{fmt, sync::Arc};

use serde_json::Value;

pub use self::error::{KeyError, KeyErrorKind};
use self::{
    der::Form,
    jwk::{Content, Jwk},
    numbers::{Material, Numbers},
};
use super::{
    algorithm::{Algorithm, Family},
    base64url, json,
};
use crate::{
    crypto::{Hash, HmacKey},
    secret::Secret,
};

/// A key that verifies signatures of one algorithm (RFC 8725 section 3.1), made ready once.
///
/// Which algorithm that is, is settled here and never by a token. Cloning it costs a counter or two.
///
/// ```
/// use portcullis::jwt::VerifyingKey;
///
/// let key = VerifyingKey::from_jwk(
///     r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
/// )?;
/// // RFC 8037 appendix A.3
/// assert_eq!(key.thumbprint().as_deref(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
/// # Ok::<(), portcullis::jwt::KeyError>(())
/// ```
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    material: Arc<Material>,
    kid: Option<Arc<str>>,
    thumbprint: Option<[u8; 32]>,
}

impl VerifyingKey {
    /// A shared secret for HS256, of 32 bytes or more (RFC 7518 section 3.2).
    ///
    /// # Errors
    ///
    /// If the secret is shorter, or is a public key in PEM, in DER, in base64 of DER, or as a JWK or JWK Set:
    /// everyone would know that secret.
    pub fn hs256(secret: impl Into<Secret>) -> Result<Self, KeyError> {
        Self::symmetric(Algorithm::Hs256, Hash::Sha256, secret.into().expose())
    }

    /// A shared secret for HS384, of 48 bytes or more.
    ///
    /// # Errors
    ///
    /// As for [`VerifyingKey::hs256`].
    pub fn hs384(secret: impl Into<Secret>) -> Result<Self, KeyError> {
        Self::symmetric(Algorithm::Hs384, Hash::Sha384, secret.into().expose())
    }

    /// A shared secret for HS512, of 64 bytes or more.
    ///
    /// # Errors
    ///
    /// As for [`VerifyingKey::hs256`].
    pub fn hs512(secret: impl Into<Secret>) -> Result<Self, KeyError> {
        Self::symmetric(Algorithm::Hs512, Hash::Sha512, secret.into().expose())
    }

    /// A public key in PEM: `PUBLIC KEY` (which some call SPKI or PKCS#8), `RSA PUBLIC KEY` (PKCS#1), or the
    /// key of a `CERTIFICATE`. Text before the block is passed over, and so are blocks after the first.
    ///
    /// Of a certificate only the key is taken: neither its signature, nor its dates, nor its names are
    /// looked at. Give one that you have reason to trust, as you would a bare key.
    ///
    /// # Errors
    ///
    /// If it is something else, a private key say, or no key of `algorithm`. A PEM is never a secret, so the
    /// HMAC algorithms are refused.
    pub fn from_pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let (der, form) = der::unarmour(pem.as_ref())?;
        let numbers = match form {
            Form::RsaPublicKey => der::rsa_public_key(&der),
            Form::SubjectPublicKeyInfo => der::subject_public_key_info(&der),
            Form::Certificate => der::certificate(&der),
        };
        Self::public(algorithm, &numbers?)
    }

    /// A public key in DER: a SubjectPublicKeyInfo or the one within a certificate (RFC 5280 section 4.1),
    /// or, for RSA, an RSAPublicKey (RFC 8017 appendix A.1.1). For certificates see
    /// [`VerifyingKey::from_pem`].
    ///
    /// # Errors
    ///
    /// If it is none of them, or no key of `algorithm`.
    pub fn from_der(algorithm: Algorithm, der: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Self::public(algorithm, &der::read(der.as_ref())?)
    }

    /// A public key or a secret as a JWK (RFC 7517), in JSON.
    ///
    /// Its `alg` is its algorithm. Without one, `kty` and `crv` decide: RS256 for RSA, HS256 for a secret.
    /// Its `kid` is taken over. `use` and `key_ops` are obeyed.
    ///
    /// # Errors
    ///
    /// If it is malformed, has a duplicate member, is of an unknown kind, is not for verification, is
    /// private, is too short, or is no key at all. See [`KeyErrorKind`].
    pub fn from_jwk(json: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Self::from_jwk_value(&parse(json.as_ref())?)
    }

    /// As [`VerifyingKey::from_jwk`], for JSON that is parsed already.
    ///
    /// # Errors
    ///
    /// As for [`VerifyingKey::from_jwk`].
    pub fn from_jwk_value(jwk: &Value) -> Result<Self, KeyError> {
        let jwk = jwk::read(jwk)?;
        let algorithm = jwk.algorithm.unwrap_or_else(|| jwk.default_algorithm());
        Self::of_jwk(algorithm, &jwk)
    }

    /// A JWK as a key of `algorithm`, which its `alg` must not contradict.
    ///
    /// # Errors
    ///
    /// As for [`VerifyingKey::from_jwk`], and if the JWK is no key of `algorithm`.
    pub fn from_jwk_for(algorithm: Algorithm, json: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Self::of_jwk(algorithm, &jwk::read(&parse(json.as_ref())?)?)
    }

    /// The key of an entry of a key set; sets are published, so it must be public.
    pub(super) fn of_set(algorithms: &[Algorithm], jwk: &Value) -> Result<Vec<Self>, KeyError> {
        let jwk = jwk::read(jwk)?;
        let Content::Public(numbers) = &jwk.content else {
            return Err(KeyError::new(
                KeyErrorKind::SymmetricInSet,
                "a secret in a key set: sets are published",
            ));
        };
        if let Some(algorithm) = jwk.algorithm {
            if !algorithms.is_empty() && !algorithms.contains(&algorithm) {
                let detail = format!("{algorithm} is not among the algorithms asked for");
                return Err(KeyError::new(KeyErrorKind::AlgorithmMismatch, detail));
            }
            return Self::of_jwk(algorithm, &jwk).map(|key| vec![key]);
        }
        if algorithms.is_empty() {
            return Self::of_jwk(numbers.default_algorithm(), &jwk).map(|key| vec![key]);
        }
        let mut keys = Vec::new();
        let mut fault = None;
        for algorithm in algorithms {
            match Self::of_jwk(*algorithm, &jwk) {
                Ok(key) => keys.push(key),
                // What is wrong with the key itself tells more than what it is not meant for.
                Err(error) if error.kind() != KeyErrorKind::AlgorithmMismatch => {
                    fault = Some(error)
                }
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        match fault {
            Some(fault) if keys.is_empty() => Err(fault),
            _ => Ok(keys),
        }
    }

    fn of_jwk(algorithm: Algorithm, jwk: &Jwk) -> Result<Self, KeyError> {
        if let Some(named) = jwk.algorithm.filter(|named| *named != algorithm) {
            return Err(KeyError::new(
                KeyErrorKind::AlgorithmMismatch,
                format!("the JWK is for {named}, not for {algorithm}"),
            ));
        }
        let key = match (&jwk.content, algorithm.family()) {
            (Content::Secret(secret), Family::Hmac(hash)) => {
                Self::symmetric(algorithm, hash, secret)
            }
            (Content::Secret(_), _) => Err(KeyError::new(
                KeyErrorKind::AlgorithmMismatch,
                format!("a secret is no key for {algorithm}"),
            )),
            (Content::Public(numbers), _) => Self::public(algorithm, numbers),
        }?;
        Ok(match &jwk.kid {
            Some(kid) => key.kid(kid.as_str()),
            None => key,
        })
    }

    fn symmetric(algorithm: Algorithm, hash: Hash, secret: &[u8]) -> Result<Self, KeyError> {
        let (length, least) = (secret.len(), hash.length());
        if length < least {
            return Err(KeyError::new(
                KeyErrorKind::Size,
                format!(
                    "{algorithm} takes a secret of {least} bytes or more, this one has {length}"
                ),
            ));
        }
        if der::is_public_key(secret) {
            return Err(KeyError::new(
                KeyErrorKind::PublicKeyAsSecret,
                "a public key is not a secret",
            ));
        }
        Ok(Self {
            algorithm,
            material: Arc::new(Material::Secret(HmacKey::new(hash, secret))),
            kid: None,
            thumbprint: None,
        })
    }

    fn public(algorithm: Algorithm, numbers: &Numbers<'_>) -> Result<Self, KeyError> {
        Ok(Self {
            algorithm,
            material: Arc::new(numbers.ready_for(algorithm)?),
            kid: None,
            thumbprint: Some(numbers.thumbprint()),
        })
    }

    /// Replaces the key's id. A token that names an id is verified only with keys of that id and with keys
    /// that have none.
    #[must_use]
    pub fn kid(mut self, kid: impl Into<Arc<str>>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// Takes the key's id away, so that it serves tokens of every id: for a key that was chosen in another
    /// way than by the token's `kid`, which is a hint and no more (RFC 7515 section 4.1.4).
    #[must_use]
    pub fn without_kid(mut self) -> Self {
        self.kid = None;
        self
    }

    /// The algorithm it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's id, if it has one.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The SHA-256 thumbprint of RFC 7638 in base64url; none for a secret, of which it would tell too much
    /// (RFC 7638 section 7).
    #[must_use]
    pub fn thumbprint(&self) -> Option<String> {
        self.thumbprint.map(|digest| base64url::encode(&digest))
    }

    /// Whether `signature` is this key's for `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.material.verify(message, signature)
    }
}

impl Jwk {
    fn default_algorithm(&self) -> Algorithm {
        match &self.content {
            Content::Secret(_) => Algorithm::Hs256,
            Content::Public(numbers) => numbers.default_algorithm(),
        }
    }
}

fn parse(json: &[u8]) -> Result<Value, KeyError> {
    json::read(json)
        .ok_or_else(|| KeyError::malformed("a JWK is a JSON object without duplicate members"))
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .field("thumbprint", &self.thumbprint())
            .finish_non_exhaustive()
    }
}
