//! [`ResourceMetadata`]: tells clients whose tokens a service takes (RFC 9728).

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri};
use serde_json::{Map, Value};
use tower_service::Service;

use super::{
    address::shown,
    published::{cached_for, published},
};
use crate::{body::ResponseBody, config::ConfigError};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The metadata of a protected resource (RFC 9728), and the service that publishes it.
///
/// A client that is refused finds the document's address in the challenge
/// ([`JwtAuthLayer::resource_metadata`](super::JwtAuthLayer::resource_metadata)), and in the document whom to
/// ask for a token. The service answers `GET` and `HEAD` whatever the path, so route [`path`](Self::path) to
/// it, outside the layer: who reads it has no token yet. Other methods are answered 405. Caches may keep it
/// for an hour. It sends no CORS headers: clients in browsers need a layer of the application's around it.
///
/// ```
/// use http::Method;
/// use portcullis::jwt::ResourceMetadata;
///
/// let metadata = ResourceMetadata::new("https://api.example.com/v1")?
///     .add_authorization_server("https://login.example.com")?
///     .scopes_supported(["orders:read", "orders:write"])?;
/// assert_eq!(
///     metadata.url(),
///     "https://api.example.com/.well-known/oauth-protected-resource/v1"
/// );
/// // For axum: `Router::new().route_service(metadata.path(), metadata.clone())`, and for the challenges
/// // `JwtAuthLayer::new(verifier).resource_metadata(metadata.url())?`.
/// assert_eq!(metadata.path(), "/.well-known/oauth-protected-resource/v1");
/// let document = metadata.respond(&Method::GET).into_body();
/// assert!(document.starts_with(br#"{"authorization_servers":["https://login.example.com"],"#));
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct ResourceMetadata {
    url: String,
    path: String,
    members: Map<String, Value>,
    document: Bytes,
    cache_control: HeaderValue,
}

impl ResourceMetadata {
    /// The metadata of the resource with this identifier: the URL that its clients know it by, and that
    /// their tokens should name in `aud`. Tokens are taken from the `Authorization` field.
    ///
    /// # Errors
    ///
    /// If it is no absolute `https:` URL, or has credentials or a fragment (section 1.2). `http:` is for
    /// loopback.
    pub fn new(resource: impl Into<String>) -> Result<Self, ConfigError> {
        let resource = resource.into();
        let host_ends = checked("resource", &resource)?;
        let (origin, rest) = resource.split_at(host_ends);
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        // Section 3.1: before the resource's own path, less a slash at its end.
        let path = format!("{WELL_KNOWN}{}", path.strip_suffix('/').unwrap_or(path));
        let url = format!("{origin}{path}{query}");
        let metadata = Self {
            url,
            path,
            members: Map::new(),
            document: Bytes::new(),
            cache_control: cached_for(Duration::from_secs(60 * 60)),
        };
        let metadata = metadata.with("resource", resource);
        Ok(metadata.with("bearer_methods_supported", vec!["header"]))
    }

    /// Appends an issuer whose tokens are taken, by the identifier that its own metadata has (RFC 8414) and
    /// its tokens name in `iss`.
    ///
    /// # Errors
    ///
    /// If it is no absolute `https:` URL, or has credentials, a query or a fragment.
    pub fn add_authorization_server(self, issuer: impl Into<String>) -> Result<Self, ConfigError> {
        const NAME: &str = "authorization_servers";
        let issuer = issuer.into();
        checked(NAME, &issuer)?;
        if issuer.contains('?') {
            return Err(ConfigError::new(NAME, shown(&issuer), "must have no query"));
        }
        let mut servers = match self.members.get(NAME) {
            Some(Value::Array(servers)) => servers.clone(),
            _ => Vec::new(),
        };
        servers.push(issuer.into());
        Ok(self.with(NAME, servers))
    }

