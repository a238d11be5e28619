//! [`RedisRateLimits`]: one limit for many processes, counted in Redis.
//!
//! # A window
//!
//! A key holds the counts of four views of segments (of two, where a window has more than 30), in two or four
//! bytes each; the next key follows when they are over, so that no count is ever written twice. A decision is
//! two native commands without a script: an increment of the newest count, and a read of the whole key, of
//! the one before it if the view reaches into it, and of the block. The increment's reply says how many came
//! before, so callers at the same time have their places; what finds no room is given back, which is sent before
//! the answer and waited for by nobody. A decision is one trip, however many limits are decided together, after
//! at most one that it waits for. There is a second one where the server's time is not known yet, or where a key
//! was deleted behind this process' back, which then is to expire again.
//!
//! Segments that are over change no more, so where a key was read within the last second the increment is all
//! that is sent, with the count after it where others may count ahead already ([`kept`] says when). What another
//! process lets in is seen at once. What it gives back, resets or blocks is seen a second later at the latest, and
//! under a limit that is known to be refused when a segment leaves the view.
//!
//! Where it is [asked for](RedisRateLimits::units_ahead), a trip about a busy key counts some units more than it
//! needs, which the requests that come next have at once ([`ahead`]). Such a request is one of that trip that
//! hears its answer late: it is let in only while it would not have to be moved, and no later than the deadline
//! after the trip set out, so all that is said of answers below holds for it.
//!
//! Decisions about many keys travel together, a few trips at a time, one of which is on its way while the answers
//! of the other are heard; those under the same limits go as one ([`coalesce`]).
//!
//! What waits to be given back is counted for that moment. With costs over 1, a small request can so be
//! refused beside a larger one that is being refused; no request is let in for it that should not be.
//!
//! # Logs and paces
//!
//! They are a script each, which counts what fits and answers with what there was before.
//!
//! # What time it is
//!
//! No clock of this machine is gone by but the monotonic one. The server says its time once a second; each
//! answer bounds it from both sides, and the bounds are widened by the drift of the clocks; an uncertainty over 100 ms is taken for
//! 100 ms ([`time`]). What is
//! counted is counted at the *latest* time that it may be, and what is read is looked at from the *earliest*:
//! so for any two requests of a window's length or less apart, by the server's clock, whichever came second
//! to Redis saw the first, wherever they came from and however wrong each process is within its bounds. An
//! answer that arrives after its segment is over moves what was let in to the segment that it is by then. It
//! is not gone by if it took longer than the deadline: a process that stood still (`SIGSTOP`, a virtual
//! machine that was moved) takes its request for unanswered. So for windows longer than the deadline, the
//! promise holds from answer to answer and not from question to question; shorter ones may hold more by what
//! is on its way. On top of that the oldest segment is held 5 ms longer (an eighth of a segment if that is
//! less), for what happens between the decision and whoever counts requests outside.
//!
//! Where the server's clock is set, or a server with another clock takes over: set forward, units leave as
//! much earlier. Set back, units ahead of the clock still count as far as they lie in the same key, two views
//! on average; beyond that counts begin anew. Either way a window may hold at most twice the limit, once.
//! On a Cluster the time is that of the master that has one particular key, for all limits.
//!
//! # What it costs
//!
//! Over one connection, on two busy cores, the way in and out counted, beside an `EVALSHA` of a two-bucket
//! script (two reads, a comparison, an increment) for each request (`benches/rate_limit_redis.rs`):
//!
//! | keys, requests at once | Redis' time for a decision | decisions a second |
//! |---|---|---|
//! | 10,000, 64 | 0.36 | 1.9 |
//! | 10,000, 256 | 0.35 | 2.0 |
//! | 1, 64 | 0.12 | 2.6 |
//! | 1, 256 | 0.035 | 6.6 |
//! | 1, 64, up to 1,000 units ahead | 0.007 | 14 |
//! | 1, 256, up to 1,000 units ahead | 0.010 | 12 |
//!
//! Under one key a trip is what costs: with 64 requests it takes as long as about 25 scripts, however many are
//! summed up in it. [Units ahead](RedisRateLimits::units_ahead) spare the next requests that trip. One request alone takes 1.1 of a bare pair of commands, and one that is known to be refused
//! none at all. A key takes, with its name:
//!
//! | segments | limit to 16,383 | beyond |
//! |---|---|---|
//! | 16 | 248 bytes | 408 |
//! | 32 | 248 | 408 |
//! | 60 | 344 | 600 |
//!
//! The default is 16 segments, which serve 94 % of the limit under sustained demand. 32 serve 97 %, and 60 serve
//! 98 %: up to a tenth and up to a third more of Redis' time a decision.
//!
//! Each process holds some megabytes of its own at most: which 65,536 keys have an expiry, at most 32,768 keys as
//! they were read, at most 16,384 groups of limits that are being refused, until a segment leaves the view, and with
//! units ahead at most 256 keys that are asked about much.

