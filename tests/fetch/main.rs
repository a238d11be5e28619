//! The client that fetches, against servers on loopback.

#![cfg(feature = "http-client")]

mod client;
mod tls;
