//! Which role includes which.

use portcullis::{authz::RoleHierarchy, principal::Principal};
use proptest::prelude::*;

fn someone(role: &str) -> Principal {
    Principal::new("user-7").add_role(role)
}

#[test]
fn the_preset_goes_from_owner_to_viewer() {
    let roles = RoleHierarchy::organisation().build().unwrap();
    let order = ["owner", "admin", "member", "viewer"];
    for (at, role) in order.into_iter().enumerate() {
        for (below, other) in order.into_iter().enumerate() {
            assert_eq!(roles.includes(role, other), at <= below, "{role} {other}");
            assert_eq!(roles.grants_role(&someone(role), other), at <= below);
        }
        assert!(!roles.includes("stranger", role) && !roles.includes(role, "stranger"));
    }
    assert!(roles.grants_role(&someone("auditor"), "auditor"));
    assert!(!roles.grants_role(&Principal::new("user-8"), "viewer"));
}

#[test]
fn permissions_go_up_and_not_down() {
    let roles = RoleHierarchy::organisation()
        .add_permission("member", "orders:write")
        .add_permission("member", "orders:write")
        .build()
        .unwrap();
    for (role, has) in [
        ("owner", true),
        ("admin", true),
        ("member", true),
        ("viewer", false),
    ] {
        assert_eq!(
            roles.grants_permission(&someone(role), "orders:write"),
            has,
            "{role}"
        );
    }
    let direct = Principal::new("user-7").add_permission("orders:write");
    assert!(roles.grants_permission(&direct, "orders:write"));
    assert!(!roles.grants_permission(&direct, "orders:writ"));
}

#[test]
fn a_role_may_stand_under_several() {
    let roles = RoleHierarchy::builder()
        .add_role("security", ["reader"])
        .add_role("finance", ["reader"])
        .add_role("board", ["finance"])
        .add_role("board", ["security"])
        .add_permission("security", "keys:rotate")
        .build()
        .unwrap();
    assert!(roles.includes("board", "reader") && roles.includes("board", "security"));
    assert!(!roles.includes("finance", "security"));
    assert!(roles.grants_permission(&someone("board"), "keys:rotate"));
    assert!(!roles.grants_permission(&someone("finance"), "keys:rotate"));
}

#[test]
fn circles_strangers_and_empty_names_are_configuration_errors() {
    let itself = RoleHierarchy::builder().add_role("a", ["a"]).build();
    assert_eq!(itself.unwrap_err().given(), "a");
    let circle = RoleHierarchy::builder()
        .add_role("a", ["b"])
        .add_role("b", ["c"])
        .add_role("c", ["a"]);
    assert!(
        circle
            .build()
            .unwrap_err()
            .to_string()
            .contains("include itself")
    );
    // A circle that the first role only leads to.
    let tail = RoleHierarchy::builder()
        .add_role("a", ["b"])
        .add_role("b", ["c"])
        .add_role("c", ["b"]);
    assert!(tail.build().is_err());
    let misspelt = RoleHierarchy::organisation().add_permission("memeber", "orders:write");
    assert_eq!(misspelt.build().unwrap_err().given(), "memeber");
    assert!(
        RoleHierarchy::builder()
            .add_role("", ["a"])
            .build()
            .is_err()
    );
    assert!(
        RoleHierarchy::builder()
            .add_role("a", ["b\n"])
            .build()
            .is_err()
    );
}

proptest! {
    /// Against the definition: whoever can be reached is included, and a hierarchy is made exactly when no
    /// role reaches itself.
    #[test]
    #[allow(clippy::needless_range_loop, reason = "a matrix is read by its numbers")]
    fn inclusion_is_reachability(edges in prop::collection::vec((0_u8..6, 0_u8..6), 0..12)) {
        let mut reach = [[false; 6]; 6];
        for (above, below) in &edges {
            reach[*above as usize][*below as usize] = true;
        }
        for middle in 0..6 {
            for from in 0..6 {
                for to in 0..6 {
                    reach[from][to] |= reach[from][middle] && reach[middle][to];
                }
            }
        }
        let built = edges
            .iter()
            .fold(RoleHierarchy::builder(), |builder, (above, below)| {
                builder.add_role(format!("r{above}"), [format!("r{below}")])
            })
            .build();
        let circular = (0..6).any(|role| reach[role][role]);
        prop_assert_eq!(built.is_err(), circular);
        if let Ok(roles) = built {
            for from in 0..6 {
                for to in 0..6 {
                    let included = roles.includes(&format!("r{from}"), &format!("r{to}"));
                    prop_assert_eq!(included, from == to || reach[from][to]);
                }
            }
        }
    }
}
