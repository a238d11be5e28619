//! What went wrong between this process and Redis, told without what was sent.
//!
//! A server's own error text may repeat the command it refused, credentials included (a server that does
//! not know `HELLO` quotes its arguments, the password among them). So of a server's error only the code is
//! kept.

use std::{error::Error, fmt, io, sync::Arc};

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::{StoreError, StoreErrorKind};

/// The source of a [`StoreError`] that came from Redis.
#[derive(Debug)]
pub(super) struct Fault(String);

impl Fault {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis: {}", self.0)
    }
}

impl Error for Fault {}

/// The error as the rest of the crate sees it.
pub(super) fn store_error(error: &RedisError) -> StoreError {
    StoreError::caused_by(kind(error), Fault(describe(error)))
}

/// Whether the connection is of no use any more.
///
/// What was sent over it may or may not have been done.
pub(super) fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

/// Whether the task of a Cluster's client has ended, with its runtime for example: then nobody mends its
/// connections any more. A pipe to one of its nodes that broke is no such thing, so what tells the two apart
/// is the client's own word.
pub(super) fn is_closed(error: &RedisError) -> bool {
    let Some(source) = error.source() else {
        return false;
    };
    // The client hands out the counter that it keeps its cause in.
    let source = source
        .downcast_ref::<Arc<dyn Error + Send + Sync>>()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .or_else(|| source.downcast_ref());
    source.is_some_and(|source| {
        source.kind() == io::ErrorKind::BrokenPipe
            && source.to_string().starts_with("redis_cluster: Unable to ")
    })
}

/// Whether the server is not the one to talk to, and did nothing: a master that has become a replica.
pub(super) fn is_demoted(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Whether what a key holds is of another type than the command is for: no fault of any other command.
pub(super) fn is_of_a_key(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

pub(super) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn kind(error: &RedisError) -> StoreErrorKind {
    match error.kind() {
        ErrorKind::Io if error.is_timeout() => StoreErrorKind::Timeout,
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            StoreErrorKind::Refused
        }
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => StoreErrorKind::Corrupt,
        ErrorKind::Server(
            ServerErrorKind::ResponseError
            | ServerErrorKind::ExecAbort
            | ServerErrorKind::NoScript
            | ServerErrorKind::CrossSlot
            | ServerErrorKind::NotBusy
            | ServerErrorKind::NoSub,
        ) => by_code(error.code(), StoreErrorKind::Corrupt),
        ErrorKind::Extension => by_code(error.code(), StoreErrorKind::Corrupt),
        // Not connected, no master, a Cluster without one, a server that is still loading.
        _ => StoreErrorKind::Unreachable,
    }
}

fn by_code(code: Option<&str>, otherwise: StoreErrorKind) -> StoreErrorKind {
    match code {
        Some("OOM") => StoreErrorKind::Full,
        Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" | "MISCONF" | "NOREPLICAS") => {
            StoreErrorKind::Refused
        }
        Some("BUSY" | "UNBLOCKED" | "UNKILLABLE") => StoreErrorKind::Unreachable,
        _ => otherwise,
    }
}

fn describe(error: &RedisError) -> String {
    if error.is_io_error() {
        // The operating system's and TLS' words: an address at most.
        return match error.source() {
            Some(source) => source.to_string(),
            None => "the connection is closed".to_owned(),
        };
    }
    match error.code() {
        Some(code) => format!("the server answered {}", code.escape_debug()),
        None => error.category().to_owned(),
    }
}
