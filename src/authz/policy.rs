//! [`Policy`]: what a principal must be, have or have done.

use std::{fmt, sync::Arc, time::Duration};

use super::{Access, Denial, Permission, Role, Scope, names::is_scope};
use crate::config::ConfigError;

/// A condition on who is asking.
///
/// It is a pure value: [`Policy::check`] decides without tower, without a server and without waiting.
/// Cloning it costs a counter.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use portcullis::{
///     authz::{Access, DenialKind, Policy},
///     principal::Principal,
/// };
///
/// let policy = Policy::all_of([
///     Policy::scope("payments:write")?,
///     Policy::any_of([Policy::role("accountant")?, Policy::role("owner")?])?,
///     Policy::authenticated_within(Duration::from_secs(300))?,
/// ])?;
/// let now = SystemTime::now();
/// let accountant = Principal::new("user-7")
///     .add_scope("payments:write")
///     .add_role("accountant")
///     .authenticated_at(now - Duration::from_secs(3600));
/// let denial = policy.check(&Access::new(&accountant, now)).unwrap_err();
/// assert_eq!(denial.kind(), DenialKind::AuthenticationInsufficient);
/// assert_eq!(denial.max_age(), Some(Duration::from_secs(300)));
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Policy(Arc<Node>);

pub(super) enum Node {
    Authenticated,
    Scope(Scope),
    Role(Role),
    Permission(Permission),
    Tenant(String),
    SameTenant,
    Classes(Vec<String>),
    Method(String),
    Age(Duration),
    Any(Vec<Policy>),
    All(Vec<Policy>),
    Not(Policy),
    Custom(&'static str, Arc<Custom>),
}

pub(super) type Custom = dyn Fn(&Access<'_>) -> bool + Send + Sync;

impl Policy {
    fn of(node: Node) -> Self {
        Self(Arc::new(node))
    }

    pub(super) fn node(&self) -> &Node {
        &self.0
    }

    /// Anyone who is known at all.
    pub fn authenticated() -> Self {
        Self::of(Node::Authenticated)
    }

    /// Demands a scope.
    ///
    /// # Errors
    ///
    /// If it is no `scope-token` of RFC 6749 section 3.3; two scopes in one text, say.
    pub fn scope(scope: impl AsRef<str>) -> Result<Self, ConfigError> {
        Scope::new(scope).map(Self::from)
    }

    /// Demands a role, or one that includes it by the layer's [`RoleHierarchy`](super::RoleHierarchy).
    ///
    /// # Errors
    ///
    /// If the name is not sound; see [`Role::new`].
    pub fn role(role: impl AsRef<str>) -> Result<Self, ConfigError> {
        Role::new(role).map(Self::from)
    }

    /// Demands a permission, of the principal itself or of one of its roles.
    ///
    /// # Errors
    ///
    /// If the name is not sound; see [`Permission::new`].
    pub fn permission(permission: impl AsRef<str>) -> Result<Self, ConfigError> {
        Permission::new(permission).map(Self::from)
    }

    /// Demands that the principal acts in this tenant.
    pub fn tenant(tenant: impl Into<String>) -> Self {
        Self::of(Node::Tenant(tenant.into()))
    }

    /// Demands that the principal acts in the tenant that the request is about:
    /// [`RequireLayer::tenant`](super::RequireLayer::tenant), [`Access::tenant`]. A principal without a
    /// tenant, and a request about none, do not pass; an empty name is none.
    pub fn same_tenant() -> Self {
        Self::of(Node::SameTenant)
    }

    /// Demands an authentication of one of these classes (`acr`), in order of preference: to a client that
    /// has another they are named as `acr_values` (RFC 9470 section 3).
    ///
    /// # Errors
    ///
    /// If there is none, or one is not printable ASCII or has spaces, quotes or backslashes.
    pub fn authenticated_as<N: Into<String>>(
        classes: impl IntoIterator<Item = N>,
    ) -> Result<Self, ConfigError> {
        let classes: Vec<String> = classes.into_iter().map(Into::into).collect();
        let unsound = classes.iter().find(|class| !is_scope(class));
        if let Some(given) = unsound.cloned().or(classes.is_empty().then(String::new)) {
            let expected = "must be printable ASCII without spaces, quotes and backslashes";
            return Err(ConfigError::new("acr", given, expected));
        }
        Ok(Self::of(Node::Classes(classes)))
    }

    /// Demands at least the authentication level `least` of these, which are given from the weakest to the
    /// strongest: [`authenticated_as`](Self::authenticated_as) any from `least` on.
    ///
    /// ```
    /// use portcullis::authz::Policy;
    ///
    /// const LEVELS: [&str; 3] = ["bronze", "silver", "gold"];
    /// let policy = Policy::authentication_level(LEVELS, "silver")?;
    /// assert!(Policy::authentication_level(LEVELS, "platinum").is_err());
    /// # Ok::<(), portcullis::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If `least` is not among the levels, and as for [`authenticated_as`](Self::authenticated_as).
    pub fn authentication_level<N: Into<String>>(
        levels: impl IntoIterator<Item = N>,
        least: &str,
    ) -> Result<Self, ConfigError> {
        let levels = levels.into_iter().map(Into::into);
        let enough: Vec<String> = levels.skip_while(|level| level != least).collect();
        if enough.is_empty() {
            let expected = "must be one of the levels";
            return Err(ConfigError::new("acr", least, expected));
        }
        Self::authenticated_as(enough)
    }

    /// Demands that the principal authenticated not longer ago than this; to a client whose authentication
    /// is older it is named as `max_age` (RFC 9470 section 3). Whoever's issuer does not say when
    /// (`auth_time`), does not pass, nor does a time of more than a minute in the future.
    ///
    /// # Errors
    ///
    /// If it is no whole number of seconds, or none at all.
    pub fn authenticated_within(age: Duration) -> Result<Self, ConfigError> {
        if age.is_zero() || age.subsec_nanos() != 0 {
            let expected = "must be a whole number of seconds of 1 or more";
            return Err(ConfigError::new("max_age", format!("{age:?}"), expected));
        }
        Ok(Self::of(Node::Age(age)))
    }

    /// Demands that the principal used this authentication method (`amr`, RFC 8176), among others maybe.
    pub fn method(method: impl Into<String>) -> Self {
        Self::of(Node::Method(method.into()))
    }

    /// Passes where one of them does. Put the one that clients should be told to strive for first.
    ///
    /// # Errors
    ///
    /// If there is none: it would let nobody in.
    pub fn any_of(policies: impl IntoIterator<Item = Self>) -> Result<Self, ConfigError> {
        several("any_of", policies).map(|policies| Self::of(Node::Any(policies)))
    }

    /// Passes where all of them do.
    ///
    /// # Errors
    ///
    /// If there is none: it would let everyone in.
    pub fn all_of(policies: impl IntoIterator<Item = Self>) -> Result<Self, ConfigError> {
        several("all_of", policies).map(|policies| Self::of(Node::All(policies)))
    }

    /// Passes where `policy` does not.
    ///
    /// Mind that a token which says less then passes more: to forbid, demand what the others have.
    #[allow(
        clippy::should_implement_trait,
        reason = "it stands beside any_of and all_of; an operator would be overlooked in a policy"
    )]
    pub fn not(policy: Self) -> Self {
        Self::of(Node::Not(policy))
    }

