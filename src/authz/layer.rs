//! [`RequireLayer`]: lets in whom a policy lets in.

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{Access, Policy, RoleHierarchy, challenge::Challenge};
use crate::{
    audit::AuditKind,
    clock::Clock,
    config::ConfigError,
    guard::{Check, Guard, Guarded, Refusals, Verdict},
    head::RequestHead,
    principal::{Nobody, Principal},
    problem::Rejection,
};

/// Lets a request in when its [`Principal`] meets a [`Policy`].
///
/// It stands inside the layer that finds out who is asking. Nobody asks: 401, `authz_unauthenticated`, or
/// the answer of the token layer that found nobody. Somebody who may not: 403 with `insufficient_scope`
/// (RFC 6750 section 3.1), or, where signing in anew would help, 401 with
/// `insufficient_user_authentication` (RFC 9470). See the [module docs](crate::authz) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireLayer(Arc<Shared>);

#[derive(Clone)]
struct Shared {
    policy: Policy,
    hierarchy: Option<RoleHierarchy>,
    tenant: Option<Arc<TenantOf>>,
    challenge: Challenge,
    refusals: Refusals,
}

type TenantOf = dyn Fn(RequestHead<'_>) -> Option<&str> + Send + Sync;

impl RequireLayer {
    /// Demands that the policy is met.
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(Shared {
            policy,
            hierarchy: None,
            tenant: None,
            challenge: Challenge::default(),
            refusals: Refusals::new(),
        }))
    }

    /// Replaces the hierarchy by which roles include roles and have permissions; without one a role is only
    /// itself.
    pub fn hierarchy(mut self, hierarchy: RoleHierarchy) -> Self {
        self.shared().hierarchy = Some(hierarchy);
        self
    }

    /// Replaces what says which tenant a request is about, for [`Policy::same_tenant`]; without it, and where
    /// it finds none, that policy is not met.
    ///
    /// ```
    /// use portcullis::authz::{Policy, RequireLayer};
    ///
    /// let layer = RequireLayer::new(Policy::same_tenant())
    ///     .tenant(|request| request.uri().path().strip_prefix("/tenants/")?.split('/').next());
    /// ```
    pub fn tenant(
        mut self,
        tenant: impl Fn(RequestHead<'_>) -> Option<&str> + Send + Sync + 'static,
    ) -> Self {
        self.shared().tenant = Some(Arc::new(tenant));
        self
    }

    /// Replaces the `realm` of the challenges (RFC 9110 section 11.5); the default is to name none.
    ///
    /// # Errors
    ///
    /// If it is not printable ASCII, or has quotes or backslashes.
    pub fn realm(mut self, realm: impl Into<String>) -> Result<Self, ConfigError> {
        self.shared().challenge.set_realm(realm.into())?;
        Ok(self)
    }

    /// Replaces the `resource_metadata` of the challenges: where the protected resource's metadata lies (RFC
    /// 9728 section 5.1). The default is to name none.
    ///
    /// # Errors
    ///
    /// If it is not printable ASCII, or has quotes or backslashes.
    pub fn resource_metadata(mut self, url: impl Into<String>) -> Result<Self, ConfigError> {
        self.shared().challenge.set_resource_metadata(url.into())?;
        Ok(self)
    }

    /// Plugs in the clock that the age of an authentication is judged by; the default is the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.shared().refusals.set_clock(clock);
        self
    }

    refusal_setters!(self => self.shared().refusals);

    fn shared(&mut self) -> &mut Shared {
        Arc::make_mut(&mut self.0)
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = Require<S>;

    fn layer(&self, inner: S) -> Require<S> {
        Guarded::new(inner, RequireGuard(Arc::clone(&self.0)))
    }
}

/// The service of [`RequireLayer`] and of the layers made of it.
pub type Require<S> = Guarded<S, RequireGuard>;

/// The guard of [`Require`].
#[derive(Clone, Debug)]
pub struct RequireGuard(Arc<Shared>);

impl Guard for RequireGuard {
    const NAME: &'static str = "authz";

    type Pass = ();

    fn check(&self, request: RequestHead<'_>) -> Check<()> {
        let shared = &*self.0;
        let Some(principal) = request.extensions().get::<Principal>() else {
            return match request.extensions().get::<Nobody>() {
                Some(Nobody(layer)) => {
                    Check::Ready(Verdict::Answer(Box::new(layer.answer(request))))
                }
                None => Check::refuse(shared.challenge.unauthenticated()),
            };
        };
        let mut access = Access::new(principal, shared.refusals.now());
        if let Some(hierarchy) = &shared.hierarchy {
            access = access.hierarchy(hierarchy);
        }
        if let Some(tenant) = shared.tenant.as_ref().and_then(|tenant| tenant(request)) {
            access = access.tenant(tenant);
        }
        match shared.policy.check(&access) {
            Ok(()) => Check::pass(()),
            Err(denial) => Check::refuse(shared.challenge.denied(&denial)),
        }
    }

    fn audit_kind(&self, _rejection: &Rejection) -> AuditKind {
        AuditKind::AuthzFail
    }

    fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Require")
            .field("policy", &self.policy)
            .field("hierarchy", &self.hierarchy)
            .field("tenant", &self.tenant.is_some())
            .field("challenge", &self.challenge)
            .field("refusals", &self.refusals)
            .finish()
    }
}
