//! [`Plan`]: what a lookup says about a request.

use super::Quota;

/// The quota that a request is held against, and what it costs of it.
///
/// ```
/// use portcullis::rate_limit::{Plan, Quota};
///
/// let export = Plan::new(Quota::per_hour(100).name("team")).cost(20);
/// # let _ = export;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Plan {
    pub(super) quota: Quota,
    pub(super) cost: Option<u32>,
}

impl Plan {
    /// A quota; the request costs what [`RateLimitLayer::cost`](super::RateLimitLayer::cost) says.
    pub const fn new(quota: Quota) -> Self {
        Self { quota, cost: None }
    }

    /// Replaces what the request costs, of all quotas of the layer.
    pub const fn cost(self, cost: u32) -> Self {
        Self {
            cost: Some(cost),
            ..self
        }
    }
}

impl From<Quota> for Plan {
    fn from(quota: Quota) -> Self {
        Self::new(quota)
    }
}
