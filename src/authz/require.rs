//! [`RequireScopeLayer`], [`RequireRoleLayer`], [`RequirePermissionLayer`]: the policies that most routes
//! need, by name.

use tower_layer::Layer;

use super::{Policy, Require, RequireLayer, RoleHierarchy};
use crate::{clock::Clock, config::ConfigError};

macro_rules! require_layers {
    ($($(#[$doc:meta])+ $layer:ident: $policy:ident, $what:literal;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug)]
        #[must_use]
        pub struct $layer(RequireLayer);

        impl $layer {
            #[doc = concat!("Demands this ", $what, ".")]
            ///
            /// # Errors
            ///
            /// If the name is not sound.
            pub fn new(name: impl AsRef<str>) -> Result<Self, ConfigError> {
                Policy::$policy(name).map(Self::of)
            }

            #[doc = concat!("Demands one ", $what, " of these.")]
            ///
            /// # Errors
            ///
            /// If there is none, or a name is not sound.
            pub fn any_of<N: AsRef<str>>(
                names: impl IntoIterator<Item = N>,
            ) -> Result<Self, ConfigError> {
                let policies = names.into_iter().map(Policy::$policy);
                Policy::any_of(policies.collect::<Result<Vec<_>, _>>()?).map(Self::of)
            }

            #[doc = concat!("Demands every ", $what, " of these.")]
            ///
            /// # Errors
            ///
            /// If there is none, or a name is not sound.
            pub fn all_of<N: AsRef<str>>(
                names: impl IntoIterator<Item = N>,
            ) -> Result<Self, ConfigError> {
                let policies = names.into_iter().map(Policy::$policy);
                Policy::all_of(policies.collect::<Result<Vec<_>, _>>()?).map(Self::of)
            }

            fn of(policy: Policy) -> Self {
                Self(RequireLayer::new(policy))
            }

            /// Replaces the hierarchy by which roles include roles and have permissions; without one a role
            /// is only itself.
            pub fn hierarchy(self, hierarchy: RoleHierarchy) -> Self {
                Self(self.0.hierarchy(hierarchy))
            }

            /// Replaces the `realm` of the challenges; see [`RequireLayer::realm`].
            ///
            /// # Errors
            ///
            /// If it is not printable ASCII, or has quotes or backslashes.
            pub fn realm(self, realm: impl Into<String>) -> Result<Self, ConfigError> {
                self.0.realm(realm).map(Self)
            }

            /// Replaces the `resource_metadata` of the challenges; see
            /// [`RequireLayer::resource_metadata`].
            ///
            /// # Errors
            ///
            /// If it is not printable ASCII, or has quotes or backslashes.
            pub fn resource_metadata(self, url: impl Into<String>) -> Result<Self, ConfigError> {
                self.0.resource_metadata(url).map(Self)
            }

            /// Plugs in the clock of the audit events; the default is the system's.
            pub fn with_clock(self, clock: impl Clock) -> Self {
                Self(self.0.with_clock(clock))
            }

            /// Plugs in what renders refusals; the default is
            /// [`ProblemJson`](crate::problem::ProblemJson).
            pub fn with_responder(self, responder: impl crate::problem::Responder) -> Self {
                Self(self.0.with_responder(responder))
            }

            /// Plugs in what is told of refusals; the default is [`NoAudit`](crate::audit::NoAudit).
            pub fn with_audit(self, audit: impl crate::audit::AuditSink) -> Self {
                Self(self.0.with_audit(audit))
            }
        }

        impl<S> Layer<S> for $layer {
            type Service = Require<S>;

            fn layer(&self, inner: S) -> Require<S> {
                self.0.layer(inner)
            }
        }

        impl From<$layer> for RequireLayer {
            fn from(layer: $layer) -> Self {
                layer.0
            }
        }
    )+};
}

require_layers! {
    /// Lets a request in when its principal holds a scope.
    ///
    /// To others the answer is 403 with the scopes that would do in `scope` (RFC 6750 section 3.1).
    RequireScopeLayer: scope, "scope";
    /// Lets a request in when its principal holds a role, or one that includes it.
    RequireRoleLayer: role, "role";
    /// Lets a request in when its principal has a permission, itself or by one of its roles.
    RequirePermissionLayer: permission, "permission";
}
