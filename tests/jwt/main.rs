//! JSON Web Tokens: keys, verification, the layer.

#![cfg(feature = "jwt")]

mod mint;

mod allocations;
#[cfg(feature = "axum")]
mod axum;
mod claims;
mod fuzz;
mod jwks;
mod jws;
mod keys;
mod layer;
mod resource;
mod typed;
mod verify;