    /// Replaces the scopes that clients may ask for; the default is to name none.
    ///
    /// # Errors
    ///
    /// If one is no scope (RFC 6749 section 3.3).
    pub fn scopes_supported<S: Into<String>>(
        self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let scopes: Vec<String> = scopes.into_iter().map(Into::into).collect();
        let is_scope_char = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let is_scope = |scope: &&String| !scope.is_empty() && scope.bytes().all(is_scope_char);
        if let Some(wrong) = scopes.iter().find(|scope| !is_scope(scope)) {
            let expected = "must be a scope (RFC 6749 section 3.3)";
            return Err(ConfigError::new("scopes_supported", wrong, expected));
        }
        Ok(self.with("scopes_supported", scopes))
    }

    /// Replaces the ways in which tokens are taken: `header`, `body` and `query` (RFC 6750 section 2). The
    /// default is `header`.
    ///
    /// # Errors
    ///
    /// If one is none of these.
    pub fn bearer_methods_supported<'m>(
        self,
        methods: impl IntoIterator<Item = &'m str>,
    ) -> Result<Self, ConfigError> {
        const NAME: &str = "bearer_methods_supported";
        let methods: Vec<&str> = methods.into_iter().collect();
        let is_known = |method: &&&str| matches!(**method, "header" | "body" | "query");
        match methods.iter().find(|method| !is_known(method)) {
            Some(wrong) => Err(ConfigError::new(
                NAME,
                *wrong,
                "must be header, body or query",
            )),
            None => Ok(self.with(NAME, methods)),
        }
    }

    /// Replaces another member of section 2 or of the service's own: `resource_name`,
    /// `resource_documentation`, `tls_client_certificate_bound_access_tokens`.
    ///
    /// # Errors
    ///
    /// If it is a member that another method writes, or null.
    pub fn member(
        self,
        name: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<Self, ConfigError> {
        let (name, value) = (name.into(), value.into());
        let has_own = matches!(
            &*name,
            "resource"
                | "authorization_servers"
                | "scopes_supported"
                | "bearer_methods_supported"
                | "signed_metadata"
        );
        match has_own || name.is_empty() || value.is_null() {
            true => Err(ConfigError::new(
                "member",
                name,
                "must be one that no other method writes, and not null",
            )),
            false => Ok(self.with(&name, value)),
        }
    }

    /// Replaces how long caches may keep the document, in whole seconds; the default is an hour.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.cache_control = cached_for(age);
        self
    }

    /// The address of the document (section 3.1), for the challenges.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path of that address, for the router.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The answer to a request of that method.
    #[must_use]
    pub fn respond(&self, method: &Method) -> Response<Bytes> {
        let media_type = "application/json";
        published(method, media_type, &self.cache_control, &self.document)
    }

    /// Writes the document anew. Of what there is none it says nothing (section 3.2); only that no bearer
    /// token is taken is said so.
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        match is_empty && name != "bearer_methods_supported" {
            true => drop(self.members.remove(name)),
            false => drop(self.members.insert(name.to_owned(), value)),
        }
        self.document = Value::Object(self.members.clone()).to_string().into();
        self
    }
}

/// Where the host of such a URL ends.
fn checked(setting: &'static str, url: &str) -> Result<usize, ConfigError> {
    let wrong = || {
        let expected = "must be an absolute https: URL without credentials and fragment";
        ConfigError::new(setting, shown(url), expected)
    };
    let read: Uri = url.parse().map_err(|_| wrong())?;
    let authority = read.authority().ok_or_else(wrong)?;
    let is_loopback = matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
    let is_safe = match read.scheme_str() {
        Some("https") => true,
        Some("http") => is_loopback,
        _ => false,
    };
    let plain = url.is_ascii() && !url.contains(['#', '"', '\\']);
    if !is_safe || !plain || authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(wrong());
    }
    let start = url.find("://").map_or(0, |at| at + 3);
    let ends = url[start..].find(['/', '?']);
    Ok(ends.map_or(url.len(), |at| start + at))
}

impl<B> Service<Request<B>> for ResourceMetadata {
    type Response = Response<ResponseBody<String>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(request.method()).map(ResponseBody::own)))
    }
}

impl fmt::Debug for ResourceMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceMetadata")
            .field("url", &self.url)
            .field("members", &self.members)
            .field("cache_control", &self.cache_control)
            .finish_non_exhaustive()
    }
}
