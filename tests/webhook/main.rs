//! Webhooks through the front door: vectors, every scheme signed and verified, the layer.

#![cfg(feature = "webhook")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod allocations;
#[cfg(feature = "axum")]
mod axum;
mod configuration;
mod forgery;
mod fuzz;
mod layer;
mod providers;
mod readiness;
mod replay;
mod schemes;
mod support;
mod tampering;
mod vectors;

#[cfg(feature = "redis")]
#[path = "../support/redis/mod.rs"]
mod redis;
