//! [`JwsVerifier`]: signatures of compact JWS (RFC 7515), whatever the payload is.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Algorithm,
    base64url::{self, Buffer},
    error::{JwtError, JwtErrorKind},
    header::{self, Header},
    key::VerifyingKey,
    source::{Current, KeySource, Keys, Settings, Wait},
};

/// What a token may be long unless something else is said.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// How many keys are tried for one token. Only keys of one algorithm and without different ids share a
/// token, so more of them than this is a mistake, and trying them all a gift to whoever sends garbage.
const MOST_TRIALS: usize = 8;

/// Verifies signatures of compact JWS whose payload is not a set of claims.
///
/// It says who signed, and nothing of when, for whom or what for: for tokens use
/// [`JwtVerifier`](super::JwtVerifier).
///
/// ```
/// use portcullis::jwt::{JwsVerifier, JwtErrorKind, VerifyingKey};
///
/// // RFC 8037 appendix A.4
/// let key = VerifyingKey::from_jwk(
///     r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
/// )?;
/// let verifier = JwsVerifier::new(key);
/// let jws = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
///            hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/// assert_eq!(verifier.verify(jws).unwrap().payload(), b"Example of Ed25519 signing");
///
/// let forged = jws.replace("RXhh", "RXhi");
/// assert_eq!(verifier.verify(forged).unwrap_err().kind(), JwtErrorKind::SignatureInvalid);
/// # Ok::<(), portcullis::jwt::KeyError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct JwsVerifier(Arc<Signatures>);

/// A JWS whose signature held.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedJws {
    payload: Vec<u8>,
    algorithm: Algorithm,
}

impl JwsVerifier {
    /// Accepts what one of the keys has signed.
    pub fn new(keys: impl Into<KeySource>) -> Self {
        Self(Arc::new(Signatures::new(keys.into())))
    }

    /// Replaces the algorithms that are accepted, of those that the keys have; the default is all of them.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Arc::make_mut(&mut self.0).set_algorithms(algorithms);
        self
    }

    /// Replaces the length in bytes beyond which a token is not read; the default is 16 KiB.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.0).max_token_bytes = bytes;
        self
    }

    /// Verifies a JWS with its payload in it.
    ///
    /// # Errors
    ///
    /// If it is no compact JWS, or no key has signed it.
    pub fn verify(&self, token: impl AsRef<[u8]>) -> Result<VerifiedJws, JwtError> {
        let token = Parts::split(token.as_ref(), self.0.max_token_bytes)?;
        let payload = base64url::decode(token.payload).ok_or_else(|| token.fault())?;
        let keys = self.0.keys();
        let key = self.0.verify(keys.as_deref(), &token, token.signed, None)?;
        Ok(VerifiedJws {
            payload,
            algorithm: key.algorithm(),
        })
    }

    /// Verifies a JWS whose payload travels apart from it (RFC 7515 appendix F): the token is
    /// `header..signature`.
    ///
    /// # Errors
    ///
    /// If it is no such JWS, or no key has signed it for this payload.
    pub fn verify_detached(
        &self,
        token: impl AsRef<[u8]>,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), JwtError> {
        let token = Parts::split(token.as_ref(), self.0.max_token_bytes)?;
        if !token.payload.is_empty() {
            return Err(token.fault().into());
        }
        let mut signed = token.signed.to_vec();
        signed.extend_from_slice(base64url::encode(payload.as_ref()).as_bytes());
        let keys = self.0.keys();
        self.0.verify(keys.as_deref(), &token, &signed, None)?;
        Ok(())
    }
}

impl fmt::Debug for JwsVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl VerifiedJws {
    /// The payload that was signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Takes the payload out.
    #[must_use]
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// The algorithm of the key that signed.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Debug for VerifiedJws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedJws")
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("algorithm", &self.algorithm)
            .finish()
    }
}

/// The three parts of a token, as they stand in it.
pub(super) struct Parts<'t> {
    header: &'t [u8],
    pub(super) payload: &'t [u8],
    signature: &'t [u8],
    /// `header.payload`, which the signature is made over.
    pub(super) signed: &'t [u8],
}

impl<'t> Parts<'t> {
    /// Splits a token of at most `max` bytes at its first dot and its last. That the parts are base64url, and
    /// have no more dots, is found out when they are decoded.
    pub(super) fn split(token: &'t [u8], max: usize) -> Result<Self, JwtErrorKind> {
        if token.len() > max {
            return Err(JwtErrorKind::TooLarge);
        }
        let (Some(first), Some(last)) = (first_dot(token), last_dot(token)) else {
            return Err(JwtErrorKind::Malformed);
        };
        let payload = token.get(first + 1..last).ok_or(JwtErrorKind::Malformed)?;
        Ok(Self {
            header: &token[..first],
            payload,
            signature: &token[last + 1..],
            signed: &token[..last],
        })
    }

    /// What is wrong with a token whose payload is not base64url: a JWE has four dots.
    pub(super) fn fault(&self) -> JwtErrorKind {
        match self.payload.iter().filter(|byte| **byte == b'.').count() {
            2 => JwtErrorKind::Encrypted,
            _ => JwtErrorKind::Malformed,
        }
    }
}

