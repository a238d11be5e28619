//! How the crate's domains talk to Redis.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Value};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};

use super::{
    Key, LONGEST_DEADLINE, RedisStore,
    fault::{self, Fault},
    link::Current,
};
use crate::store::{StoreError, StoreErrorKind};

/// How one exchange with Redis is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    deadline: Option<Duration>,
    again: bool,
}

#[allow(
    dead_code,
    reason = "each module with a store of its own uses its part"
)]
impl Call {
    /// Sent once: a connection that breaks meanwhile is an error, as nobody knows what was done. A connection
    /// that broke while nobody used it is one too, until its end has been noticed.
    ///
    /// On a Cluster the client itself sends again what a node that went away had not answered, so what must
    /// not be done twice has to be a script that knows what it did.
    pub(crate) const fn once() -> Self {
        Self {
            deadline: None,
            again: false,
        }
    }

    /// Sent once more over a new connection if the first breaks: for what may be done twice.
    pub(crate) const fn idempotent() -> Self {
        Self {
            deadline: None,
            again: true,
        }
    }

    /// With a deadline of its own instead of the store's, for connecting, sending and sending again together.
    pub(crate) const fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Its own deadline.
    pub(crate) const fn patience(self) -> Option<Duration> {
        self.deadline
    }
}

/// A Lua script, known to the server by its digest. Make one a process or a store, not one a call.
#[derive(Debug)]
pub(crate) struct Script {
    code: &'static str,
    digest: String,
}

impl Script {
    pub(crate) fn new(code: &'static str) -> Self {
        let digest = redis::Script::new(code).get_hash().to_owned();
        Self { code, digest }
    }
}

enum Request<'a> {
    Command(&'a Cmd),
    Pipeline(&'a Pipeline),
    Each(&'a Pipeline),
    /// The invocation by digest, and how to make the one with the code.
    Script(Cmd, &'a (dyn Fn() -> Cmd + Sync)),
}

impl Request<'_> {
    async fn send(&self, current: &mut Current) -> RedisResult<Value> {
        match self {
            Self::Command(command) => current.connection.command(command).await,
            Self::Pipeline(pipeline) => current.connection.pipeline(pipeline).await,
            Self::Each(pipeline) => current.connection.each(pipeline).await,
            Self::Script(by_digest, with_code) => {
                match current.connection.command(by_digest).await {
                    // A restarted, flushed or newly promoted server: it keeps what `EVAL` brings.
                    Err(error) if fault::is_unknown_script(&error) => {
                        current.connection.command(&with_code()).await
                    }
                    answer => answer,
                }
            }
        }
    }
}

#[allow(
    dead_code,
    reason = "each module with a store of its own uses its part"
)]
impl RedisStore {
    /// The key of a domain's entry; see [`Key`] for what the parts may be and what they do.
    pub(crate) fn key(&self, domain: &'static str, parts: &[&[u8]]) -> Key {
        Key::new(self.prefix(), domain, parts)
    }

    /// Sends one command.
    pub(crate) async fn command<T: FromRedisValue>(
        &self,
        command: &Cmd,
        call: Call,
    ) -> Result<T, StoreError> {
        read(self.exchange(Request::Command(command), call).await?)
    }

    /// Sends several commands at once, which all concern keys of one slot, and reads their answers in order:
    /// `T` is a tuple, or a `Vec<redis::Value>` for raw speed. They are not a transaction: others' commands
    /// may come in between. `ignore()` and `atomic()` of the pipeline are not heeded.
    ///
    /// The answer is an error if any of them was refused; the others are done all the same.
    pub(crate) async fn pipeline<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
        call: Call,
    ) -> Result<T, StoreError> {
        read(self.exchange(Request::Pipeline(pipeline), call).await?)
    }

    /// Sends several commands as [`pipeline`](Self::pipeline) does. One that was refused for what its key holds
    /// has that error in its place; the others have their answers.
    pub(crate) async fn each(
        &self,
        pipeline: &Pipeline,
        call: Call,
    ) -> Result<Vec<Value>, StoreError> {
        match self.exchange(Request::Each(pipeline), call).await? {
            Value::Array(answers) => Ok(answers),
            answer => read(answer),
        }
    }

    /// Runs a script over keys of one slot. Every key that the script writes is in `keys`, and gets an
    /// [`Expiry`](super::Expiry), which is among the arguments.
    ///
    /// `arguments` takes whatever redis takes as arguments: a tuple is written as its members.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[impl redis::ToRedisArgs + Sync],
        arguments: impl redis::ToRedisArgs + Sync,
        call: Call,
    ) -> Result<T, StoreError> {
        let invocation = |verb: &str, text: &str| {
            let mut command = redis::cmd(verb);
            command.arg(text).arg(keys.len()).arg(keys).arg(&arguments);
            command
        };
        let with_code = || invocation("EVAL", script.code);
        let by_digest = invocation("EVALSHA", &script.digest);
        read(
            self.exchange(Request::Script(by_digest, &with_code), call)
                .await?,
        )
    }

    /// Runs a script as [`script`](Self::script) does, but always sends its code: it is then done in the order
    /// in which it was sent, also by a server that does not know it.
    pub(crate) async fn script_in_order<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[impl redis::ToRedisArgs + Sync],
        arguments: impl redis::ToRedisArgs + Sync,
        call: Call,
    ) -> Result<T, StoreError> {
        let mut command = redis::cmd("EVAL");
        command.arg(script.code).arg(keys.len());
        command.arg(keys).arg(&arguments);
        read(self.exchange(Request::Command(&command), call).await?)
    }

    async fn exchange(&self, request: Request<'_>, call: Call) -> Result<Value, StoreError> {
        if Handle::try_current().is_err() {
            let fault = Fault::new("needs a tokio runtime");
            return Err(StoreError::caused_by(StoreErrorKind::Unreachable, fault));
        }
        let started = Instant::now();
        let mut current = None;
        let sending = self.send(&request, call.again, started, &mut current);
        let deadline = call
            .deadline
            .unwrap_or(self.time_allowed())
            .min(LONGEST_DEADLINE);
        match timeout_at(started + deadline, sending).await {
            Ok(answer) => answer,
            Err(_) => {
                if let Some(current) = &current {
                    self.link().unanswered(current, started);
                }
                Err(StoreError::new(StoreErrorKind::Timeout))
            }
        }
    }

    async fn send(
        &self,
        request: &Request<'_>,
        again: bool,
        started: Instant,
        current: &mut Option<Current>,
    ) -> Result<Value, StoreError> {
        let link = self.link();
        let mut first = true;
        loop {
            let current = current.insert(link.connection().await?);
            let error = match request.send(current).await {
                Ok(answer) => {
                    link.answered(current);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let broken = fault::is_broken(&error);
            let demoted = fault::is_demoted(&error);
            if !broken && !demoted {
                link.answered(current);
            } else if !current.connection.is_cluster() || fault::is_closed(&error) {
                link.discard(current);
            } else {
                // One node's fault is not the others': the client mends it, if it can.
                link.unanswered(current, started);
            }
            if first && (demoted || broken && again) {
                first = false;
                continue;
            }
            return Err(fault::store_error(&error));
        }
    }
}

fn read<T: FromRedisValue>(answer: Value) -> Result<T, StoreError> {
    // The error would show the answer.
    T::from_redis_value(answer).map_err(|_| {
        let fault = Fault::new("an answer of another type than asked for");
        StoreError::caused_by(StoreErrorKind::Corrupt, fault)
    })
}
