//! Quotas for the usual purposes.

use std::time::Duration;

use super::Quota;

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
