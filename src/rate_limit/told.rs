//! [`Told`]: what one quota tells one client, on its own until the response is there.
//!
//! A response that is waited for owns what it will be told with. Were the first field one value for all threads,
//! each request would change the count of its owners twice, in a cache line that the threads take away from each
//! other: that takes longer than to decide. So there are some copies, and a thread takes the same one mostly, by
//! where its stack lies. Nothing else is shared.

use http::{HeaderMap, HeaderValue};

use super::{
    RateLimitFields,
    decision::Room,
    fields::{Policies, left_of, put, put_legacy_of, seconds_of},
    settings::{Limit, Settings},
};

/// More than most machines have cores.
const LANES: usize = 32;

/// What is told of the only quota of a layer, whatever is left of it.
pub(super) enum Telling {
    Ietf {
        name: &'static str,
        /// The first field, in copies whose owners are counted apart.
        policies: Box<[HeaderValue; LANES]>,
    },
    Legacy {
        limit: u32,
    },
}

/// What is told to one client.
#[derive(Debug)]
pub(super) enum Told {
    Ietf {
        name: &'static str,
        policy: HeaderValue,
        remaining: u32,
        /// Until there is more.
        seconds: u64,
    },
    /// The limit, what is left of it, and the Unix time in seconds when there is more.
    Legacy([u64; 3]),
}

impl Telling {
    /// Where there are fields, and one quota that is the same for all.
    pub(super) fn of(settings: &Settings, policies: &Policies) -> Option<Self> {
        let [Limit { quota, .. }] = &settings.limits[..] else {
            return None;
        };
        let quota = quota.fixed()?;
        match settings.fields {
            RateLimitFields::Ietf => {
                let name = quota.policy_name();
                let policies = Box::new(std::array::from_fn(|_| policies.policy_apart()));
                Some(Self::Ietf { name, policies })
            }
            RateLimitFields::Legacy => {
                let limit = quota.limit();
                Some(Self::Legacy { limit })
            }
            RateLimitFields::None => None,
        }
    }

    /// What is left, at a time in nanoseconds since the Unix epoch.
    #[inline]
    pub(super) fn told(&self, room: Room, at: u64) -> Told {
        match self {
            Self::Ietf { name, policies } => Told::Ietf {
                name,
                policy: own(policies).clone(),
                remaining: room.remaining,
                seconds: seconds_of(room.reset_after),
            },
            Self::Legacy { limit } => Told::Legacy([
                u64::from(*limit),
                u64::from(room.remaining),
                seconds_of(at.saturating_add(room.reset_after)),
            ]),
        }
    }
}

/// The copy of this thread. Two threads that have the same one are slower, nothing else.
#[inline]
fn own<T>(copies: &[T; LANES]) -> &T {
    let here = 0_u8;
    // Stacks are megabytes long. The factor spreads what lies in rows.
    let stack = (&raw const here).addr() as u64 >> 20;
    let spread = stack.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59;
    #[allow(clippy::cast_possible_truncation, reason = "five bits")]
    &copies[spread as usize % LANES]
}

impl Told {
    /// Puts the fields into the head of a response, unless it has any of them.
    #[inline]
    pub(super) fn put(self, headers: &mut HeaderMap) {
        match self {
            Self::Ietf {
                name,
                policy,
                remaining,
                seconds,
            } => put(headers, || policy, || left_of(name, remaining, seconds)),
            Self::Legacy(values) => put_legacy_of(values, headers),
        }
    }
}
