//! [`RateLimitGuard`]: asks the store about a request, and says what it answered.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use super::{
    Decision, Decisions, Hit, Quota, RateLimitEvent, RateLimitEventKind,
    RateLimitEventKind::{CountedLocally, NearLimit, Uncounted, WouldRefuse},
    RateLimitFields, RateLimitStore, StoreFailure,
    ask::{Asked, Asking, Kept},
    decision::Room,
    fields::{Policies, legacy, put_legacy, seconds_up},
    quick::Quick,
    settings::Settings,
    told::{Telling, Told},
};
use crate::{
    audit::AuditKind,
    guard::{Check, Guard, Refusals, Verdict},
    head::RequestHead,
    problem::Rejection,
    store::{Reply, StoreError},
};

/// The problem type of draft-ietf-httpapi-ratelimit-headers-11.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

const RATE_LIMITED: &str = "rate_limited";
const STORE_UNAVAILABLE: &str = "rate_limit_store_unavailable";

/// The guard of [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Clone)]
pub struct RateLimitGuard(Arc<Config>);

pub(super) struct Config {
    pub(super) settings: Settings,
    policies: Policies,
    telling: Option<Telling>,
    quick: Option<Quick>,
}

/// What was decided about a request that was let in.
#[derive(Debug)]
pub struct Counted(Outcome);

#[derive(Debug)]
enum Outcome {
    /// Nothing: it was not counted.
    Uncounted,
    /// By one quota, and there are fields to be put.
    One(Told),
    Any(Box<(Asked, Decisions)>),
}

const UNCOUNTED: Counted = Counted(Outcome::Uncounted);

impl RateLimitGuard {
    pub(super) fn new(settings: Settings, policies: Policies) -> Self {
        let quick = Quick::of(&settings);
        let telling = Telling::of(&settings, &policies);
        Self(Arc::new(Config {
            settings,
            policies,
            telling,
            quick,
        }))
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
            return Check::pass(UNCOUNTED);
        }
        if let Some(quick) = &self.0.quick {
            return Check::Ready(quick.decide(&self.0, request));
        }
        match settings.ask(request) {
            Ok(Asking::Asked(asked, Reply::Ready(reply))) => {
                Check::Ready(self.0.verdict(asked, reply))
            }
            Ok(Asking::Asked(asked, Reply::Wait(reply))) => {
                let config = Arc::clone(&self.0);
                Check::wait(async move { config.verdict(asked, reply.await) })
            }
            Ok(Asking::LookingUp(looking_up)) => {
                let config = Arc::clone(&self.0);
                Check::wait(async move {
                    let (asked, reply) = match config.settings.look_up(looking_up).await {
                        Ok(asked) => asked,
                        Err(_) => return config.unanswered(None),
                    };
                    let reply = match reply {
                        Reply::Ready(reply) => reply,
                        Reply::Wait(reply) => reply.await,
                    };
                    config.verdict(asked, reply)
                })
            }
            Err(refusal) => Check::Ready(self.0.without_key(refusal)),
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

    #[inline]
    fn departs(&self, pass: &Counted) -> bool {
        let settings = &self.0.settings;
        !matches!(pass.0, Outcome::Uncounted)
            && (settings.fields != RateLimitFields::None || settings.settle.is_some())
    }

    #[inline]
    fn departs_alone(pass: &Counted) -> bool {
        matches!(pass.0, Outcome::One(_))
    }

    #[inline]
    fn depart_alone<B>(pass: Counted, response: &mut Response<B>) {
        if let Outcome::One(told) = pass.0 {
            told.put(response.headers_mut());
        }
    }

    #[inline]
    fn depart<B>(&self, pass: Counted, response: &mut Response<B>) {
        match pass.0 {
            Outcome::Uncounted => {}
            Outcome::One(told) => told.put(response.headers_mut()),
            Outcome::Any(counted) => {
                let (asked, decisions) = *counted;
                if let (Some(settle), Some(kept)) = (&self.0.settings.settle, &asked.kept) {
                    let cost = settle(asked.cost, response.status(), response.headers());
                    self.0.settle(&asked, kept, cost);
                }
                self.0
                    .put_fields(&asked, &decisions, response.headers_mut());
            }
        }
    }
}

impl Config {
    pub(super) fn follow_one(&self, decision: Decision, cost: u32, at: u64) -> Verdict<Counted> {
        if decision.allowed {
            let reset_after = decision.reset_after.as_nanos();
            let room = Room {
                remaining: decision.remaining,
                reset_after: u64::try_from(reset_after).unwrap_or(u64::MAX),
            };
            return Verdict::Pass(self.counted(room, at));
        }
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(at);
        let kept = None;
        self.follow(Asked { cost, at, kept }, Decisions::one(decision))
    }

    /// A request that was let in by one quota.
    #[inline]
    pub(super) fn counted(&self, room: Room, at: u64) -> Counted {
        match &self.telling {
            Some(telling) => Counted(Outcome::One(telling.told(room, at))),
            None => UNCOUNTED,
        }
    }

    #[cold]
    pub(super) fn without_key(&self, refusal: Rejection) -> Verdict<Counted> {
        if self.settings.shadow {
            self.tell(WouldRefuse, "", None);
            return Verdict::Pass(UNCOUNTED);
        }
        Verdict::Refuse(refusal)
    }

    fn put_fields(&self, asked: &Asked, decisions: &Decisions, headers: &mut HeaderMap) {
        match self.settings.fields {
            RateLimitFields::Ietf => self.policies(asked).put(decisions, headers),
            RateLimitFields::Legacy => put_legacy(decisions, asked.at, headers),
            RateLimitFields::None => {}
        }
    }

