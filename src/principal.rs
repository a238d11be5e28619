//! [`Principal`]: who is asking, whichever way it was proven.

use std::{collections::BTreeSet, fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::Response;

use crate::head::RequestHead;

/// The authenticated party of a request.
///
/// The layer that proved who is asking (a token, a session) puts it into the request's extensions; what
/// decides about it (scopes, roles, quotas) reads it from there and need not know how it was proven.
/// Cloning it costs a counter.
///
/// ```
/// use portcullis::principal::Principal;
///
/// let principal = Principal::new("user-7").tenant("acme").add_scope("orders:read");
/// assert!(principal.has_scope("orders:read") && !principal.has_scope("orders:write"));
/// ```
#[derive(Clone)]
pub struct Principal(Source);

#[derive(Clone)]
enum Source {
    Own(Arc<Facts>),
    #[cfg_attr(
        not(feature = "jwt"),
        allow(dead_code, reason = "made by what proves it")
    )]
    Proof(Arc<dyn Proof>),
}

/// What proves who is asking, and can say the rest about it when somebody wants to know.
///
/// A request that nobody asks for scopes or roles should not pay for sorting them.
pub(crate) trait Proof: Send + Sync {
    /// Who it is.
    fn subject(&self) -> &str;

    /// Who says so, if it is known.
    fn issuer(&self) -> Option<&str>;

    /// Everything about it, made once; not itself made by [`Principal::of_proof`].
    fn principal(&self) -> &Principal;
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Facts {
    subject: String,
    issuer: Option<String>,
    tenant: Option<String>,
    scopes: BTreeSet<String>,
    roles: BTreeSet<String>,
    permissions: BTreeSet<String>,
    methods: Vec<String>,
    class: Option<String>,
    authenticated_at: Option<SystemTime>,
}

impl Principal {
    /// A principal of whom only the subject is known.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        Self(Source::Own(Arc::new(Facts {
            subject: subject.into(),
            ..Facts::default()
        })))
    }

    /// A principal of whom the rest is found out when it is asked for.
    #[cfg_attr(
        not(feature = "jwt"),
        allow(dead_code, reason = "made by what proves it")
    )]
    pub(crate) fn of_proof(proof: Arc<dyn Proof>) -> Self {
        Self(Source::Proof(proof))
    }

    /// Replaces who says so (`iss`, RFC 7519 section 4.1.1): the issuer that the subject is unique within.
    #[must_use]
    pub fn issued_by(self, issuer: impl Into<String>) -> Self {
        self.with(|facts| {
            facts.issuer = Some(issuer.into());
        })
    }

    /// Replaces the tenant (organisation, account) it acts in.
    #[must_use]
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        self.with(|facts| {
            facts.tenant = Some(tenant.into());
        })
    }

    /// Appends a scope (RFC 6749 section 3.3).
    #[must_use]
    pub fn add_scope(self, scope: impl Into<String>) -> Self {
        self.with(|facts| {
            facts.scopes.insert(scope.into());
        })
    }

    /// Appends a role.
    #[must_use]
    pub fn add_role(self, role: impl Into<String>) -> Self {
        self.with(|facts| {
            facts.roles.insert(role.into());
        })
    }

    /// Appends a permission.
    #[must_use]
    pub fn add_permission(self, permission: impl Into<String>) -> Self {
        self.with(|facts| {
            facts.permissions.insert(permission.into());
        })
    }

    /// Appends an authentication method (`amr`, RFC 8176).
    #[must_use]
    pub fn add_method(self, method: impl Into<String>) -> Self {
        self.with(|facts| {
            facts.methods.push(method.into());
        })
    }

    /// Replaces the class of the authentication: how strong it was (`acr`, OpenID Connect Core 1.0 section 2,
    /// RFC 9470).
    #[must_use]
    pub fn authenticated_as(self, class: impl Into<String>) -> Self {
        self.with(|facts| {
            facts.class = Some(class.into());
        })
    }

    /// Replaces the time of the authentication (`auth_time`, OpenID Connect Core 1.0 section 2).
    #[must_use]
    pub fn authenticated_at(self, at: SystemTime) -> Self {
        self.with(|facts| {
            facts.authenticated_at = Some(at);
        })
    }

    /// Who it is: unique within its issuer, never reused, not an email address.
    #[must_use]
    pub fn subject(&self) -> &str {
        match &self.0 {
            Source::Own(facts) => &facts.subject,
            Source::Proof(proof) => proof.subject(),
        }
    }

    /// Who says so, if it is known. Two issuers may use the same subject for different parties.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        match &self.0 {
            Source::Own(facts) => facts.issuer.as_deref(),
            Source::Proof(proof) => proof.issuer(),
        }
    }

    /// The tenant it acts in, where there are tenants.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&str> {
        self.facts().tenant.as_deref()
    }

    /// Its scopes, sorted.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.facts().scopes.iter().map(String::as_str)
    }

    /// Its roles, sorted.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.facts().roles.iter().map(String::as_str)
    }

    /// Its permissions, sorted.
    pub fn permissions(&self) -> impl Iterator<Item = &str> {
        self.facts().permissions.iter().map(String::as_str)
    }

    /// How it authenticated, in the order the issuer gave.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.facts().methods.iter().map(String::as_str)
    }

    /// Whether it holds the scope; scopes are compared byte by byte (RFC 6749 section 3.3).
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.facts().scopes.contains(scope)
    }

    /// Whether it holds the role itself; hierarchies are a policy's, not the principal's.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.facts().roles.contains(role)
    }

    /// Whether it holds the permission.
    #[must_use]
    pub fn has_permission(&self, permission: &str) -> bool {
        self.facts().permissions.contains(permission)
    }

    /// How strong its authentication was, if its issuer said: an authentication context class.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.facts().class.as_deref()
    }

    /// When it authenticated, if its issuer said.
    #[must_use]
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.facts().authenticated_at
    }

    fn facts(&self) -> &Facts {
        match &self.0 {
            Source::Own(facts) => facts,
            Source::Proof(proof) => proof.principal().facts(),
        }
    }

    fn with(self, change: impl FnOnce(&mut Facts)) -> Self {
        let mut facts = match self.0 {
            Source::Own(facts) => facts,
            Source::Proof(proof) => Arc::new(proof.principal().facts().clone()),
        };
        change(Arc::make_mut(&mut facts));
        Self(Source::Own(facts))
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.facts() == other.facts()
    }
}

