//! Quotas and limits for the usual purposes.

use std::time::Duration;

#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
use http::HeaderName;

use super::Quota;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
use super::{RateLimitKey, RateLimitLayer};
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
use crate::head::RequestHead;

impl Quota {
    /// 100 in 15 minutes: what a client of an API does not reach unless something is wrong.
    #[must_use]
    pub const fn general() -> Self {
        Self::new(100, Duration::from_secs(15 * 60)).name("general")
    }

    /// 5 in 15 minutes, counted exactly: attempts to sign in. Count the failed ones only with
    /// [`RateLimitLayer::count_if`](super::RateLimitLayer::count_if).
    #[must_use]
    pub const fn sign_in() -> Self {
        Self::new(5, Duration::from_secs(15 * 60))
            .exact()
            .name("sign-in")
    }

    /// 20 a minute: transfers, orders and the like. Count them by
    /// [principal](super::RateLimitKey::principal).
    #[must_use]
    pub const fn transaction() -> Self {
        Self::per_minute(20).name("transaction")
    }
}

#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
impl RateLimitLayer {
    /// Holds every [API key](RateLimitKey::api_key) in that header field to a quota of its own.
    ///
    /// ```
    /// use http::HeaderName;
    /// use portcullis::rate_limit::{Quota, RateLimitLayer};
    ///
    /// const FREE: Quota = Quota::per_minute(60).name("free");
    /// const PAID: Quota = Quota::per_minute(6_000).name("paid");
    ///
    /// // What stands outside has verified the key, and knows whose it is.
    /// #[derive(Clone)]
    /// struct Paying;
    ///
    /// let header = HeaderName::from_static("x-api-key");
    /// let layer = RateLimitLayer::api_key(header, |request| {
    ///     if request.extensions().get::<Paying>().is_some() { PAID } else { FREE }
    /// });
    /// ```
    pub fn api_key(
        header: HeaderName,
        quota: impl Fn(RequestHead<'_>) -> Quota + Send + Sync + 'static,
    ) -> Self {
        Self::new(Quota::general())
            .key(RateLimitKey::api_key(header))
            .quota_by(quota)
    }
}
