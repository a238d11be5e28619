//! [`HttpClient`]: what fetches unless something else is plugged in.

mod resolve;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, uri::Scheme};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error as ClientError, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use self::resolve::{NotPublic, Resolver};
use super::{Fetch, FetchError, FetchErrorKind, FetchLimits, Fetched};
use crate::config::ConfigError;

/// The most bytes of an answer's head.
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// What connecting may take of a deadline, so that one address that does not answer leaves time for the
/// next.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(30);
const MOST_IDLE: usize = 4;

/// An HTTP/1.1 client over TLS.
///
/// - `https:` only, unless told otherwise. TLS 1.2 and 1.3 with aws-lc as provider, which is handed to
///   rustls: the process' own default provider is neither used nor set.
/// - Servers are trusted by Mozilla's roots, compiled in: what is trusted is the same in every container,
///   and building a client reads no file. For an issuer behind a private authority, there is
///   [`add_root_pem`](Self::add_root_pem).
/// - No redirects, no proxy from the environment, no cookies, no decompression.
///
/// Cloning it costs a few counters; clones share their connections.
///
/// ```
/// use portcullis::fetch::HttpClient;
///
/// let client = HttpClient::new().public_addresses_only();
/// assert!(client.root_pem("no certificate").is_err());
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct HttpClient {
    roots: Arc<RootCertStore>,
    allow_http: bool,
    public_only: bool,
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient {
    /// A client with Mozilla's roots, for `https:` only.
    pub fn new() -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Self::built(Arc::new(roots), false, false)
    }

    /// Replaces the authorities by which servers are trusted with the certificates in a PEM text: the way
    /// to trust a private authority and no other.
    ///
    /// # Errors
    ///
    /// If there is no certificate in it, or one that cannot be read.
    pub fn root_pem(self, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        self.with_roots(RootCertStore::empty(), pem.as_ref())
    }

    /// Appends the certificates in a PEM text to the authorities by which servers are trusted.
    ///
    /// # Errors
    ///
    /// If there is no certificate in it, or one that cannot be read.
    pub fn add_root_pem(self, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let roots = RootCertStore::clone(&self.roots);
        self.with_roots(roots, pem.as_ref())
    }

    fn with_roots(self, mut roots: RootCertStore, pem: &[u8]) -> Result<Self, ConfigError> {
        let wrong = |found: String| {
            ConfigError::new("root_pem", found, "must be certificates in PEM (RFC 7468)")
        };
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| wrong(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong(format!("{} bytes without any", pem.len())));
        }
        Ok(Self::built(
            Arc::new(roots),
            self.allow_http,
            self.public_only,
        ))
    }

    /// Connects to public addresses only: not to loopback, private, link-local, shared, documentation or
    /// multicast addresses (the special-purpose registries of RFC 6890), which a name that a stranger
    /// supplied may stand for. It is decided by the address that is connected to, so a name that resolves
    /// differently the next time gains nothing.
    pub fn public_addresses_only(self) -> Self {
        Self::built(self.roots, self.allow_http, true)
    }

    /// Connects without TLS where a URI says `http:`. Whoever sits on the way then decides what is fetched:
    /// for keys, whose tokens are good.
    pub fn dangerous_allow_http(self) -> Self {
        Self::built(self.roots, true, self.public_only)
    }

    #[allow(
        clippy::missing_panics_doc,
        reason = "the provider that is compiled in has the versions that are compiled in"
    )]
    fn built(roots: Arc<RootCertStore>, allow_http: bool, public_only: bool) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("aws-lc has TLS 1.2 and 1.3")
            .with_root_certificates(Arc::clone(&roots))
            .with_no_client_auth();
        let mut connector = HttpConnector::new_with_resolver(Resolver::new(public_only));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .http1_max_buf_size(MOST_HEAD_BYTES)
            .build(connector);
        Self {
            roots,
            allow_http,
            public_only,
            client,
        }
    }

    fn may_connect(&self, request: &Request<Bytes>) -> bool {
        let uri = request.uri();
        let scheme = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => self.allow_http,
            _ => false,
        };
        // An address that stands in the URI is not resolved.
        let address = !self.public_only || uri.host().is_some_and(resolve::is_name_or_public);
        scheme && address
    }
}

impl Fetch for HttpClient {
    fn fetch(&self, request: Request<Bytes>, limits: FetchLimits) -> Fetched {
        if !self.may_connect(&request) {
            let error = FetchError::new(FetchErrorKind::Forbidden);
            return Box::pin(std::future::ready(Err(error)));
        }
        let client = self.client.clone();
        Box::pin(async move {
            let whole = async move {
                let answer = client.request(request.map(Full::new)).await;
                let (head, body) = answer.map_err(unanswered)?.into_parts();
                let body = read(body, limits.max_bytes).await?;
                Ok(Response::from_parts(head, body))
            };
            let whole = tokio::time::timeout(limits.deadline, whole);
            let late = |_| Err(FetchError::new(FetchErrorKind::Timeout));
            whole.await.unwrap_or_else(late)
        })
    }
}

fn unanswered(error: ClientError) -> FetchError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        // An error of input and output shows what it wraps only when asked for it.
        let wrapped = one
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if one.is::<NotPublic>() || wrapped.is_some_and(|wrapped| wrapped.is::<NotPublic>()) {
            return FetchError::caused_by(FetchErrorKind::Forbidden, error);
        }
        cause = one.source();
    }
    let kind = match error.is_connect() {
        true => FetchErrorKind::Unreachable,
        false => FetchErrorKind::Broken,
    };
    FetchError::caused_by(kind, error)
}

/// The whole body, if it is no longer than `max` bytes; what is too long is not read to its end.
async fn read(mut body: hyper::body::Incoming, max: usize) -> Result<Bytes, FetchError> {
    let too_large = || FetchError::new(FetchErrorKind::TooLarge);
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| FetchError::caused_by(FetchErrorKind::Broken, error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > max - whole.len() {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("roots", &self.roots.len())
            .field("allow_http", &self.allow_http)
            .field("public_only", &self.public_only)
            .finish()
    }
}
