//! [`Refreshed`]: what a refresh gives.

use std::time::SystemTime;

use super::{FamilyFacts, RefreshToken};

/// A refresh that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    pub(super) token: RefreshToken,
    pub(super) facts: FamilyFacts,
    pub(super) is_again: bool,
}

impl Refreshed {
    /// The token to use next.
    #[must_use]
    pub fn token(&self) -> &RefreshToken {
        &self.token
    }

    /// Who signed in.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.facts.subject
    }

    /// What the family was begun with.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.facts.payload
    }

    /// The moment from which the user must sign in anew, however often it refreshes.
    #[must_use]
    pub fn ends_at(&self) -> SystemTime {
        self.facts.ends_at
    }

    /// Whether the token had been presented before, within the grace window.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.is_again
    }
}
