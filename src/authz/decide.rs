//! How a policy is decided, and what a client that did not pass is missing.

use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use super::{Policy, RoleHierarchy, Scope, policy::Node};
use crate::principal::Principal;

/// How far in the future an authentication may lie and still be one: clocks differ.
const MOST_SKEW: Duration = Duration::from_secs(60);

/// Who asks, when, about which tenant, and by which roles.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Access<'a> {
    principal: &'a Principal,
    now: SystemTime,
    tenant: Option<&'a str>,
    hierarchy: Option<&'a RoleHierarchy>,
}

impl<'a> Access<'a> {
    /// The principal asks at this time.
    pub fn new(principal: &'a Principal, now: SystemTime) -> Self {
        Self {
            principal,
            now,
            tenant: None,
            hierarchy: None,
        }
    }

    /// Replaces the tenant that the request is about.
    pub fn tenant(mut self, tenant: &'a str) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Replaces the hierarchy by which roles include roles and have permissions; without one a role is only
    /// itself.
    pub fn hierarchy(mut self, hierarchy: &'a RoleHierarchy) -> Self {
        self.hierarchy = Some(hierarchy);
        self
    }

    /// Who asks.
    #[must_use]
    pub fn principal(&self) -> &'a Principal {
        self.principal
    }

    /// When.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// The tenant that the request is about.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&'a str> {
        self.tenant
    }
}

/// Why a policy is not met.
///
/// It names what the policy demands, never what the principal has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    kind: DenialKind,
    scope: String,
    acr_values: String,
    max_age: Option<Duration>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident => $code:literal, $sentence:literal;)+) => {
        /// What kind of thing is missing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DenialKind {
            $($(#[$doc])+ $kind,)+
        }

        impl DenialKind {
            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$kind => $code,)+
                }
            }

            /// The sentence for the client, of the characters that RFC 6750 section 3 allows.
            pub(super) fn sentence(self) -> &'static str {
                match self {
                    $(Self::$kind => $sentence,)+
                }
            }
        }
    };
}

kinds! {
    /// A scope (RFC 6750 section 3.1).
    ScopeInsufficient => "authz_scope_insufficient", "The token lacks a scope.";
    /// A role.
    RoleInsufficient => "authz_role_insufficient", "A role is needed for this.";
    /// A permission.
    PermissionInsufficient => "authz_permission_insufficient", "A permission is needed for this.";
    /// It is another tenant's.
    TenantMismatch => "authz_tenant_mismatch", "This belongs to another tenant.";
    /// A stronger or a fresher authentication (RFC 9470).
    AuthenticationInsufficient => "authz_authentication_insufficient", "A stronger or fresher authentication is needed.";
    /// Anything else, or several things of different kinds.
    Denied => "authz_denied", "This is not allowed.";
}

impl Denial {
    /// What `policy`, which is not met, would need.
    pub(super) fn of(policy: &Policy, access: &Access<'_>) -> Self {
        let mut denial = Self {
            kind: DenialKind::Denied,
            scope: String::new(),
            acr_values: String::new(),
            max_age: None,
        };
        match policy.remedy(access) {
            Some(remedy) if remedy.lacks_scope => {
                denial.kind = DenialKind::ScopeInsufficient;
                let scopes: Vec<_> = remedy.scopes.iter().map(|scope| scope.as_str()).collect();
                denial.scope = scopes.join(" ");
            }
            Some(remedy) if remedy.classes.is_some() || remedy.age.is_some() => {
                denial.kind = DenialKind::AuthenticationInsufficient;
                denial.acr_values = remedy.classes.unwrap_or_default().join(" ");
                denial.max_age = remedy.age;
            }
            _ => denial.kind = policy.blame(access),
        }
        denial
    }

    /// What kind of thing is missing.
    #[must_use]
    pub fn kind(&self) -> DenialKind {
        self.kind
    }

    /// The stable code of the kind.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// The scopes with which the request would pass, parted by spaces; empty if scopes are not what is
    /// missing.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The authentication classes of which one would do, in order of preference and parted by spaces (RFC
    /// 9470 section 3); empty if it is not the class that is missing.
    #[must_use]
    pub fn acr_values(&self) -> &str {
        &self.acr_values
    }

    /// How long ago the authentication may be (RFC 9470 section 3); none if it is not too old.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.sentence())
    }
}

impl Error for Denial {}

/// What a client can get of an authorization server that would make the policy met.
#[derive(Default)]
struct Remedy<'p> {
    /// Every scope on the way, those included that it has.
    scopes: Vec<&'p Scope>,
    lacks_scope: bool,
    classes: Option<Vec<&'p str>>,
    age: Option<Duration>,
}

