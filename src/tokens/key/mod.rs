//! [`SigningKey`]: a private key or a secret, and the one algorithm it signs with.

mod der;
mod jwk;

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    config::ConfigError,
    crypto::{Curve, Hash, Padding, RsaNumbers, SignFault, Signer},
    jwt::{Algorithm, VerifyingKey},
    random,
    secret::Secret,
};

/// A key that signs tokens with one algorithm, made ready once.
///
/// It signs with every [`Algorithm`]. RSA keys (RS256 to PS512) sign with the `aws-lc` backend only: the pure
/// Rust implementation leaks them by its timing (RUSTSEC-2023-0071).
///
/// A key has an id by which verifiers find it: the thumbprint of its public key (RFC 7638) unless it is
/// given another. `Debug` shows nothing of the key itself. Cloning it costs some counters.
///
/// ```
/// use portcullis::{jwt::Algorithm, tokens::SigningKey};
///
/// // RFC 8037 appendix A.1
/// let key = SigningKey::from_jwk(
///     r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
///         "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
/// )?;
/// assert_eq!(key.algorithm(), Algorithm::Ed25519);
/// assert_eq!(key.key_id(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    signer: Arc<Signer>,
    verifying: VerifyingKey,
    /// Without `kid`.
    public: Option<Arc<Value>>,
}

/// The numbers of a private key, and the public key that was said to go with it.
pub(super) enum Numbers<'k> {
    Rsa(RsaNumbers<'k>),
    Ec {
        curve: Curve,
        scalar: &'k [u8],
        /// Uncompressed.
        public: Option<Vec<u8>>,
    },
    Ed25519 {
        seed: [u8; 32],
        public: Option<[u8; 32]>,
    },
}

impl SigningKey {
    /// A shared secret for HS256, of 32 bytes or more (RFC 7518 section 3.2). It has no id unless it is
    /// given one, and is never published.
    ///
    /// # Errors
    ///
    /// If the secret is shorter, or is a public key.
    pub fn hs256(secret: impl Into<Secret>) -> Result<Self, ConfigError> {
        Self::symmetric(Hash::Sha256, &secret.into())
    }

    /// A shared secret for HS384, of 48 bytes or more.
    ///
    /// # Errors
    ///
    /// As for [`SigningKey::hs256`].
    pub fn hs384(secret: impl Into<Secret>) -> Result<Self, ConfigError> {
        Self::symmetric(Hash::Sha384, &secret.into())
    }

    /// A shared secret for HS512, of 64 bytes or more.
    ///
    /// # Errors
    ///
    /// As for [`SigningKey::hs256`].
    pub fn hs512(secret: impl Into<Secret>) -> Result<Self, ConfigError> {
        Self::symmetric(Hash::Sha512, &secret.into())
    }

