//! [`RedisCertificates`]: whom to trust over TLS, and as whom to be known.

use std::fmt;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{config::ConfigError, secret::Secret};

/// Certificates for TLS: an authority of one's own instead of the operating system's, a certificate of the
/// client's, or both. All are PEM.
///
/// ```no_run
/// use portcullis::store::{RedisCertificates, RedisStore};
///
/// let certificates = RedisCertificates::new().root(std::fs::read("/etc/redis/ca.pem")?);
/// let store = RedisStore::new("rediss://cache.internal:6380")?.certificates(&certificates)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct RedisCertificates {
    root: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Secret)>,
}

impl RedisCertificates {
    /// None: the operating system's roots, and no certificate of the client's.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these authorities, and no others.
    pub fn root(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root = Some(pem.into());
        self
    }

    /// Shows this chain to servers that ask for one, and proves it with its private key.
    pub fn client(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Secret>) -> Self {
        self.client = Some((chain.into(), key.into()));
        self
    }

    /// That there is something to trust where something was given: an empty list would trust nobody, and say
    /// so only when connecting.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let Some(root) = &self.root else {
            return Ok(());
        };
        let mut certificates = CertificateDer::pem_slice_iter(root).peekable();
        if certificates.peek().is_some() && certificates.all(|certificate| certificate.is_ok()) {
            return Ok(());
        }
        Err(ConfigError::new(
            "certificates",
            format!("{} bytes", root.len()),
            "the root must be one or more certificates in PEM",
        ))
    }

    pub(super) fn to_redis(&self) -> TlsCertificates {
        TlsCertificates {
            client_tls: self.client.as_ref().map(|(chain, key)| ClientTlsConfig {
                client_cert: chain.clone(),
                client_key: key.expose().to_vec(),
            }),
            root_cert: self.root.clone(),
        }
    }
}

impl fmt::Debug for RedisCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCertificates")
            .field("root", &self.root.as_ref().map(Vec::len))
            .field("client", &self.client.as_ref().map(|(_, key)| key))
            .finish()
    }
}
