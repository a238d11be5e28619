//! The stores: one suite over all of them, and what happens to the one in Redis when Redis fails.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod memory;
mod replay;

#[cfg(feature = "redis")]
mod cluster;
#[cfg(feature = "redis")]
mod faults;
#[cfg(all(feature = "redis", feature = "aws-lc"))]
mod guarded;
#[cfg(feature = "redis")]
#[path = "../support/redis/mod.rs"]
mod redis;
#[cfg(feature = "redis")]
mod sentinel;
#[cfg(feature = "redis")]
mod single;
#[cfg(all(feature = "redis", feature = "aws-lc"))]
mod tls;
#[cfg(feature = "redis")]
mod urls;

/// A store that has time for all that a machine is busy with besides.
#[cfg(feature = "redis")]
fn patient(store: portcullis::store::RedisStore) -> portcullis::store::RedisStore {
    store.deadline(std::time::Duration::from_secs(20)).unwrap()
}
