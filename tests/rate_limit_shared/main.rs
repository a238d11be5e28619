//! One limit that several processes share through Redis: under full load, and while something breaks.
//!
//! `cargo test` makes short runs. Long ones (a minute of load on four processes, ten seconds without an answer,
//! the default deadline) print the figures of the docs:
//!
//! ```text
//! cargo build --features full --example shared_limit
//! RATE_LIMIT_SHARED=long cargo test --features full --test rate_limit_shared -- --nocapture --test-threads 1
//! ```

#![cfg(all(feature = "rate-limit", feature = "redis", feature = "axum"))]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod admissions;
mod changes;
mod clients;
mod faults;
mod lines;
mod load;
mod processes;
#[path = "../support/redis/mod.rs"]
mod redis;
mod shares;
mod stuck;

use std::{
    env,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Whether there is time for the long runs.
fn is_long() -> bool {
    env::var("RATE_LIMIT_SHARED").is_ok_and(|length| length == "long")
}

/// Held by whoever loads the machine, so that others do not at the same time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
