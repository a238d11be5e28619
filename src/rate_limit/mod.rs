//! Limits on how much a client may ask for.
//!
//! [`RateLimitLayer`] holds each client to a [`Quota`]:
//!
//! 1. No sliding window of the quota's length ever holds more than its limit, whatever the pattern of
//!    arrivals and however many callers ask at once ([`SlidingWindow`]).
//! 2. A request is refused only if the segments in view leave no room for it. Under sustained demand at
//!    least `N / (N + 1)` of the limit is served, 94 % with the default of 16 segments.
//! 3. A refused request costs nothing. Several quotas are decided together, all or nothing.
//! 4. A request whose client cannot be told is refused, and so is one that the store cannot answer for,
//!    unless [`StoreFailure::Allow`] was chosen ([`RateLimitKey`], [`RateLimitLayer::on_store_error`]).
//! 5. Every count expires and memory is bounded ([below](#memory)).
//!
//! A refusal is a 429 with `Retry-After` in seconds, rounded up and never 0, and a problem of type
//! `quota-exceeded` that names the violated policies. Its code is `rate_limited`; the others are
//! `rate_limit_key_unknown` (403), `rate_limit_store_unavailable` (503), and those of
//! [`ClientIpError`](crate::client_ip::ClientIpError). Clients are told their quota on every response, in
//! the fields of draft-ietf-httpapi-ratelimit-headers-11 ([`RateLimitFields`]).
//!
//! # Where it stands
//!
//! Outside of what is expensive: a limiter by address goes before the verification of tokens. One by
//! [principal](RateLimitKey::principal) needs them verified, so it goes inside; a service may have both.
//! The default key is the peer's address. Behind a proxy that is the proxy's: choose another
//! [`ClientIp`](crate::client_ip::ClientIp) strategy there, or all clients share one quota.
//!
//! # How it is counted
//!
//! | quota | algorithm | a window holds | memory of a key |
//! |---|---|---|---|
//! | as it is | [`SlidingWindow`], in [segments](Quota::segments) | at most the limit | small |
//! | [`exact`](Quota::exact) | [`SlidingLog`] | at most the limit, and no room is withheld | from 8 to 16 bytes a unit |
//! | [`burst`](Quota::burst) | [`Gcra`], a steady pace | at most the limit and the burst | smallest |
//!
//! Each is a pure function of state, quota, cost and time, in whole numbers.
//!
//! A request costs 1 unless [`RateLimitLayer::cost`] says otherwise. What it costs may depend on its outcome
//! ([`RateLimitLayer::count_if`], [`RateLimitLayer::settle`]), and its quota on who asks
//! ([`RateLimitLayer::quota_by`], [`RateLimitLayer::quota_lookup`]). Operators look with a hit that costs 0,
//! and [refund](RateLimitStore::refund), [reset](RateLimitStore::reset) or
//! [block](RateLimitStore::block) a key of a store, as [`RateLimitKey::of`] says it. New limits can be tried in
//! [shadow mode](RateLimitLayer::dangerous_shadow).
//!
//! [`InFlightLayer`] limits how many requests are being answered at once, of each client or of all together.
//!
//! | for | quota | counted by |
//! |---|---|---|
//! | any API | [`Quota::general`], 100 in 15 minutes | address, the default |
//! | sign-in | [`Quota::sign_in`], 5 in 15 minutes, exactly | address, and with [`add_quota_by`](RateLimitLayer::add_quota_by) the account |
//! | payments, orders | [`Quota::transaction`], 20 a minute | [`RateLimitKey::principal`] |
//! | clients with API keys | what each has | `RateLimitLayer::api_key` |
//!
//! Keys are an address (of IPv6 its network of 64 bits), a principal (with its issuer and tenant), a tenant, an
//! API key (hashed), a header field, a route, a name, or what a closure says, and any of them together. The
//! partition key of the draft (`pk`) is not sent: it would tell clients what they are counted by, and they
//! need it for nothing.
//!
//! # Example
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use http::{Request, Response};
//! use portcullis::{
//!     client_ip::PeerAddr,
//!     clock::ManualClock,
//!     rate_limit::{Quota, RateLimitLayer},
//! };
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = RateLimitLayer::new(Quota::per_second(1).name("burst"))
//!     .add_quota(Quota::per_hour(100).name("hourly"))
//!     // So that this example need not hurry.
//!     .with_clock(ManualClock::at_unix(1_800_000_000));
//! let inner = service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(String::from("hello"))));
//! let mut service = layer.layer(inner);
//!
//! let peer = PeerAddr(SocketAddr::from(([192, 0, 2, 1], 40_000)));
//! let request = || Request::builder().extension(peer).body(());
//! let response = service.ready().await?.call(request()?).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.headers()["ratelimit-policy"], r#""burst";q=1;w=1, "hourly";q=100;w=3600"#);
//!
//! let refused = service.ready().await?.call(request()?).await?;
//! assert_eq!(refused.status(), 429);
//! assert_eq!(refused.headers()["retry-after"], "2");
//! # Ok(())
//! # }
//! ```
//!
//! # Shared by several processes
//!
//! With the feature `redis`, `RedisRateLimits` counts for all processes that share a
//! [`RedisStore`](crate::store): single node, Sentinel or Cluster. What is decided is the same; time is the
//! server's. What happens when Redis does not answer is [`RateLimitLayer::on_store_error`]'s to say, and no
//! request waits longer than the store's deadline, 50 ms by default.
//!
//! A decision is at most one round trip, shared by those who ask at the same time. Where so many ask about one key
//! that the trips are what they wait for, `RedisRateLimits::units_ahead` spares most of them: a process then counts
//! some units before they are asked for, and gives back what nobody had a moment later. The limit holds
//! all the same; another process may be refused meanwhile for want of them.
//!
//! Three failures in a row are an outage. Nobody waits for Redis then but one request at a time, which asks
//! whether it is over: 10 ms after it began, later ten times a second. `RedisRateLimits::on_outage` tells both
//! edges, once each, to whoever is to be woken up. On a Cluster, keys of other masters are counted all the
//! while; the edges are those of the whole.
//!
//! This is injected in tests while three limiters, one for each [`StoreFailure`], are asked some thousand times
//! a second in all, and some callers go away unanswered; and this is seen, on two cores that did other things
//! besides:
//!
//! | injected | meanwhile | after it |
//! |---|---|---|
//! | `redis-server` is killed, and started anew on its port | told within 20 ms; nobody waited, the slowest answer took 8 ms. What was counted is lost with its memory | in force within 0.1 s |
//! | `redis-server` stands still for 10 s (SIGSTOP) | told after 60 ms; one request in a hundred waited for the deadline; the slowest answer took 56 ms | in force within 0.1 s; what had been sent may still be counted, for nobody |
//! | `SCRIPT FLUSH`, a hundred times a second | nothing | |
//! | `CLIENT KILL TYPE normal`, a hundred times a second | what was on its way fails at once, one request in ten in all; outages of 10 to 90 ms are told at times | in force at once |
//! | a Cluster's master is killed, its replica takes over after 3.4 s | told within 0.1 s; the keys of 15 of 60 clients were on it, and the others noticed nothing; the slowest answer took 66 ms | in force within 0.7 s; what the replica had not heard of is lost |
//! | a master that Sentinels watch is killed, its replica takes over after 2.3 s | told within 10 ms; nobody waited, the slowest answer took 6 ms | in force within 0.6 s; as above |
//! | all keys are deleted | counts begin anew, with an expiry | |
//! | a caller goes away while others wait for its answer | they go next | |
//! | the answer about the time is late by a second, in one direction | nothing | |
//! | clocks of machines differ, by a day | nothing | |
//!
//! In none of them did a task panic, did an answer depart from the [`StoreFailure`] that was chosen, was a key
//! left without an expiry, or was a restart needed. With [`StoreFailure::Local`] a window that an outage begins
//! in holds at most the limit, if requests are spread evenly; one that it ends in may hold what was counted
//! here besides.
//!
//! Four processes that shared 1,000 requests in 10 s under full load for a minute, two of them with clocks 3 s
//! ahead, let in 6,000 of 1,440,000: 1,000 in the fullest window, and from 1,475 to 1,528 each, or with units ahead
//! from 1,380 to 1,661.
//!
//! # Memory
//!
//! In a [`MemoryStore`](crate::store::MemoryStore) no key is stored, only a 120-bit hash of it that is
//! keyed anew in each store. A key takes a place of 40 bytes, in which a pace has room, and a window of up to 16
//! segments while none of them holds more than 255. Other windows have a record besides, which a key keeps as long as
//! its place. Bytes, with the place:
//!
//! | segments | limit to 255 | to 65,535 | beyond |
//! |---|---|---|---|
//! | 16 | 40 | 40 or 88 | 40 or 120 |
//! | 32 | 88 | 120 | 184 |
//! | 60 | 120 | 184 | 296 |
//!
//! What is counted exactly has a record of 48 bytes, or of at most twice the 8 bytes that each unit takes.
//!
//! Tables double as they fill, at three quarters or so, and keep their size. So the heap a live key takes
//! is at most eight thirds of its place: with 16 segments 69 to 70 bytes a key were measured at 10,000 and at
//! 600,000 live keys that have none but small counts, whatever their limit, and with 60 segments 196 to 210.
//!
//! There are at most [`max_keys`](crate::store::MemoryStore::max_keys) places. When a new key
//! finds neither a free place nor one whose counts have left the window, the key of sixteen that nobody has
//! asked for the longest, to the second, is forgotten: one that is being refused, and goes on asking, is not,
//! unless that many come within a second. Nothing live
//! is forgotten before more than half of the places are taken, whatever pattern the keys follow: both blocks
//! of eight in which a new key may lie would have to be full, and so would the other block of each of the
//! sixteen keys in them (the first live key was forgotten at 85 % in the worst of 300 stores of 16,384).
//! A clock that is ahead for a moment makes counts look over that are not: a new key may take their place then.
//! There is no sweep. A request looks at sixteen places at most, and one with a new key in a full store at
//! 128 more; under the default bound, now and then a new key doubles a table of at most 4,096 places, the
//! part of the store that lies under one lock.
//!
//! # What it costs
//!
//! What the layer adds to a service, of what `tower_governor` 0.8 adds to the same in the same run
//! (`benches/peers`; medians of five runs on a machine of two cores; one run is up to a fifth off):
//!
//! | known keys | one thread | two threads | with header fields | two threads |
//! |---|---|---|---|---|
//! | 1 | 1.06 | 1.07 | 0.64 | 0.75 |
//! | 10,000 | 1.12 | 1.28 | 0.67 | 0.75 |
//! | 1,000,000 | 0.67 | 0.82 | 0.68 | 0.71 |
//!
//! Keys that the processor's cache does not hold cost one visit to memory, and the peer's two. On two threads both
//! the lock of a part of the store and the place of a key come from the other core's cache. A request that is let in
//! allocates nothing, and with header fields three times. The time comes from the processor's counter, which is set
//! by the system's clock once a millisecond.

