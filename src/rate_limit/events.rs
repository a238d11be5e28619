//! [`RateLimitEvent`]: what a limiter tells beside the requests that it refuses.

use std::time::SystemTime;

use super::Decision;

/// Something that a limiter noticed, mostly about a request that it let in. What it refuses is told to the
/// [`AuditSink`](crate::audit::AuditSink).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RateLimitEvent<'a> {
    /// What was noticed.
    pub kind: RateLimitEventKind,
    /// The name of the policy it is about; empty if it is about none.
    pub policy: &'a str,
    /// What was decided, if anything was.
    pub decision: Option<Decision>,
    /// When, by the clock of the layer.
    pub at: SystemTime,
}

/// What a limiter noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RateLimitEventKind {
    /// With this request a client has used as much of its quota as
    /// [`near_limit`](super::RateLimitLayer::near_limit) says.
    NearLimit,
    /// The request would have been refused, but the layer is in
    /// [shadow mode](super::RateLimitLayer::dangerous_shadow).
    WouldRefuse,
    /// The request was let in uncounted, as the store could not answer and
    /// [`StoreFailure::Allow`](super::StoreFailure::Allow) was chosen.
    Uncounted,
    /// The request was counted by this process alone, as the store could not answer and
    /// [`StoreFailure::Local`](super::StoreFailure::Local) was chosen. It may have been refused.
    CountedLocally,
}

impl RateLimitEventKind {
    /// The name, which never changes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NearLimit => "near_limit",
            Self::WouldRefuse => "would_refuse",
            Self::Uncounted => "uncounted",
            Self::CountedLocally => "counted_locally",
        }
    }
}
