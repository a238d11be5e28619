//! [`Claims`]: what a verified token says.

mod own;
mod plain;
mod record;
mod registered;
mod show;

use std::{
    marker::PhantomData,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value};

pub(super) use self::{own::Make, registered::Registered};
use self::{record::Record, registered::NumericDate};
use super::error::JwtError;
use crate::principal::{Principal, Proof};

/// The claims of a token that was verified (RFC 7519 section 4).
///
/// There is no way to make one without verifying a token. Cloning it costs a counter. `Debug` shows the
/// claims, so they show in a log that prints them; the token cannot be had back from them. Serialized, they
/// are the payload of the token again.
///
/// # A type of your own
///
/// `Claims<T>` holds the claims, and a `T` that they were made into: it is dereferenced to. `T` names
/// whichever claims it wants, those with accessors here as well, and leaves out the rest. Tell the verifier of
/// it, and it is made once, when a token is verified, before anything sees the request; a token whose claims
/// make no `T` is refused as `jwt_claims_mismatch`. The [layer](super::JwtAuthLayer) then puts `Claims<T>`
/// into the extensions beside `Claims`, and a handler takes either.
///
/// ```
/// use portcullis::jwt::{Claims, JwtVerifier, VerifyingKey};
///
/// #[derive(serde::Deserialize)]
/// struct Staff {
///     tenant: String,
///     #[serde(default)]
///     beta: bool,
/// }
///
/// let verifier = JwtVerifier::builder(VerifyingKey::hs256("correct horse battery staple 123")?)
///     .issuer("https://login.example.com")
///     .audience("https://api.example.com")
///     .typed::<Staff>();
///
/// async fn handler(claims: Claims<Staff>) -> String {
///     format!("{} of {}, beta: {}", claims.subject(), claims.tenant, claims.beta)
/// }
/// # let _ = handler;
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
///
/// Handlers of one service may take different types: a verifier knows one, and a `Claims<T>` of another is
/// made for each request that asks for it, by the extractor or by [`Claims::typed`].
pub struct Claims<T = ()> {
    record: Arc<Record>,
    own: PhantomData<fn() -> T>,
}

impl Claims {
    /// Reads a payload that somebody vouches for.
    pub(super) fn read(payload: Vec<u8>) -> Result<Self, JwtError> {
        Record::read(payload).map(Self::of)
    }

    #[cfg(test)]
    fn read_plain(text: &str) -> Option<Self> {
        let record = Record::read(text.as_bytes().to_vec()).ok()?;
        record.payload().is_some().then(|| Self::of(record))
    }

    #[cfg(test)]
    fn read_general(text: &str) -> Result<Self, JwtError> {
        Ok(Self::of(Arc::new(Record::read_general(text)?)))
    }
}

impl<T> Claims<T> {
    /// Whether both were read from a token at the same time.
    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.record, &other.record)
    }

    /// `sub`, whom the token is about; empty if it does not say.
    ///
    /// It is unique for its issuer only.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.record.sub().unwrap_or_default()
    }

    /// `iss`, who issued the token; empty if it does not say, which
    /// [`JwtVerifierBuilder::issuer`](super::JwtVerifierBuilder::issuer) rules out.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.record.iss().unwrap_or_default()
    }

    /// `aud`, whom the token is for.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        self.record.aud()
    }

    /// `exp`, the moment from which the token is no longer accepted.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.registered().exp.as_ref().and_then(time)
    }

    /// `nbf`, the moment before which it is not accepted.
    #[must_use]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.registered().nbf.as_ref().and_then(time)
    }

    /// `iat`, when it was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.registered().iat.as_ref().and_then(time)
    }

    /// `jti`, the token's own id.
    #[must_use]
    pub fn jwt_id(&self) -> Option<&str> {
        self.record.jti()
    }

    /// What the token may be used for: the `scope` of RFC 8693 section 4.2 (parted by spaces), and `scp`,
    /// which some issuers write instead. Either may also be a list of strings.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.record.scopes()
    }

    /// A claim that has no accessor of its own, by its name.
    ///
    /// The claims of RFC 7519 section 4.1, and a `scope` that is a string, are not among them.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        match self.record.has_other(name) {
            true => self.other().get(name),
            false => None,
        }
    }

    /// The claims that have no accessor of their own; they are made into values when they are first asked
    /// for.
    #[must_use]
    pub fn other(&self) -> &Map<String, Value> {
        self.record.other()
    }

    /// Who is asking: `sub` with the scopes, `roles` (RFC 9068 section 2.2.3.1), `amr`, `acr` and
    /// `auth_time`.
    ///
    /// A token without `sub`, or with an empty one, speaks for nobody.
    #[must_use]
    pub fn principal(&self) -> Option<Principal> {
        let names_somebody = !self.subject().is_empty();
        names_somebody.then(|| Principal::of_proof(Arc::clone(&self.record) as _))
    }

    /// The principal, but for what each issuer writes where it likes.
    pub(super) fn principal_without_roles(&self) -> Principal {
        self.record.without_roles()
    }

    /// Whether the token has a claim of that name.
    #[inline(always)]
    pub(super) fn has(&self, name: &str) -> bool {
        self.record.has(name)
    }

    pub(super) fn registered(&self) -> &Registered {
        self.record.registered()
    }
}

/// The principal is put together when somebody asks for more than the subject.
impl Proof for Record {
    fn subject(&self) -> &str {
        self.sub().unwrap_or_default()
    }

    fn issuer(&self) -> Option<&str> {
        self.iss().filter(|issuer| !issuer.is_empty())
    }

    fn principal(&self) -> &Principal {
        self.principal.get_or_init(|| {
            let roles = self.listed("roles");
            Box::new(roles.fold(self.without_roles(), Principal::add_role))
        })
    }
}

impl Record {
    /// The texts of a claim.
    fn listed(&self, name: &str) -> impl Iterator<Item = &str> {
        self.other().get(name).into_iter().flat_map(texts)
    }

    /// What every issuer calls by the same names.
    fn without_roles(&self) -> Principal {
        let mut principal = Principal::new(Proof::subject(self));
        if let Some(issuer) = Proof::issuer(self) {
            principal = principal.issued_by(issuer);
        }
        principal = self.scopes().fold(principal, Principal::add_scope);
        principal = self.listed("amr").fold(principal, Principal::add_method);
        if let Some(class) = self.other().get("acr").and_then(Value::as_str) {
            principal = principal.authenticated_as(class);
        }
        let seconds = self.other().get("auth_time").and_then(Value::as_u64);
        let at = seconds
            .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        match at {
            Some(at) => principal.authenticated_at(at),
            None => principal,
        }
    }

    fn scopes(&self) -> impl Iterator<Item = &str> {
        let listed = ["scope", "scp"]
            .into_iter()
            .filter(|name| self.has_other(name))
            .filter_map(|name| self.other().get(name));
        self.scope()
            .into_iter()
            .chain(listed.flat_map(texts))
            .flat_map(|text| text.split(' '))
            .filter(|scope| !scope.is_empty())
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
        Self::of(Arc::clone(&self.record))
    }
}
