//! What policies let in, and what they say is missing.

use std::time::{Duration, SystemTime};

use portcullis::{
    authz::{Access, Denial, DenialKind, Permission, Policy, Role, RoleHierarchy, Scope},
    principal::Principal,
};
use proptest::prelude::*;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn scope(name: &str) -> Policy {
    Policy::scope(name).unwrap()
}

fn role(name: &str) -> Policy {
    Policy::role(name).unwrap()
}

fn any<const N: usize>(policies: [Policy; N]) -> Policy {
    Policy::any_of(policies).unwrap()
}

fn all<const N: usize>(policies: [Policy; N]) -> Policy {
    Policy::all_of(policies).unwrap()
}

fn within(seconds: u64) -> Policy {
    Policy::authenticated_within(Duration::from_secs(seconds)).unwrap()
}

fn gold() -> Policy {
    Policy::authenticated_as(["gold"]).unwrap()
}

fn check(policy: &Policy, principal: &Principal) -> Result<(), Denial> {
    policy.check(&Access::new(principal, now()))
}

fn denial(policy: &Policy, principal: &Principal) -> Denial {
    check(policy, principal).unwrap_err()
}

fn user() -> Principal {
    Principal::new("user-7")
}

#[test]
fn every_leaf_passes_whom_it_names_and_nobody_else() {
    let full = user()
        .tenant("acme")
        .add_scope("orders:read")
        .add_role("clerk")
        .add_permission("orders:cancel")
        .add_method("otp")
        .authenticated_as("gold")
        .authenticated_at(now() - Duration::from_secs(300));
    let cases = [
        (scope("orders:read"), DenialKind::ScopeInsufficient),
        (role("clerk"), DenialKind::RoleInsufficient),
        (
            Policy::permission("orders:cancel").unwrap(),
            DenialKind::PermissionInsufficient,
        ),
        (Policy::tenant("acme"), DenialKind::TenantMismatch),
        (gold(), DenialKind::AuthenticationInsufficient),
        (within(300), DenialKind::AuthenticationInsufficient),
        (
            Policy::method("otp"),
            DenialKind::AuthenticationInsufficient,
        ),
        (
            Policy::custom("named", |access| access.principal().has_role("clerk")),
            DenialKind::Denied,
        ),
    ];
    for (policy, kind) in cases {
        assert_eq!(check(&policy, &full), Ok(()), "{policy:?}");
        assert_eq!(denial(&policy, &user()).kind(), kind, "{policy:?}");
        assert_eq!(
            denial(&Policy::not(policy.clone()), &full).kind(),
            DenialKind::Denied
        );
        assert_eq!(check(&Policy::not(policy), &user()), Ok(()));
    }
    assert_eq!(check(&Policy::authenticated(), &user()), Ok(()));
}

#[test]
fn names_are_compared_whole_and_byte_by_byte() {
    let holder = user()
        .add_scope("orders:read")
        .add_role("admin")
        .tenant("acme");
    for wrong in [
        "orders",
        "orders:rea",
        "orders:read2",
        "Orders:read",
        "orders:*",
    ] {
        assert!(check(&scope(wrong), &holder).is_err(), "{wrong}");
    }
    assert!(check(&role("Admin"), &holder).is_err());
    assert!(check(&Policy::tenant("acme "), &holder).is_err());
    assert!(check(&Policy::tenant(""), &user()).is_err());
}

#[test]
fn the_tenant_of_the_request_must_be_the_principals() {
    let policy = Policy::same_tenant();
    let (acme, nobodys) = (user().tenant("acme"), user());
    let of = |principal, tenant| policy.check(&Access::new(principal, now()).tenant(tenant));
    assert_eq!(of(&acme, "acme"), Ok(()));
    assert_eq!(
        of(&acme, "other").unwrap_err().kind(),
        DenialKind::TenantMismatch
    );
    assert!(of(&nobodys, "acme").is_err() && of(&nobodys, "").is_err());
    // A claim that is there and empty, and the path `/tenants//orders`.
    assert!(of(&user().tenant(""), "").is_err());
    // A request about no tenant, and a principal of none, are not equal.
    assert!(check(&policy, &acme).is_err() && check(&policy, &nobodys).is_err());
}

#[test]
fn a_hierarchy_widens_roles_and_permissions_only_where_it_is_given() {
    let roles = RoleHierarchy::organisation()
        .add_permission("viewer", "reports:read")
        .build()
        .unwrap();
    let owner = user().add_role("owner");
    for policy in [role("member"), Policy::permission("reports:read").unwrap()] {
        assert!(check(&policy, &owner).is_err());
        let access = Access::new(&owner, now()).hierarchy(&roles);
        assert_eq!(policy.check(&access), Ok(()));
    }
}

