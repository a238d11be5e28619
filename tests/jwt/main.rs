//! JSON Web Tokens: keys, verification, the layer.

#![cfg(feature = "jwt")]

mod mint;

/// The adapter that corpora of test vectors come through.
#[path = "../../examples/conformance/jose.rs"]
mod jose;
#[path = "../../examples/conformance/question.rs"]
mod question;

mod allocations;
#[cfg(feature = "axum")]
mod axum;
mod claims;
mod fuzz;
mod jwks;
mod jws;
mod keys;
mod layer;
mod protocol;
mod resource;
mod typed;
mod verify;