mod algorithm;
mod ask;
mod blocks;
mod buffer;
mod counter;
mod counters;
mod decide;
mod decision;
mod events;
mod fields;
mod gcra;
mod guard;
mod identity;
mod in_flight;
mod key;
mod large;
mod layer;
mod log;
mod memory;
mod packed;
mod plan;
mod presets;
mod quick;
mod quota;
#[cfg(feature = "redis")]
mod redis;
mod segment;
mod settings;
mod slab;
mod small;
mod state;
mod store;
mod table;
mod ticks;
mod told;
mod window;

#[cfg(feature = "redis")]
pub use self::redis::RedisRateLimits;
pub use self::{
    algorithm::Algorithm,
    decision::{Decision, Decisions},
    events::{RateLimitEvent, RateLimitEventKind},
    fields::RateLimitFields,
    gcra::Gcra,
    guard::{Counted, RateLimitGuard},
    in_flight::{InFlight, InFlightBody, InFlightFuture, InFlightLayer},
    key::RateLimitKey,
    layer::{RateLimit, RateLimitLayer, StoreFailure},
    log::SlidingLog,
    plan::Plan,
    quota::{MAX_EXACT, MAX_SEGMENTS, Quota},
    store::{Hit, RateLimitStore},
    window::SlidingWindow,
};
