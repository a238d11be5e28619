//! Verification of JSON Web Tokens (RFC 7519, RFC 8725): keys, verifiers and a layer.
//!
//! 1. A [`VerifyingKey`] is for one algorithm, settled when it is made; a [`KeySet`] holds several.
//! 2. A [`JwtVerifier`] checks a token against keys, issuer and audience, none of which can be forgotten,
//!    at a time it is given. It needs no server.
//! 3. A [`JwtAuthLayer`] does so for every request and answers 401 to the rest, before anything inside it
//!    runs.
//!
//! [`JwsVerifier`] checks signatures over payloads that are no claims.
//! [`RemoteJwks`] is a set of keys that is fetched and kept fresh (feature `fetch`); [`JwtVerifiers`] are
//! several issuers with keys of their own; a [`TokenSource`] is another place than `Authorization` to take
//! the token from; [`ResourceMetadata`] tells clients where to get one.
//!
//! Nothing here is global: whichever other crate of a program uses which crypto library does not matter.
//!
//! # What it does not do
//!
//! A verified token says what its issuer knew when it was signed. It is good until `exp`, logged out or not;
//! keep the lives of tokens short. A bearer token is whose hands it is in: serve it over TLS only.
//!
//! # What it costs
//!
//! The whole layer and an empty service in it, as a multiple of the signature check alone (backend `aws-lc`; a
//! token of 8 claims; medians of interleaved runs of the bench `jwt`, on a processor that computes SHA-256 in
//! hardware, where that check takes 0.31, 12, 34 and 24 µs):
//!
//! | | HS256 | RS256 | ES256 | Ed25519 |
//! |---|---|---|---|---|
//! | every token verified | 2.4 | 1.05 | 1.02 | 1.02 |
//! | every token verified, keys that were fetched | | 1.06 | 1.02 | 1.02 |
//! | tokens that were seen before, 1,000 in rotation | 1.1 | 0.04 | 0.01 | 0.015 |
//!
//! A token that was seen before adds 0.25 to 0.35 µs to the service and 2 allocations, another one 4: the text
//! of its claims, what was read of them, and two places in the extensions. One more names the claims that RFC
//! 7519 does not know.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use http::{Request, Response, StatusCode, header};
//! use portcullis::{
//!     clock::ManualClock,
//!     jwt::{Claims, JwtAuthLayer, JwtVerifier, VerifyingKey},
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The key and the token of RFC 7515 appendix A.1, which names an issuer and no audience.
//! let key = VerifyingKey::from_jwk(
//!     r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
//! )?;
//! let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
//!     .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
//!     .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
//!
//! let verifier = JwtVerifier::builder(key).issuer("joe").dangerous_without_audience();
//! let inner = service_fn(async |request: Request<()>| {
//!     let claims = request.extensions().get::<Claims>().expect("the layer let it in");
//!     Ok::<_, std::convert::Infallible>(Response::new(claims.issuer().to_owned()))
//! });
//! let service = ServiceBuilder::new()
//!     .layer(JwtAuthLayer::new(verifier).with_clock(ManualClock::at_unix(1_300_819_379)))
//!     .service(inner);
//!
//! let request = Request::builder()
//!     .header(header::AUTHORIZATION, format!("Bearer {token}"))
//!     .body(())?;
//! assert_eq!(service.clone().oneshot(request).await?.status(), StatusCode::OK);
//!
//! let refused = service.oneshot(Request::new(())).await?;
//! assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(refused.headers()[header::WWW_AUTHENTICATE], "Bearer");
//! # Ok(())
//! # }
//! ```

mod address;
mod algorithm;
mod authorization;
mod base64url;
mod builder;
mod cache;
mod challenge;
mod claims;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod header;
mod json;
mod jws;
mod key;
mod key_set;
mod layer;
mod mapping;
mod memo;
mod names;
mod published;
#[cfg(feature = "fetch")]
mod remote;
mod resource;
mod revocation;
mod rules;
mod source;
mod token_source;
mod verifier;
mod verifiers;
mod verify_async;

/// Reads JSON as strictly as a token's: for whoever makes tokens.
#[cfg(feature = "tokens")]
pub(crate) fn read_json(text: &[u8]) -> Option<serde_json::Value> {
    json::read(text)
}

#[cfg(feature = "tokens")]
pub(crate) use self::published::{cached_for, published};
#[cfg(feature = "fetch")]
pub use self::remote::{JwksError, JwksErrorKind, JwksEvent, RemoteJwks, RemoteJwksBuilder};
pub use self::{
    algorithm::Algorithm,
    builder::{JwtVerifierBuilder, WantsAudience, WantsIssuer},
    claims::Claims,
    error::{JwtError, JwtErrorKind},
    jws::{JwsVerifier, VerifiedJws},
    key::{KeyError, KeyErrorKind, VerifyingKey},
    key_set::{KeySet, LeftOut},
    layer::{JwtAuth, JwtAuthLayer, JwtGuard},
    mapping::{ClaimMapping, ClaimPath},
    names::Names,
    resource::ResourceMetadata,
    revocation::{RevocationStore, Revocations, TokenRef},
    source::KeySource,
    token_source::TokenSource,
    verifier::JwtVerifier,
    verifiers::JwtVerifiers,
};