impl Eq for Principal {}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Principal").field(self.facts()).finish()
    }
}

/// Left in the extensions by a layer that looked for someone, found nobody, and was told to let the request
/// in all the same.
#[derive(Clone)]
#[cfg_attr(
    not(all(feature = "jwt", feature = "axum")),
    allow(dead_code, reason = "one feature leaves it and the other reads it")
)]
pub(crate) struct Nobody(pub(crate) Arc<dyn AnswerNobody>);

/// The refusal of such a layer, for a handler that demands someone: rendered and told only when one does.
#[cfg_attr(
    not(all(feature = "jwt", feature = "axum")),
    allow(dead_code, reason = "one feature leaves it and the other reads it")
)]
pub(crate) trait AnswerNobody: Send + Sync {
    fn answer(&self, request: RequestHead<'_>) -> Response<Bytes>;
}

/// Extractors of what a layer put into the request's extensions.
#[cfg(feature = "axum")]
#[allow(
    clippy::result_large_err,
    reason = "an extractor's error is the response itself"
)]
pub(crate) mod extract {
    use axum::{
        body::Body,
        extract::{FromRequestParts, OptionalFromRequestParts},
        response::{IntoResponse, Response},
    };
    use http::{StatusCode, request::Parts};

    use super::{Nobody, Principal};
    use crate::{head::RequestHead, problem::Rejection};

    /// What the layer left, or its answer to those who demand it; 500 with `code` if there was no layer.
    pub(crate) fn required<T: Clone + Send + Sync + 'static>(
        parts: &Parts,
        code: &'static str,
    ) -> Result<T, Response> {
        optional(parts, code)?.ok_or_else(|| match parts.extensions.get::<Nobody>() {
            Some(Nobody(layer)) => layer.answer(RequestHead::from(parts)).map(Body::from),
            None => layer_missing(code),
        })
    }

    /// What the layer left, or none where it let the request in without; 500 with `code` if there was no
    /// layer: a handler that takes nobody for an answer must still not be left unguarded by mistake.
    pub(crate) fn optional<T: Clone + Send + Sync + 'static>(
        parts: &Parts,
        code: &'static str,
    ) -> Result<Option<T>, Response> {
        match parts.extensions.get::<T>() {
            Some(found) => Ok(Some(found.clone())),
            None if parts.extensions.get::<Nobody>().is_some() => Ok(None),
            None => Err(layer_missing(code)),
        }
    }

    fn layer_missing(code: &'static str) -> Response {
        let detail = "The server is not set up to tell who is asking.";
        Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, code, detail).into_response()
    }

    const LAYER_MISSING: &str = "principal_layer_missing";

    /// Who is asking, as the layer outside found out. Where that layer let a request in without anybody, the
    /// answer is its refusal; where there is no such layer, 500 with the code `principal_layer_missing`.
    impl<S: Sync> FromRequestParts<S> for Principal {
        type Rejection = Response;

        async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
            required(parts, LAYER_MISSING)
        }
    }

    /// As above, but nobody is an answer too.
    impl<S: Sync> OptionalFromRequestParts<S> for Principal {
        type Rejection = Response;

        async fn from_request_parts(
            parts: &mut Parts,
            _state: &S,
        ) -> Result<Option<Self>, Response> {
            optional(parts, LAYER_MISSING)
        }
    }
}
