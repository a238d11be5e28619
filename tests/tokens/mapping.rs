//! Where issuers say what somebody is.

use std::convert::Infallible;

use http::{Request, Response, header};
use portcullis::{
    clock::ManualClock,
    jwt::{Algorithm, ClaimMapping, Claims, JwtAuthLayer},
    principal::Principal,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::mint::{self, ISSUER, NOW, now};

fn claims(changes: Value) -> Claims {
    let token = mint::token(Algorithm::Hs256, &mint::claims_with(changes));
    mint::verifier(Algorithm::Hs256)
        .verify(token, now())
        .unwrap()
}

fn roles(mapping: &ClaimMapping, changes: Value) -> Vec<String> {
    let principal = mapping.principal(&claims(changes)).unwrap();
    principal.roles().map(str::to_owned).collect()
}

#[test]
fn every_preset_reads_what_its_issuer_writes() {
    let auth0 = claims(json!({
        "https://example.com/roles": ["editor"], "permissions": ["read:orders"],
        "org_id": "org_1", "scope": "openid profile",
    }));
    let mapping = ClaimMapping::auth0("https://example.com/roles");
    let expected = Principal::new("user-7")
        .issued_by(ISSUER)
        .tenant("org_1")
        .add_role("editor")
        .add_permission("read:orders")
        .add_scope("openid")
        .add_scope("profile");
    assert_eq!(mapping.principal(&auth0), Some(expected));

    let keycloak = json!({
        "realm_access": {"roles": ["user", "offline_access"]},
        "resource_access": {"orders-api": {"roles": ["clerk"]}, "billing": {"roles": ["admin"]}},
    });
    assert_eq!(
        roles(&ClaimMapping::keycloak("orders-api"), keycloak.clone()),
        ["clerk", "offline_access", "user"]
    );
    // What somebody is for another client is nothing here.
    assert_eq!(
        roles(&ClaimMapping::keycloak("unknown"), keycloak.clone()),
        ["offline_access", "user"]
    );
    assert_eq!(
        roles(&ClaimMapping::keycloak_realm(), keycloak),
        ["offline_access", "user"]
    );

    let entra =
        claims(json!({"roles": ["Orders.Read"], "scp": "access_as_user", "tid": "tenant-guid"}));
    let principal = ClaimMapping::entra_id().principal(&entra).unwrap();
    assert_eq!(principal.tenant_id(), Some("tenant-guid"));
    assert!(principal.has_role("Orders.Read") && principal.has_scope("access_as_user"));

    let okta = json!({"groups": ["Everyone", "Admins"], "scp": ["orders"]});
    assert_eq!(roles(&ClaimMapping::okta(), okta), ["Admins", "Everyone"]);
    assert_eq!(
        roles(&ClaimMapping::cognito(), json!({"cognito:groups": ["ops"]})),
        ["ops"]
    );
    assert_eq!(
        roles(&ClaimMapping::standard(), json!({"roles": "one"})),
        ["one"]
    );
    assert!(roles(&ClaimMapping::none(), json!({"roles": ["one"]})).is_empty());
}

#[test]
fn the_standard_mapping_is_what_is_read_without_one() {
    let claims = claims(json!({
        "roles": ["a", "b"], "amr": ["pwd"], "acr": "gold", "auth_time": NOW, "scope": "x y", "scp": ["z"],
    }));
    assert_eq!(
        ClaimMapping::standard().principal(&claims),
        claims.principal()
    );
}

#[test]
fn a_name_is_one_name_and_never_a_way() {
    let own = ClaimMapping::none()
        .add_roles("a.b")
        .add_permissions(["c", "d", "e"])
        .tenant(["f", "g"]);
    let principal = own
        .principal(&claims(json!({
            "a": {"b": ["nested"]}, "a.b": ["flat"], "c": {"d": {"e": ["deep"]}}, "f": {"g": "acme"},
        })))
        .unwrap();
    assert_eq!(principal.roles().collect::<Vec<_>>(), ["flat"]);
    assert_eq!(principal.permissions().collect::<Vec<_>>(), ["deep"]);
    assert_eq!(principal.tenant_id(), Some("acme"));
}

#[test]
fn what_is_no_text_says_nothing() {
    let own = ClaimMapping::none().add_roles(["a", "b"]).tenant("t");
    for wrong in [
        json!(1),
        json!(null),
        json!({"b": {"admin": true}}),
        json!([["admin"]]),
        json!({"b": [1, null]}),
    ] {
        let principal = own
            .principal(&claims(json!({"a": wrong, "t": ["acme"]})))
            .unwrap();
        assert_eq!(principal.roles().count(), 0, "{wrong}");
        assert_eq!(principal.tenant_id(), None);
    }
    assert_eq!(own.principal(&claims(json!({"sub": null}))), None);
}

#[tokio::test]
async fn the_layer_makes_its_principal_by_the_mapping() {
    let layer = JwtAuthLayer::new(mint::verifier(Algorithm::Hs256))
        .with_clock(ManualClock::at_unix(NOW))
        .claim_mapping(ClaimMapping::keycloak("orders-api"));
    let inner = service_fn(async |request: Request<()>| {
        let principal = request.extensions().get::<Principal>().unwrap();
        assert_eq!(principal.subject(), "user-7");
        assert!(principal.has_role("clerk") && !principal.has_role("ignored"));
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let claims = mint::claims_with(json!({
        "resource_access": {"orders-api": {"roles": ["clerk"]}}, "roles": ["ignored"],
    }));
    let authorization = format!("Bearer {}", mint::token(Algorithm::Hs256, &claims));
    let request = Request::builder()
        .header(header::AUTHORIZATION, authorization)
        .body(())
        .unwrap();
    assert_eq!(
        layer.layer(inner).oneshot(request).await.unwrap().status(),
        200
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-d]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-d]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_claims_say_no_role_is_invented(value in any_json(), way in prop::collection::vec("[a-d]", 1..4)) {
        let mapping = ClaimMapping::none().add_roles(way.clone());
        let expected: Vec<String> = {
            let found = way.iter().skip(1).try_fold(&value, |value, name| value.get(name));
            let mut texts: Vec<String> = match found {
                Some(Value::String(one)) => vec![one.clone()],
                Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            };
            texts.sort();
            texts.dedup();
            texts
        };
        let changes = Value::Object([(way[0].clone(), value.clone())].into_iter().collect());
        // Null takes a claim out, as if it had not been there.
        prop_assert_eq!(roles(&mapping, changes), expected);
    }
}
