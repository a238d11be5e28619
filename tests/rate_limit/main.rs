//! The limiter: the window against a plain reference, the memory store, keys, and the layer over HTTP.

#![cfg(feature = "rate-limit")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod algorithms;
mod allocations;
mod attack;
mod clock;
mod fields;
mod hostile;
mod in_flight;
mod keys;
mod layer;
mod memory;
mod outcomes;
mod quota;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_ahead;
#[cfg(feature = "redis")]
mod redis_ahead_hostile;
#[cfg(feature = "redis")]
mod redis_back;
#[cfg(feature = "redis")]
mod redis_kept;
#[cfg(feature = "redis")]
mod redis_keys;
#[cfg(feature = "redis")]
mod redis_meanwhile;
#[cfg(feature = "redis")]
mod redis_same;
mod servers;
mod several;
mod stores;
mod support;
mod verbs;
mod window;
