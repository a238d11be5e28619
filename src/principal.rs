//! [`Principal`]: who is asking, whichever way it was proven.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use crate::problem::Rejection;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal(Arc<Facts>);

#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Facts {
    subject: String,
    tenant: Option<String>,
    scopes: BTreeSet<String>,
    roles: BTreeSet<String>,
    permissions: BTreeSet<String>,
    methods: Vec<String>,
    authenticated_at: Option<SystemTime>,
}

impl Principal {
    /// A principal of whom only the subject is known.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        Self(Arc::new(Facts {
            subject: subject.into(),
            ..Facts::default()
        }))
    }

    /// Replaces the tenant (organisation, account) it acts in.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.facts().tenant = Some(tenant.into());
        self
    }

    /// Appends a scope (RFC 6749 section 3.3).
    #[must_use]
    pub fn add_scope(mut self, scope: impl Into<String>) -> Self {
        self.facts().scopes.insert(scope.into());
        self
    }

    /// Appends a role.
    #[must_use]
    pub fn add_role(mut self, role: impl Into<String>) -> Self {
        self.facts().roles.insert(role.into());
        self
    }

    /// Appends a permission.
    #[must_use]
    pub fn add_permission(mut self, permission: impl Into<String>) -> Self {
        self.facts().permissions.insert(permission.into());
        self
    }

    /// Appends an authentication method (`amr`, RFC 8176).
    #[must_use]
    pub fn add_method(mut self, method: impl Into<String>) -> Self {
        self.facts().methods.push(method.into());
        self
    }

    /// Replaces the time of the authentication (`auth_time`, OpenID Connect Core 1.0 section 2).
    #[must_use]
    pub fn authenticated_at(mut self, at: SystemTime) -> Self {
        self.facts().authenticated_at = Some(at);
        self
    }

    /// Who it is: unique within its issuer, never reused, not an email address.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The tenant it acts in, where there are tenants.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// Its scopes, sorted.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scopes.iter().map(String::as_str)
    }

    /// Its roles, sorted.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.0.roles.iter().map(String::as_str)
    }

    /// Its permissions, sorted.
    pub fn permissions(&self) -> impl Iterator<Item = &str> {
        self.0.permissions.iter().map(String::as_str)
    }

    /// How it authenticated, in the order the issuer gave.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.0.methods.iter().map(String::as_str)
    }

    /// Whether it holds the scope; scopes are compared byte by byte (RFC 6749 section 3.3).
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.0.scopes.contains(scope)
    }

    /// Whether it holds the role itself; hierarchies are a policy's, not the principal's.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.0.roles.contains(role)
    }

    /// Whether it holds the permission.
    #[must_use]
    pub fn has_permission(&self, permission: &str) -> bool {
        self.0.permissions.contains(permission)
    }

    /// When it authenticated, if its issuer said.
    #[must_use]
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.0.authenticated_at
    }

    fn facts(&mut self) -> &mut Facts {
        Arc::make_mut(&mut self.0)
    }
}

/// What a layer leaves in the extensions that looked for someone, found nobody and was told to let the
/// request in all the same: the answer of handlers that demand someone.
#[derive(Clone)]
#[cfg_attr(
    not(all(feature = "jwt", feature = "axum")),
    allow(dead_code, reason = "one feature leaves it and the other reads it")
)]
pub(crate) struct Nobody(pub(crate) Arc<Rejection>);

/// Extractors of what a layer put into the request's extensions.
#[cfg(feature = "axum")]
#[allow(
    clippy::result_large_err,
    reason = "the error becomes the response a moment later"
)]
pub(crate) mod extract {
    use axum::extract::{FromRequestParts, OptionalFromRequestParts};
    use http::{Extensions, StatusCode, request::Parts};

    use super::{Nobody, Principal};
    use crate::problem::Rejection;

    /// What the layer left, or its answer to those who demand it; 500 with `code` if there was no layer.
    pub(crate) fn required<T: Clone + Send + Sync + 'static>(
        extensions: &Extensions,
        code: &'static str,
    ) -> Result<T, Rejection> {
        optional(extensions, code)?.ok_or_else(|| match extensions.get::<Nobody>() {
            Some(Nobody(answer)) => Rejection::clone(answer),
            None => layer_missing(code),
        })
    }

    /// What the layer left, or none where it let the request in without; 500 with `code` if there was no
    /// layer: a handler that takes nobody for an answer must still not be left unguarded by mistake.
    pub(crate) fn optional<T: Clone + Send + Sync + 'static>(
        extensions: &Extensions,
        code: &'static str,
    ) -> Result<Option<T>, Rejection> {
        match extensions.get::<T>() {
            Some(found) => Ok(Some(found.clone())),
            None if extensions.get::<Nobody>().is_some() => Ok(None),
            None => Err(layer_missing(code)),
        }
    }

    fn layer_missing(code: &'static str) -> Rejection {
        let detail = "The server is not set up to tell who is asking.";
        Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, code, detail)
    }

    /// Who is asking, as the layer outside found out. Where that layer let a request in without anybody, the
    /// answer is its refusal; where there is no such layer, 500 with the code `principal_layer_missing`.
    impl<S: Send + Sync> FromRequestParts<S> for Principal {
        type Rejection = Rejection;

        async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
            required(&parts.extensions, "principal_layer_missing")
        }
    }

    /// As above, but nobody is an answer too.
    impl<S: Send + Sync> OptionalFromRequestParts<S> for Principal {
        type Rejection = Rejection;

        async fn from_request_parts(
            parts: &mut Parts,
            _state: &S,
        ) -> Result<Option<Self>, Rejection> {
            optional(&parts.extensions, "principal_layer_missing")
        }
    }
}
