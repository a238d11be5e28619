//! For tests of services: an issuer that mints any token, right or wrong, and serves its keys on loopback.
//!
//! Never build it into a service: a [`TestIssuer`] signs whatever it is told.
//!
//! ```
//! use std::time::SystemTime;
//! use portcullis::{jwt::JwtErrorKind, test_util::TestIssuer};
//!
//! let issuer = TestIssuer::new();
//! let verifier = issuer.verifier();
//! let good = issuer.token().claim("scope", "orders:read").mint();
//! assert!(verifier.verify(good, SystemTime::now()).is_ok());
//!
//! let expired = issuer.token().expired().mint();
//! let refused = verifier.verify(expired, SystemTime::now()).unwrap_err();
//! assert_eq!(refused.kind(), JwtErrorKind::Expired);
//! ```

mod issuer;
mod serve;
mod token;

pub use self::{issuer::TestIssuer, serve::TestKeyServer, token::TestToken};
