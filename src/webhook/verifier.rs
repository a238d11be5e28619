//! [`WebhookVerifier`]: whether a delivery is its provider's.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderMap;

use super::{
    check::{Found, State, at_once},
    error::WebhookError,
    key::Key,
    received::Received,
    replayed::{ReplayKey, Replayed, digest},
    scheme::{Signed, WebhookScheme},
};
use crate::{config::ConfigError, head::RequestHead, secret::Secret};

/// Verifies deliveries of one scheme, with one or several secrets.
///
/// It needs no server: [`verify`](Self::verify) takes the header, the body as it came over the wire, and
/// the time. Cloning it costs a counter.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use portcullis::webhook::{WebhookErrorKind, WebhookScheme, WebhookVerifier};
/// use std::time::SystemTime;
///
/// // The example of GitHub's documentation.
/// let verifier = WebhookVerifier::new(WebhookScheme::github(), "It's a Secret to Everybody")?;
/// let mut headers = HeaderMap::new();
/// headers.insert("x-hub-signature-256", HeaderValue::from_static(
///     "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
/// ));
/// assert!(verifier.verify(&headers, b"Hello, World!", SystemTime::now()).is_ok());
/// let error = verifier.verify(&headers, b"Hello, World?", SystemTime::now()).unwrap_err();
/// assert_eq!(error.kind(), WebhookErrorKind::SignatureInvalid);
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct WebhookVerifier(Arc<Keys>);

pub(super) struct Keys {
    pub(super) scheme: WebhookScheme,
    pub(super) keys: Vec<Key>,
    needs_whole_body: bool,
    trusts_id: bool,
    /// What the keys were read from, to add another one to them.
    secrets: Vec<Secret>,
}

impl Keys {
    fn new(scheme: WebhookScheme, secrets: Vec<Secret>) -> Result<Self, ConfigError> {
        scheme.check()?;
        let keys = secrets.iter().map(|secret| Key::read(&scheme, secret));
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        let needs_whole_body = !matches!(scheme.signed, Signed::Template(_))
            || keys.iter().any(|key| !matches!(key, Key::Mac(_)));
        Ok(Self {
            trusts_id: scheme.trusts_id(),
            scheme,
            keys,
            needs_whole_body,
            secrets,
        })
    }

    /// The proof of a delivery that was found genuine.
    #[inline]
    pub(super) fn proof<'h>(
        &self,
        received: &Received<'h>,
        time: Option<SystemTime>,
        found: Found,
    ) -> WebhookProof<'h> {
        WebhookProof {
            id: received.id,
            trusts_id: self.trusts_id,
            time,
            found,
        }
    }

    /// Whether the check can do nothing before the last byte.
    pub(super) fn needs_whole_body(&self) -> bool {
        self.needs_whole_body
    }
}

/// A delivery that is its provider's: genuine and fresh. Whether it came before is not known of it yet.
pub struct WebhookProof<'h> {
    id: Option<&'h str>,
    /// Whether the id stands for the delivery.
    trusts_id: bool,
    time: Option<SystemTime>,
    found: Found,
}

impl<'h> WebhookProof<'h> {
    /// The delivery's id, where the provider sends one in a header field. Few providers sign it; see
    /// [`replay_keys`](Self::replay_keys).
    #[must_use]
    pub fn id(&self) -> Option<&'h str> {
        self.id
    }

    /// The time that is signed with the body, where one is.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.time
    }

    /// Which of the verifier's secrets the delivery was signed with, in the order in which they were given,
    /// from 0.
    #[must_use]
    pub fn secret_index(&self) -> usize {
        self.found.secret
    }

    /// What stands for the delivery in a replay store: a digest of its id where the id is signed (or
    /// [trusted](WebhookScheme::dangerous_trust_unsigned_id)), and of what is signed everywhere else, so
    /// that no change that leaves the signature good makes it another delivery.
    ///
    /// It is one key, but for a delivery that lists several signatures and no signed id (Stripe, Paddle): that one has
    /// a key for each secret of the verifier, and came before if any of them was used. Look for all of them, and use
    /// all of them up: with the others it is known once a secret is gone.
    ///
    /// Several items of Adyen in one body have a key of their own: look for each item by itself.
    pub fn replay_keys(&self) -> impl Iterator<Item = [u8; 32]> {
        self.each_replay_key()
    }

    #[inline]
    pub(super) fn each_replay_key(&self) -> impl Iterator<Item = ReplayKey> + use<'_, 'h> {
        let id = self.id.filter(|_| self.trusts_id);
        let rest = match id {
            Some(_) => None,
            None => Some(self.found.replayed.keys()),
        };
        let of_id = id.map(|id| digest("id", id.as_bytes()));
        of_id.into_iter().chain(rest.into_iter().flatten())
    }

    /// Whether it is several deliveries in one, for which no key stands.
    pub(super) fn is_several(&self) -> bool {
        matches!(self.found.replayed, Replayed::Several(_))
    }
}

impl fmt::Debug for WebhookProof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookProof")
            .field("id", &self.id)
            .field("timestamp", &self.time)
            .field("secret_index", &self.found.secret)
            .finish_non_exhaustive()
    }
}