    /// A private key in PEM: `PRIVATE KEY` (RFC 5958), `EC PRIVATE KEY` or `RSA PRIVATE KEY`.
    ///
    /// # Errors
    ///
    /// If it is something else, encrypted say, or no key of `algorithm`.
    pub fn from_pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::from_der(algorithm, &*der::unarmour(pem.as_ref())?)
    }

    /// A private key in DER: PrivateKeyInfo (PKCS#8, RFC 5958), ECPrivateKey (RFC 5915) or RSAPrivateKey
    /// (RFC 8017 appendix A.1.2).
    ///
    /// # Errors
    ///
    /// If it is none of them, or no key of `algorithm`.
    pub fn from_der(algorithm: Algorithm, der: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::of_numbers(algorithm, der::read(der.as_ref())?)
    }

    /// A private key or a secret as a JWK (RFC 7517), in JSON.
    ///
    /// Its `alg` is its algorithm; without one, `kty` decides: RS256 for RSA, HS256 for a secret, and
    /// for the others the one that their curve has. Its `kid` is taken over. Of RSA keys all of `d`, `p`, `q`, `dp`, `dq` and `qi` are needed.
    ///
    /// # Errors
    ///
    /// If it is malformed, is of another kind, is not for signing (`use`, `key_ops`), or if its public part
    /// is not that of its private part.
    pub fn from_jwk(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        jwk::read(json.as_ref())
    }

    /// A fresh key, which lives as long as the program: tokens signed with it are worth nothing after a
    /// restart, and nothing on another instance.
    ///
    /// # Errors
    ///
    /// If the operating system has no randomness to give, or the backend makes no keys of that kind.
    pub fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
        let no_random = |_| unsound("no randomness", "needs the operating system's generator");
        if let Some((padding, hash)) = rsa(algorithm) {
            let made = Signer::generate_rsa(padding, hash);
            let made = made.map_err(|fault| refused(fault, algorithm));
            let (signer, public) = made?;
            let (n, e) = der::rsa_public_key(&public)?;
            return Self::asymmetric(algorithm, signer, rsa_public(n, e));
        }
        let mut secret = Zeroizing::new([0; 66]);
        random::fill(&mut *secret).map_err(no_random)?;
        if let Some(curve) = curve(algorithm) {
            return Self::generate_ec(algorithm, curve, &mut secret);
        }
        match algorithm {
            Algorithm::Hs256 => Self::hs256(&secret[..32]),
            Algorithm::Hs384 => Self::hs384(&secret[..48]),
            Algorithm::Hs512 => Self::hs512(&secret[..64]),
            _ => {
                let mut seed = [0; 32];
                seed.copy_from_slice(&secret[..32]);
                Self::of_numbers(algorithm, Numbers::Ed25519 { seed, public: None })
            }
        }
    }

    fn generate_ec(
        algorithm: Algorithm,
        curve: Curve,
        random: &mut [u8; 66],
    ) -> Result<Self, ConfigError> {
        // A random text of 256 bits is no scalar of P-256 once in four thousand million times, and of the
        // other curves never.
        for _ in 0..8 {
            if curve == Curve::P521 {
                // 521 bits.
                random[0] &= 1;
            }
            let scalar = &random[..curve.length()];
            let public = None;
            let numbers = Numbers::Ec {
                curve,
                scalar,
                public,
            };
            if let Ok(made) = Self::of_numbers(algorithm, numbers) {
                return Ok(made);
            }
            if random::fill(random).is_err() {
                break;
            }
        }
        Err(unsound(
            "no randomness",
            "needs the operating system's generator",
        ))
    }

    fn symmetric(hash: Hash, secret: &Secret) -> Result<Self, ConfigError> {
        let (algorithm, verifying) = match hash {
            Hash::Sha256 => (Algorithm::Hs256, VerifyingKey::hs256(secret.clone())?),
            Hash::Sha384 => (Algorithm::Hs384, VerifyingKey::hs384(secret.clone())?),
            Hash::Sha512 => (Algorithm::Hs512, VerifyingKey::hs512(secret.clone())?),
        };
        Ok(Self {
            algorithm,
            signer: Arc::new(Signer::hmac(hash, secret.expose())),
            verifying,
            public: None,
        })
    }

    pub(super) fn of_numbers(
        algorithm: Algorithm,
        numbers: Numbers<'_>,
    ) -> Result<Self, ConfigError> {
        let refused = |fault| refused(fault, algorithm);
        let other = || {
            let expected = format!("must be a key for {algorithm}");
            unsound("another kind of key", expected)
        };
        match numbers {
            Numbers::Rsa(numbers) => {
                let (padding, hash) = rsa(algorithm).ok_or_else(other)?;
                let signer = Signer::rsa(padding, hash, &numbers).map_err(refused)?;
                Self::asymmetric(algorithm, signer, rsa_public(numbers.n, numbers.e))
            }
            Numbers::Ec {
                curve: own,
                scalar,
                public,
            } => {
                if curve(algorithm) != Some(own) {
                    return Err(other());
                }
                let (signer, point) = Signer::ecdsa(own, scalar).map_err(refused)?;
                belongs(public.is_none_or(|public| public == point))?;
                let (x, y) = point[1..].split_at(own.length());
                let public = json!({
                    "kty": "EC", "crv": jwk::name(own), "x": encode(x), "y": encode(y),
                });
                Self::asymmetric(algorithm, signer, public)
            }
            Numbers::Ed25519 { seed, public } if algorithm == Algorithm::Ed25519 => {
                let seed = Zeroizing::new(seed);
                let (signer, point) = Signer::ed25519(&seed).map_err(refused)?;
                belongs(public.is_none_or(|public| public == point))?;
                let public = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&point)});
                Self::asymmetric(algorithm, signer, public)
            }
            Numbers::Ed25519 { .. } => Err(other()),
        }
    }

    fn asymmetric(
        algorithm: Algorithm,
        signer: Signer,
        mut public: Value,
    ) -> Result<Self, ConfigError> {
        public["alg"] = algorithm.as_str().into();
        public["use"] = "sig".into();
        let verifying = VerifyingKey::from_jwk_value(&public)?;
        let thumbprint = verifying.thumbprint().unwrap_or_default();
        Ok(Self {
            algorithm,
            signer: Arc::new(signer),
            verifying: verifying.kid(thumbprint),
            public: Some(Arc::new(public)),
        })
    }

    /// Replaces the key's id.
    #[must_use]
    pub fn kid(mut self, kid: impl Into<Arc<str>>) -> Self {
        self.verifying = self.verifying.kid(kid);
        self
    }

    /// The algorithm it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's id, if it has one.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.verifying.key_id()
    }

    /// The key that verifies what this one signs. Of a secret it is the secret.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.verifying.clone()
    }

    /// The public key as a JWK with `kid`, `alg` and `use`; none for a secret.
    #[must_use]
    pub fn public_jwk(&self) -> Option<Value> {
        let mut public = Value::clone(self.public.as_deref()?);
        if let Some(kid) = self.key_id() {
            public["kid"] = kid.into();
        }
        Some(public)
    }

    /// The compact JWS over these texts: its three parts (RFC 7515 section 7.1); none if the backend fails.
    pub(crate) fn sign(&self, header: &[u8], payload: &[u8]) -> Option<String> {
        let mut text = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 512);
        URL_SAFE_NO_PAD.encode_string(header, &mut text);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        let signature = self.signer.sign(text.as_bytes())?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Some(text)
    }
}

