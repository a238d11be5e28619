//! Who may do what: scopes, roles, permissions and step-up over the [`Principal`](crate::principal).
//!
//! 1. A [`Policy`] is a condition on who is asking: any of, all of, not, of scopes, roles, permissions,
//!    tenants, and of how and how long ago somebody authenticated. It is a pure value.
//! 2. A [`RoleHierarchy`] says which role includes which and what a role may do.
//! 3. A [`RequireLayer`] holds every request against a policy; [`RequireScopeLayer`], [`RequireRoleLayer`]
//!    and [`RequirePermissionLayer`] are the common ones by name.
//!
//! Nothing here knows how the principal was proven. A request without one is refused with 401, one whose
//! principal does not meet the policy with 403, and one that a stronger or fresher sign-in would let in
//! with 401 and `insufficient_user_authentication` (RFC 9470).
//!
//! # What it does not do
//!
//! It decides about requests, not about records: whether order 17 belongs to whoever asks, only the handler
//! that reads it can say.
//!
//! # Example
//!
//! ```
//! use http::{Request, Response, header};
//! use portcullis::{
//!     authz::{RequireRoleLayer, RequireScopeLayer, RoleHierarchy},
//!     principal::Principal,
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let roles = RoleHierarchy::organisation().build()?;
//! let service = ServiceBuilder::new()
//!     .layer(RequireScopeLayer::new("orders:read")?)
//!     .layer(RequireRoleLayer::new("member")?.hierarchy(roles))
//!     .service(service_fn(async |_: Request<()>| {
//!         Ok::<_, std::convert::Infallible>(Response::new(String::from("orders")))
//!     }));
//!
//! // Who this is, a layer outside has found out.
//! let mut request = Request::new(());
//! let admin = Principal::new("user-7").add_role("admin");
//! request.extensions_mut().insert(admin.clone().add_scope("orders:read"));
//! assert_eq!(service.clone().oneshot(request).await?.status(), 200);
//!
//! let mut request = Request::new(());
//! request.extensions_mut().insert(admin);
//! let refused = service.oneshot(request).await?;
//! assert_eq!(refused.status(), 403);
//! assert_eq!(
//!     refused.headers()[header::WWW_AUTHENTICATE],
//!     "Bearer error=\"insufficient_scope\", error_description=\"The token lacks a scope.\", \
//!      scope=\"orders:read\"",
//! );
//! # Ok(())
//! # }
//! ```

mod challenge;
mod decide;
mod hierarchy;
mod layer;
mod names;
mod policy;
mod require;

pub use self::{
    decide::{Access, Denial, DenialKind},
    hierarchy::{RoleHierarchy, RoleHierarchyBuilder},
    layer::{Require, RequireGuard, RequireLayer},
    names::{Permission, Role, Scope},
    policy::Policy,
    require::{RequirePermissionLayer, RequireRoleLayer, RequireScopeLayer},
};