#[test]
fn the_age_of_an_authentication_is_inclusive_and_needs_a_time() {
    let aged = |seconds| user().authenticated_at(now() - Duration::from_secs(seconds));
    assert_eq!(check(&within(300), &aged(0)), Ok(()));
    assert_eq!(check(&within(300), &aged(300)), Ok(()));
    assert!(check(&within(300), &aged(301)).is_err());
    assert!(check(&within(300), &user()).is_err());
    let ahead = |seconds| user().authenticated_at(now() + Duration::from_secs(seconds));
    assert_eq!(check(&within(300), &ahead(60)), Ok(()));
    assert!(check(&within(300), &ahead(61)).is_err());
}

#[test]
fn a_level_is_met_by_the_levels_above_it() {
    let levels = ["bronze", "silver", "gold"];
    let policy = Policy::authentication_level(levels, "silver").unwrap();
    for (level, passes) in [
        ("bronze", false),
        ("silver", true),
        ("gold", true),
        ("lead", false),
    ] {
        assert_eq!(
            check(&policy, &user().authenticated_as(level)).is_ok(),
            passes,
            "{level}"
        );
    }
    let denial = denial(&policy, &user());
    assert_eq!(
        (denial.acr_values(), denial.max_age()),
        ("silver gold", None)
    );
}

#[test]
fn scopes_are_named_where_they_would_help() {
    let both = all([scope("a"), scope("b")]);
    assert_eq!(denial(&both, &user().add_scope("a")).scope(), "a b");
    let either = any([scope("a"), scope("b")]);
    assert_eq!(denial(&either, &user()).scope(), "a");
    // The first way is closed to somebody without the role, so the second is named.
    let ways = any([all([role("admin"), scope("a")]), scope("b")]);
    assert_eq!(denial(&ways, &user()).scope(), "b");
    assert_eq!(denial(&ways, &user().add_role("admin")).scope(), "a");
    // No scope makes up for a role.
    let role_too = all([scope("a"), role("admin")]);
    let denied = denial(&role_too, &user());
    assert_eq!(
        (denied.kind(), denied.scope()),
        (DenialKind::RoleInsufficient, "")
    );
    let twice = all([scope("a"), all([scope("a"), scope("b")])]);
    assert_eq!(denial(&twice, &user()).scope(), "a b");
}

#[test]
fn step_up_is_asked_for_only_where_it_would_help() {
    let policy = all([scope("pay"), gold(), within(60)]);
    let payer = user().add_scope("pay");
    let stale = denial(&policy, &payer);
    assert_eq!(stale.kind(), DenialKind::AuthenticationInsufficient);
    assert_eq!(
        (stale.acr_values(), stale.max_age()),
        ("gold", Some(Duration::from_secs(60)))
    );
    let fresh = payer.clone().authenticated_at(now());
    assert_eq!(denial(&policy, &fresh).max_age(), None);
    // The scope comes first: with it, a new sign-in most likely comes by itself.
    assert_eq!(
        denial(&policy, &user()).kind(),
        DenialKind::ScopeInsufficient
    );

    let role_and_gold = all([role("admin"), gold()]);
    assert_eq!(
        denial(&role_and_gold, &user()).kind(),
        DenialKind::RoleInsufficient
    );
    // The strictest of two ages; what both classes have in common.
    assert_eq!(
        denial(&all([within(60), within(30)]), &user()).max_age(),
        Some(Duration::from_secs(30))
    );
    let two = |list: [&str; 2]| Policy::authenticated_as(list).unwrap();
    let common = all([two(["silver", "gold"]), two(["gold", "platinum"])]);
    assert_eq!(denial(&common, &user()).acr_values(), "gold");
    // An authentication has one class: this cannot be met, and nothing is promised.
    let never = all([gold(), Policy::authenticated_as(["silver"]).unwrap()]);
    assert_eq!(denial(&never, &user()).acr_values(), "");
    // Somebody who is too well authenticated is not sent to sign in.
    let not = Policy::not(gold());
    assert_eq!(
        denial(&not, &user().authenticated_as("gold")).kind(),
        DenialKind::Denied
    );
}

