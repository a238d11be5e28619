//! [`HttpsRedirectLayer`]: who comes by HTTP is sent to HTTPS.

mod error;
mod location;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::LOCATION};
use tower_layer::Layer;

pub use self::error::{HttpsRedirectError, HttpsRedirectErrorKind};
use super::host::is_host;
use crate::{
    audit::AuditKind,
    client_ip::RequestScheme,
    config::ConfigError,
    guard::{Check, Guard, Guarded, Refusals, Verdict},
    head::RequestHead,
    problem::Rejection,
};

const ACME: &str = "/.well-known/acme-challenge/";

/// Sends requests that did not come by HTTPS to the same host and path by HTTPS.
///
/// 1. The answer is `308 Permanent Redirect`: 301 and 302 let a client turn `POST` into `GET` (RFC 9110
///    section 15.4), 308 keeps method and body.
/// 2. The host is the request's own, and it is a host and nothing else; a request without one, with two or
///    with a malformed one is refused with 400. [`host`](Self::host) makes it always the same one, and
///    [`add_served_host`](Self::add_served_host) lists those that are yours: do one or the other where a
///    shared cache stands before the server.
/// 3. Whether it was HTTPS is said by a [`RequestScheme`]: behind a proxy, name it there, or every request
///    is redirected for ever. The [module on proxies](crate::client_ip#behind-a-proxy) shows how.
///
/// Put [`SecurityHeadersLayer`](super::SecurityHeadersLayer) outside, so that redirects carry headers too, and
/// no router that nests others: it takes its prefix off the path, and the redirect would lack it.
///
/// ```
/// use http::{Request, Response};
/// use portcullis::headers::HttpsRedirectLayer;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = HttpsRedirectLayer::new().add_exempt_path("/healthz")?;
/// let inner = service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(String::new())));
/// let request = Request::get("/a?b=c").header("host", "www.example:8080").body(())?;
/// let response = layer.layer(inner).oneshot(request).await?;
/// assert_eq!(response.status(), 308);
/// assert_eq!(response.headers()["location"], "https://www.example/a?b=c");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct HttpsRedirectLayer {
    plan: Arc<Plan>,
}

/// The service of [`HttpsRedirectLayer`].
pub type HttpsRedirect<S> = Guarded<S, HttpsRedirectGuard>;

#[derive(Clone, Debug)]
struct Plan {
    scheme: RequestScheme,
    host: Option<String>,
    served: Vec<String>,
    port: Option<u16>,
    exempt: Vec<String>,
    acme: bool,
    refusals: Refusals,
}

impl HttpsRedirectLayer {
    /// A layer for a server that clients reach directly; see [`scheme`](Self::scheme) for others.
    pub fn new() -> Self {
        Self {
            plan: Arc::new(Plan {
                scheme: RequestScheme::direct(),
                host: None,
                served: Vec::new(),
                port: None,
                exempt: Vec::new(),
                acme: false,
                refusals: Refusals::new(),
            }),
        }
    }

    /// Replaces how the scheme of a request is found out.
    pub fn scheme(self, scheme: RequestScheme) -> Self {
        self.change(|plan| plan.scheme = scheme)
    }

    /// Redirects every request to this host, whatever it asked for.
    ///
    /// # Errors
    ///
    /// If `host` is no host: a name or an address (IPv6 in brackets), without scheme, port or path.
    pub fn host(self, host: &str) -> Result<Self, ConfigError> {
        let host = checked_host(host)?;
        Ok(self.change(|plan| plan.host = Some(host)))
    }

    /// Appends a host that is redirected; once there is one, requests for others are refused with 421.
    ///
    /// # Errors
    ///
    /// If `host` is no host, as in [`host`](Self::host).
    pub fn add_served_host(self, host: &str) -> Result<Self, ConfigError> {
        let host = checked_host(host)?;
        Ok(self.change(|plan| plan.served.push(host)))
    }

    /// Replaces the port that is redirected to: 443.
    ///
    /// # Errors
    ///
    /// If `port` is 0.
    pub fn port(self, port: u16) -> Result<Self, ConfigError> {
        if port == 0 {
            return Err(ConfigError::new("port", "0", "must be from 1 to 65535"));
        }
        Ok(self.change(|plan| plan.port = (port != 443).then_some(port)))
    }

