//! Redis servers of the tests' own: started on free ports, stopped when dropped.
//!
//! Used as `#[path = "../support/redis/mod.rs"] mod redis;`. A server that is forgotten (a static, a test
//! that is killed) ends with the process that started it.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(unused_imports, reason = "each test uses its part")]

mod cluster;
mod port;
mod sentinel;
mod server;
mod tls;
mod wire;

use std::time::{Duration, Instant};

pub(crate) use self::{
    cluster::RedisCluster,
    sentinel::RedisSentinels,
    server::{A_PORT, RedisServer},
    tls::Tls,
    wire::Answer,
};

/// How long something may take that must come in the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
///
/// Other processes say nothing when they are ready, so there is nothing to wait for but time; a machine that
/// is busy with other tests gets a lot of it.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "waited {PATIENCE:?} for this: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same, for a question that is asked asynchronously.
pub(crate) async fn eventually_async<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "waited {PATIENCE:?} for this: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
