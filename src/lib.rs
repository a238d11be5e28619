//! The door of a Rust web service: tower layers that verify tokens and webhooks, limit rates, in memory or
//! through Redis, and set security headers, for axum, hyper, tonic and any other tower service.
//!
//! # The layers, in the order in which a request meets them
//!
//! | layer | refuses with | feature |
//! |---|---|---|
//! | [`SecurityHeadersLayer`](headers::SecurityHeadersLayer) | (it only adds) | `headers` |
//! | [`HttpsRedirectLayer`](headers::HttpsRedirectLayer) | 308 to HTTPS | `headers` |
//! | [`RateLimitLayer`](rate_limit::RateLimitLayer) | 429, `Retry-After` | `rate-limit` |
//! | [`JwtAuthLayer`](jwt::JwtAuthLayer) | 401, `WWW-Authenticate` | `jwt` |
//! | [`RequireLayer`](authz::RequireLayer) | 403, or 401 to sign in anew | `authz` |
//! | [`WebhookLayer`](webhook::WebhookLayer) | 401, 413 for a body too large | `webhook` |
//!
//! The headers stand outermost, so that every answer has them, refusals included. The limit stands before
//! the token's verification, so that nobody can make the service verify signatures without end.
//!
//! # What carries them
//!
//! - [`guard`]: the chassis. It polls, refuses and tells; a layer only checks.
//! - [`problem`], [`audit`]: what a refused client is told, and what the security log is.
//! - [`client_ip`]: whose request it is, behind proxies that were named and no others.
//! - [`principal`]: who is asking, whichever way it was proven.
//! - [`tokens`]: access tokens issued, refresh tokens rotated; [`test_util`]: an issuer for tests.
//! - [`ResourceMetadata`](jwt::ResourceMetadata): which issuers an API takes tokens of, published (RFC 9728).
//! - [`store`], [`replay`]: what is remembered between requests, in memory or in Redis, and that nothing
//!   single-use is used twice.
//! - [`fetch`]: what is asked of other servers (key sets), and where it may connect to.
//! - [`clock`], [`secret`], [`random`], [`config`]: time, secrets, randomness, and configuration errors.
//!
//! Every check is also a plain function of its input and the time, to be called without tower:
//! [`JwtVerifier::verify`](jwt::JwtVerifier::verify), [`ClientIp::resolve`](client_ip::ClientIp::resolve).
//!
//! # Promises
//!
//! - No request is let through because something failed, unless a method named `dangerous_` or
//!   `on_store_error` was told so.
//! - A request that the rate limit refuses costs its client's quota nothing. One that a layer inside of the
//!   limit refuses has been counted.
//! - No secret and no token reaches a log, an error or a `Debug`.
//! - Security headers stand on every response, and a handler's own are neither replaced nor doubled.
//! - Memory is bounded: what may be forgotten (counters) is, what may not is refused when full.
//! - Nothing is process-wide: two verifiers, stores or clocks never meet. The one exception: the Redis client
//!   takes the TLS provider of `rediss://` from the process (see `RedisStore`).
//!
//! # Features
//!
//! One for each module, as the table says; `full` is all of them. `aws-lc` (default) or `rust-crypto` is the
//! crypto backend; with both, `aws-lc` is used. `redis` adds `RedisStore`, for every layer that remembers
//! anything; `fetch` adds [`RemoteJwks`](jwt::RemoteJwks), keys that are fetched, and `http-client` the
//! [`HttpClient`](fetch::HttpClient) that fetches them; `axum` adds extractors and reads axum's
//! `ConnectInfo`; `tracing` adds [`TracingAudit`](audit::TracingAudit). A feature adds API and never changes
//! what other code does.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod audit;
pub mod body;
pub mod client_ip;
pub mod clock;
pub mod config;
#[macro_use]
pub mod guard;
pub mod head;
pub mod principal;
pub mod problem;
pub mod random;
pub mod replay;
pub mod secret;
pub mod store;

#[cfg(feature = "authz")]
pub mod authz;
#[cfg(any(
    feature = "jwt",
    feature = "webhook",
    all(
        feature = "rate-limit",
        any(feature = "aws-lc", feature = "rust-crypto")
    )
))]
#[cfg_attr(not(feature = "jwt"), allow(dead_code, unused_imports))]
mod crypto;
#[cfg(feature = "fetch")]
pub mod fetch;
#[cfg(feature = "headers")]
pub mod headers;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg(feature = "test-util")]
pub mod test_util;
#[cfg(feature = "tokens")]
pub mod tokens;
#[cfg(feature = "webhook")]
pub mod webhook;

/// The README's example compiles.
#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
mod readme {}
