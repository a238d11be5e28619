//! [`Claims`]: what a verified token says.

mod plain;
mod registered;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use serde::{
    de::DeserializeOwned,
    ser::{Serialize, SerializeMap, Serializer},
};
use serde_json::{Map, Value};

pub(super) use self::registered::Registered;
use self::registered::{Audience, NumericDate, Payload};
use super::{
    error::{JwtError, JwtErrorKind},
    json,
};
use crate::principal::{Principal, Proof};

/// The claims of a token that was verified (RFC 7519 section 4).
///
/// There is no way to make one without verifying a token. Cloning it costs a counter. `Debug` shows the
/// claims, so they show in a log that prints them; the token cannot be had back from them. Serialized, they
/// are the payload of the token again.
///
/// `T` is what the claims that RFC 7519 does not know were made into: a JSON object unless
/// [`Claims::typed`] says otherwise.
pub struct Claims<T = Map<String, Value>>(Arc<Verified<T>>);

struct Verified<T> {
    registered: Registered,
    other: T,
    principal: OnceLock<Principal>,
}

impl<T> Verified<T> {
    fn new(registered: Registered, other: T) -> Arc<Self> {
        Arc::new(Self {
            registered,
            other,
            principal: OnceLock::new(),
        })
    }
}

impl Claims {
    /// Reads a payload that somebody vouches for.
    pub(super) fn read(payload: &[u8]) -> Result<Self, JwtError> {
        let Payload {
            registered, other, ..
        } = Payload::read(payload)?;
        Ok(Self(Verified::new(registered, other)))
    }

    /// A claim that has no accessor of its own, by its name.
    ///
    /// The claims of RFC 7519 section 4.1, and a `scope` that is a string, are not among them.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.0.other.get(name)
    }

    /// What the token may be used for: the `scope` of RFC 8693 section 4.2 (parted by spaces), and `scp`,
    /// which some issuers write instead. Either may also be a list of strings.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scopes()
    }

    /// The claims with those that RFC 7519 does not know made into a `T`.
    ///
    /// ```no_run
    /// # fn claims() -> portcullis::jwt::Claims { unimplemented!() }
    /// #[derive(serde::Deserialize)]
    /// struct Tenant {
    ///     tenant: String,
    /// }
    /// let claims = claims().typed::<Tenant>()?;
    /// println!("{:?} of {}", claims.subject(), claims.other().tenant);
    /// # Ok::<(), portcullis::jwt::JwtError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`JwtErrorKind::ClaimsMalformed`] if they do not make one.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<Claims<T>, JwtError> {
        let other = json::convert(self.0.other.clone()).ok_or(JwtErrorKind::ClaimsMalformed)?;
        let registered = self.0.registered.clone();
        Ok(Claims(Verified::new(registered, other)))
    }

    /// Who is asking: `sub` with the scopes, `roles` (RFC 9068 section 2.2.3.1), `amr`, `acr` and
    /// `auth_time`.
    ///
    /// A token without `sub`, or with an empty one, speaks for nobody.
    #[must_use]
    pub fn principal(&self) -> Option<Principal> {
        let names_somebody = !self.subject().is_empty();
        names_somebody.then(|| Principal::of_proof(self.0.clone()))
    }

    /// The principal, but for what each issuer writes where it likes.
    pub(super) fn principal_without_roles(&self) -> Principal {
        self.0.without_roles()
    }

    /// Whether the token has a claim of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        let claims = &self.0.registered;
        match name {
            "iss" => claims.iss.is_some(),
            "sub" => claims.sub.is_some(),
            "aud" => claims.aud.is_some(),
            "exp" => claims.exp.is_some(),
            "nbf" => claims.nbf.is_some(),
            "iat" => claims.iat.is_some(),
            "jti" => claims.jti.is_some(),
            "scope" if claims.scope.is_some() => true,
            other => self.0.other.contains_key(other),
        }
    }
}

/// The principal is put together when somebody asks for more than the subject.
impl Proof for Verified<Map<String, Value>> {
    fn subject(&self) -> &str {
        self.registered.sub.as_deref().unwrap_or_default()
    }

    fn principal(&self) -> &Principal {
        self.principal.get_or_init(|| {
            let roles = self.listed("roles");
            roles.fold(self.without_roles(), Principal::add_role)
        })
    }
}