#[test]
fn what_cannot_be_written_down_is_a_configuration_error() {
    for unsound in [
        "",
        "two scopes",
        "quo\"te",
        "back\\slash",
        "tab\t",
        "ümlaut",
        "del\x7f",
    ] {
        assert!(Scope::new(unsound).is_err(), "{unsound:?}");
        assert!(Policy::authenticated_as([unsound]).is_err(), "{unsound:?}");
    }
    for unsound in ["", "line\n", "nul\0", &"x".repeat(257)] {
        assert!(
            Role::new(unsound).is_err() && Permission::new(unsound).is_err(),
            "{unsound:?}"
        );
    }
    assert_eq!("Größe".parse::<Role>().unwrap().as_str(), "Größe");
    assert!(Policy::any_of([]).is_err() && Policy::all_of([]).is_err());
    assert!(Policy::authenticated_as([] as [&str; 0]).is_err());
    assert!(Policy::authentication_level(["a", "b"], "c").is_err());
    assert!(Policy::authenticated_within(Duration::ZERO).is_err());
    assert!(Policy::authenticated_within(Duration::from_millis(1500)).is_err());
}

#[derive(Clone, Debug)]
enum Shape {
    Leaf(u8),
    Any(Vec<Shape>),
    All(Vec<Shape>),
    Not(Box<Shape>),
}

fn shapes() -> impl Strategy<Value = Shape> {
    (0_u8..6)
        .prop_map(Shape::Leaf)
        .prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Shape::Any),
                prop::collection::vec(inner.clone(), 1..4).prop_map(Shape::All),
                inner.prop_map(|shape| Shape::Not(Box::new(shape))),
            ]
        })
}

impl Shape {
    fn policy(&self) -> Policy {
        match self {
            Self::Leaf(at @ 0..2) => scope(&format!("s{at}")),
            Self::Leaf(at @ 2..4) => role(&format!("r{at}")),
            Self::Leaf(4) => gold(),
            Self::Leaf(_) => within(60),
            Self::Any(shapes) => Policy::any_of(shapes.iter().map(Self::policy)).unwrap(),
            Self::All(shapes) => Policy::all_of(shapes.iter().map(Self::policy)).unwrap(),
            Self::Not(shape) => Policy::not(shape.policy()),
        }
    }

    fn holds(&self, facts: u8) -> bool {
        match self {
            Self::Leaf(at) => facts >> at & 1 == 1,
            Self::Any(shapes) => shapes.iter().any(|shape| shape.holds(facts)),
            Self::All(shapes) => shapes.iter().all(|shape| shape.holds(facts)),
            Self::Not(shape) => !shape.holds(facts),
        }
    }

    fn has_not(&self) -> bool {
        match self {
            Self::Leaf(_) => false,
            Self::Any(shapes) | Self::All(shapes) => shapes.iter().any(Self::has_not),
            Self::Not(_) => true,
        }
    }
}

fn with(facts: u8) -> Principal {
    let has = |at: u8| facts >> at & 1 == 1;
    let mut principal = user();
    for at in (0..2).filter(|at| has(*at)) {
        principal = principal.add_scope(format!("s{at}"));
    }
    for at in (2..4).filter(|at| has(*at)) {
        principal = principal.add_role(format!("r{at}"));
    }
    if has(4) {
        principal = principal.authenticated_as("gold");
    }
    if has(5) {
        principal = principal.authenticated_at(now());
    }
    principal
}

proptest! {
    #[test]
    fn policies_are_boolean_algebra(shape in shapes(), facts in 0_u8..64) {
        prop_assert_eq!(check(&shape.policy(), &with(facts)).is_ok(), shape.holds(facts));
    }

    /// Whoever brings what a refusal asks for, and all it asks for next, is let in.
    #[test]
    fn doing_what_a_refusal_says_leads_in(shape in shapes(), facts in 0_u8..64) {
        prop_assume!(!shape.has_not());
        let policy = shape.policy();
        let mut principal = with(facts);
        for _ in 0..8 {
            let Err(denial) = check(&policy, &principal) else {
                return Ok(());
            };
            let asks = (denial.scope(), denial.acr_values(), denial.max_age());
            if asks == ("", "", None) {
                // Nothing a client can get helps: not even everything that it can get.
                prop_assert!(!shape.holds(facts | 0b11_0011));
                return Ok(());
            }
            let scopes = denial.scope().split(' ').filter(|scope| !scope.is_empty());
            principal = scopes.fold(principal, Principal::add_scope);
            if !denial.acr_values().is_empty() {
                principal = principal.authenticated_as(denial.acr_values());
            }
            if denial.max_age().is_some() {
                principal = principal.authenticated_at(now());
            }
        }
        prop_assert!(false, "it never led in");
    }

    #[test]
    fn names_never_panic_and_keep_their_text(name in proptest::prelude::any::<String>()) {
        if let Ok(scope) = Scope::new(&name) {
            prop_assert_eq!(scope.as_str(), &name);
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'));
        }
        if let Ok(role) = Role::new(&name) {
            prop_assert_eq!(role.as_str(), &name);
        }
    }
}
