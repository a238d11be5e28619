//! The layers over plain tower services.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use http::{Request, Response, StatusCode, header};
use portcullis::{
    audit::AuditEvent,
    authz::{
        Policy, RequireLayer, RequirePermissionLayer, RequireRoleLayer, RequireScopeLayer,
        RoleHierarchy,
    },
    body::ResponseBody,
    clock::ManualClock,
    principal::Principal,
    problem::Rejection,
};
use tower::{Layer, Service, service_fn};

/// What comes back at the first poll: these layers are ready at once.
fn answer(
    layer: impl Into<RequireLayer>,
    principal: Option<Principal>,
) -> Response<ResponseBody<String>> {
    let mut request = Request::builder()
        .uri("/tenants/acme/orders")
        .body(())
        .unwrap();
    if let Some(principal) = principal {
        request.extensions_mut().insert(principal);
    }
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::from("in"))));
    let mut service = layer.into().layer(inner);
    let mut context = Context::from_waker(Waker::noop());
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("the check waits for something"),
    }
}

fn challenge(response: &Response<ResponseBody<String>>) -> &str {
    let mut all = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
    let one = all.next().expect("a challenge").to_str().unwrap();
    assert_eq!(all.next(), None);
    one
}

fn code(response: &Response<ResponseBody<String>>) -> &'static str {
    response.extensions().get::<Rejection>().unwrap().code()
}

fn user() -> Principal {
    Principal::new("user-7")
}

#[test]
fn the_layers_let_in_whom_they_name() {
    let scopes = user().add_scope("a").add_scope("b");
    let pass = |layer: RequireLayer, principal: &Principal| {
        answer(layer, Some(principal.clone())).status() == StatusCode::OK
    };
    assert!(pass(RequireScopeLayer::new("a").unwrap().into(), &scopes));
    assert!(pass(
        RequireScopeLayer::all_of(["a", "b"]).unwrap().into(),
        &scopes
    ));
    assert!(!pass(
        RequireScopeLayer::all_of(["a", "c"]).unwrap().into(),
        &scopes
    ));
    assert!(pass(
        RequireScopeLayer::any_of(["c", "b"]).unwrap().into(),
        &scopes
    ));
    assert!(!pass(
        RequireScopeLayer::any_of(["c", "d"]).unwrap().into(),
        &scopes
    ));
    let roles = RoleHierarchy::organisation()
        .add_permission("viewer", "read")
        .build()
        .unwrap();
    let owner = user().add_role("owner");
    assert!(!pass(
        RequireRoleLayer::new("viewer").unwrap().into(),
        &owner
    ));
    assert!(pass(
        RequireRoleLayer::new("viewer")
            .unwrap()
            .hierarchy(roles.clone())
            .into(),
        &owner
    ));
    assert!(pass(
        RequirePermissionLayer::new("read")
            .unwrap()
            .hierarchy(roles)
            .into(),
        &owner
    ));
    assert!(!pass(
        RequirePermissionLayer::new("read").unwrap().into(),
        &owner
    ));
    assert!(RequireScopeLayer::any_of([] as [&str; 0]).is_err());
    assert!(RequireRoleLayer::new("").is_err());
}

#[test]
fn nobody_is_challenged_without_an_error() {
    let layer = RequireScopeLayer::new("a").unwrap();
    let response = answer(layer.clone(), None);
    assert_eq!(
        (response.status(), code(&response)),
        (StatusCode::UNAUTHORIZED, "authz_unauthenticated")
    );
    assert_eq!(challenge(&response), "Bearer");
    let layer = layer
        .realm("orders")
        .unwrap()
        .resource_metadata("https://api.example.com/.well-known/oauth-protected-resource")
        .unwrap();
    assert_eq!(
        challenge(&answer(layer, None)),
        "Bearer realm=\"orders\", resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource\""
    );
}

#[test]
fn who_may_not_is_told_which_scope_would_do() {
    let response = answer(
        RequireScopeLayer::all_of(["a", "b"]).unwrap(),
        Some(user().add_scope("a")),
    );
    assert_eq!(
        (response.status(), code(&response)),
        (StatusCode::FORBIDDEN, "authz_scope_insufficient")
    );
    assert_eq!(
        challenge(&response),
        "Bearer error=\"insufficient_scope\", error_description=\"The token lacks a scope.\", scope=\"a b\""
    );
    let response = answer(RequireRoleLayer::new("admin").unwrap(), Some(user()));
    assert_eq!(
        (response.status(), code(&response)),
        (StatusCode::FORBIDDEN, "authz_role_insufficient")
    );
    assert_eq!(
        challenge(&response),
        "Bearer error=\"insufficient_scope\", error_description=\"A role is needed for this.\""
    );
}

