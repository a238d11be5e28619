//! What of a request is asked of the store: its keys, its quotas, its cost.

use std::{future::Future, num::NonZeroU32, pin::Pin, sync::Arc, time::SystemTime};

use super::{
    Decisions, Hit, Plan, Quota, RateLimitKey, StoreFailure,
    fields::Policies,
    key::{KeyBytes, NoKey},
    settings::{Limit, Settings},
};
use crate::{
    head::RequestHead,
    store::{Reply, StoreError},
};

/// Where a limit's quota comes from.
#[derive(Clone)]
pub(super) enum QuotaOf {
    Fixed(Quota),
    Chosen(Arc<Chosen>),
    LookedUp(Arc<LookedUp>),
}

pub(super) type Chosen = dyn Fn(RequestHead<'_>) -> Quota + Send + Sync;
pub(super) type LookedUp = dyn Fn(RequestHead<'_>) -> Lookup + Send + Sync;
pub(super) type Lookup = Pin<Box<dyn Future<Output = Result<Plan, StoreError>> + Send>>;

impl QuotaOf {
    pub(super) fn fixed(&self) -> Option<&Quota> {
        match self {
            Self::Fixed(quota) => Some(quota),
            Self::Chosen(_) | Self::LookedUp(_) => None,
        }
    }
}

/// What was asked about a request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) cost: u32,
    pub(super) at: SystemTime,
    /// What must be kept until the response is there.
    pub(super) kept: Option<Box<Kept>>,
}

/// What a request was counted under, and what its quotas are called if that was not known before.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) hits: Vec<(KeyBytes, Quota)>,
    pub(super) policies: Option<Policies>,
    /// Whether it was counted in this process alone.
    pub(super) locally: bool,
}

impl Kept {
    /// What was asked, of one process among so many.
    pub(super) fn shares(&self, cost: u32, among: NonZeroU32) -> Vec<Hit<'_>> {
        self.hits
            .iter()
            .map(|(key, quota)| Hit::new(key.as_bytes(), quota.divided(among), cost))
            .collect()
    }

    /// The hits, at another cost.
    pub(super) fn costing(&self, cost: u32) -> Vec<Hit<'_>> {
        self.hits
            .iter()
            .map(|(key, quota)| Hit::new(key.as_bytes(), *quota, cost))
            .collect()
    }
}

/// The store's reply to what was asked, or what must be looked up before.
pub(super) enum Asking {
    Asked(Asked, Reply<Decisions>),
    LookingUp(LookingUp),
}

/// Keys, and the quotas as far as they are known.
pub(super) struct LookingUp {
    cost: u32,
    parts: Vec<(KeyBytes, Known)>,
}

enum Known {
    Already(Quota),
    Later(Lookup),
}

impl Settings {
    /// Asks the store about the request, under all limits at once.
    pub(super) fn ask(&self, request: RequestHead<'_>) -> Result<Asking, NoKey> {
        let cost = self.cost.as_ref().map_or(1, |cost| cost(request));
        let at = self.now();
        if let ([Limit { quota, key }], false) = (&self.limits[..], self.keeps())
            && let Some(quota) = quota.fixed()
        {
            let mut bytes = KeyBytes::new();
            let key = key.as_ref().unwrap_or(&self.key);
            key.write(request, &mut bytes)?;
            let reply = self
                .store
                .hit(&[Hit::new(bytes.as_bytes(), *quota, cost)], at);
            let kept = None;
            return Ok(Asking::Asked(Asked { cost, at, kept }, reply));
        }
        self.ask_several(request, cost, at)
    }

    /// Whether what was asked is needed once more.
    pub(super) fn keeps(&self) -> bool {
        self.settle.is_some() || matches!(self.store_failure, StoreFailure::Local { .. })
    }

    fn ask_several(
        &self,
        request: RequestHead<'_>,
        cost: u32,
        at: SystemTime,
    ) -> Result<Asking, NoKey> {
        let shared = self.limits.iter().any(|limit| limit.key.is_none());
        let shared = shared.then(|| bytes(&self.key, request)).transpose()?;
        let (mut parts, mut later) = (Vec::with_capacity(self.limits.len()), false);
        for limit in &self.limits {
            let key = match (&limit.key, &shared) {
                (Some(key), _) => bytes(key, request)?,
                (None, Some(shared)) => shared.clone(),
                (None, None) => continue,
            };
            let known = match &limit.quota {
                QuotaOf::Fixed(quota) => Known::Already(*quota),
                QuotaOf::Chosen(choose) => Known::Already(choose(request)),
                QuotaOf::LookedUp(look_up) => Known::Later(look_up(request)),
            };
            later |= matches!(known, Known::Later(_));
            parts.push((key, known));
        }
        let looking_up = LookingUp { cost, parts };
        if later {
            return Ok(Asking::LookingUp(looking_up));
        }
        let hits = looking_up.parts.into_iter();
        let hits = hits.filter_map(|(key, known)| match known {
            Known::Already(quota) => Some((key, quota)),
            Known::Later(_) => None,
        });
        let (asked, reply) = self.ask_about(hits.collect(), cost, at);
        Ok(Asking::Asked(asked, reply))
    }

    /// Looks up the quotas that are missing, one after the other, then asks.
    pub(super) async fn look_up(
        &self,
        looking_up: LookingUp,
    ) -> Result<(Asked, Reply<Decisions>), StoreError> {
        let LookingUp {
            mut cost, parts, ..
        } = looking_up;
        let mut hits = Vec::with_capacity(parts.len());
        for (key, known) in parts {
            let quota = match known {
                Known::Already(quota) => quota,
                Known::Later(lookup) => {
                    let plan = lookup.await?;
                    cost = plan.cost.unwrap_or(cost);
                    plan.quota
                }
            };
            hits.push((key, quota));
        }
        // It may have taken long, and a count leaves one window after the time that it is said to be from.
        Ok(self.ask_about(hits, cost, self.now()))
    }

    fn ask_about(
        &self,
        hits: Vec<(KeyBytes, Quota)>,
        cost: u32,
        at: SystemTime,
    ) -> (Asked, Reply<Decisions>) {
        let chosen = self
            .limits
            .iter()
            .any(|limit| limit.quota.fixed().is_none());
        let policies = chosen.then(|| Policies::new(hits.iter().map(|(_, quota)| quota)));
        let kept = Kept {
            hits,
            policies,
            locally: false,
        };
        let reply = self.store.hit(&kept.costing(cost), at);
        let kept = (chosen || self.keeps()).then(|| Box::new(kept));
        (Asked { cost, at, kept }, reply)
    }
}

fn bytes(key: &RateLimitKey, request: RequestHead<'_>) -> Result<KeyBytes, NoKey> {
    let mut bytes = KeyBytes::new();
    key.write(request, &mut bytes)?;
    Ok(bytes)
}
