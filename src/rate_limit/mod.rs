//! Limits on how much a client may ask for.

mod buffer;
mod decision;
mod fields;
mod guard;
mod key;
mod layer;
mod memory;
mod quota;
mod store;
mod table;
mod window;

pub use self::{
    decision::{Decision, Decisions},
    fields::RateLimitFields,
    guard::{Counted, RateLimitGuard},
    key::RateLimitKey,
    layer::{RateLimit, RateLimitLayer, StoreFailure},
    quota::{MAX_SEGMENTS, Quota},
    store::{Hit, RateLimitStore},
    window::SlidingWindow,
};
