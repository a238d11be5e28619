//! [`RoleHierarchy`]: which role includes which, and what a role may do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Permission, Role};
use crate::{config::ConfigError, principal::Principal};

/// Roles above roles, and the permissions of each.
///
/// A role includes every role below it, directly or over others, and with them their permissions. Which
/// roles grant what is worked out when the hierarchy is built: asking allocates nothing. Cloning it costs a
/// counter.
///
/// ```
/// use portcullis::{authz::RoleHierarchy, principal::Principal};
///
/// let roles = RoleHierarchy::organisation()
///     .add_permission("viewer", "reports:read")
///     .add_permission("admin", "members:invite")
///     .build()?;
/// let owner = Principal::new("user-7").add_role("owner");
/// assert!(roles.grants_role(&owner, "member"));
/// assert!(roles.grants_permission(&owner, "reports:read"));
/// assert!(!roles.grants_permission(&Principal::new("user-8").add_role("viewer"), "members:invite"));
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RoleHierarchy(Arc<Grants>);

#[derive(Debug, Default)]
struct Grants {
    /// For each role, the roles that include it, without itself.
    above: BTreeMap<Role, Vec<Role>>,
    /// For each permission, the roles that have it.
    holders: BTreeMap<Permission, Vec<Role>>,
}

impl RoleHierarchy {
    /// An empty hierarchy to write one's own into.
    pub fn builder() -> RoleHierarchyBuilder {
        RoleHierarchyBuilder::default()
    }

    /// `owner` over `admin` over `member` over `viewer`, without permissions yet.
    pub fn organisation() -> RoleHierarchyBuilder {
        Self::builder()
            .add_role("owner", ["admin"])
            .add_role("admin", ["member"])
            .add_role("member", ["viewer"])
    }

    /// Whether one of the principal's roles is this one or includes it.
    #[must_use]
    pub fn grants_role(&self, principal: &Principal, role: &str) -> bool {
        principal.has_role(role) || holds_one(principal, self.0.above.get(role))
    }

    /// Whether the principal has the permission itself, or one of its roles does.
    #[must_use]
    pub fn grants_permission(&self, principal: &Principal, permission: &str) -> bool {
        principal.has_permission(permission) || holds_one(principal, self.0.holders.get(permission))
    }

    /// Whether `role` is `other` or includes it.
    #[must_use]
    pub fn includes(&self, role: &str, other: &str) -> bool {
        let mut above = self.0.above.get(other).into_iter().flatten();
        role == other || above.any(|one| one.as_str() == role)
    }
}

fn holds_one(principal: &Principal, roles: Option<&Vec<Role>>) -> bool {
    let mut roles = roles.into_iter().flatten();
    roles.any(|role| principal.has_role(role.as_str()))
}

/// A [`RoleHierarchy`] in the making.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RoleHierarchyBuilder {
    below: Vec<(String, Vec<String>)>,
    permissions: Vec<(String, String)>,
}

impl RoleHierarchyBuilder {
    /// Appends a role and the roles directly below it, of which there may be none. Saying it again for the
    /// same role appends to what is below.
    pub fn add_role<N: Into<String>>(
        mut self,
        role: impl Into<String>,
        includes: impl IntoIterator<Item = N>,
    ) -> Self {
        let includes = includes.into_iter().map(Into::into).collect();
        self.below.push((role.into(), includes));
        self
    }

    /// Appends a permission to a role; the roles above it have it too.
    pub fn add_permission(
        mut self,
        role: impl Into<String>,
        permission: impl Into<String>,
    ) -> Self {
        self.permissions.push((role.into(), permission.into()));
        self
    }

    /// Works out who includes whom.
    ///
    /// # Errors
    ///
    /// If a name is not sound, if a role includes itself, directly or over others, or if a permission is of
    /// a role that the hierarchy does not have: most likely it is misspelt.
    pub fn build(self) -> Result<RoleHierarchy, ConfigError> {
        let mut below: BTreeMap<Role, BTreeSet<Role>> = BTreeMap::new();
        for (role, includes) in &self.below {
            let role = Role::new(role)?;
            for included in includes {
                let included = Role::new(included)?;
                below.entry(included.clone()).or_default();
                below.entry(role.clone()).or_default().insert(included);
            }
            below.entry(role).or_default();
        }
        let mut grants = Grants::default();
        for role in below.keys() {
            for included in all_below(&below, role)? {
                grants.above.entry(included).or_default().push(role.clone());
            }
        }
        for (role, permission) in &self.permissions {
            let (role, permission) = (Role::new(role)?, Permission::new(permission)?);
            if !below.contains_key(&role) {
                let expected = "must be a role of the hierarchy to have permissions";
                return Err(ConfigError::new("role", role.as_str(), expected));
            }
            let above = grants.above.get(&role).cloned().unwrap_or_default();
            let holders = grants.holders.entry(permission).or_default();
            holders.extend(above.into_iter().chain([role]));
            holders.sort();
            holders.dedup();
        }
        Ok(RoleHierarchy(Arc::new(grants)))
    }
}

/// Every role that `role` includes.
fn all_below(
    below: &BTreeMap<Role, BTreeSet<Role>>,
    role: &Role,
) -> Result<BTreeSet<Role>, ConfigError> {
    let mut found = BTreeSet::new();
    let mut open = vec![role];
    while let Some(next) = open.pop() {
        for included in below.get(next).into_iter().flatten() {
            if included == role {
                let expected = "must not include itself, directly or over other roles";
                return Err(ConfigError::new("role", role.as_str(), expected));
            }
            if found.insert(included.clone()) {
                open.push(included);
            }
        }
    }
    Ok(found)
}