    fn policies<'a>(&'a self, asked: &'a Asked) -> &'a Policies {
        let chosen = asked.kept.as_ref().and_then(|kept| kept.policies.as_ref());
        chosen.unwrap_or(&self.policies)
    }

    #[inline]
    fn verdict(&self, asked: Asked, reply: Result<Decisions, StoreError>) -> Verdict<Counted> {
        match reply {
            Ok(decisions) if decisions.iter().len() == self.settings.limits.len() => {
                self.count_along(&asked, &decisions);
                self.follow(asked, decisions)
            }
            // A decision for each limit, or it is none.
            Ok(_) | Err(_) => self.unanswered(Some(asked)),
        }
    }

    #[inline]
    fn follow(&self, asked: Asked, decisions: Decisions) -> Verdict<Counted> {
        if self.settings.on_event.is_some() {
            self.tell_of(&asked, &decisions);
        }
        if decisions.allowed() {
            let counted = Box::new((asked, decisions));
            return Verdict::Pass(Counted(Outcome::Any(counted)));
        }
        if self.settings.shadow {
            return Verdict::Pass(UNCOUNTED);
        }
        Verdict::Refuse(self.exceeded(&asked, &decisions))
    }

    #[cold]
    pub(super) fn unanswered(&self, asked: Option<Asked>) -> Verdict<Counted> {
        let failure = self.settings.store_failure;
        if let (StoreFailure::Local { instances }, Some(mut asked)) = (failure, asked)
            && let Some(kept) = &mut asked.kept
            && let Reply::Ready(Ok(decisions)) = self
                .settings
                .local
                .hit(&kept.shares(asked.cost, instances), asked.at)
        {
            kept.locally = true;
            self.tell(CountedLocally, "", None);
            return self.follow(asked, decisions);
        }
        if failure == StoreFailure::Allow || self.settings.shadow {
            self.tell(Uncounted, "", None);
            return Verdict::Pass(UNCOUNTED);
        }
        Verdict::Refuse(store_unavailable())
    }

    /// Counts in this process, too, what the store let in, so that its absence gives nobody a fresh share.
    #[inline]
    fn count_along(&self, asked: &Asked, decisions: &Decisions) {
        if let StoreFailure::Local { instances } = self.settings.store_failure
            && let Some(kept) = &asked.kept
            && decisions.allowed()
        {
            let shares = kept.shares(asked.cost, instances);
            drop(self.settings.local.charge(&shares, asked.at));
        }
    }

    /// Gives back or charges what a request cost less or more in the end, wherever it was counted.
    fn settle(&self, asked: &Asked, kept: &Kept, cost: u32) {
        let units = asked.cost.abs_diff(cost);
        if units == 0 {
            return;
        }
        let (settings, now) = (&self.settings, self.settings.now());
        // A store begins at once and needs nobody to wait; nothing is lost but units if it fails.
        let change = |store: &dyn RateLimitStore, hits: &[Hit<'_>]| {
            drop(if cost < asked.cost {
                store.refund(hits, asked.at, now)
            } else {
                store.charge(hits, now)
            });
        };
        if !kept.locally {
            change(&*settings.store, &kept.costing(units));
        }
        if let StoreFailure::Local { instances } = settings.store_failure {
            change(&settings.local, &kept.shares(units, instances));
        }
    }

    /// Tells whom a shadow would have refused, and who has just come near a limit.
    fn tell_of(&self, asked: &Asked, decisions: &Decisions) {
        let allowed = decisions.allowed();
        let named = self.policies(asked).names().zip(decisions.iter());
        for (at, (name, decision)) in named.enumerate() {
            if !decision.allowed && self.settings.shadow {
                self.tell(WouldRefuse, name, Some(*decision));
            }
            let most = self.most_at_once(asked, at).unwrap_or(decision.limit);
            let near = u64::from(most) * u64::from(self.settings.near);
            let used = u64::from(most.saturating_sub(decision.remaining));
            let before = used.saturating_sub(u64::from(asked.cost));
            if allowed && used * 100 >= near && before * 100 < near {
                self.tell(NearLimit, name, Some(*decision));
            }
        }
    }

    /// What is left under a limit that nothing is used of.
    fn most_at_once(&self, asked: &Asked, at: usize) -> Option<u32> {
        let Some(kept) = &asked.kept else {
            let limit = self.settings.limits.get(at)?;
            return limit.quota.fixed().map(Quota::burst_size);
        };
        let (_, quota) = kept.hits.get(at)?;
        match self.settings.store_failure {
            StoreFailure::Local { instances } if kept.locally => {
                Some(quota.divided(instances).burst_size())
            }
            _ => Some(quota.burst_size()),
        }
    }

    fn tell(&self, kind: RateLimitEventKind, policy: &str, decision: Option<Decision>) {
        if let Some(on_event) = &self.settings.on_event {
            on_event(&RateLimitEvent {
                kind,
                policy,
                decision,
                at: self.settings.now(),
            });
        }
    }

    #[cold]
    fn exceeded(&self, asked: &Asked, decisions: &Decisions) -> Rejection {
        let policies = self.policies(asked);
        let violated: Vec<Value> = policies.violated(decisions).map(Value::from).collect();
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
        let add = |rejection: Rejection, (name, value)| rejection.add_header(name, value);
        match self.settings.fields {
            RateLimitFields::Ietf => policies.fields(decisions).into_iter().fold(rejection, add),
            RateLimitFields::Legacy => legacy(decisions, asked.at).into_iter().fold(rejection, add),
            RateLimitFields::None => rejection,
        }
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