mod ahead;
mod behind;
mod breaker;
mod coalesce;
mod commands;
mod decide;
mod denied;
mod drive;
mod exchange;
mod expiring;
mod group;
mod kept;
mod lane;
mod mix;
mod sample;
mod state;
mod store;
mod time;
mod together;
mod trip;
mod verbs;
mod view;
mod wire;

use std::{fmt, sync::Arc, time::Duration};

use self::{
    ahead::{Ahead, Carers},
    breaker::Breaker,
    coalesce::Coalescer,
    denied::Denied,
    expiring::Expiring,
    kept::Kept,
    time::{Now, ServerTime},
};
use super::identity::{Identities, Identity};
use crate::{
    config::ConfigError,
    store::{Call, RedisStore, StoreError},
};

const DEADLINE: Duration = Duration::from_millis(50);

/// Counts rates in a [`RedisStore`], for all processes that share it.
///
/// ```
/// use portcullis::{
///     rate_limit::{Quota, RateLimitLayer, RedisRateLimits},
///     store::RedisStore,
/// };
///
/// let redis = RedisStore::new("redis://localhost")?.key_prefix("shop:")?;
/// let layer = RateLimitLayer::new(Quota::per_minute(60)).with_store(RedisRateLimits::new(redis));
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
///
/// - Time is the server's: each process asks for it once a second, and counts on from there with a clock that
///   nobody sets, so clocks of machines that differ change nothing. How uncertain that is counts against the
///   requests, never for them: with a window longer than the deadline, none ever holds more than the limit.
/// - Requests at the same time travel together, and those under the same limits as one. Nothing waits for a
///   timer, and no decision for more than one round trip.
/// - What is known to be refused is refused here, without a command: until a segment leaves the view, at the
///   latest. What is known of segments that are over is not asked for again for a second. What another process
///   gives back, resets or blocks meanwhile is not seen before that
///   ([`ask_always`](RedisRateLimits::ask_always)).
/// - A decision has a [deadline](RedisRateLimits::deadline). When Redis does not answer, it is not asked for
///   a moment, and then by one request at a time until it does. What happens meanwhile is the layer's
///   [`StoreFailure`](super::StoreFailure).
/// - What is given back, charged, reset or blocked is not tried while Redis does not answer either; units that
///   could not be given back stay counted until they leave.
/// - Keys are named after what is counted by: as it is, or after a `~` in base64url, or if it is longer than 200
///   bytes after a `=` by its SHA-256. Where that is a secret (an API key in a
///   [header](super::RateLimitKey::header)), count by what it stands for instead.
/// - Every key expires, a minute after its counts can matter to anybody (a block, a second after it is over): also one that was deleted and comes
///   back, and one whose caller has gone away.
/// - All quotas under one key lie in one slot of a Cluster. Limits under different keys are decided together
///   all the same, in one round trip to each server: what one counted is given back if another refuses.
#[derive(Clone)]
pub struct RedisRateLimits(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    store: RedisStore,
    identities: Arc<Identities>,
    deadline: Duration,
    time: ServerTime,
    remembers: bool,
    denied: Denied,
    kept: Kept,
    ahead: Ahead,
    carers: Carers,
    expiring: Expiring,
    coalescer: Coalescer,
    breaker: Breaker,
}

impl RedisRateLimits {
    /// Counts in this store.
    #[must_use]
    pub fn new(store: RedisStore) -> Self {
        let breaker = Breaker::of(&store, DEADLINE);
        Self(Arc::new(Inner {
            store,
            identities: Arc::new(Identities::new()),
            deadline: DEADLINE,
            time: ServerTime::default(),
            remembers: true,
            denied: Denied::default(),
            kept: Kept::default(),
            ahead: Ahead::of_at_most(0),
            carers: Carers::default(),
            expiring: Expiring::default(),
            coalescer: Coalescer::default(),
            breaker,
        }))
    }

