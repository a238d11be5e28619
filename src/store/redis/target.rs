//! What a store is connected to: one node, the master that Sentinels name, or a Cluster.

use std::{
    fmt, io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
    sentinel::SentinelClient,
};

use super::fault;

/// An attempt to connect takes no longer: TLS to another continent fits.
pub(super) const CONNECTING: Duration = Duration::from_secs(2);

/// A Cluster's client gives a command up by itself after this long; a caller's deadline is shorter.
pub(super) const CLUSTER_ANSWER: Duration = Duration::from_secs(5);

/// The commands that may wait to be written: wide enough that some hundred requests at a time never queue for
/// a place. Of the bytes written at once the client's own 8 KB are best: with 64 KB, 256 requests in flight
/// went as one batch, and Redis had nothing to do while it was made (a quarter less in all).
const QUEUE: usize = 1_024;

pub(super) enum Target {
    Node(Box<Client>),
    Sentinel(Box<Sentinels>),
    Cluster(Box<ClusterClient>),
}

/// Asking Sentinels takes `&mut`. One connection is made at a time, so their client lies idle in between; where
/// it does not, it is with somebody who gave up or stands still, and another takes its place.
pub(super) struct Sentinels {
    make: Box<dyn Fn() -> RedisResult<SentinelClient> + Send + Sync>,
    idle: Mutex<Option<SentinelClient>>,
}

#[derive(Clone)]
pub(super) enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Target {
    pub(super) fn sentinel(
        first: SentinelClient,
        make: impl Fn() -> RedisResult<SentinelClient> + Send + Sync + 'static,
    ) -> Self {
        Self::Sentinel(Box::new(Sentinels {
            make: Box::new(make),
            idle: Mutex::new(Some(first)),
        }))
    }

    /// Connects anew, in a bounded time.
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        let connecting = async {
            match self {
                Self::Node(client) => connect_to(client).await,
                Self::Sentinel(sentinels) => connect_to(&sentinels.ask().await?).await,
                Self::Cluster(client) => {
                    client.get_async_connection().await.map(Connection::Cluster)
                }
            }
        };
        match tokio::time::timeout(CONNECTING, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }
}

impl Sentinels {
    /// Who is the master.
    async fn ask(&self) -> RedisResult<Client> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let before = idle().take();
        let mut client = match before {
            Some(client) => client,
            None => (self.make)()?,
        };
        let master = client.async_get_client().await;
        *idle() = Some(client);
        master
    }
}

async fn connect_to(client: &Client) -> RedisResult<Connection> {
    // Every command has a deadline of its own: no second timer for each.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
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
        Value::Array(self.answers(pipeline).await?).extract_error()
    }

    /// The same, with the errors among them that are the fault of a key.
    pub(super) async fn each(&mut self, pipeline: &Pipeline) -> RedisResult<Value> {
        let answers = self.answers(pipeline).await?;
        for answer in &answers {
            if let Value::ServerError(error) = answer {
                let error = error.clone().into();
                if !fault::is_of_a_key(&error) {
                    return Err(error);
                }
            }
        }
        Ok(Value::Array(answers))
    }

    async fn answers(&mut self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let count = pipeline.len();
        match self {
            Self::Node(connection) => connection.send_packed_commands(pipeline, 0, count).await,
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, 0, count).await,
        }
    }

    /// Whether connections to several servers are behind it, which it looks after itself.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// Without the delay that gathers small writes, as the client gathers them itself.
pub(super) fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
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
