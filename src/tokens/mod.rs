//! Access tokens issued, refresh tokens rotated.
//!
//! 1. A [`SigningKey`] signs with one algorithm; [`SigningKeys`] are those of an issuer through a rotation.
//! 2. A [`TokenIssuer`] issues access tokens in the shape of RFC 9068 and publishes the keys that verify them.
//! 3. [`RefreshTokens`] keeps sign-ins alive: each refresh token is good once, and reuse ends its family.
//!
//! # What it does not do
//!
//! It is no authorization server: who signs in, and what they may do, the application decides. An access
//! token cannot be taken back before `exp` unless verifiers ask a store; keep its life short.
//!
//! # Example
//!
//! ```
//! use portcullis::{
//!     jwt::{Algorithm, JwtVerifier},
//!     tokens::{Grant, SigningKey, TokenIssuer},
//! };
//!
//! let key = SigningKey::generate(Algorithm::Es256)?;
//! let issuer = TokenIssuer::new("https://login.example.com", "https://api.example.com", key)?;
//! let grant = Grant::new("user-7", "web-app").scopes(["orders:read"])?;
//! let token = issuer.issue(&grant)?;
//!
//! let verifier = JwtVerifier::builder(issuer.verifying_keys())
//!     .issuer("https://login.example.com")
//!     .audience("https://api.example.com")
//!     .typ("at+jwt");
//! let claims = verifier.verify(token.expose(), std::time::SystemTime::now())?;
//! assert_eq!(claims.subject(), "user-7");
//! assert_eq!(claims.scopes().collect::<Vec<_>>(), ["orders:read"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod grant;
mod issue;
mod jwks;
mod key;
mod keys;
mod refresh;

pub use self::{
    grant::Grant,
    issue::{AccessToken, IssueError, IssueErrorKind, TokenIssuer},
    jwks::JwksService,
    key::SigningKey,
    keys::SigningKeys,
    refresh::{
        FamilyFacts, FamilyId, MOST_FAMILIES, NewFamily, REMEMBERED_ROTATIONS, RefreshError,
        RefreshErrorKind, RefreshToken, RefreshTokenStore, RefreshTokens, Refreshed, ReuseKind,
        TokenHash, Turn, Turned, subject_tag,
    },
};
