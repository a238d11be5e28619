//! The chassis: readiness, refusals, and nesting among other people's layers.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod alone;
mod nesting;
mod readiness;
mod refusals;
mod support;