    /// Passes where `is_met` says so; `name` is for `Debug`.
    pub fn custom(
        name: &'static str,
        is_met: impl Fn(&Access<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::of(Node::Custom(name, Arc::new(is_met)))
    }

    /// Decides. Passing allocates nothing.
    ///
    /// # Errors
    ///
    /// If the principal does not pass; the [`Denial`] says what it lacks.
    pub fn check(&self, access: &Access<'_>) -> Result<(), Denial> {
        match self.is_met(access) {
            true => Ok(()),
            false => Err(Denial::of(self, access)),
        }
    }
}

fn several(
    setting: &'static str,
    policies: impl IntoIterator<Item = Policy>,
) -> Result<Vec<Policy>, ConfigError> {
    let policies: Vec<_> = policies.into_iter().collect();
    match policies.is_empty() {
        true => Err(ConfigError::new(
            setting,
            "none",
            "must be of one policy or more",
        )),
        false => Ok(policies),
    }
}

impl From<Scope> for Policy {
    fn from(scope: Scope) -> Self {
        Self::of(Node::Scope(scope))
    }
}

impl From<Role> for Policy {
    fn from(role: Role) -> Self {
        Self::of(Node::Role(role))
    }
}

impl From<Permission> for Policy {
    fn from(permission: Permission) -> Self {
        Self::of(Node::Permission(permission))
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authenticated => f.write_str("Authenticated"),
            Self::Scope(scope) => write!(f, "Scope({scope})"),
            Self::Role(role) => write!(f, "Role({role})"),
            Self::Permission(permission) => write!(f, "Permission({permission})"),
            Self::Tenant(tenant) => f.debug_tuple("Tenant").field(tenant).finish(),
            Self::SameTenant => f.write_str("SameTenant"),
            Self::Classes(classes) => f.debug_tuple("AuthenticatedAs").field(classes).finish(),
            Self::Method(method) => f.debug_tuple("Method").field(method).finish(),
            Self::Age(age) => f.debug_tuple("AuthenticatedWithin").field(age).finish(),
            Self::Any(policies) => f.debug_tuple("AnyOf").field(policies).finish(),
            Self::All(policies) => f.debug_tuple("AllOf").field(policies).finish(),
            Self::Not(policy) => f.debug_tuple("Not").field(policy).finish(),
            Self::Custom(name, _) => f.debug_tuple("Custom").field(name).finish(),
        }
    }
}
