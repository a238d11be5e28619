//! Where a store is to connect to, read from what the programmer gave.

use std::{borrow::Cow, sync::Arc};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, TlsMode,
    cluster::ClusterClientBuilder,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};

use super::{
    RedisCertificates, RedisSentinel,
    target::{self, Target},
};
use crate::{config::ConfigError, secret::Secret};

/// What is kept of the configuration, to build it anew with other certificates.
#[derive(Clone)]
pub(super) enum Plan {
    Node(Arc<ConnectionInfo>),
    Sentinel(Arc<RedisSentinel>),
    Cluster(Arc<[ConnectionInfo]>),
}

impl Plan {
    pub(super) fn node(url: &str) -> Result<Self, ConfigError> {
        Ok(Self::Node(Arc::new(address("redis_url", url)?)))
    }

    pub(super) fn sentinel(sentinel: &RedisSentinel) -> Self {
        Self::Sentinel(Arc::new(sentinel.clone()))
    }

    pub(super) fn cluster<'a>(
        urls: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        let nodes = urls.into_iter().map(|url| {
            let node = address("redis_cluster", url)?;
            let database = node.redis_settings().db();
            if database != 0 {
                return Err(ConfigError::new(
                    "redis_cluster",
                    format!("database {database}"),
                    "a Cluster has no database but 0: keep purposes apart by key prefix",
                ));
            }
            Ok(node)
        });
        Ok(Self::Cluster(nodes.collect::<Result<_, _>>()?))
    }

    pub(super) fn build(
        &self,
        certificates: Option<&RedisCertificates>,
    ) -> Result<Target, ConfigError> {
        match self {
            Self::Node(node) => {
                let node = trusting("redis_url", node, certificates)?;
                let client = Client::open(node).map_err(|error| unusable("redis_url", &error))?;
                Ok(Target::Node(Box::new(client)))
            }
            Self::Sentinel(sentinel) => build_sentinel(sentinel, certificates),
            Self::Cluster(nodes) => build_cluster(nodes, certificates),
        }
    }
}

fn build_cluster(
    nodes: &[ConnectionInfo],
    certificates: Option<&RedisCertificates>,
) -> Result<Target, ConfigError> {
    let mut builder = ClusterClientBuilder::new(nodes.iter().cloned())
        .tcp_settings(target::tcp())
        .connection_timeout(target::CONNECTING)
        .response_timeout(target::CLUSTER_ANSWER)
        .retries(3)
        .min_retry_wait(10)
        .max_retry_wait(200);
    if let Some(certificates) = certificates {
        for node in nodes {
            must_be_tls("redis_cluster", node)?;
        }
        builder = builder.certs(certificates.to_redis());
    }
    let client = builder
        .build()
        .map_err(|error| unusable("redis_cluster", &error))?;
    Ok(Target::Cluster(Box::new(client)))
}

fn build_sentinel(
    sentinel: &Arc<RedisSentinel>,
    certificates: Option<&RedisCertificates>,
) -> Result<Target, ConfigError> {
    let first = sentinel_client(sentinel, certificates)?;
    let (sentinel, certificates) = (Arc::clone(sentinel), certificates.cloned());
    Ok(Target::sentinel(first, move || {
        // As it was made once, so it is again.
        let failed = |_| RedisError::from((ErrorKind::InvalidClientConfig, "unusable Sentinels"));
        sentinel_client(&sentinel, certificates.as_ref()).map_err(failed)
    }))
}