/// As many bytes as the compiler compares at once.
const STEP: usize = 16;

fn has_dot(bytes: &[u8; STEP]) -> bool {
    bytes.iter().fold(false, |any, byte| any | (*byte == b'.'))
}

fn first_dot(token: &[u8]) -> Option<usize> {
    let (steps, _) = token.as_chunks();
    let before = steps.iter().take_while(|step| !has_dot(step)).count() * STEP;
    let rest = token.get(before..)?;
    Some(before + rest.iter().position(|byte| *byte == b'.')?)
}

fn last_dot(token: &[u8]) -> Option<usize> {
    let (_, steps) = token.as_rchunks();
    let steps = steps.iter().rev();
    let after = steps.take_while(|step| !has_dot(step)).count() * STEP;
    let rest = token.get(..token.len() - after)?;
    rest.iter().rposition(|byte| *byte == b'.')
}

/// Who may sign, and how: the part of verification that knows no claims.
pub(super) struct Signatures {
    source: KeySource,
    algorithms: Option<Vec<Algorithm>>,
    pub(super) max_token_bytes: usize,
    settings: Settings,
}

impl Signatures {
    pub(super) fn new(source: KeySource) -> Self {
        Self {
            source,
            algorithms: None,
            max_token_bytes: MAX_TOKEN_BYTES,
            settings: Settings::default(),
        }
    }

    pub(super) fn set_algorithms(&mut self, algorithms: impl IntoIterator<Item = Algorithm>) {
        self.algorithms = Some(algorithms.into_iter().collect());
        self.forget();
    }

    /// To be called when something changes that a header is judged by.
    pub(super) fn forget(&mut self) {
        self.settings = Settings::default();
    }

    /// The keys to verify with now; none, if none can be had.
    pub(super) fn keys(&self) -> Option<Current<'_>> {
        self.source.current()
    }

    /// What a token that was refused for this reason may wait for and then be tried again, once.
    pub(super) fn awaited(&self, refused: JwtErrorKind) -> Option<Wait> {
        match refused {
            JwtErrorKind::KeyUnknown | JwtErrorKind::KeysUnavailable => self.source.missing(),
            _ => None,
        }
    }

    /// How long until keys that are fetched are fetched again.
    pub(super) fn keys_due_in(&self) -> Option<Duration> {
        self.source.due_in()
    }

    /// The key of `keys` that has signed `signed`, if the header is one to be accepted and of the type
    /// `typ`.
    pub(super) fn verify<'k>(
        &self,
        keys: Option<&'k Keys>,
        token: &Parts<'_>,
        signed: &[u8],
        typ: Option<&str>,
    ) -> Result<&'k VerifyingKey, JwtErrorKind> {
        let mut buffer = Buffer::<264>::new();
        let signature = buffer
            .decode(token.signature)
            .ok_or(JwtErrorKind::Malformed)?;
        let memo = keys.and_then(|keys| keys.memo(&self.settings));
        let known = memo.and_then(|memo| memo.key(token.header));
        if let Some(key) = known.and_then(|at| keys?.set().keys().get(at)) {
            return match key.verify(signed, signature) {
                true => Ok(key),
                false => Err(JwtErrorKind::SignatureInvalid),
            };
        }

        let mut buffer = Buffer::<256>::new();
        let header = buffer.decode(token.header).ok_or(JwtErrorKind::Malformed)?;
        let header = Header::read(header)?;
        if let Some(expected) = typ {
            let is_expected = |typ: &str| header::is_same_type(expected, typ);
            if !header.typ.as_deref().is_some_and(is_expected) {
                return Err(JwtErrorKind::TypeMismatch);
            }
        }
        let algorithm = Algorithm::from_name(&header.alg)
            .filter(|algorithm| {
                self.algorithms
                    .as_ref()
                    .is_none_or(|list| list.contains(algorithm))
            })
            .ok_or(JwtErrorKind::AlgorithmNotAllowed)?;
        // Only now, so that what no key could make good neither waits for keys nor has them fetched.
        let keys = keys.ok_or(JwtErrorKind::KeysUnavailable)?;
        let mut named = keys.set().candidates(header.kid.as_deref()).peekable();
        if named.peek().is_none() {
            return Err(JwtErrorKind::KeyUnknown);
        }
        let mut candidates = named
            .filter(|(_, key)| key.algorithm() == algorithm)
            .take(MOST_TRIALS);
        let (at, first) = candidates.next().ok_or(JwtErrorKind::AlgorithmNotAllowed)?;
        let mut others = candidates.peekable();
        if first.verify(signed, signature) {
            if let (Some(memo), None) = (memo, others.peek()) {
                memo.keep(token.header, at);
            }
            return Ok(first);
        }
        others
            .map(|(_, key)| key)
            .find(|key| key.verify(signed, signature))
            .ok_or(JwtErrorKind::SignatureInvalid)
    }
}

impl Clone for Signatures {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
            algorithms: self.algorithms.clone(),
            max_token_bytes: self.max_token_bytes,
            settings: Settings::default(),
        }
    }
}

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signatures")
            .field("keys", &self.source)
            .field("algorithms", &self.algorithms)
            .field("max_token_bytes", &self.max_token_bytes)
            .finish()
    }
}
