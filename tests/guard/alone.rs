//! A pass that needs no guard for its response.

use std::convert::Infallible;

use http::{HeaderValue, Request, Response};
use portcullis::{
    audit::AuditKind,
    guard::{Check, Guard, Guarded, Refusals, Verdict},
    head::RequestHead,
    problem::Rejection,
};
use tower::{ServiceExt, service_fn};

use crate::support::{DEPARTED, WISH};

/// Passes alone what wishes so, now or later.
#[derive(Clone)]
struct Alone {
    refusals: Refusals,
}

impl Guard for Alone {
    const NAME: &'static str = "alone";
    type Pass = bool;

    fn check(&self, request: RequestHead<'_>) -> Check<bool> {
        let wish = request.headers().get(WISH).map(HeaderValue::as_bytes);
        match wish {
            Some(b"alone") => Check::pass(true),
            Some(b"alone-later") => Check::wait(async { Verdict::Pass(true) }),
            _ => Check::pass(false),
        }
    }

    fn audit_kind(&self, _rejection: &Rejection) -> AuditKind {
        AuditKind::AuthzFail
    }

    fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    fn depart<B>(&self, pass: bool, response: &mut Response<B>) {
        assert!(!pass, "it departs alone");
        let guarded = HeaderValue::from_static("guarded");
        response.headers_mut().insert(DEPARTED, guarded);
    }

    fn departs_alone(pass: &bool) -> bool {
        *pass
    }

    fn depart_alone<B>(pass: bool, response: &mut Response<B>) {
        assert!(pass, "it needs its guard");
        let alone = HeaderValue::from_static("alone");
        response.headers_mut().insert(DEPARTED, alone);
    }
}

#[tokio::test]
async fn a_pass_that_departs_alone_needs_no_guard_and_others_do() {
    for (wish, departed) in [
        ("alone", "alone"),
        ("alone-later", "alone"),
        ("guarded", "guarded"),
    ] {
        let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
        let guard = Alone {
            refusals: Refusals::new(),
        };
        let request = Request::builder().header(WISH, wish).body(()).unwrap();
        let response = Guarded::new(inner, guard).oneshot(request).await.unwrap();
        assert_eq!(response.headers()[DEPARTED], departed, "{wish}");
    }
}
