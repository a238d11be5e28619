//! Where a store connects to: one node, the master that Sentinels name, or a Cluster.

use std::{fmt, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    Pipeline, RedisConnectionInfo, RedisError, RedisResult, TlsMode, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};

use super::RedisSentinel;
use crate::config::ConfigError;

/// An attempt to connect takes no longer: TLS to another continent fits.
const CONNECTING: Duration = Duration::from_secs(2);

/// The commands that may wait to be written, and the bytes that are written at once: wide enough that some
/// hundred requests at a time never queue for a place.
const QUEUE: usize = 1_024;
const WRITE: usize = 64 * 1_024;

/// A Cluster's client gives a command up by itself after this long; a caller's deadline is shorter.
const CLUSTER_ANSWER: Duration = Duration::from_secs(5);

pub(super) enum Target {
    Node(Box<Client>),
    // Asking Sentinels takes `&mut`; one connection is made at a time anyway.
    Sentinel(Box<tokio::sync::Mutex<SentinelClient>>),
    Cluster(Box<ClusterClient>),
}

#[derive(Clone)]
pub(super) enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Target {
    pub(super) fn node(url: &str) -> Result<Self, ConfigError> {
        let client = Client::open(address("redis_url", url)?).map_err(|error| refused(&error))?;
        Ok(Self::Node(Box::new(client)))
    }

    pub(super) fn cluster<'a>(
        urls: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        let nodes = urls
            .into_iter()
            .map(|url| {
                let node = address("redis_cluster", url)?;
                if node.redis_settings().db() != 0 {
                    return Err(ConfigError::new(
                        "redis_cluster",
                        format!("database {}", node.redis_settings().db()),
                        "a Cluster has no database but 0: keep purposes apart by key prefix",
                    ));
                }
                Ok(node)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let client = ClusterClientBuilder::new(nodes)
            .tcp_settings(tcp())
            .connection_timeout(CONNECTING)
            .response_timeout(CLUSTER_ANSWER)
            .retries(3)
            .min_retry_wait(10)
            .max_retry_wait(200)
            .write_backpressure_boundary(WRITE)
            .build()
            .map_err(|error| refused(&error))?;
        Ok(Self::Cluster(Box::new(client)))
    }

    pub(super) fn sentinel(sentinel: &RedisSentinel) -> Result<Self, ConfigError> {
        let sentinels = sentinel
            .urls
            .iter()
            .map(|url| address("redis_sentinel", url))
            .collect::<Result<Vec<_>, _>>()?;
        if sentinels.is_empty() {
            return Err(ConfigError::new(
                "redis_sentinel",
                "no address",
                "takes at least one",
            ));
        }
        if sentinel.master.is_empty() {
            return Err(ConfigError::new(
                "redis_sentinel",
                "no name",
                "takes the master's name",
            ));
        }
        let mut login = RedisConnectionInfo::default().set_db(i64::from(sentinel.database));
        if let Some(username) = &sentinel.username {
            login = login.set_username(username);
        }
        if let Some(password) = &sentinel.password {
            let password = std::str::from_utf8(password.expose()).map_err(|_| {
                ConfigError::new(
                    "password",
                    format!("{} bytes", password.len()),
                    "must be UTF-8",
                )
            })?;
            login = login.set_password(password);
        }
        let mut node = SentinelNodeConnectionInfo::default()
            .set_redis_connection_info(login)
            .set_tcp_settings(tcp());
        if sentinel.tls {
            provide_crypto("redis_sentinel")?;
            node = node.set_tls_mode(TlsMode::Secure);
        }
        let client = SentinelClient::build(
            sentinels,
            &sentinel.master,
            Some(node),
            SentinelServerType::Master,
        )
        .map_err(|error| refused(&error))?;
        Ok(Self::Sentinel(Box::new(tokio::sync::Mutex::new(client))))
    }

    /// Connects anew, in a bounded time.
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        let connecting = async {
            match self {
                Self::Node(client) => connect_to(client).await,
                Self::Sentinel(sentinel) => {
                    let client = sentinel.lock().await.async_get_client().await?;
                    connect_to(&client).await
                }
                Self::Cluster(client) => {
                    client.get_async_connection().await.map(Connection::Cluster)
                }
            }
        };
        match tokio::time::timeout(CONNECTING, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }
}

async fn connect_to(client: &Client) -> RedisResult<Connection> {
    // Every command has a deadline of its own: no second timer for each.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE)
        .set_write_backpressure_boundary(WRITE);
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    connection.await.map(Connection::Node)
}

impl Connection {
    pub(super) async fn command(&mut self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Node(connection) => connection.send_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer?.extract_error()
    }

    /// The answers to a pipeline's commands, in their order.
    pub(super) async fn pipeline(&mut self, pipeline: &Pipeline) -> RedisResult<Value> {
        let answers = match self {
            Self::Node(connection) => {
                connection
                    .send_packed_commands(pipeline, 0, pipeline.len())
                    .await
            }
            Self::Cluster(connection) => {
                connection
                    .req_packed_commands(pipeline, 0, pipeline.len())
                    .await
            }
        };
        Value::Array(answers?).extract_error()
    }
}

/// Without the delay that gathers small writes, as the client gathers them itself.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn address(setting: &'static str, url: &str) -> Result<ConnectionInfo, ConfigError> {
    let expected = "must be redis://, rediss:// or unix://, as in \
                    rediss://user:password@host:6379/0";
    // The URL holds the password, so its shape is all that is told.
    let given = || {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        match scheme {
            "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix" | "valkey+unix" => {
                format!(
                    "{scheme}:// and {} characters",
                    url.len() - scheme.len() - 3
                )
            }
            _ => format!("{} characters", url.len()),
        }
    };
    let info = url
        .into_connection_info()
        .map_err(|_| ConfigError::new(setting, given(), expected))?;
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => Err(ConfigError::new(
            setting,
            "#insecure",
            "certificates are always verified",
        )),
        ConnectionAddr::TcpTls { .. } => {
            provide_crypto(setting)?;
            Ok(info.set_tcp_settings(tcp()))
        }
        _ => Ok(info.set_tcp_settings(tcp())),
    }
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

/// The client's own words about a configuration are fixed sentences without values.
fn refused(error: &RedisError) -> ConfigError {
    let said = error.detail().unwrap_or_else(|| error.category());
    ConfigError::new(
        "redis_url",
        said.chars().take(80).collect::<String>(),
        "cannot be used",
    )
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node(_) => "one node",
            Self::Sentinel(_) => "Sentinel",
            Self::Cluster(_) => "Cluster",
        })
    }
}
