//! Signing keys, access tokens, refresh tokens.

#![cfg(feature = "tokens")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

#[path = "../jwt/mint.rs"]
mod mint;

mod issue;
mod keys;
mod mapping;
mod refresh;
mod revocation;
mod stores;
#[cfg(feature = "test-util")]
mod test_issuer;

#[cfg(feature = "redis")]
mod failover;
#[cfg(feature = "redis")]
mod in_redis;
#[cfg(feature = "redis")]
#[path = "../support/redis/mod.rs"]
mod redis;