fn sentinel_client(
    sentinel: &RedisSentinel,
    certificates: Option<&RedisCertificates>,
) -> Result<SentinelClient, ConfigError> {
    const SETTING: &str = "redis_sentinel";
    let refused =
        |given: &str, expected: &'static str| Err(ConfigError::new(SETTING, given, expected));
    if sentinel.master.is_empty() {
        return refused("no name", "takes the master's name");
    }
    let mut addresses = Vec::with_capacity(sentinel.urls.len());
    let mut login: Option<ConnectionInfo> = None;
    for url in &sentinel.urls {
        let info = address(SETTING, url)?;
        let info = match certificates {
            Some(_) if is_tls(&info) => trusting(SETTING, &info, certificates)?,
            _ => info,
        };
        let differs = login.as_ref().is_some_and(|first| {
            let (first, this) = (first.redis_settings(), info.redis_settings());
            first.username() != this.username() || first.password() != this.password()
        });
        if differs {
            return refused(
                "different credentials",
                "takes the same ones for all Sentinels",
            );
        }
        addresses.push(info.addr().clone());
        login.get_or_insert(info);
    }
    let Some(login) = login else {
        return refused("no address", "takes at least one");
    };
    let mut builder =
        SentinelClientBuilder::new(addresses, &sentinel.master, SentinelServerType::Master)
            .map_err(|error| unusable(SETTING, &error))?
            .set_client_to_sentinel_tcp_settings(target::tcp())
            .set_client_to_redis_tcp_settings(target::tcp())
            .set_client_to_redis_db(i64::from(sentinel.database));
    if let Some(username) = login.redis_settings().username() {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = login.redis_settings().password() {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if let Some(username) = &sentinel.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &sentinel.password {
        builder = builder.set_client_to_redis_password(text(password)?);
    }
    if sentinel.tls {
        provide_crypto(SETTING)?;
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        if let Some(certificates) = certificates {
            builder = builder.set_client_to_redis_certificates(certificates.to_redis());
        }
    } else if certificates.is_some() {
        return refused("certificates without TLS", "needs `tls()` for them");
    }
    builder.build().map_err(|error| unusable(SETTING, &error))
}

fn text(password: &Secret) -> Result<&str, ConfigError> {
    std::str::from_utf8(password.expose()).map_err(|_| {
        ConfigError::new(
            "password",
            format!("{} bytes", password.len()),
            "must be UTF-8",
        )
    })
}

fn address(setting: &'static str, url: &str) -> Result<ConnectionInfo, ConfigError> {
    // The URL holds the password, so its shape is all that is told.
    let shape = || match url.split_once("://") {
        Some((scheme @ ("redis" | "rediss" | "valkey" | "valkeys" | "unix"), rest)) => {
            format!("{scheme}:// and {} bytes", rest.len())
        }
        _ => format!("{} bytes", url.len()),
    };
    let info = url.into_connection_info().map_err(|_| {
        let expected = "must be redis://, rediss:// or unix://, as in \
                        rediss://user:password@host:6379/0";
        ConfigError::new(setting, shape(), expected)
    })?;
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => {
            let expected = "certificates are always verified";
            return Err(ConfigError::new(setting, "#insecure", expected));
        }
        ConnectionAddr::TcpTls { .. } => provide_crypto(setting)?,
        _ => {}
    }
    Ok(info.set_tcp_settings(target::tcp()))
}

fn is_tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

fn must_be_tls(setting: &'static str, info: &ConnectionInfo) -> Result<(), ConfigError> {
    if is_tls(info) {
        return Ok(());
    }
    let expected = "certificates are for rediss://";
    Err(ConfigError::new(
        setting,
        "an address without TLS",
        expected,
    ))
}

fn trusting(
    setting: &'static str,
    info: &ConnectionInfo,
    certificates: Option<&RedisCertificates>,
) -> Result<ConnectionInfo, ConfigError> {
    let Some(certificates) = certificates else {
        return Ok(info.clone());
    };
    must_be_tls(setting, info)?;
    let client = Client::build_with_tls(info.clone(), certificates.to_redis())
        .map_err(|error| unusable("certificates", &error))?;
    Ok(client.get_connection_info().clone())
}

/// Sees to it that rustls has a provider when it connects: it would take the process' default, make the one
/// that is compiled in the default, or panic where none or several are.
fn provide_crypto(setting: &'static str) -> Result<(), ConfigError> {
    if rustls::crypto::CryptoProvider::get_default().is_some() {
        return Ok(());
    }
    #[cfg(feature = "aws-lc")]
    {
        let _ = setting;
        // Lost only to another thread that has installed one just now.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Ok(())
    }
    #[cfg(not(feature = "aws-lc"))]
    Err(ConfigError::new(
        setting,
        "TLS without a crypto provider",
        "needs one: enable the feature `aws-lc`, or install rustls' default provider before",
    ))
}

/// The client says what is wrong in fixed sentences; what it adds to them is left out.
fn unusable(setting: &'static str, error: &RedisError) -> ConfigError {
    let said = error.to_string();
    let sentence = said.split(" - ").next().unwrap_or_default();
    let given = if sentence.len() < said.len() {
        Cow::Borrowed(sentence)
    } else {
        Cow::Borrowed(error.category())
    };
    ConfigError::new(setting, given, "cannot be used")
}