fn rsa(algorithm: Algorithm) -> Option<(Padding, Hash)> {
    Some(match algorithm {
        Algorithm::Rs256 => (Padding::Pkcs1, Hash::Sha256),
        Algorithm::Rs384 => (Padding::Pkcs1, Hash::Sha384),
        Algorithm::Rs512 => (Padding::Pkcs1, Hash::Sha512),
        Algorithm::Ps256 => (Padding::Pss, Hash::Sha256),
        Algorithm::Ps384 => (Padding::Pss, Hash::Sha384),
        Algorithm::Ps512 => (Padding::Pss, Hash::Sha512),
        _ => return None,
    })
}

fn curve(algorithm: Algorithm) -> Option<Curve> {
    Some(match algorithm {
        Algorithm::Es256 => Curve::P256,
        Algorithm::Es384 => Curve::P384,
        Algorithm::Es512 => Curve::P521,
        Algorithm::Es256k => Curve::Secp256k1,
        _ => return None,
    })
}

fn rsa_public(n: &[u8], e: &[u8]) -> Value {
    json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn belongs(does: bool) -> Result<(), ConfigError> {
    match does {
        true => Ok(()),
        false => Err(unsound(
            "two keys",
            "must have the public key of its private key",
        )),
    }
}

fn refused(fault: SignFault, algorithm: Algorithm) -> ConfigError {
    match fault {
        SignFault::Invalid => unsound("invalid", format!("must be a sound key for {algorithm}")),
        SignFault::Unsupported => unsound(
            algorithm.as_str(),
            "needs the crypto backend aws-lc: rust-crypto does not sign with RSA (RUSTSEC-2023-0071)",
        ),
    }
}

/// An error about a key, of which it says nothing but its shape.
fn unsound(
    given: impl Into<String>,
    expected: impl Into<std::borrow::Cow<'static, str>>,
) -> ConfigError {
    ConfigError::new("signing_key", given, expected)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.key_id())
            .finish_non_exhaustive()
    }
}
