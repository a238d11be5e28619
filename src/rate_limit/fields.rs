//! The header fields of draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy` and `RateLimit`.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    Decision, Decisions, Quota,
    buffer::{Buffer, decimal},
};
use crate::clock::since_epoch;

pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

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
    /// seconds, rounded up, until more is: of a limit that refuses, never later than `Retry-After`. Of a pace
    /// with room, `t` is when its whole burst is back.
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
    /// What stands before what is left, for each of them.
    heads: Box<[Box<[u8]>]>,
    /// The first field.
    policy: HeaderValue,
}

impl Policies {
    /// A name that stands for two of the quotas gets the position of the later one appended.
    pub(super) fn new<'q>(quotas: impl Iterator<Item = &'q Quota>) -> Self {
        let (mut names, mut heads): (Vec<Box<str>>, Vec<_>) = (Vec::new(), Vec::new());
        let mut text = Buffer::<128>::new();
        for (at, quota) in quotas.enumerate() {
            let mut name = Box::from(quota.policy_name());
            while names.contains(&name) {
                name = format!("{name}-{}", at + 1).into();
            }
            let mut head = Buffer::<96>::new();
            write_name(&mut head, at, &name);
            text.push(head.as_bytes());
            text.push(b";q=");
            text.push_decimal(u64::from(quota.limit()));
            text.push(b";w=");
            text.push_decimal(seconds_up(quota.window()));
            head.push(b";r=");
            heads.push(head.as_bytes().into());
            names.push(name);
        }
        Self {
            names: names.into(),
            heads: heads.into(),
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
        [
            (RATE_LIMIT_POLICY, self.policy()),
            (RATE_LIMIT, self.left(decisions)),
        ]
    }

    /// Puts both fields into the head of a response, unless it has either.
    pub(super) fn put(&self, decisions: &Decisions, headers: &mut HeaderMap) {
        put(headers, || self.policy(), || self.left(decisions));
    }

    /// The first field, of which clones are counted apart from those of the others.
    pub(super) fn policy_apart(&self) -> HeaderValue {
        HeaderValue::from_bytes(self.policy.as_bytes()).unwrap_or(HeaderValue::from_static(""))
    }

    fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }

    fn left(&self, decisions: &Decisions) -> HeaderValue {
        let mut text = Buffer::<128>::new();
        for (head, decision) in self.heads.iter().zip(decisions.iter()) {
            let seconds = seconds_up(more_after(decision));
            write_left(&mut text, head, decision.remaining, seconds);
        }
        value(&text)
    }
}

/// Puts both fields into the head of a response, unless it has either: then what is inside has told
/// the client about a quota nearer to it. The names are hashed each time: a map that has them, made once to be
/// cloned, saves little, and lies among what other threads write.
#[inline]
pub(super) fn put(
    headers: &mut HeaderMap,
    policy: impl FnOnce() -> HeaderValue,
    left: impl FnOnce() -> HeaderValue,
) {
    if headers.capacity() == 0 {
        *headers = HeaderMap::with_capacity(2);
    } else if headers.contains_key(RATE_LIMIT) || headers.contains_key(RATE_LIMIT_POLICY) {
        return;
    } else {
        headers.reserve(2);
    }
    headers.insert(RATE_LIMIT_POLICY, policy());
    headers.insert(RATE_LIMIT, left());
}

/// As [`write_left`], of one quota and in one piece. It is written from its end, as numbers are.
#[inline]
pub(super) fn left_of(name: &str, remaining: u32, seconds: u64) -> HeaderValue {
    /// A name of 64 characters and what stands around it, both numbers, and `;t=`.
    const MOST: usize = 128;
    let mut text = [0; MOST];
    let mut at = MOST;
    if seconds > 0 {
        at = decimal(&mut text, at, seconds);
        at -= 3;
        text[at..at + 3].copy_from_slice(b";t=");
    }
    at = decimal(&mut text, at, u64::from(remaining));
    at -= 4;
    text[at..at + 4].copy_from_slice(b"\";r=");
    let Some(free) = at.checked_sub(1 + name.len()) else {
        return HeaderValue::from_static("");
    };
    text[free] = b'"';
    text[free + 1..at].copy_from_slice(name.as_bytes());
    HeaderValue::from_bytes(&text[free..]).unwrap_or(HeaderValue::from_static(""))
}

/// What is left, and the seconds until more is.
#[inline]
fn write_left(text: &mut Buffer<128>, head: &[u8], remaining: u32, seconds: u64) {
    text.push(head);
    text.push_decimal(u64::from(remaining));
    // Nothing is used: there is nothing that could come back.
    if seconds > 0 {
        text.push(b";t=");
        text.push_decimal(seconds);
    }
}

/// When there is more: of a pace that refuses, not only when the whole burst is back.
fn more_after(decision: &Decision) -> Duration {
    let retry = decision.retry_after.unwrap_or(Duration::MAX);
    decision.reset_after.min(retry)
}

/// Nanoseconds in whole seconds, rounded up.
#[inline]
pub(super) fn seconds_of(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

/// The older fields, of the limit that has the least left.
pub(super) fn legacy(decisions: &Decisions, at: SystemTime) -> [(HeaderName, HeaderValue); 3] {
    legacy_of(tightest(decisions, at))
}

/// The values of the older fields.
fn tightest(decisions: &Decisions, at: SystemTime) -> [u64; 3] {
    let tightest = decisions.iter().min_by_key(|decision| decision.remaining);
    tightest.map_or([0; 3], |decision| {
        [
            u64::from(decision.limit),
            u64::from(decision.remaining),
            seconds_up(since_epoch(at).saturating_add(more_after(decision))),
        ]
    })
}

fn legacy_of(values: [u64; 3]) -> [(HeaderName, HeaderValue); 3] {
    let [limit, remaining, reset] = LEGACY;
    let [a, b, c] = values.map(HeaderValue::from);
    [(limit, a), (remaining, b), (reset, c)]
}

/// Puts the older fields into the head of a response, unless it has any of them.
pub(super) fn put_legacy(decisions: &Decisions, at: SystemTime, headers: &mut HeaderMap) {
    put_legacy_of(tightest(decisions, at), headers);
}

/// As [`put_legacy`], of a limit, what is left of it, and the Unix time when there is more.
pub(super) fn put_legacy_of(values: [u64; 3], headers: &mut HeaderMap) {
    if LEGACY.iter().any(|name| headers.contains_key(name)) {
        return;
    }
    headers.reserve(LEGACY.len());
    for (name, value) in legacy_of(values) {
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
pub(super) fn write_name<const N: usize>(text: &mut Buffer<N>, at: usize, name: &str) {
    text.push(if at == 0 { b"\"" } else { b", \"" });
    text.push(name.as_bytes());
    text.push(b"\"");
}

pub(super) fn value<const N: usize>(text: &Buffer<N>) -> HeaderValue {
    // Printable ASCII, as the names are: it is always a value.
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or(HeaderValue::from_static(""))
}
