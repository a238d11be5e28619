//! A check that passes allocates nothing of its own.

use std::{
    convert::Infallible,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use portcullis::{
    authz::{Policy, RequireLayer, RoleHierarchy},
    principal::Principal,
};
use tower::{Layer, Service, service_fn};

#[test]
fn passing_allocates_nothing() {
    let roles = RoleHierarchy::organisation()
        .add_permission("viewer", "read")
        .build()
        .unwrap();
    let policy = Policy::all_of([
        Policy::any_of([
            Policy::scope("none").unwrap(),
            Policy::scope("orders:read").unwrap(),
        ])
        .unwrap(),
        Policy::role("member").unwrap(),
        Policy::permission("read").unwrap(),
        Policy::same_tenant(),
        Policy::not(Policy::method("sms")),
        Policy::authentication_level(["bronze", "gold"], "bronze").unwrap(),
        Policy::authenticated_within(Duration::from_secs(3600)).unwrap(),
    ])
    .unwrap();
    let layer = RequireLayer::new(policy)
        .hierarchy(roles)
        .tenant(|request| request.uri().path().strip_prefix('/'));
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let mut service = layer.layer(inner);
    let principal = Principal::new("user-7")
        .tenant("acme")
        .add_scope("orders:read")
        .add_role("owner")
        .authenticated_as("gold")
        .authenticated_at(SystemTime::now());
    let mut request = Request::builder().uri("/acme").body(()).unwrap();
    request.extensions_mut().insert(principal);

    let mut status = None;
    let counted = allocation_counter::measure(|| {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) {
            status = Some(response.status().as_u16());
        }
    });
    assert_eq!(status, Some(200));
    assert_eq!(counted.count_total, 0);
}
