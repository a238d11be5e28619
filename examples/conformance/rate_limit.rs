//! Area `rate_limit`: a fresh store a question, its steps one after the other.

use std::time::{Duration, SystemTime};

use portcullis::{
    config::ConfigError,
    rate_limit::{Decision, Decisions, Hit, Quota, RateLimitStore},
    store::{MemoryStore, Reply},
};
use serde_json::{Value, json};

use crate::question::{Answer, Trouble, field, malformed, optional_number, optional_text, text};

pub(crate) fn answer(question: &Value) -> Answer {
    let unsupported = |what: &str| Err(Trouble::Unsupported(what.to_owned()));
    let algorithm = text(question, "algorithm")?;
    if !["sliding_window", "sliding_window_log", "gcra"].contains(&algorithm) {
        return unsupported("this algorithm");
    }
    let wanted = optional_text(question, "store")?.unwrap_or("memory");
    let Some(store) = store(wanted) else {
        return unsupported("this store");
    };
    let start = seconds(question, "start")?.unwrap_or_default();
    let steps = question.get("steps").and_then(Value::as_array);
    let steps = steps.ok_or_else(|| malformed("steps", "a list"))?;
    let Ok(quota) = quota(question, algorithm)? else {
        return Ok(json!({"ok": false, "code": "config"}));
    };
    let answers: Result<Vec<_>, _> = steps
        .iter()
        .map(|step| {
            let at = start.saturating_add(seconds(step, "at")?.unwrap_or_default());
            let now = SystemTime::UNIX_EPOCH.checked_add(at);
            let now = now.ok_or_else(|| malformed("at", "a time that the system can tell"))?;
            let key = optional_text(step, "key")?.unwrap_or_default();
            let hit = Hit::new(key.as_bytes(), quota, number(step, "cost")?.unwrap_or(1));
            let decisions = store
                .decide(&hit, now)
                .ok_or_else(|| Trouble::Malformed("the store did not answer".to_owned()))?;
            Ok(decisions.iter().map(written).collect::<Vec<_>>().remove(0))
        })
        .collect();
    Ok(json!({"ok": true, "steps": answers?}))
}

/// A store that nobody else uses.
trait Decides {
    fn decide(&self, hit: &Hit<'_>, now: SystemTime) -> Option<Decisions>;
}

impl Decides for MemoryStore {
    fn decide(&self, hit: &Hit<'_>, now: SystemTime) -> Option<Decisions> {
        match self.hit(&[*hit], now) {
            Reply::Ready(reply) => reply.ok(),
            Reply::Wait(_) => None,
        }
    }
}

#[cfg(feature = "redis")]
struct Redis(
    tokio::runtime::Runtime,
    portcullis::rate_limit::RedisRateLimits,
);

#[cfg(feature = "redis")]
impl Decides for Redis {
    fn decide(&self, hit: &Hit<'_>, now: SystemTime) -> Option<Decisions> {
        let asked = async {
            match self.1.hit(&[*hit], now) {
                Reply::Ready(reply) => reply.ok(),
                Reply::Wait(reply) => reply.await.ok(),
            }
        };
        self.0.block_on(asked)
    }
}

fn store(name: &str) -> Option<Box<dyn Decides>> {
    match name {
        "memory" => Some(Box::new(MemoryStore::new())),
        #[cfg(feature = "redis")]
        "redis" => {
            use portcullis::{random::OpaqueToken, rate_limit::RedisRateLimits, store::RedisStore};
            let token = OpaqueToken::generate().ok()?;
            let redis = RedisStore::new(&std::env::var("REDIS_URL").ok()?).ok()?;
            let redis = redis.key_prefix(&format!("{}:", token.expose())).ok()?;
            let limits = RedisRateLimits::new(redis).by_the_callers_clock();
            let limits = limits.deadline(Duration::from_secs(5)).ok()?;
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            Some(Box::new(Redis(runtime.enable_all().build().ok()?, limits)))
        }
        _ => None,
    }
}

fn quota(question: &Value, algorithm: &str) -> Result<Result<Quota, ConfigError>, Trouble> {
    let limit = number(question, "limit")?.ok_or_else(|| malformed("limit", "a number"))?;
    let window = seconds(question, "window")?.ok_or_else(|| malformed("window", "a number"))?;
    let (segments, burst) = (number(question, "segments")?, number(question, "burst")?);
    let quota = Quota::try_new(limit, window);
    Ok(quota.and_then(|quota| match algorithm {
        "sliding_window_log" => quota.try_exact(),
        "gcra" => quota.try_burst(burst.unwrap_or(limit)),
        _ => segments.map_or(Ok(quota), |count| quota.try_segments(count)),
    }))
}

fn written(decision: &Decision) -> Value {
    json!({
        "allowed": decision.allowed,
        "remaining": decision.remaining,
        "reset_after": decision.reset_after.as_secs_f64(),
        "retry_after": decision.retry_after.map(|after| after.as_secs_f64()),
    })
}

/// A time in seconds, which may be fractional: read as decimal digits, as a binary fraction of a Unix time
/// is exact to a quarter of a microsecond only.
fn seconds(question: &Value, name: &str) -> Result<Option<Duration>, Trouble> {
    let Some(value) = field(question, name) else {
        return Ok(None);
    };
    let wrong = || malformed(name, "a number of seconds, not negative");
    let number = optional_number(question, name)?.ok_or_else(wrong)?;
    let written = value.to_string();
    let (whole, fraction) = written.split_once('.').unwrap_or((&written, ""));
    let plain = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return Duration::try_from_secs_f64(number)
            .map(Some)
            .map_err(|_| wrong());
    }
    let whole = whole.parse().map_err(|_| wrong())?;
    let nanos = format!("{fraction:0<9.9}").parse().map_err(|_| wrong())?;
    Ok(Some(Duration::new(whole, nanos)))
}

fn number(question: &Value, name: &str) -> Result<Option<u32>, Trouble> {
    let wrong = || malformed(name, "a whole number below 2^32");
    field(question, name)
        .map(|value| {
            let number = value.as_u64().ok_or_else(wrong)?;
            u32::try_from(number).map_err(|_| wrong())
        })
        .transpose()
}
