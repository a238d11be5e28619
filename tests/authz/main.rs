//! Scopes, roles, permissions and policies, through the public API.

#![cfg(feature = "authz")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod allocations;
mod hierarchy;
mod layer;
mod policy;
