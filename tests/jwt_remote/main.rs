//! Keys that are fetched, from an endpoint on loopback that does what endpoints do at their worst. Time is
//! moved by hand; nothing sleeps.

#![cfg(all(feature = "jwt", feature = "http-client"))]

#[path = "../jwt/mint.rs"]
mod mint;
mod support;

mod answers;
mod configuration;
mod discovery;
mod flight;
mod issuers;
mod layer;
mod load;
mod refresh;
mod sources;
