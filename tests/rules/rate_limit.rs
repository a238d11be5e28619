//! Rules: rate_limit.
