//! [`RedisStore`]: everything in Redis or Valkey, shared by many processes.
//!
//! # For the crate's own domains
//!
//! A domain implements its store trait for [`RedisStore`] in a file of its own (`rate_limit/redis.rs`). The
//! store is cheap to clone into the future of a [`Reply::Wait`](super::Reply::Wait), and has:
//!
//! - `key(domain, parts) -> Key`: `<prefix><domain>:{<parts>}`. Parts are escaped, so they may be input; all keys
//!   with the same parts lie in one slot. `Key::with_suffix` gives further keys in that slot.
//! - `command(&Cmd, Call)`, `pipeline(&Pipeline, Call)`: native commands.
//! - `script(&Script, &[&Key], arguments, Call)`: `EVALSHA`, then `EVAL` where the server does not know it.
//! - `Call::once()` or `Call::idempotent()` (sent again if the connection broke), `.within(deadline)`.
//! - `Expiry::after(duration)`: what every write takes.
//!
//! Each gives its answer by its deadline or a [`StoreError`].

mod certificates;
mod door;
mod fault;
mod key;
mod link;
mod plan;
mod sentinel;
mod target;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

pub use self::{certificates::RedisCertificates, sentinel::RedisSentinel};
#[allow(
    unused_imports,
    reason = "each module with a store of its own uses its part"
)]
pub(crate) use self::{
    door::{Call, Script},
    key::{Expiry, Key},
};
use self::{link::Link, plan::Plan};
use super::StoreError;
use crate::config::ConfigError;

const DEFAULT_DEADLINE: Duration = Duration::from_secs(1);
const LONGEST_DEADLINE: Duration = Duration::from_secs(60);
const LONGEST_PREFIX: usize = 128;

/// A store in Redis 6 or later, or in Valkey: one node, the master that Sentinels name, or a Cluster.
///
/// It implements every store trait over one multiplexed connection. Cloning it is cheap and gives another
/// handle to the same connection; so does [`key_prefix`](Self::key_prefix), which keeps purposes apart.
///
/// - Nothing is connected before the first command ([`ping`](Self::ping) is one), so a service starts even
///   while Redis is down. A broken connection is made anew without a restart, also when Sentinels name another
///   master and when a Cluster moves its slots.
/// - Every command answers within its [`deadline`](Self::deadline), connecting included.
/// - Every key expires, and starts with the prefix. Keys that are decided about together lie in one slot.
/// - Scripts are kept by the server under their digest, and sent again to a server that does not know them.
/// - No password, key or value reaches a `Debug`, an error or a log.
///
/// Redis itself must forget nothing: with a `maxmemory-policy` other than `noeviction`, what was revoked or used
/// up may be forgotten early, and is then good again. Without it, a Redis that is full says so
/// ([`Full`](super::StoreErrorKind::Full)).
///
/// It needs the tokio runtime with timers, and says [`Unreachable`](super::StoreErrorKind::Unreachable)
/// outside of any.
///
/// # TLS
///
/// `rediss://` verifies the server's certificate against the operating system's roots, or an
/// [authority of one's own](Self::certificates), on one node, with Sentinels and on a Cluster alike.
///
/// It is the one thing in this crate that is not a store's own: the Redis client takes rustls' crypto
/// provider from the process, and cannot be handed one. Where the process has a default provider, that is
/// used. Where it has none, making a `rediss://` store installs aws-lc's as the default, once and for all. An
/// application that wants another, or says so itself, calls `CryptoProvider::install_default` before it makes
/// the store. `redis://` and `unix://` touch nothing of it.
///
/// # Users
///
/// A user of Redis 7 for one application, whose keys have the prefix `myapp:`, needs no more than
/// `~myapp:* +@read +@write +@scripting +@connection -@dangerous`; with Sentinels also `+role`, on a Cluster
/// also `+cluster|slots`.
///
/// ```
/// use std::time::Duration;
/// use portcullis::store::RedisStore;
///
/// let store = RedisStore::new("redis://app:secret@localhost:6379/2")?
///     .key_prefix("myapp:")?
///     .deadline(Duration::from_millis(200))?;
/// assert!(!format!("{store:?}").contains("secret"));
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct RedisStore(Arc<Shared>);

#[derive(Clone)]
struct Shared {
    link: Arc<Link>,
    plan: Plan,
    prefix: String,
    deadline: Duration,
}