impl<'p> Remedy<'p> {
    /// What meets both; none if no authentication is of both classes.
    fn and(mut self, other: Self) -> Option<Self> {
        for scope in other.scopes {
            if !self.scopes.contains(&scope) {
                self.scopes.push(scope);
            }
        }
        self.lacks_scope |= other.lacks_scope;
        self.age = self.age.into_iter().chain(other.age).min();
        self.classes = match (self.classes, other.classes) {
            (Some(mut own), Some(others)) => {
                own.retain(|class| others.contains(class));
                if own.is_empty() {
                    return None;
                }
                Some(own)
            }
            (own, others) => own.or(others),
        };
        Some(self)
    }
}

impl Policy {
    pub(super) fn is_met(&self, access: &Access<'_>) -> bool {
        let Access {
            principal,
            tenant,
            hierarchy,
            now,
        } = *access;
        match self.node() {
            Node::Authenticated => true,
            Node::Scope(scope) => principal.has_scope(scope.as_str()),
            Node::Role(role) => match hierarchy {
                Some(hierarchy) => hierarchy.grants_role(principal, role.as_str()),
                None => principal.has_role(role.as_str()),
            },
            Node::Permission(permission) => match hierarchy {
                Some(hierarchy) => hierarchy.grants_permission(principal, permission.as_str()),
                None => principal.has_permission(permission.as_str()),
            },
            Node::Tenant(tenant) => principal.tenant_id() == Some(tenant),
            Node::SameTenant => {
                // An empty name is nobody's, and two that have none are not the same.
                tenant.is_some_and(|tenant| !tenant.is_empty()) && principal.tenant_id() == tenant
            }
            Node::Classes(classes) => principal
                .acr()
                .is_some_and(|own| classes.iter().any(|class| class == own)),
            Node::Method(method) => principal.methods().any(|own| own == method),
            Node::Age(most) => {
                principal
                    .auth_time()
                    .is_some_and(|at| match now.duration_since(at) {
                        Ok(age) => age <= *most,
                        Err(ahead) => ahead.duration() <= MOST_SKEW,
                    })
            }
            Node::Any(policies) => policies.iter().any(|policy| policy.is_met(access)),
            Node::All(policies) => policies.iter().all(|policy| policy.is_met(access)),
            Node::Not(policy) => !policy.is_met(access),
            Node::Custom(_, is_met) => is_met(access),
        }
    }

    /// What would make it met; none if nothing would that a client can get.
    fn remedy<'p>(&'p self, access: &Access<'_>) -> Option<Remedy<'p>> {
        let is_met = self.is_met(access);
        match self.node() {
            Node::Scope(scope) => Some(Remedy {
                scopes: vec![scope],
                lacks_scope: !is_met,
                ..Remedy::default()
            }),
            Node::Classes(classes) if !is_met => Some(Remedy {
                classes: Some(classes.iter().map(String::as_str).collect()),
                ..Remedy::default()
            }),
            Node::Age(most) if !is_met => Some(Remedy {
                age: Some(*most),
                ..Remedy::default()
            }),
            Node::All(policies) => policies.iter().try_fold(Remedy::default(), |sum, policy| {
                sum.and(policy.remedy(access)?)
            }),
            Node::Any(policies) => {
                let met = policies.iter().find(|policy| policy.is_met(access));
                match met {
                    Some(policy) => policy.remedy(access),
                    None => policies.iter().find_map(|policy| policy.remedy(access)),
                }
            }
            _ => is_met.then(Remedy::default),
        }
    }

    /// What kind of thing keeps it from being met, where no client can do anything about it.
    fn blame(&self, access: &Access<'_>) -> DenialKind {
        match self.node() {
            Node::Scope(_) => DenialKind::ScopeInsufficient,
            Node::Role(_) => DenialKind::RoleInsufficient,
            Node::Permission(_) => DenialKind::PermissionInsufficient,
            Node::Tenant(_) | Node::SameTenant => DenialKind::TenantMismatch,
            Node::All(policies) => policies
                .iter()
                .filter(|policy| !policy.is_met(access))
                // What cannot be remedied is what it fails by.
                .min_by_key(|policy| policy.remedy(access).is_some())
                .map_or(DenialKind::Denied, |policy| policy.blame(access)),
            Node::Any(policies) => {
                let mut kinds = policies.iter().map(|policy| policy.blame(access));
                match kinds.next() {
                    Some(first) if kinds.all(|kind| kind == first) => first,
                    _ => DenialKind::Denied,
                }
            }
            Node::Classes(_) | Node::Age(_) | Node::Method(_) => {
                DenialKind::AuthenticationInsufficient
            }
            Node::Authenticated | Node::Not(_) | Node::Custom(..) => DenialKind::Denied,
        }
    }
}
