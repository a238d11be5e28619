//! The security rules that the crate keeps, each as a test named after its number.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod client_ip;
#[cfg(feature = "headers")]
mod headers;
#[cfg(all(feature = "jwt", feature = "http-client"))]
mod jwks;
#[cfg(feature = "jwt")]
mod jwt;
mod logs;
#[cfg(feature = "rate-limit")]
mod rate_limit;
#[cfg(all(feature = "rate-limit", feature = "redis"))]
mod rate_limit_redis;
#[cfg(feature = "redis")]
#[path = "../support/redis/mod.rs"]
mod redis;
mod replay;
#[cfg(all(feature = "tokens", feature = "authz"))]
mod tokens;
#[cfg(feature = "webhook")]
mod webhook;
