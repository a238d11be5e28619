//! [`JwtError`]: a token that is not accepted, and why.

use std::{borrow::Cow, error::Error, fmt};

/// A token that is not accepted.
///
/// It holds nothing of the token, so it can be logged as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtError {
    kind: JwtErrorKind,
    claim: Option<Cow<'static, str>>,
    /// The code of a check that the application brought.
    code: Option<&'static str>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident => $code:literal, $sentence:literal;)+) => {
        /// Why a token is not accepted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum JwtErrorKind {
            $($(#[$doc])+ $kind,)+
        }

        impl JwtErrorKind {
            pub(super) const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$kind => $code,)+
                }
            }

            /// The sentence for the client, of the characters that RFC 6750 section 3 allows.
            pub(super) fn sentence(self) -> &'static str {
                match self {
                    $(Self::$kind => $sentence,)+
                }
            }
        }
    };
}

kinds! {
    /// The request has no token.
    Missing => "jwt_missing", "A bearer token is needed.";
    /// The `Authorization` field is not one `Bearer` credential (RFC 6750 section 2.1).
    AuthorizationMalformed => "jwt_authorization_malformed", "The Authorization field is malformed.";
    /// The request has two tokens in one place, and it is not known who put the second there.
    Ambiguous => "jwt_ambiguous", "The request has more than one token.";
    /// The token is longer than the verifier reads.
    TooLarge => "jwt_too_large", "The token is too large.";
    /// The token is no compact JWS, or its header cannot be read (RFC 7515 section 7.1).
    Malformed => "jwt_malformed", "The token is malformed.";
    /// The token is encrypted (RFC 7516).
    Encrypted => "jwt_encrypted", "The token is encrypted.";
    /// The header has a member that must be understood and is not (RFC 7515 section 4.1.11).
    CriticalHeader => "jwt_critical_header", "The token has a critical header that is not understood.";
    /// The token's algorithm is not that of any key it could be signed with.
    AlgorithmNotAllowed => "jwt_algorithm_not_allowed", "The token's algorithm is not allowed.";
    /// No key has the id that the token names.
    KeyUnknown => "jwt_key_unknown", "The token's key is not known.";
    /// The keys could not be fetched, and none are left to go by. It is not the token's fault.
    KeysUnavailable => "jwt_keys_unavailable", "The keys to verify the token with cannot be had at present.";
    /// The signature is not the key's for this token.
    SignatureInvalid => "jwt_signature_invalid", "The token's signature is invalid.";
    /// The `typ` of the header is not the one expected (RFC 8725 section 3.11).
    TypeMismatch => "jwt_type_mismatch", "The token is of another type.";
    /// The payload is no set of claims, or a claim is not of its type.
    ClaimsMalformed => "jwt_claims_malformed", "The token's claims are malformed.";
    /// A claim that is demanded is missing.
    ClaimMissing => "jwt_claim_missing", "The token lacks a claim.";
    /// The claims do not make what the application wants of them
    /// ([`JwtVerifier::typed`](super::JwtVerifier::typed)).
    ClaimsMismatch => "jwt_claims_mismatch", "The token's claims are not those of this service.";
    /// `exp` has come (RFC 7519 section 4.1.4).
    Expired => "jwt_expired", "The token has expired.";
    /// `nbf` has not come (RFC 7519 section 4.1.5).
    NotYetValid => "jwt_not_yet_valid", "The token is not valid yet.";
    /// `iat` has not come, where the age of tokens is limited.
    IssuedInFuture => "jwt_issued_in_future", "The token was issued in the future.";
    /// The token was issued longer ago than the maximum age.
    TooOld => "jwt_too_old", "The token is too old.";
    /// `iss` is not an issuer that is expected.
    IssuerMismatch => "jwt_issuer_mismatch", "The token is from another issuer.";
    /// `aud` names nobody who is meant here.
    AudienceMismatch => "jwt_audience_mismatch", "The token is for another audience.";
    /// `sub` is not the subject expected.
    SubjectMismatch => "jwt_subject_mismatch", "The token is for another subject.";
    /// The token was revoked, by itself or with all of its subject's.
    Revoked => "jwt_revoked", "The token was revoked.";
    /// The token is bound to a key of its holder (`cnf`, RFC 7800), and nothing checks that.
    ConfirmationUnchecked => "jwt_confirmation_unchecked", "The token must be presented with a proof of possession.";
    /// A check that the application brought does not accept the token
    /// ([`JwtVerifier::add_check`](super::JwtVerifier::add_check)).
    Refused => "jwt_refused", "The token is not accepted here.";
}

impl JwtError {
    pub(super) fn of_claim(kind: JwtErrorKind, claim: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            claim: Some(claim.into()),
            code: None,
        }
    }

    /// The error of a check of your own: of the kind [`JwtErrorKind::Refused`], with this code (lower case
    /// with underscores), which is what the client of a layer is told.
    #[must_use]
    pub fn refused(code: &'static str) -> Self {
        Self {
            kind: JwtErrorKind::Refused,
            claim: None,
            code: Some(code),
        }
    }

    /// Why the token is not accepted, to be told apart by a program.
    #[must_use]
    pub fn kind(&self) -> JwtErrorKind {
        self.kind
    }

    /// The stable code: the kind's, or of a check of the application's own the one it gave.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code.unwrap_or(self.kind.code())
    }

    /// The name of the claim that is missing or malformed: always one that this crate or the verifier's
    /// configuration names, never one from the token.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        self.claim.as_deref()
    }
}

impl From<JwtErrorKind> for JwtError {
    fn from(kind: JwtErrorKind) -> Self {
        Self {
            kind,
            claim: None,
            code: None,
        }
    }
}

impl fmt::Display for JwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.sentence())?;
        match &self.claim {
            Some(claim) => write!(f, " ({})", claim.escape_debug()),
            None => Ok(()),
        }
    }
}

impl Error for JwtError {}
