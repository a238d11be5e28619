//! The header fields of draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy` and `RateLimit`.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Decisions, Quota, buffer::Buffer};
use crate::clock::since_epoch;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const LEGACY: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// Which header fields tell clients about their quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RateLimitFields {
    /// `RateLimit-Policy: "default";q=60;w=60` and `RateLimit: "default";r=59;t=60`, on responses and
    /// refusals alike, as draft-ietf-httpapi-ratelimit-headers-11 has them.
    ///
    /// `q` is the limit and `w` the window in seconds, rounded up; `r` is what is left, and `t` the
    /// seconds, rounded up, until more is: never later than `Retry-After`.
    #[default]
    Ietf,
    /// The older trio that many clients know: `X-RateLimit-Limit`, `X-RateLimit-Remaining` and
    /// `X-RateLimit-Reset`, of the limit that has the least left. The reset is a Unix time in seconds,
    /// rounded up: when more is left.
    Legacy,
    /// None, but `Retry-After` on refusals.
    None,
}

/// What of the fields is known before there is a request.
#[derive(Clone, Debug)]
pub(super) struct Policies {
    /// The names, each once, in the order of the limits.
    names: Box<[Box<str>]>,
    policy: HeaderValue,
}

impl Policies {
    /// A name that stands for two of the quotas gets the position of the later one appended.
    pub(super) fn new<'q>(quotas: impl Iterator<Item = &'q Quota>) -> Self {
        let mut names: Vec<Box<str>> = Vec::new();
        let mut text = Buffer::<128>::new();
        for (at, quota) in quotas.enumerate() {
            let mut name = Box::from(quota.policy_name());
            while names.contains(&name) {
                name = format!("{name}-{}", at + 1).into();
            }
            write_name(&mut text, at, &name);
            text.push(b";q=");
            text.push_decimal(u64::from(quota.limit()));
            text.push(b";w=");
            text.push_decimal(seconds_up(quota.window()));
            names.push(name);
        }
        Self {
            names: names.into(),
            policy: value(&text),
        }
    }

    /// The names of all policies, in the order of the limits.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The names of the policies that have no room.
    pub(super) fn violated<'a>(
        &'a self,
        decisions: &'a Decisions,
    ) -> impl Iterator<Item = &'a str> {
        self.names
            .iter()
            .zip(decisions.iter())
            .filter(|(_, decision)| !decision.allowed)
            .map(|(name, _)| &**name)
    }

    /// Both fields.
    pub(super) fn fields(&self, decisions: &Decisions) -> [(HeaderName, HeaderValue); 2] {
        let mut text = Buffer::<128>::new();
        for (at, (name, decision)) in self.names.iter().zip(decisions.iter()).enumerate() {
            write_name(&mut text, at, name);
            text.push(b";r=");
            text.push_decimal(u64::from(decision.remaining));
            // Nothing is used: there is nothing that could come back.
            if !decision.reset_after.is_zero() {
                text.push(b";t=");
                text.push_decimal(seconds_up(decision.reset_after));
            }
        }
        [
            (RATE_LIMIT_POLICY, self.policy.clone()),
            (RATE_LIMIT, value(&text)),
        ]
    }

    /// Puts both fields into the head of a response, unless it has either: then what is inside has told
    /// the client about a quota nearer to it.
    pub(super) fn put(&self, decisions: &Decisions, headers: &mut HeaderMap) {
        if headers.contains_key(RATE_LIMIT) || headers.contains_key(RATE_LIMIT_POLICY) {
            return;
        }
        headers.reserve(2);
        for (name, value) in self.fields(decisions) {
            headers.insert(name, value);
        }
    }
}

/// The older fields, of the limit that has the least left.
pub(super) fn legacy(decisions: &Decisions, at: SystemTime) -> [(HeaderName, HeaderValue); 3] {
    let tightest = decisions.iter().min_by_key(|decision| decision.remaining);
    let values = tightest.map_or([0; 3], |decision| {
        [
            u64::from(decision.limit),
            u64::from(decision.remaining),
            seconds_up(since_epoch(at).saturating_add(decision.reset_after)),
        ]
    });
    let [limit, remaining, reset] = LEGACY;
    let [a, b, c] = values.map(HeaderValue::from);
    [(limit, a), (remaining, b), (reset, c)]
}

/// Puts the older fields into the head of a response, unless it has any of them.
pub(super) fn put_legacy(decisions: &Decisions, at: SystemTime, headers: &mut HeaderMap) {
    if LEGACY.iter().any(|name| headers.contains_key(name)) {
        return;
    }
    headers.reserve(LEGACY.len());
    for (name, value) in legacy(decisions, at) {
        headers.insert(name, value);
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds_up(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

/// A String item of a list (RFC 9651 sections 3.1 and 3.3.3); names need no escapes.
fn write_name<const N: usize>(text: &mut Buffer<N>, at: usize, name: &str) {
    text.push(if at == 0 { b"\"" } else { b", \"" });
    text.push(name.as_bytes());
    text.push(b"\"");
}

fn value<const N: usize>(text: &Buffer<N>) -> HeaderValue {
    // Printable ASCII, as the names are: it is always a value.
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or(HeaderValue::from_static(""))
}