impl WebhookVerifier {
    /// A verifier of a scheme with one secret, as the provider shows it; a public key, for schemes that
    /// sign with one.
    ///
    /// # Errors
    ///
    /// If the secret is empty or not of the scheme's form, or if the scheme lacks something that it signs.
    pub fn new(scheme: WebhookScheme, secret: impl Into<Secret>) -> Result<Self, ConfigError> {
        Keys::new(scheme, vec![secret.into()]).map(|keys| Self(Arc::new(keys)))
    }

    /// Appends another secret, so that one can take the place of another without a gap: first the old one, then
    /// both, then the new one. The check with two allocates no more than the check with one.
    ///
    /// Where a delivery lists a signature of each secret and no signed id (Stripe, Paddle), it is remembered under
    /// every secret that the verifier has when it comes. So keep the old secret beside the new one for twice the
    /// tolerance at least: a delivery that came before the new one was added is known by the old one alone, and a
    /// copy of it that lists both signatures could come in once more if the old one went while it is fresh.
    ///
    /// # Errors
    ///
    /// If the secret is empty or not of the scheme's form.
    pub fn add_secret(self, secret: impl Into<Secret>) -> Result<Self, ConfigError> {
        let mut secrets = self.0.secrets.clone();
        secrets.push(secret.into());
        Keys::new(self.0.scheme.clone(), secrets).map(|keys| Self(Arc::new(keys)))
    }

    /// The scheme.
    pub fn scheme(&self) -> &WebhookScheme {
        &self.0.scheme
    }

    /// Whether deliveries can only be checked once their whole body is there: signatures of public keys,
    /// and the schemes that say so. All others are hashed as they come in.
    #[must_use]
    pub fn needs_whole_body(&self) -> bool {
        self.0.needs_whole_body()
    }

    /// Checks a delivery whose body is there.
    ///
    /// `body` is the exact bytes that came: a body that was parsed and written again is another one. The query of
    /// the request is not known here: where one is signed that the configured URL does not have, use
    /// [`begin_request`](Self::begin_request).
    ///
    /// # Errors
    ///
    /// Says why it is not accepted.
    pub fn verify<'h>(
        &self,
        headers: &'h HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<WebhookProof<'h>, WebhookError> {
        let keys = &*self.0;
        let received = Received::read(&keys.scheme, headers, None)?;
        let time = received.time(&keys.scheme, now)?;
        Ok(keys.proof(&received, time, at_once(keys, &received, body)?))
    }

    /// Begins the check of a delivery whose body comes in pieces. What can be refused without the body is
    /// refused here.
    ///
    /// # Errors
    ///
    /// Says why it is not accepted.
    #[inline]
    pub fn begin<'h>(
        &self,
        headers: &'h HeaderMap,
        now: SystemTime,
    ) -> Result<WebhookCheck<'h>, WebhookError> {
        self.begin_with(headers, None, now)
    }

    /// As [`begin`](Self::begin), with the query of the request's target for the schemes that sign it.
    ///
    /// # Errors
    ///
    /// Says why it is not accepted.
    pub fn begin_request<'h>(
        &self,
        request: RequestHead<'h>,
        now: SystemTime,
    ) -> Result<WebhookCheck<'h>, WebhookError> {
        self.begin_with(request.headers(), request.uri().query(), now)
    }

    #[inline]
    fn begin_with<'h>(
        &self,
        headers: &'h HeaderMap,
        query: Option<&'h str>,
        now: SystemTime,
    ) -> Result<WebhookCheck<'h>, WebhookError> {
        let received = Received::read(&self.0.scheme, headers, query)?;
        Ok(WebhookCheck {
            time: received.time(&self.0.scheme, now)?,
            verifier: self.clone(),
            received,
            state: State::default(),
            body: self.needs_whole_body().then(Vec::new),
        })
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.0
    }

    /// How long a delivery can pass for fresh, from its earliest moment to its last; none for ever.
    pub(super) fn fresh_for(&self) -> Option<Duration> {
        let scheme = &self.0.scheme;
        let tolerance = scheme.tolerance.filter(|_| scheme.has_timestamp())?;
        Some(tolerance.saturating_mul(2))
    }
}

impl fmt::Debug for WebhookVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookVerifier")
            .field("scheme", &self.0.scheme)
            .field("keys", &self.0.keys)
            .finish()
    }
}

/// The check of a delivery whose body comes in pieces.
///
/// Where the [whole body](WebhookVerifier::needs_whole_body) is needed it is collected; bound it before it
/// gets here.
pub struct WebhookCheck<'h> {
    verifier: WebhookVerifier,
    received: Received<'h>,
    time: Option<SystemTime>,
    state: State,
    body: Option<Vec<u8>>,
}

impl<'h> WebhookCheck<'h> {
    /// Takes the next piece of the body.
    #[inline]
    pub fn update(&mut self, piece: &[u8]) {
        self.state.update(&self.verifier.0, &self.received, piece);
        if let Some(body) = &mut self.body {
            body.extend_from_slice(piece);
        }
    }

    /// Decides.
    ///
    /// # Errors
    ///
    /// Says why the delivery is not accepted.
    #[inline]
    pub fn finish(mut self) -> Result<WebhookProof<'h>, WebhookError> {
        let keys = &*self.verifier.0;
        let body = self.body.take().unwrap_or_default();
        let found = self.state.finish(keys, &self.received, &body)?;
        Ok(keys.proof(&self.received, self.time, found))
    }
}

impl fmt::Debug for WebhookCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookCheck")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}
