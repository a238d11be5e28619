//! [`ClaimMapping`]: where in its claims an issuer says what somebody is and may do.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use serde_json::Value;

use super::Claims;
use crate::principal::{Principal, Proof};

/// Where roles, permissions and the tenant stand in the claims of an issuer.
///
/// The subject is always `sub`, scopes are `scope` and `scp`, and `amr`, `acr` and `auth_time` are what they
/// are called. All else is a matter of the issuer, and data here: the presets are mappings like any other,
/// and take more paths. Values from several paths are put together; one that is neither a string nor a list
/// of strings says nothing.
///
/// Cloning it costs a counter. A [`JwtAuthLayer`](super::JwtAuthLayer) takes one as
/// [`claim_mapping`](super::JwtAuthLayer::claim_mapping), and reads it when somebody asks.
///
/// ```
/// use portcullis::jwt::ClaimMapping;
///
/// let mapping = ClaimMapping::keycloak("orders-api").tenant("organization_id");
/// let own = ClaimMapping::none()
///     .add_roles(["https://example.com/authorization", "roles"])
///     .add_permissions("https://example.com/permissions");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ClaimMapping(Arc<Paths>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Paths {
    roles: Vec<ClaimPath>,
    permissions: Vec<ClaimPath>,
    tenant: Option<ClaimPath>,
}

/// The way to a claim: the name of a claim, then of a member in it, and so on.
///
/// A string is one name as it stands, dots, slashes and colons included: issuers name claims by URLs. An
/// array or `Vec` of strings is a way into nested objects.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        let (first, inner) = self.0.split_first()?;
        let claim = claims.claim(first)?;
        inner.iter().try_fold(claim, |value, name| value.get(name))
    }

    /// The text at its end, or the texts in the list there.
    fn texts<'c>(&self, claims: &'c Claims) -> impl Iterator<Item = &'c str> {
        let value = self.find(claims);
        let list = value.and_then(Value::as_array).into_iter().flatten();
        let one = value.and_then(Value::as_str);
        one.into_iter().chain(list.filter_map(Value::as_str))
    }
}

impl From<&str> for ClaimPath {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl From<String> for ClaimPath {
    fn from(name: String) -> Self {
        Self(vec![name])
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for ClaimPath {
    fn from(names: [T; N]) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<String>> From<Vec<T>> for ClaimPath {
    fn from(names: Vec<T>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl fmt::Debug for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl ClaimMapping {
    /// No roles, no permissions and no tenant, to write one's own into.
    pub fn none() -> Self {
        Self(Arc::new(Paths::default()))
    }

    /// Roles in `roles` (RFC 9068 section 2.2.3.1): what is read where no mapping is given.
    pub fn standard() -> Self {
        Self::none().add_roles("roles")
    }

    /// Auth0: `permissions` of its role-based access control, the organization in `org_id`, and roles in the
    /// claim that an action of the tenant writes, which must be named by a URL
    /// (`https://example.com/roles`).
    pub fn auth0(roles: impl Into<ClaimPath>) -> Self {
        Self::none()
            .add_roles(roles)
            .add_permissions("permissions")
            .tenant("org_id")
    }

    /// Keycloak: the roles of the realm, and of the client with this id. A role of the realm and one of the
    /// client that have the same name are the same here.
    pub fn keycloak(client: impl Into<String>) -> Self {
        Self::keycloak_realm().add_roles([
            "resource_access".to_owned(),
            client.into(),
            "roles".into(),
        ])
    }

    /// Keycloak: the roles of the realm only.
    pub fn keycloak_realm() -> Self {
        Self::none().add_roles(["realm_access", "roles"])
    }

    /// Microsoft Entra ID: app roles in `roles`, the tenant in `tid`. Groups are object ids in `groups`, and
    /// missing where there are too many of them, so they are not read.
    pub fn entra_id() -> Self {
        Self::none().add_roles("roles").tenant("tid")
    }

    /// Okta: groups as roles, from the claim `groups` that the authorization server is set up to write.
    pub fn okta() -> Self {
        Self::none().add_roles("groups")
    }

    /// Amazon Cognito: groups as roles, in `cognito:groups`.
    pub fn cognito() -> Self {
        Self::none().add_roles("cognito:groups")
    }

    /// Appends a place where roles stand.
    pub fn add_roles(mut self, path: impl Into<ClaimPath>) -> Self {
        Arc::make_mut(&mut self.0).roles.push(path.into());
        self
    }

    /// Appends a place where permissions stand.
    pub fn add_permissions(mut self, path: impl Into<ClaimPath>) -> Self {
        Arc::make_mut(&mut self.0).permissions.push(path.into());
        self
    }

    /// Replaces the place where the tenant stands.
    pub fn tenant(mut self, path: impl Into<ClaimPath>) -> Self {
        Arc::make_mut(&mut self.0).tenant = Some(path.into());
        self
    }

    /// Who is asking, as [`Claims::principal`] with this mapping; the claims are looked through when
    /// somebody asks for more than the subject.
    #[must_use]
    pub fn principal<T>(&self, claims: &Claims<T>) -> Option<Principal> {
        let names_somebody = !claims.subject().is_empty();
        names_somebody.then(|| {
            Principal::of_proof(Arc::new(Mapped {
                claims: claims.untyped(),
                mapping: self.clone(),
                principal: OnceLock::new(),
            }))
        })
    }
}

/// Claims, and how to read them.
struct Mapped {
    claims: Claims,
    mapping: ClaimMapping,
    principal: OnceLock<Principal>,
}

impl Proof for Mapped {
    fn subject(&self) -> &str {
        self.claims.subject()
    }

    fn issuer(&self) -> Option<&str> {
        let issuer = self.claims.issuer();
        (!issuer.is_empty()).then_some(issuer)
    }

    fn principal(&self) -> &Principal {
        self.principal.get_or_init(|| {
            let (claims, paths) = (&self.claims, &*self.mapping.0);
            let mut principal = claims.principal_without_roles();
            for path in &paths.roles {
                principal = path.texts(claims).fold(principal, Principal::add_role);
            }
            for path in &paths.permissions {
                principal = path
                    .texts(claims)
                    .fold(principal, Principal::add_permission);
            }
            let tenant = paths.tenant.as_ref().and_then(|path| path.find(claims));
            match tenant.and_then(Value::as_str) {
                Some(tenant) => principal.tenant(tenant),
                None => principal,
            }
        })
    }
}