#[test]
fn step_up_is_asked_for_as_the_rfc_says() {
    let now = 1_800_000_000;
    let policy = Policy::all_of([
        Policy::authentication_level(["bronze", "silver", "gold"], "silver").unwrap(),
        Policy::authenticated_within(Duration::from_secs(300)).unwrap(),
    ]);
    let layer = RequireLayer::new(policy.unwrap()).with_clock(ManualClock::at_unix(now));
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(now - 301);
    let stale = user().authenticated_as("bronze").authenticated_at(at);
    let response = answer(layer.clone(), Some(stale));
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(code(&response), "authz_authentication_insufficient");
    assert_eq!(
        challenge(&response),
        "Bearer error=\"insufficient_user_authentication\", \
         error_description=\"A stronger or fresher authentication is needed.\", \
         acr_values=\"silver gold\", max_age=\"300\""
    );
    let body = response.extensions().get::<Rejection>().unwrap().to_json();
    assert_eq!(
        (&body["acr_values"], &body["max_age"]),
        (&"silver gold".into(), &300.into())
    );
    let fresh = user()
        .authenticated_as("gold")
        .authenticated_at(at + Duration::from_secs(1));
    assert_eq!(answer(layer, Some(fresh)).status(), StatusCode::OK);
}

#[test]
fn the_tenant_of_the_path_must_be_the_principals() {
    let layer = RequireLayer::new(Policy::same_tenant());
    let acme = Some(user().tenant("acme"));
    assert_eq!(
        answer(layer.clone(), acme.clone()).status(),
        StatusCode::FORBIDDEN
    );
    let layer = layer.tenant(|request| {
        request
            .uri()
            .path()
            .strip_prefix("/tenants/")?
            .split('/')
            .next()
    });
    assert_eq!(answer(layer.clone(), acme).status(), StatusCode::OK);
    let response = answer(layer, Some(user().tenant("other")));
    assert_eq!(
        (response.status(), code(&response)),
        (StatusCode::FORBIDDEN, "authz_tenant_mismatch")
    );
}

#[test]
fn refusals_are_told_and_rendered_as_everywhere() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let layer = RequireRoleLayer::new("admin")
        .unwrap()
        .with_audit(move |event: &AuditEvent<'_>| sink.lock().unwrap().push(event.to_string()))
        .with_responder(
            |rejection: &Rejection, _: portcullis::head::RequestHead<'_>| {
                let mut response = Response::new(bytes::Bytes::from(rejection.code()));
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            },
        );
    let response = answer(layer, Some(user()));
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
    assert_eq!(
        *told.lock().unwrap(),
        [
            "event=authz_fail layer=authz code=authz_role_insufficient status=403 method=\"GET\" path=\"/tenants/acme/orders\" subject=\"user-7\""
        ]
    );
}

#[test]
fn what_cannot_stand_in_a_challenge_is_a_configuration_error() {
    let layer = || RequireLayer::new(Policy::authenticated());
    for unsound in ["a\"b", "a\\b", "a\nb", "ä"] {
        assert!(layer().realm(unsound).is_err() && layer().resource_metadata(unsound).is_err());
    }
}

/// Where an optional token layer found nobody, the answer is its own, so that the client learns what to
/// bring in the one way.
#[cfg(feature = "jwt")]
#[test]
fn an_optional_token_layer_answers_for_nobody() {
    use portcullis::jwt::{JwtAuthLayer, JwtVerifier, VerifyingKey};
    let key = VerifyingKey::hs256("a secret of thirty-two bytes, ok").unwrap();
    let verifier = JwtVerifier::builder(key).issuer("i").audience("a");
    let outer = JwtAuthLayer::new(verifier).optional().realm("api").unwrap();
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
    let mut service = outer.layer(RequireScopeLayer::new("a").unwrap().layer(inner));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(response)) = pin!(service.call(Request::new(()))).poll(&mut context) else {
        panic!("it waits");
    };
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().code(),
        "jwt_missing"
    );
    assert_eq!(
        response.headers()[header::WWW_AUTHENTICATE],
        "Bearer realm=\"api\""
    );
}
