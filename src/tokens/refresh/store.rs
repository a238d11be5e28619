//! [`RefreshTokenStore`]: where families are kept.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{FamilyId, ReuseKind, TokenHash};
use crate::store::Reply;

/// How many of a family's latest rotations a store remembers the moments of. A token that more than these
/// came after is not within the grace window, however short ago they were.
pub const REMEMBERED_ROTATIONS: usize = 8;

/// How many families a subject may have that have not expired, revoked ones included: whoever signs in again
/// and again fills their own place and nobody else's.
pub const MOST_FAMILIES: usize = 1024;

/// How far in the future a rotation may lie and still be within the grace window: callers' clocks differ, and a
/// time may be long on its way. A clock that was set back further must not keep the window open until it is
/// where it was.
pub(super) const MOST_SKEW: Duration = Duration::from_secs(60);

/// A family to begin.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NewFamily<'a> {
    /// Its id, which no other family has.
    pub id: FamilyId,
    /// Whose it is: at most 1 KiB.
    pub subject: &'a str,
    /// What is handed back at each rotation: at most 16 KiB.
    pub payload: &'a str,
    /// The hash of its first token, of generation 0.
    pub hash: TokenHash,
    /// The moment from which none of its tokens is good any more.
    pub ends_at: SystemTime,
    /// How long it may go without a rotation.
    pub idle: Duration,
}

/// A token that was presented, and the one that would follow it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Turn {
    /// The family that both are of.
    pub family: FamilyId,
    /// The generation of the token that was presented.
    pub generation: u32,
    /// The hash of the token that was presented.
    pub presented: TokenHash,
    /// The hash of the token before it; none for the first of a family.
    pub predecessor: Option<TokenHash>,
    /// The hash of the token that follows it, of the next generation.
    pub successor: TokenHash,
    /// How long after its rotation a token may be presented again.
    pub grace: Duration,
    /// How long the family may go without a rotation from now on.
    pub idle: Duration,
}

/// What became of a [`Turn`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Turned {
    /// The token was the live one; its successor is now.
    Rotated(FamilyFacts),
    /// The token is the successor of the one that was held to be live: the store had lost the rotation that
    /// made it. That was done again, and the token was rotated.
    CaughtUp(FamilyFacts),
    /// The token was rotated within the grace window; nothing changed.
    Again {
        /// Whose family it is.
        facts: FamilyFacts,
        /// The generation of the live token.
        generation: u32,
        /// The hash of the live token.
        live: TokenHash,
    },
    /// The token was used before, and its family is revoked now.
    Reused(ReuseKind, FamilyFacts),
    /// The family was revoked before.
    Revoked,
    /// There is no such family: it has expired, or never was.
    Unknown,
}

/// What a family was begun with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FamilyFacts {
    /// Whose it is.
    pub subject: Arc<str>,
    /// What is handed back at each rotation.
    pub payload: Arc<str>,
    /// The moment from which none of its tokens is good any more.
    pub ends_at: SystemTime,
}

impl FamilyFacts {
    /// The facts of a family that a store has found.
    #[must_use]
    pub fn new(subject: Arc<str>, payload: Arc<str>, ends_at: SystemTime) -> Self {
        Self {
            subject,
            payload,
            ends_at,
        }
    }
}

/// Keeps families of refresh tokens.
///
/// Every verb is atomic under any interleaving. A family is kept until it ends or has been idle for too
/// long, revoked or not, and no longer; it is never forgotten earlier to make room. `now` is the caller's
/// clock; where callers' clocks differ, a family that was used does not expire earlier for it.
pub trait RefreshTokenStore: Send + Sync + 'static {
    /// Begins a family. A store that is full refuses, and so it does where the subject has
    /// [`MOST_FAMILIES`].
    fn begin(&self, family: &NewFamily<'_>, now: SystemTime) -> Reply<()>;

    /// Decides about a token that was presented, and acts on it, in one step:
    ///
    /// 1. No family, or one that has ended or was idle for too long: [`Turned::Unknown`].
    /// 2. A revoked family: [`Turned::Revoked`].
    /// 3. The live token (generation and hash): its successor becomes the live one, [`Turned::Rotated`].
    /// 4. A token of the generation after the live one's, whose predecessor is the live one: its successor
    ///    becomes the live one, as if both had been rotated now, [`Turned::CaughtUp`].
    /// 5. A token of an earlier generation that was rotated not longer ago than the grace window, nor more than
    ///    a minute in the future, one of the latest [`REMEMBERED_ROTATIONS`]: [`Turned::Again`].
    /// 6. Any other: the family is revoked, [`Turned::Reused`].
    fn rotate(&self, turn: &Turn, now: SystemTime) -> Reply<Turned>;

    /// Revokes a family; whether there was one to revoke. One that has expired is none, and is gone after it,
    /// whatever other callers' clocks show.
    fn revoke_family(&self, family: FamilyId, now: SystemTime) -> Reply<bool>;

    /// Revokes all families of a subject; how many there were to revoke. Those that have expired are gone, as
    /// above.
    fn revoke_subject(&self, subject: &str, now: SystemTime) -> Reply<u64>;
}

impl<S: RefreshTokenStore + ?Sized> RefreshTokenStore for Arc<S> {
    fn begin(&self, family: &NewFamily<'_>, now: SystemTime) -> Reply<()> {
        (**self).begin(family, now)
    }

    fn rotate(&self, turn: &Turn, now: SystemTime) -> Reply<Turned> {
        (**self).rotate(turn, now)
    }

    fn revoke_family(&self, family: FamilyId, now: SystemTime) -> Reply<bool> {
        (**self).revoke_family(family, now)
    }

    fn revoke_subject(&self, subject: &str, now: SystemTime) -> Reply<u64> {
        (**self).revoke_subject(subject, now)
    }
}
