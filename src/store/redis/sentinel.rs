//! [`RedisSentinel`]: who to ask for the master, and how to sign in to it.

use crate::secret::Secret;

/// Sentinels, and the name of the master that they watch.
///
/// ```
/// use portcullis::store::{RedisSentinel, RedisStore};
///
/// let sentinel = RedisSentinel::new(["redis://10.0.0.1:26379", "redis://10.0.0.2:26379"], "main")
///     .username("app")
///     .password("correct horse")
///     .database(2);
/// let store = RedisStore::sentinel(&sentinel)?;
/// # assert!(!format!("{sentinel:?} {store:?}").contains("horse"));
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisSentinel {
    pub(super) urls: Vec<String>,
    pub(super) master: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: u32,
    pub(super) tls: bool,
}

impl RedisSentinel {
    /// The Sentinels' URLs and the master's name. Where Sentinels take credentials, all take the same ones,
    /// and their URLs hold them.
    pub fn new<'a>(urls: impl IntoIterator<Item = &'a str>, master: &str) -> Self {
        Self {
            urls: urls.into_iter().map(str::to_owned).collect(),
            master: master.to_owned(),
            username: None,
            password: None,
            database: 0,
            tls: false,
        }
    }

    /// The user to sign in as to the master. The default is its default user.
    pub fn username(mut self, username: &str) -> Self {
        self.username = Some(username.to_owned());
        self
    }

    /// The password to sign in with to the master. The default is none.
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The logical database. The default is 0.
    pub fn database(mut self, database: u32) -> Self {
        self.database = database;
        self
    }

    /// Connects to the master over TLS. To the Sentinels, their URLs' scheme decides.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }
}

impl std::fmt::Debug for RedisSentinel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URLs may hold passwords.
        f.debug_struct("RedisSentinel")
            .field("urls", &self.urls.len())
            .field("master", &self.master)
            .field("username", &self.username)
            .field("password", &self.password)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .finish()
    }
}
