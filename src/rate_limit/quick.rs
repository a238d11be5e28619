//! [`Quick`]: the shortest way from a request to a decision.

use std::sync::{Arc, OnceLock};

use super::{
    counters::{Counters, Stored},
    guard::{Config, Counted},
    identity::Sum,
    key::{ADDRESS_LENGTH, KeyBytes},
    settings::{Limit, Settings},
};
use crate::{
    guard::Verdict,
    head::RequestHead,
    store::{MemoryStore, StoreError},
};

/// What decides at once, where one quota is counted in memory and nobody is told of it.
pub(super) struct Quick {
    memory: MemoryStore,
    counters: OnceLock<(Arc<Counters>, Sum)>,
    stored: Stored,
}

impl Quick {
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let [Limit { quota, .. }] = &settings.limits[..] else {
            return None;
        };
        if settings.keeps() || settings.on_event.is_some() {
            return None;
        }
        Some(Self {
            memory: settings.memory.clone()?,
            counters: OnceLock::new(),
            stored: Stored::new(*quota.fixed()?),
        })
    }

    #[inline]
    fn counters(&self) -> Result<&(Arc<Counters>, Sum), StoreError> {
        if let Some(counters) = self.counters.get() {
            return Ok(counters);
        }
        let counters = Arc::clone(self.memory.counters()?);
        let fingerprint = self.stored.quota.fingerprint();
        let sum = counters.identities.begin(fingerprint, ADDRESS_LENGTH);
        Ok(self.counters.get_or_init(|| (counters, sum)))
    }

    /// Decides on the shortest way.
    #[inline]
    pub(super) fn decide(&self, config: &Config, request: RequestHead<'_>) -> Verdict<Counted> {
        let settings = &config.settings;
        let own = settings.limits.first().and_then(|limit| limit.key.as_ref());
        let key = own.unwrap_or(&settings.key);
        let cost = settings.cost.as_ref().map_or(1, |cost| cost(request));
        let at = settings.nanos();
        let Ok((counters, sum)) = self.counters() else {
            return config.unanswered(None);
        };
        let identities = &counters.identities;
        let identity = match key.address(request) {
            Some(Ok(address)) => sum.of(identities, address),
            Some(Err(refusal)) => return config.without_key(refusal),
            None => {
                let mut bytes = KeyBytes::new();
                if let Err(refusal) = key.write(request, &mut bytes) {
                    return config.without_key(refusal);
                }
                identities.of(self.stored.quota.fingerprint(), bytes.as_bytes())
            }
        };
        match counters.pass(&self.stored, identity, cost, at) {
            Ok(room) => Verdict::Pass(config.counted(room, at)),
            Err(decision) => config.follow_one(decision, cost, at),
        }
    }
}
