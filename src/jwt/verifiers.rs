//! [`JwtVerifiers`]: several issuers, each with keys of its own.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{
    base64url::Buffer,
    claims::Claims,
    error::{JwtError, JwtErrorKind},
    json::{self, Text},
    jws::Parts,
    source::Wait,
    verifier::JwtVerifier,
};
use crate::config::ConfigError;

/// One verifier, or several of which a token's `iss` chooses one.
///
/// With several, `iss` is read before anything is verified, and used for nothing but choosing: whoever lies
/// about it is judged by the verifier, and with the keys, of the issuer that they claim to be (RFC 8725
/// section 3.8). The keys of one issuer are never tried for another's tokens.
///
/// ```
/// use std::time::SystemTime;
/// use portcullis::jwt::{JwtErrorKind, JwtVerifier, JwtVerifiers, VerifyingKey};
///
/// let of = |issuer, key| {
///     let verifier = JwtVerifier::builder(VerifyingKey::hs256(key)?).issuer(issuer);
///     Ok::<_, portcullis::jwt::KeyError>(verifier.audience("https://api.example.com"))
/// };
/// let verifiers = JwtVerifiers::by_issuer([
///     of("https://login.example.com", "the first of two secrets of 32 bytes")?,
///     of("https://partners.example.com", "the other of two secrets of 32 bytes")?,
/// ])?;
/// let error = verifiers.verify("not.a.token", SystemTime::now()).unwrap_err();
/// assert_eq!(error.kind(), JwtErrorKind::Malformed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct JwtVerifiers(Choice);

#[derive(Clone)]
enum Choice {
    One(JwtVerifier),
    ByIssuer(Arc<Several>),
}

struct Several {
    verifiers: HashMap<String, JwtVerifier>,
    /// The longest token that one of them reads.
    max_token_bytes: usize,
}

impl JwtVerifiers {
    /// Chooses among verifiers by the issuers that each was built with.
    ///
    /// # Errors
    ///
    /// If there are none, if one accepts whatever issuer, or if two accept the same.
    pub fn by_issuer(
        verifiers: impl IntoIterator<Item = JwtVerifier>,
    ) -> Result<Self, ConfigError> {
        let wrong = |given: &str, expected| Err(ConfigError::new("issuer", given, expected));
        let mut by_issuer = HashMap::new();
        let mut max_token_bytes = 0;
        for verifier in verifiers {
            let (Some(issuers), longest) = verifier.reach() else {
                return wrong("any", "must be known for each of several verifiers");
            };
            max_token_bytes = max_token_bytes.max(longest);
            for issuer in issuers.iter() {
                let before = by_issuer.insert(issuer.to_owned(), verifier.clone());
                if before.is_some() {
                    return wrong(issuer, "must be that of one verifier only");
                }
            }
        }
        if by_issuer.is_empty() {
            return wrong("none", "must be known for each of several verifiers");
        }
        Ok(Self(Choice::ByIssuer(Arc::new(Several {
            verifiers: by_issuer,
            max_token_bytes,
        }))))
    }

    /// Verifies a token, as [`JwtVerifier::verify`] of the one that is responsible does.
    ///
    /// # Errors
    ///
    /// If it is not to be accepted; [`JwtErrorKind::IssuerMismatch`], if nobody is responsible.
    pub fn verify(&self, token: impl AsRef<[u8]>, now: SystemTime) -> Result<Claims, JwtError> {
        let token = token.as_ref();
        self.responsible(token)?.verify(token, now)
    }

    /// What a token that was refused for this reason may wait for and then be tried again, once.
    pub(super) fn awaited(&self, token: &[u8], refused: JwtErrorKind) -> Option<Wait> {
        match refused {
            JwtErrorKind::KeyUnknown | JwtErrorKind::KeysUnavailable => {
                self.responsible(token).ok()?.signatures().awaited(refused)
            }
            _ => None,
        }
    }

    /// How long until the keys that a token waits for are fetched again.
    pub(super) fn keys_due_in(&self, token: &[u8]) -> Option<Duration> {
        self.responsible(token).ok()?.signatures().keys_due_in()
    }

    pub(super) fn responsible(&self, token: &[u8]) -> Result<&JwtVerifier, JwtError> {
        let several = match &self.0 {
            Choice::One(verifier) => return Ok(verifier),
            Choice::ByIssuer(several) => several,
        };
        let parts = Parts::split(token, several.max_token_bytes)?;
        let mut buffer = Buffer::<1024>::new();
        let payload = buffer.decode(parts.payload).ok_or_else(|| parts.fault())?;
        let Claimed(issuer) = json::read_as(payload).ok_or(JwtErrorKind::ClaimsMalformed)?;
        let Some(issuer) = issuer else {
            return Err(JwtError::of_claim(JwtErrorKind::ClaimMissing, "iss"));
        };
        let verifier = several.verifiers.get(&*issuer);
        verifier.ok_or_else(|| JwtErrorKind::IssuerMismatch.into())
    }
}

impl From<JwtVerifier> for JwtVerifiers {
    fn from(verifier: JwtVerifier) -> Self {
        Self(Choice::One(verifier))
    }
}

impl fmt::Debug for JwtVerifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Choice::One(verifier) => verifier.fmt(f),
            Choice::ByIssuer(several) => several.verifiers.fmt(f),
        }
    }
}

/// The issuer that somebody claims to be. All else is read by the verifier, and as strictly as ever.
struct Claimed<'t>(Option<Cow<'t, str>>);

impl<'de> Deserialize<'de> for Claimed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Claimed<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("claims")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut members: A,
            ) -> Result<Claimed<'de>, A::Error> {
                let mut issuer = None;
                while let Some(Text(name)) = members.next_key()? {
                    if name != "iss" {
                        members.next_value::<IgnoredAny>()?;
                    } else if issuer
                        .replace(members.next_value::<Text<'de>>()?.0)
                        .is_some()
                    {
                        return Err(A::Error::duplicate_field("iss"));
                    }
                }
                Ok(Claimed(issuer))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}
