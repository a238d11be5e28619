//! [`RateLimitGuard`]: asks the store about a request, and says what it answered.

use std::{fmt, sync::Arc};

use http::{HeaderValue, Response, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use super::{
    Decisions, Hit, RateLimitFields, StoreFailure,
    fields::{Policies, seconds_up},
    key::{KeyBytes, NoKey},
    layer::{Limit, Settings},
};
use crate::{
    audit::AuditKind,
    guard::{Check, Guard, Refusals, Verdict},
    head::RequestHead,
    problem::Rejection,
    store::{Reply, StoreError, StoreErrorKind},
};

/// The problem type of draft-ietf-httpapi-ratelimit-headers-11.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

const RATE_LIMITED: &str = "rate_limited";
const STORE_UNAVAILABLE: &str = "rate_limit_store_unavailable";

/// The guard of [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Clone)]
pub struct RateLimitGuard(Arc<Config>);

struct Config {
    settings: Settings,
    policies: Policies,
}

/// What was decided about a request that was let in; nothing if it was not counted.
#[derive(Debug)]
pub struct Counted(Option<Decisions>);

impl RateLimitGuard {
    pub(super) fn new(settings: Settings, policies: Policies) -> Self {
        Self(Arc::new(Config { settings, policies }))
    }
}

impl Guard for RateLimitGuard {
    const NAME: &'static str = "rate_limit";
    type Pass = Counted;

    #[inline]
    fn check(&self, request: RequestHead<'_>) -> Check<Counted> {
        let settings = &self.0.settings;
        if settings
            .exempt
            .as_ref()
            .is_some_and(|exempt| exempt(request))
        {
            return Check::pass(Counted(None));
        }
        match self.0.ask(request) {
            Ok(Reply::Ready(reply)) => Check::Ready(self.0.verdict(reply)),
            Ok(Reply::Wait(reply)) => {
                let config = Arc::clone(&self.0);
                Check::wait(async move { config.verdict(reply.await) })
            }
            Err(refusal) => Check::refuse(refusal),
        }
    }

    fn audit_kind(&self, rejection: &Rejection) -> AuditKind {
        match rejection.code() {
            RATE_LIMITED => AuditKind::ExcessRateLimitExceeded,
            STORE_UNAVAILABLE => AuditKind::SysDependencyFail,
            _ => AuditKind::InputValidationFail,
        }
    }

    fn refusals(&self) -> &Refusals {
        &self.0.settings.refusals
    }

    fn departs(&self, pass: &Counted) -> bool {
        pass.0.is_some() && self.0.settings.fields != RateLimitFields::None
    }

    fn depart<B>(&self, pass: Counted, response: &mut Response<B>) {
        if let (Some(decisions), RateLimitFields::Ietf) = (pass.0, self.0.settings.fields) {
            self.0.policies.put(&decisions, response.headers_mut());
        }
    }
}

impl Config {
    /// Asks the store about the request, under all limits at once.
    #[inline]
    fn ask(&self, request: RequestHead<'_>) -> Result<Reply<Decisions>, NoKey> {
        let settings = &self.settings;
        let cost = settings.cost.as_ref().map_or(1, |cost| cost(request));
        let now = settings.refusals.now();
        if let [Limit { quota, key }] = &settings.limits[..] {
            let mut bytes = KeyBytes::new();
            let key = key.as_ref().unwrap_or(&settings.key);
            key.write(request, &mut bytes)?;
            let hit = Hit::new(bytes.as_bytes(), *quota, cost);
            return Ok(settings.store.hit(&[hit], now));
        }
        let shared = key_bytes(&settings.key, request)?;
        let own = settings
            .limits
            .iter()
            .map(|limit| {
                let key = limit.key.as_ref();
                key.map(|key| key_bytes(key, request)).transpose()
            })
            .collect::<Result<Vec<_>, _>>()?;
        let hits: Vec<_> = settings
            .limits
            .iter()
            .zip(&own)
            .map(|(limit, own)| {
                let key = own.as_ref().unwrap_or(&shared);
                Hit::new(key.as_bytes(), limit.quota, cost)
            })
            .collect();
        Ok(settings.store.hit(&hits, now))
    }

    #[inline]
    fn verdict(&self, reply: Result<Decisions, StoreError>) -> Verdict<Counted> {
        let wanted = self.settings.limits.len();
        let answer = reply.and_then(|decisions| {
            if decisions.iter().len() == wanted {
                Ok(decisions)
            } else {
                Err(StoreError::new(StoreErrorKind::Corrupt))
            }
        });
        match answer {
            Ok(decisions) if decisions.allowed() => Verdict::Pass(Counted(Some(decisions))),
            Ok(decisions) => Verdict::Refuse(self.exceeded(&decisions)),
            Err(_) => match self.settings.store_failure {
                StoreFailure::Allow => Verdict::Pass(Counted(None)),
                StoreFailure::Refuse => Verdict::Refuse(store_unavailable()),
            },
        }
    }

    #[cold]
    fn exceeded(&self, decisions: &Decisions) -> Rejection {
        let violated: Vec<Value> = self.policies.violated(decisions).map(Value::from).collect();
        let mut rejection = Rejection::new(
            StatusCode::TOO_MANY_REQUESTS,
            RATE_LIMITED,
            "The quota is used up; a later request may find room.",
        )
        .of_type(QUOTA_EXCEEDED)
        .add_member("violated-policies", violated);
        if let Some(retry_after) = decisions.retry_after() {
            // Never 0, as the time is not: rounded down, a client would come back just too early.
            rejection = rejection.add_header(RETRY_AFTER, seconds_up(retry_after).into());
        }
        if self.settings.fields == RateLimitFields::Ietf {
            for (name, value) in self.policies.fields(decisions) {
                rejection = rejection.add_header(name, value);
            }
        }
        rejection
    }
}

impl fmt::Debug for RateLimitGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.settings.fmt(f)
    }
}

#[cold]
fn store_unavailable() -> Rejection {
    Rejection::new(
        StatusCode::SERVICE_UNAVAILABLE,
        STORE_UNAVAILABLE,
        "Requests cannot be counted at the moment.",
    )
    .add_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

fn key_bytes(key: &super::RateLimitKey, request: RequestHead<'_>) -> Result<KeyBytes, NoKey> {
    let mut bytes = KeyBytes::new();
    key.write(request, &mut bytes)?;
    Ok(bytes)
}
