//! The security rules that the crate keeps, each as a test named after its number.

mod client_ip;
#[cfg(feature = "headers")]
mod headers;
#[cfg(feature = "jwt")]
mod jwt;
mod logs;
#[cfg(feature = "rate-limit")]
mod rate_limit;
