//! [`JwtVerifier`]: the whole check of a token.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::de::DeserializeOwned;

use super::{
    Algorithm, base64url,
    builder::{JwtVerifierBuilder, WantsIssuer},
    cache::Cache,
    claims::{Claims, Make},
    error::JwtError,
    jws::{Parts, Signatures},
    names::Names,
    rules::Rules,
    source::KeySource,
};
use crate::config::ConfigError;

/// The most that two clocks are forgiven.
const MOST_LEEWAY: Duration = Duration::from_secs(10 * 60);

/// Verifies tokens: the signature with the keys it was given, then the claims.
///
/// The time is an argument. What it remembers (see [`cache_capacity`](Self::cache_capacity)) changes what a
/// check costs and never what comes out. Cloning it costs a counter. Its rules, in the order they are applied:
///
/// 1. A token of more than [`max_token_bytes`](Self::max_token_bytes) is not read.
/// 2. It is a compact JWS: three parts, strict base64url. No JWE, no JSON serialisation.
/// 3. The header has no duplicate members, no `crit` and no `b64`; its `typ` is the one of
///    [`typ`](Self::typ), if that is set.
/// 4. `alg` is the algorithm of a key whose id is the token's `kid`. Keys without an id, and all keys for a
///    token without `kid`, are tried as well. `jwk`, `jku`, `x5u` and `x5c` are not looked at.
/// 5. The signature is that key's.
/// 6. The claims are a JSON object without duplicate members, and each is of its type: an `exp` that is not
///    a number, is negative or lies beyond the year 9999 is malformed, never absent.
/// 7. `exp` is there and has not come; `nbf`, where it is there, has.
/// 8. `iss` and `aud` are the ones the verifier was built with; `sub`, the age and the presence of other
///    claims are as set.
/// 9. A token that is bound to its holder's key (`cnf`, RFC 7800) is refused.
/// 10. The claims make what the application wants of them ([`typed`](Self::typed)), and what it asks with
///     [`add_check`](Self::add_check) holds.
///
/// `iat` in the future is no reason to refuse a token unless [`max_age`](Self::max_age) is set: RFC 7519
/// gives it no such meaning, and `nbf` is there for it.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use portcullis::jwt::{JwtErrorKind, JwtVerifier, VerifyingKey};
///
/// let verifier = JwtVerifier::builder(VerifyingKey::hs256("correct horse battery staple 123")?)
///     .issuer("https://login.example.com")
///     .audience("https://api.example.com")
///     .typ("at+jwt")
///     .leeway(Duration::from_secs(5))?;
/// let error = verifier.verify("not.a.token", SystemTime::now()).unwrap_err();
/// assert_eq!(error.kind(), JwtErrorKind::Malformed);
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct JwtVerifier(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    signatures: Signatures,
    rules: Rules,
    cache: Cache,
}

/// What RFC 9068 section 2.2 demands of an access token.
const ACCESS_TOKEN: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];

impl JwtVerifier {
    /// Starts with the keys; the issuer and the audience come next.
    ///
    /// Keys that are fetched are asked for when a token needs them: [`JwtVerifier::verify_async`].
    pub fn builder(keys: impl Into<KeySource>) -> JwtVerifierBuilder<WantsIssuer> {
        JwtVerifierBuilder::new(keys.into())
    }

    pub(super) fn new(signatures: Signatures, rules: Rules) -> Self {
        Self(Arc::new(Inner {
            signatures,
            rules,
            cache: Cache::default(),
        }))
    }

    /// What a setter changes. Whatever it is, no token was accepted under it yet.
    fn inner(&mut self) -> &mut Inner {
        let inner = Arc::make_mut(&mut self.0);
        inner.cache = inner.cache.clone();
        inner
    }

    fn rules(&mut self) -> &mut Rules {
        &mut self.inner().rules
    }

