//! [`Lanes`]: what responses need of a layer, in copies whose owners are counted apart.
//!
//! A response that is waited for owns what it will be told with. Were that one thing for all threads, each
//! request would change the count of its owners twice, and the count of the owners of a header value twice
//! more, in cache lines that the threads take away from each other: that takes longer than to decide. So
//! there are some copies, and a thread takes the same one mostly, by where its stack lies.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue};

use super::{Decisions, Quota, RateLimitFields, decision::Room, fields::put_legacy, guard::Config};

/// More than most machines have cores.
const LANES: usize = 32;

/// The copies.
pub(super) struct Lanes([Arc<Lane>; LANES]);

/// A copy, apart from the others by more than the lines that are fetched together.
#[repr(align(128))]
pub(super) struct Lane {
    config: Arc<Config>,
    policy: HeaderValue,
}

impl Lanes {
    pub(super) fn new(config: &Arc<Config>) -> Self {
        Self(std::array::from_fn(|_| {
            Arc::new(Lane {
                config: Arc::clone(config),
                policy: config.policies.policy_apart(),
            })
        }))
    }

    /// The copy of this thread. Two threads that have the same one are slower, nothing else.
    #[inline]
    pub(super) fn own(&self) -> Arc<Lane> {
        let here = 0_u8;
        // Stacks are megabytes long. The factor spreads what lies in rows.
        let stack = (&raw const here).addr() as u64 >> 20;
        let spread = stack.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59;
        #[allow(clippy::cast_possible_truncation, reason = "five bits")]
        Arc::clone(&self.0[spread as usize % LANES])
    }
}

impl Lane {
    /// Tells what one quota has left.
    #[inline]
    pub(super) fn tell(&self, room: Room, at: u64, headers: &mut HeaderMap) {
        match self.config.settings.fields {
            RateLimitFields::Ietf => self.config.policies.put_room(&self.policy, room, headers),
            RateLimitFields::Legacy => {
                let limit = self.config.settings.limits.first();
                let quota = limit.and_then(|limit| limit.quota.fixed());
                let decided = Decisions::one(room.decision(quota.map_or(0, Quota::limit)));
                let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(at);
                put_legacy(&decided, at, headers);
            }
            RateLimitFields::None => {}
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lane(..)")
    }
}
