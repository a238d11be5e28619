//! [`JwtVerifierBuilder`]: what a verifier cannot be without.

use std::{fmt, marker::PhantomData};

use super::{
    jws::Signatures, names::Names, rules::Rules, source::KeySource, verifier::JwtVerifier,
};

/// A verifier in the making: first the issuer, then the audience.
///
/// The two cannot be forgotten, because only [`JwtVerifierBuilder::audience`] and the `dangerous_` method
/// beside it make a [`JwtVerifier`], and only an issuer or the other `dangerous_` method gets there:
///
/// ```compile_fail
/// # use portcullis::jwt::{Claims, JwtVerifier, VerifyingKey};
/// # fn example(key: VerifyingKey) {
/// let verifier = JwtVerifier::builder(key).audience("https://api.example.com");
/// # }
/// ```
#[must_use]
pub struct JwtVerifierBuilder<State> {
    keys: KeySource,
    rules: Rules,
    state: PhantomData<State>,
}

/// The state of a [`JwtVerifierBuilder`] that knows no issuer.
#[derive(Debug)]
pub enum WantsIssuer {}

/// The state of a [`JwtVerifierBuilder`] that knows no audience.
#[derive(Debug)]
pub enum WantsAudience {}

impl JwtVerifierBuilder<WantsIssuer> {
    pub(super) fn new(keys: KeySource) -> Self {
        Self {
            keys,
            rules: Rules::default(),
            state: PhantomData,
        }
    }

    /// Demands an `iss` that is exactly this, or exactly one of these.
    ///
    /// Several are meant for the spellings of one issuer: every key of this verifier may speak for each.
    pub fn issuer(mut self, issuer: impl Into<Names>) -> JwtVerifierBuilder<WantsAudience> {
        self.rules.issuers = Some(issuer.into());
        self.dangerous_without_issuer()
    }

    /// Accepts tokens of whatever issuer, and tokens without `iss`: everyone who can sign with one of the
    /// keys, for whatever purpose, is then believed (RFC 8725 section 3.8).
    pub fn dangerous_without_issuer(self) -> JwtVerifierBuilder<WantsAudience> {
        JwtVerifierBuilder {
            keys: self.keys,
            rules: self.rules,
            state: PhantomData,
        }
    }
}

impl JwtVerifierBuilder<WantsAudience> {
    /// Demands an `aud` that is exactly this, or exactly one of these, or a list in which one of these
    /// stands.
    pub fn audience(mut self, audience: impl Into<Names>) -> JwtVerifier {
        self.rules.audiences = Some(audience.into());
        self.dangerous_without_audience()
    }

    /// Accepts tokens for whatever audience, and tokens without `aud`: a token that a user gave to another
    /// service is then as good as one for this (RFC 8725 section 3.9).
    pub fn dangerous_without_audience(self) -> JwtVerifier {
        JwtVerifier::new(Signatures::new(self.keys), self.rules)
    }
}

impl<State> fmt::Debug for JwtVerifierBuilder<State> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifierBuilder")
            .field("keys", &self.keys)
            .field("rules", &self.rules)
            .finish()
    }
}