impl RedisStore {
    /// A store on one node: `redis://`, `rediss://` (TLS) or `unix://`, with an optional user, password and
    /// database: `redis://user:password@host:6379/0`.
    ///
    /// # Errors
    ///
    /// If the URL cannot be read. The error does not hold it.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Self::on(Plan::node(url)?)
    }

    /// A store on the master that Sentinels name. When it changes, the store follows.
    ///
    /// # Errors
    ///
    /// If an address cannot be read, or none is given.
    pub fn sentinel(sentinel: &RedisSentinel) -> Result<Self, ConfigError> {
        Self::on(Plan::sentinel(sentinel))
    }

    /// A store on a Cluster, given some of its nodes: the others are found through them. All take the same
    /// credentials, and either all or none of them TLS.
    ///
    /// # Errors
    ///
    /// If a URL cannot be read or names a database, if they differ in their credentials, or if there is none.
    pub fn cluster<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        Self::on(Plan::cluster(urls)?)
    }

    fn on(plan: Plan) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(Shared {
            link: Link::new(plan.build(None)?),
            plan,
            prefix: String::new(),
            deadline: DEFAULT_DEADLINE,
        })))
    }

    /// A store that trusts, or shows, other certificates over TLS, with a connection of its own. The default
    /// are the operating system's roots, and none of the client's.
    ///
    /// # Errors
    ///
    /// If an address is not `rediss://`, or if they are no certificates and keys in PEM.
    pub fn certificates(self, certificates: &RedisCertificates) -> Result<Self, ConfigError> {
        certificates.check()?;
        let link = Link::new(self.0.plan.build(Some(certificates))?);
        let mut shared = Arc::unwrap_or_clone(self.0);
        shared.link = link;
        Ok(Self(Arc::new(shared)))
    }

    /// The same connection, with this text before every key. The default is none.
    ///
    /// # Errors
    ///
    /// If it is longer than 128 bytes, or holds anything but letters, digits and `-._~:/`: a brace would put
    /// all keys into one slot of a Cluster.
    pub fn key_prefix(self, prefix: &str) -> Result<Self, ConfigError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
        if prefix.len() > LONGEST_PREFIX || !prefix.bytes().all(plain) {
            return Err(ConfigError::new(
                "key_prefix",
                prefix.chars().take(LONGEST_PREFIX).collect::<String>(),
                "must be at most 128 letters, digits and -._~:/",
            ));
        }
        let mut shared = Arc::unwrap_or_clone(self.0);
        shared.prefix = prefix.to_owned();
        Ok(Self(Arc::new(shared)))
    }

    /// The same connection, with this much time for a command, connecting included. The default is 1 second.
    /// A layer may have a shorter deadline of its own.
    ///
    /// # Errors
    ///
    /// If it is under a millisecond or over a minute.
    pub fn deadline(self, deadline: Duration) -> Result<Self, ConfigError> {
        if !(Duration::from_millis(1)..=LONGEST_DEADLINE).contains(&deadline) {
            return Err(ConfigError::new(
                "deadline",
                format!("{deadline:?}"),
                "must be from 1 ms to 60 s",
            ));
        }
        let mut shared = Arc::unwrap_or_clone(self.0);
        shared.deadline = deadline;
        Ok(Self(Arc::new(shared)))
    }

    /// Asks whether the store answers: at startup, or for a health check.
    ///
    /// On a Cluster one of its masters answers.
    ///
    /// # Errors
    ///
    /// If it does not, by the deadline.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let pong: String = self
            .command(&redis::cmd("PING"), Call::idempotent())
            .await?;
        if pong == "PONG" {
            Ok(())
        } else {
            Err(StoreError::new(super::StoreErrorKind::Corrupt))
        }
    }

    /// Whether keys lie on several masters, of which one may be away alone.
    #[allow(
        dead_code,
        reason = "each module with a store of its own uses its part"
    )]
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.0.plan, Plan::Cluster(_))
    }

    fn link(&self) -> &Arc<Link> {
        &self.0.link
    }

    fn prefix(&self) -> &str {
        &self.0.prefix
    }

    fn time_allowed(&self) -> Duration {
        self.0.deadline
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("link", &self.0.link)
            .field("key_prefix", &self.0.prefix)
            .field("deadline", &self.0.deadline)
            .finish()
    }
}