    /// Appends a path that is served by HTTP too, exactly as it is written: a health check, say.
    ///
    /// # Errors
    ///
    /// If `path` does not begin with `/`, or has a query.
    pub fn add_exempt_path(self, path: &str) -> Result<Self, ConfigError> {
        if !path.starts_with('/') || path.contains(['?', '#']) {
            let expected = "must be a path that begins with '/', without a query";
            return Err(ConfigError::new("exempt_path", path, expected));
        }
        Ok(self.change(|plan| plan.exempt.push(path.to_owned())))
    }

    /// Serves the challenges of ACME by HTTP too (RFC 8555 section 8.3): `/.well-known/acme-challenge/` and
    /// one token.
    pub fn exempt_acme_challenges(self) -> Self {
        self.change(|plan| plan.acme = true)
    }

    refusal_setters!(self => Arc::make_mut(&mut self.plan).refusals);

    /// Plugs in the clock that audit events go by.
    pub fn with_clock(self, clock: impl crate::clock::Clock) -> Self {
        self.change(|plan| plan.refusals.set_clock(clock))
    }

    /// Where a request is sent, or nothing if it may be served as it came: the check without the layer.
    ///
    /// # Errors
    ///
    /// If the request's host is missing, malformed, or not served.
    pub fn check(
        &self,
        request: RequestHead<'_>,
    ) -> Result<Option<HeaderValue>, HttpsRedirectError> {
        self.plan.check(request)
    }

    fn change(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(Arc::make_mut(&mut self.plan));
        self
    }
}

impl Default for HttpsRedirectLayer {
    fn default() -> Self {
        Self::new()
    }
}

fn checked_host(host: &str) -> Result<String, ConfigError> {
    if is_host(host) {
        return Ok(host.to_ascii_lowercase());
    }
    let expected = "must be a host, such as www.example, without scheme, port or path";
    Err(ConfigError::new("host", host, expected))
}

impl Plan {
    fn check(&self, request: RequestHead<'_>) -> Result<Option<HeaderValue>, HttpsRedirectError> {
        if self.is_exempt(request.uri().path()) || self.scheme.is_https(request) {
            return Ok(None);
        }
        let asked = location::host(request)?.to_ascii_lowercase();
        if !self.served.is_empty() && !self.served.contains(&asked) {
            let kind = HttpsRedirectErrorKind::HostNotServed;
            return Err(HttpsRedirectError::new(kind));
        }
        let host = self.host.as_deref().unwrap_or(&asked);
        // Every byte of it is printable by now; if it were not, the request must not be served either.
        let malformed = HttpsRedirectError::new(HttpsRedirectErrorKind::HostMalformed);
        location::location(host, self.port, request)
            .map(Some)
            .ok_or(malformed)
    }

    fn is_exempt(&self, path: &str) -> bool {
        let is_token = |token: &str| {
            !token.is_empty()
                && token
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        self.exempt.iter().any(|exempt| exempt == path)
            || (self.acme && path.strip_prefix(ACME).is_some_and(is_token))
    }
}

/// The guard of [`HttpsRedirectLayer`].
#[derive(Clone, Debug)]
pub struct HttpsRedirectGuard {
    plan: Arc<Plan>,
}

impl Guard for HttpsRedirectGuard {
    const NAME: &'static str = "https_redirect";
    type Pass = ();

    fn check(&self, request: RequestHead<'_>) -> Check<()> {
        match self.plan.check(request) {
            Ok(None) => Check::pass(()),
            Ok(Some(location)) => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                response.headers_mut().insert(LOCATION, location);
                Check::Ready(Verdict::Answer(Box::new(response)))
            }
            Err(error) => Check::refuse(error.into()),
        }
    }

    fn audit_kind(&self, _rejection: &Rejection) -> AuditKind {
        AuditKind::InputValidationFail
    }

    fn refusals(&self) -> &Refusals {
        &self.plan.refusals
    }
}

impl<S> Layer<S> for HttpsRedirectLayer {
    type Service = HttpsRedirect<S>;

    fn layer(&self, inner: S) -> HttpsRedirect<S> {
        let plan = Arc::clone(&self.plan);
        Guarded::new(inner, HttpsRedirectGuard { plan })
    }
}