    /// Replaces the algorithms that are accepted, of those that the keys have; the default is all of them.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.inner().signatures.set_algorithms(algorithms);
        self
    }

    /// Replaces the length in bytes beyond which a token is not read; the default is 16 KiB.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.inner().signatures.max_token_bytes = bytes;
        self
    }

    /// Replaces what the issuer's clock and this one may differ by: it delays `exp` and the maximum age and
    /// hastens `nbf` and `iat`. The default is 0, so that what a token says is what holds.
    ///
    /// # Errors
    ///
    /// If it is more than 10 minutes: a clock that wrong is to be set, not forgiven.
    pub fn leeway(mut self, leeway: Duration) -> Result<Self, ConfigError> {
        if leeway > MOST_LEEWAY {
            let given = format!("{leeway:?}");
            return Err(ConfigError::new(
                "leeway",
                given,
                "must be 10 minutes at most",
            ));
        }
        self.rules().leeway = leeway;
        Ok(self)
    }

    /// Demands this `typ` in the header, so that a token made for something else is not taken for one of
    /// these (RFC 8725 section 3.11): `at+jwt` for access tokens (RFC 9068). Case does not matter, nor does
    /// an `application/` before it. The default is to accept every `typ`, and none.
    pub fn typ(mut self, typ: impl Into<String>) -> Self {
        let inner = self.inner();
        inner.rules.typ = Some(typ.into());
        inner.signatures.forget();
        self
    }

    /// Demands exactly this `sub`.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.rules().subject = Some(subject.into());
        self
    }

    /// Demands an `iat`, not in the future and not longer ago than this.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.rules().max_age = Some(age);
        self
    }

    /// Demands that a claim of this name is there, whatever it says.
    pub fn add_required_claim(mut self, name: impl Into<String>) -> Self {
        self.rules().required.push(name.into());
        self
    }

    /// Demands an access token of RFC 9068: a `typ` of `at+jwt`, so that no ID token is taken for one
    /// (section 4), and the claims of section 2.2: `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti`.
    pub fn access_token(self) -> Self {
        let demand = |own: Self, claim| own.add_required_claim(claim);
        ACCESS_TOKEN.into_iter().fold(self.typ("at+jwt"), demand)
    }

    /// Has a `T` made of the claims of every token that is verified: see [`Claims`]. A token whose claims do
    /// not make one is refused ([`JwtErrorKind::ClaimsMismatch`](super::JwtErrorKind::ClaimsMismatch)), and one that is remembered is remembered
    /// with its `T`. The default is to make nothing.
    ///
    /// ```
    /// use portcullis::jwt::{Claims, JwtError, JwtVerifier, VerifyingKey};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Staff {
    ///     tenant: String,
    /// }
    ///
    /// let verifier = JwtVerifier::builder(VerifyingKey::hs256("correct horse battery staple 123")?)
    ///     .issuer("https://login.example.com")
    ///     .audience("https://api.example.com")
    ///     .typed::<Staff>()
    ///     .add_check(|claims: &Claims| match &*claims.typed::<Staff>()?.tenant {
    ///         "closed" => Err(JwtError::refused("tenant_closed")),
    ///         _ => Ok(()),
    ///     });
    /// # Ok::<(), portcullis::config::ConfigError>(())
    /// ```
    ///
    /// What [`verify`](Self::verify) returns has it: [`Claims::typed`] finds it there.
    pub fn typed<T: DeserializeOwned + Send + Sync + 'static>(mut self) -> Self {
        self.rules().own = Make::of::<T>();
        self
    }

    /// Adds a check of your own. It is asked last, and about every token, whether it was seen before or not;
    /// what it returns is what [`verify`](Self::verify) returns.
    ///
    /// ```
    /// use portcullis::jwt::{Claims, JwtError, JwtVerifier, VerifyingKey};
    ///
    /// let verifier = JwtVerifier::builder(VerifyingKey::hs256("correct horse battery staple 123")?)
    ///     .issuer("https://login.example.com")
    ///     .audience("https://api.example.com")
    ///     .add_check(|claims: &Claims| match claims.claim("email_verified") {
    ///         Some(serde_json::Value::Bool(true)) => Ok(()),
    ///         _ => Err(JwtError::refused("email_unverified")),
    ///     });
    /// # Ok::<(), portcullis::config::ConfigError>(())
    /// ```
    pub fn add_check(
        mut self,
        check: impl Fn(&Claims) -> Result<(), JwtError> + Send + Sync + 'static,
    ) -> Self {
        self.rules().checks.add(Arc::new(check));
        self
    }

    /// Accepts tokens without `exp`, which are good forever. Those that have one must still keep it.
    pub fn dangerous_without_expiry(mut self) -> Self {
        self.rules().without_expiry = true;
        self
    }

    /// Accepts tokens with `cnf` from whoever presents them: a stolen one then serves the thief, which is
    /// what its issuer meant to prevent (RFC 7800, RFC 9449).
    pub fn dangerous_without_confirmation(mut self) -> Self {
        self.rules().without_confirmation = true;
        self
    }

    /// Replaces how many verified tokens are remembered, so that one that comes again costs a lookup and
    /// not a signature; the default is 4,096, and there are never more than 4,194,304. A token takes about as
    /// much memory as its claims, so a few kilobytes; those of more than 4 KiB are not remembered. Room for
    /// twice the tokens in use is ample.
    ///
    /// A token that is remembered is still refused once it has expired, and when its key has been taken from
    /// the keys; what else is asked about tokens, such as whether one is revoked, is asked every time.
    ///
    /// It pays where a client sends its token more than once, with an HMAC too: see the crate's bench `jwt`.
    /// Where every request brings a token of its own, [`without_cache`](Self::without_cache) is faster.
    pub fn cache_capacity(mut self, tokens: usize) -> Self {
        self.inner().cache = Cache::new(tokens);
        self
    }

    /// Remembers no tokens: each is verified whenever it comes.
    pub fn without_cache(self) -> Self {
        self.cache_capacity(0)
    }

    /// Verifies a token.
    ///
    /// # Errors
    ///
    /// If it is not to be accepted; [`JwtErrorKind`](super::JwtErrorKind) says why. A time before 1970 accepts nothing: it is a
    /// clock that was never set.
    pub fn verify(&self, token: impl AsRef<[u8]>, now: SystemTime) -> Result<Claims, JwtError> {
        let Inner {
            signatures,
            rules,
            cache,
        } = &*self.0;
        let token = token.as_ref();
        let keys = signatures.keys();
        let keys = keys.as_deref();
        let place = keys.and_then(|keys| Some((cache.digest(token)?, keys.generation())));
        if let Some((digest, generation)) = place
            && let Some(claims) = cache.find(digest, generation)
        {
            rules.check_again(&claims, now)?;
            return Ok(claims);
        }
        let parts = Parts::split(token, signatures.max_token_bytes)?;
        let payload = base64url::decode(parts.payload).ok_or_else(|| parts.fault())?;
        signatures.verify(keys, &parts, parts.signed, rules.typ.as_deref())?;
        let mut claims = Claims::read(payload)?;
        rules.check(&mut claims, now)?;
        if let Some((digest, generation)) = place {
            cache.keep(digest, generation, &claims);
        }
        Ok(claims)
    }

    pub(super) fn signatures(&self) -> &Signatures {
        &self.0.signatures
    }

    /// The issuers that are accepted (none, if whatever issuer is), and the longest token that is read.
    pub(super) fn reach(&self) -> (Option<&Names>, usize) {
        let max_token_bytes = self.0.signatures.max_token_bytes;
        (self.0.rules.issuers.as_ref(), max_token_bytes)
    }
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifier")
            .field("signatures", &self.0.signatures)
            .field("rules", &self.0.rules)
            .field("cache", &self.0.cache)
            .finish()
    }
}
