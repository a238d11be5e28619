//! What the layer does to each request and response.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Request, Response, StatusCode};

use super::{
    csp::{CspNonce, Template},
    merge::merge,
};
use crate::{
    audit::AuditKind,
    client_ip::RequestScheme,
    guard::{Check, Guard, Refusals},
    head::RequestHead,
    problem::Rejection,
    random::RandomError,
};

/// What the layer was configured to do, worked out.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The fields of every response. A policy with a nonce stands here as one that allows nothing: it goes
    /// out only if the nonce is missing.
    pub(super) headers: HeaderMap,
    /// The same without `Strict-Transport-Security`, if it goes out over HTTPS only.
    pub(super) headers_over_http: Option<HeaderMap>,
    /// How to tell what came over HTTPS; nothing where it does not matter.
    pub(super) hsts_only_over: Option<RequestScheme>,
    /// The policies that need the nonce of the response.
    pub(super) nonced: Vec<(HeaderName, Template)>,
    /// Whether there is a policy that is enforced.
    pub(super) has_policy: bool,
    /// What is taken out of the responses of others.
    pub(super) removed: Vec<HeaderName>,
    /// What no layer outside this one shall set either.
    pub(super) left_out: Vec<HeaderName>,
    pub(super) refusals: Refusals,
    pub(super) random: fn(&mut [u8]) -> Result<(), RandomError>,
}

/// The guard of [`SecurityHeadersLayer`](super::SecurityHeadersLayer).
#[derive(Clone, Debug)]
pub struct SecurityHeadersGuard {
    pub(super) plan: Arc<Plan>,
}

/// What a request hands on to its response.
#[derive(Debug)]
pub struct SecurityHeadersPass {
    nonce: Option<CspNonce>,
    over_http: bool,
}

/// Left in the extensions of a response: the names that an inner layer left out on purpose.
#[derive(Clone, Debug)]
struct LeftOut(Vec<HeaderName>);

impl Guard for SecurityHeadersGuard {
    const NAME: &'static str = "headers";
    type Pass = SecurityHeadersPass;

    fn check(&self, request: RequestHead<'_>) -> Check<SecurityHeadersPass> {
        let plan = &*self.plan;
        let over_http = plan
            .hsts_only_over
            .as_ref()
            .is_some_and(|scheme| !scheme.is_https(request));
        let nonce = match request.extensions().get::<CspNonce>() {
            _ if plan.nonced.is_empty() => None,
            // An outer layer's nonce is as fresh as one made here, and the same in the policies of both.
            Some(nonce) => Some(nonce.clone()),
            None => match CspNonce::generate(plan.random) {
                Ok(nonce) => Some(nonce),
                Err(RandomError) => return Check::refuse(plan.no_nonce(over_http)),
            },
        };
        Check::pass(SecurityHeadersPass { nonce, over_http })
    }

    fn audit_kind(&self, _rejection: &Rejection) -> AuditKind {
        AuditKind::SysDependencyFail
    }

    fn refusals(&self) -> &Refusals {
        &self.plan.refusals
    }

    fn admit<B>(&self, pass: &mut SecurityHeadersPass, request: &mut Request<B>) {
        if let Some(nonce) = &pass.nonce {
            request.extensions_mut().insert(nonce.clone());
        } else if self.plan.has_policy {
            // The policy of an outer layer gives way to this one, and its nonce would open nothing.
            request.extensions_mut().remove::<CspNonce>();
        }
    }

    fn depart<B>(&self, pass: SecurityHeadersPass, response: &mut Response<B>) {
        let plan = &*self.plan;
        let ours = plan.headers(pass.over_http);
        match response.extensions_mut().remove::<LeftOut>() {
            None => plan.put(ours, pass.nonce.as_ref(), response.headers_mut()),
            Some(LeftOut(mut names)) => {
                let mut ours = ours.clone();
                for name in &names {
                    ours.remove(name);
                }
                plan.put(&ours, pass.nonce.as_ref(), response.headers_mut());
                names.extend(plan.left_out.iter().cloned());
                response.extensions_mut().insert(LeftOut(names));
                return;
            }
        }
        if !plan.left_out.is_empty() {
            let names = plan.left_out.clone();
            response.extensions_mut().insert(LeftOut(names));
        }
    }
}

impl Plan {
    fn headers(&self, over_http: bool) -> &HeaderMap {
        match &self.headers_over_http {
            Some(headers) if over_http => headers,
            _ => &self.headers,
        }
    }

    /// Puts `ours` into `theirs`, with the nonce in its places.
    fn put(&self, ours: &HeaderMap, nonce: Option<&CspNonce>, theirs: &mut HeaderMap) {
        if self.nonced.is_empty() {
            return merge(ours, &self.removed, theirs);
        }
        // There are two policies at most: the one that is enforced and the one that is reported.
        let mut values = [None, None];
        for (value, (name, template)) in values.iter_mut().zip(&self.nonced) {
            if !theirs.contains_key(name) || self.removed.contains(name) {
                *value = template.value(nonce);
            }
        }
        merge(ours, &self.removed, theirs);
        for (value, (name, _)) in values.into_iter().zip(&self.nonced) {
            if let (Some(value), Some(placeholder)) = (value, theirs.get_mut(name)) {
                *placeholder = value;
            }
        }
    }

    /// The refusal for want of a nonce, which carries the headers as every response does.
    fn no_nonce(&self, over_http: bool) -> Rejection {
        let rejection = Rejection::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "headers_nonce_unavailable",
            "The page cannot be shown safely right now.",
        );
        self.headers(over_http)
            .iter()
            .fold(rejection, |rejection, (name, value)| {
                rejection.add_header(name.clone(), value.clone())
            })
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::ready};

    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::headers::SecurityHeadersLayer;

    fn strict_without_randomness() -> SecurityHeadersLayer {
        SecurityHeadersLayer::strict().with_random(|_| Err(RandomError))
    }

    #[tokio::test]
    async fn without_randomness_it_refuses_and_the_refusal_carries_the_headers() {
        let inner = service_fn(|_: Request<()>| {
            ready(Ok::<_, Infallible>(Response::new(String::from("reached"))))
        });
        let service = strict_without_randomness().layer(inner);
        let response = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(response.status(), 500);
        let code = response.extensions().get::<Rejection>().unwrap().code();
        assert_eq!(code, "headers_nonce_unavailable");
        let headers = response.headers();
        assert_eq!(
            headers["content-security-policy"],
            "default-src 'none';frame-ancestors 'none'"
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(
            headers.get_all("strict-transport-security").iter().count(),
            1
        );
    }
}