impl Verified<Map<String, Value>> {
    /// The texts of a claim.
    fn listed(&self, name: &str) -> impl Iterator<Item = &str> {
        self.other.get(name).into_iter().flat_map(texts)
    }

    /// What every issuer calls by the same names.
    fn without_roles(&self) -> Principal {
        let mut principal = Principal::new(Proof::subject(self));
        principal = self.scopes().fold(principal, Principal::add_scope);
        principal = self.listed("amr").fold(principal, Principal::add_method);
        if let Some(class) = self.other.get("acr").and_then(Value::as_str) {
            principal = principal.authenticated_as(class);
        }
        let seconds = self.other.get("auth_time").and_then(Value::as_u64);
        let at = seconds
            .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        match at {
            Some(at) => principal.authenticated_at(at),
            None => principal,
        }
    }

    fn scopes(&self) -> impl Iterator<Item = &str> {
        let text = self.registered.scope.as_deref();
        let listed = ["scope", "scp"]
            .into_iter()
            .filter_map(|name| self.other.get(name));
        text.into_iter()
            .chain(listed.flat_map(texts))
            .flat_map(|text| text.split(' '))
            .filter(|scope| !scope.is_empty())
    }
}

impl<T> Claims<T> {
    /// Whether both were read from a token at the same time.
    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// `sub`, whom the token is about; empty if it does not say.
    ///
    /// It is unique for its issuer only.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.registered.sub.as_deref().unwrap_or_default()
    }

    /// `iss`, who issued the token; empty if it does not say, which
    /// [`JwtVerifierBuilder::issuer`](super::JwtVerifierBuilder::issuer) rules out.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.registered.iss.as_deref().unwrap_or_default()
    }

    /// `aud`, whom the token is for.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        self.0
            .registered
            .aud
            .as_ref()
            .map_or(&[], Audience::as_slice)
    }

    /// `exp`, the moment from which the token is no longer accepted.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.registered.exp.as_ref().and_then(time)
    }

    /// `nbf`, the moment before which it is not accepted.
    #[must_use]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.0.registered.nbf.as_ref().and_then(time)
    }

    /// `iat`, when it was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.0.registered.iat.as_ref().and_then(time)
    }

    /// `jti`, the token's own id.
    #[must_use]
    pub fn jwt_id(&self) -> Option<&str> {
        self.0.registered.jti.as_deref()
    }

    /// The claims that RFC 7519 does not know.
    #[must_use]
    pub fn other(&self) -> &T {
        &self.0.other
    }

    pub(super) fn registered(&self) -> &Registered {
        &self.0.registered
    }
}

fn time(date: &NumericDate) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(date.since_epoch)
}

/// The text, or the texts in the list.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().into_iter().flatten();
    value
        .as_str()
        .into_iter()
        .chain(list.filter_map(Value::as_str))
}

impl<T> Clone for Claims<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Claims<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims = &self.0.registered;
        f.debug_struct("Claims")
            .field("iss", &claims.iss)
            .field("sub", &claims.sub)
            .field("aud", &self.audience())
            .field("exp", &claims.exp.as_ref().map(|date| &date.written))
            .field("nbf", &claims.nbf.as_ref().map(|date| &date.written))
            .field("iat", &claims.iat.as_ref().map(|date| &date.written))
            .field("jti", &claims.jti)
            .field("scope", &claims.scope)
            .field("other", &self.0.other)
            .finish()
    }
}

impl Serialize for Claims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let claims = &self.0.registered;
        let mut map = serializer.serialize_map(None)?;
        for (name, text) in [
            ("iss", &claims.iss),
            ("sub", &claims.sub),
            ("jti", &claims.jti),
            ("scope", &claims.scope),
        ] {
            if let Some(text) = text {
                map.serialize_entry(name, text)?;
            }
        }
        match &claims.aud {
            Some(Audience::One(one)) => map.serialize_entry("aud", one)?,
            Some(Audience::Many(many)) => map.serialize_entry("aud", many)?,
            None => {}
        }
        for (name, date) in [
            ("exp", &claims.exp),
            ("nbf", &claims.nbf),
            ("iat", &claims.iat),
        ] {
            if let Some(date) = date {
                map.serialize_entry(name, &date.written)?;
            }
        }
        for (name, value) in &self.0.other {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
