#![doc = "The door of a Rust web service."]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod audit;
pub mod body;
pub mod client_ip;
pub mod clock;
pub mod config;
pub mod guard;
pub mod head;
pub mod principal;
pub mod problem;
pub mod random;
pub mod secret;

#[cfg(feature = "jwt")]
mod crypto;
#[cfg(feature = "headers")]
pub mod headers;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg(feature = "rate-limit")]
pub mod store;
