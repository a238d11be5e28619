//! Whose request it is: the strategies, what they read, and what they make of it.

mod addresses;
mod allocations;
#[cfg(feature = "axum")]
mod extract;
mod forwarded;
mod keys;
mod properties;
mod proxies;
mod refusals;
mod scheme;
mod strategies;
mod support;