    fn change(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// Replaces how long a decision may take, connecting included. The default is 50 ms.
    ///
    /// It is also how late others are expected to count at most, so all processes that share a limit need the
    /// same: beside one with a shorter deadline, one with a longer may let in more than the limit when Redis
    /// is slow.
    ///
    /// Segments that are shorter than 200 ms and twice the deadline together are read anew each time.
    ///
    /// # Errors
    ///
    /// If it is under a millisecond or over a minute.
    pub fn deadline(self, deadline: Duration) -> Result<Self, ConfigError> {
        if !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(&deadline) {
            let expected = "must be from 1 ms to 60 s";
            return Err(ConfigError::new(
                "deadline",
                format!("{deadline:?}"),
                expected,
            ));
        }
        Ok(self.change(|inner| {
            inner.deadline = deadline;
            inner.breaker = inner.breaker.within(deadline);
        }))
    }

    /// Asks Redis about every request, and for all that is counted, also where it is known: what an operator
    /// [resets](super::RateLimitStore::reset) or blocks is then heeded at once by every process.
    #[must_use]
    pub fn ask_always(self) -> Self {
        self.change(|inner| inner.remembers = false)
    }

    /// Replaces how many units of a key a process may count ahead of the requests that need them. The default is
    /// 0: none.
    ///
    /// Where many requests ask about one key, most of what a decision costs is the way to Redis. With units ahead a
    /// trip that goes anyway counts some more than its requests need, and the requests that come next have them at
    /// once, without a trip: as many as there were requests the first time, then up to twice as many each time
    /// that all were had, up to this many. It is worth it where a process has a few dozen requests about one key
    /// at a time, as under a limit for a whole service; and not for limits of each client.
    ///
    /// - The limit holds as it does without: a unit is counted in Redis before anybody has it, and had only
    ///   while the server's time, with all that is uncertain of it, is still in the segment that it was counted in;
    ///   for 20 ms at most, and no longer than the [deadline](Self::deadline).
    /// - Units that nobody had are given back, about 25 ms after they were counted at the latest. Nobody waits for that.
    ///   Until then another process may be refused for want of them, and where it remembers a refusal, until a
    ///   segment leaves the view. So no more than a sixteenth of the limit are taken for a key by a process, and
    ///   none unless at least half of the limit is left besides. What cannot be given back, as the process or the
    ///   runtime that asked for it ends or stands still, or as Redis is away, stays counted until its segment leaves.
    /// - They are taken in the sliding window only, for requests that are under one limit and cost the same,
    ///   and not with [`ask_always`](Self::ask_always), nor [by the callers' clock](Self::by_the_callers_clock).
    /// - A reset or a block by this value or a clone of it ends them at once, and those that are on their way to it
    ///   stay counted. Another process' does so 20 ms later at most. What is
    ///   given back shortly after another process' reset may be missing from what is counted anew, by so many
    ///   for each process. A peek counts units that nobody has yet, and who has one is told what was left when it
    ///   was counted.
    ///
    /// ```
    /// use portcullis::{rate_limit::RedisRateLimits, store::RedisStore};
    ///
    /// let redis = RedisStore::new("redis://localhost")?;
    /// let limits = RedisRateLimits::new(redis).units_ahead(1_000);
    /// assert!(format!("{limits:?}").contains("units_ahead: 1000"));
    /// # Ok::<(), portcullis::config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn units_ahead(self, units: u32) -> Self {
        self.change(|inner| inner.ahead = Ahead::of_at_most(units))
    }

    /// Goes by the caller's clock instead of the server's: for tests, where time stands still.
    #[must_use]
    pub fn by_the_callers_clock(self) -> Self {
        self.change(|inner| {
            inner.time = ServerTime::the_callers();
            // What others have ahead is by the server's.
            inner.ahead = Ahead::of_at_most(inner.ahead.most());
        })
    }

    /// Replaces what is told when Redis no longer answers (`true`), and when it does again (`false`).
    #[must_use]
    pub fn on_outage(self, told: impl Fn(bool) + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.breaker = inner.breaker.telling(Arc::new(told)))
    }
}

impl Inner {
    async fn now(&self, callers: u64, left: Duration) -> Result<Now, StoreError> {
        let call = Call::idempotent().within(left);
        self.time.now(callers, &self.store, call).await
    }

    /// What was seen of a limit is not what is there now.
    fn changed(&self, id: Identity) {
        self.denied.changed(id);
        self.kept.changed(id);
    }
}

impl fmt::Debug for RedisRateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimits")
            .field("store", &self.0.store)
            .field("deadline", &self.0.deadline)
            .field("remembers", &self.0.remembers)
            .field("units_ahead", &self.0.ahead.most())
            .finish_non_exhaustive()
    }
}
