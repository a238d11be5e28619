//! The chassis: readiness, refusals, and nesting among other people's layers.

mod nesting;
mod readiness;
mod refusals;
mod support;
