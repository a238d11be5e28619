//! What a verifier demands of claims, once their signature has held.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    claims::{Claims, Make, Registered},
    error::{JwtError, JwtErrorKind},
    names::Names,
};

/// What is demanded of claims and type.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) issuers: Option<Names>,
    pub(super) audiences: Option<Names>,
    pub(super) subject: Option<String>,
    pub(super) typ: Option<String>,
    pub(super) required: Vec<String>,
    pub(super) leeway: Duration,
    pub(super) max_age: Option<Duration>,
    pub(super) without_expiry: bool,
    pub(super) without_confirmation: bool,
    pub(super) own: Option<Make>,
    pub(super) checks: Checks,
}

/// What the application asks of claims.
#[derive(Clone, Default)]
pub(super) struct Checks(Vec<Arc<OwnCheck>>);

type OwnCheck = dyn Fn(&Claims) -> Result<(), JwtError> + Send + Sync;

impl Rules {
    /// What may have changed since a token was found to be good under these rules.
    pub(super) fn check_again(&self, claims: &Claims, now: SystemTime) -> Result<(), JwtError> {
        self.check_times(claims.registered(), now)?;
        self.checks.run(claims)
    }

    pub(super) fn check(&self, claims: &mut Claims, now: SystemTime) -> Result<(), JwtError> {
        self.check_times(claims.registered(), now)?;
        if let Some(issuers) = &self.issuers {
            if !claims.has("iss") {
                return Err(missing("iss"));
            }
            if !issuers.contains(claims.issuer()) {
                return Err(JwtErrorKind::IssuerMismatch.into());
            }
        }
        if let Some(audiences) = &self.audiences {
            if !claims.has("aud") {
                return Err(missing("aud"));
            }
            if !claims
                .audience()
                .any(|audience| audiences.contains(audience))
            {
                return Err(JwtErrorKind::AudienceMismatch.into());
            }
        }
        if let Some(subject) = &self.subject {
            if !claims.has("sub") {
                return Err(missing("sub"));
            }
            if claims.subject() != subject {
                return Err(JwtErrorKind::SubjectMismatch.into());
            }
        }
        if let Some(name) = self.required.iter().find(|name| !claims.has(name)) {
            return Err(JwtError::of_claim(JwtErrorKind::ClaimMissing, name.clone()));
        }
        if !self.without_confirmation && claims.has("cnf") {
            return Err(JwtErrorKind::ConfirmationUnchecked.into());
        }
        if let Some(own) = self.own {
            claims.make(own)?;
        }
        self.checks.run(claims)
    }

    fn check_times(&self, claims: &Registered, now: SystemTime) -> Result<(), JwtError> {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_err(|_| JwtErrorKind::NotYetValid)?;
        match &claims.exp {
            None if !self.without_expiry => return Err(missing("exp")),
            Some(exp) if now >= self.later(exp.since_epoch) => {
                return Err(JwtErrorKind::Expired.into());
            }
            _ => {}
        }
        let earliest = self.later(now);
        let nbf = claims.nbf.as_ref();
        if nbf.is_some_and(|nbf| earliest < nbf.since_epoch) {
            return Err(JwtErrorKind::NotYetValid.into());
        }
        if let Some(max_age) = self.max_age {
            let Some(iat) = &claims.iat else {
                return Err(missing("iat"));
            };
            if earliest < iat.since_epoch {
                return Err(JwtErrorKind::IssuedInFuture.into());
            }
            if now.saturating_sub(iat.since_epoch) > self.later(max_age) {
                return Err(JwtErrorKind::TooOld.into());
            }
        }
        Ok(())
    }

    /// A time with what two clocks are forgiven.
    fn later(&self, time: Duration) -> Duration {
        match self.leeway.is_zero() {
            true => time,
            false => time.saturating_add(self.leeway),
        }
    }
}

impl Checks {
    pub(super) fn add(&mut self, check: Arc<OwnCheck>) {
        self.0.push(check);
    }

    fn run(&self, claims: &Claims) -> Result<(), JwtError> {
        self.0.iter().try_for_each(|check| check(claims))
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} checks", self.0.len())
    }
}

fn missing(claim: &'static str) -> JwtError {
    JwtError::of_claim(JwtErrorKind::ClaimMissing, claim)
}
