//! Logs and paces: read, decided about here, and written if they are still as they were read.

use std::{sync::LazyLock, time::Duration};

use redis::{Pipeline, Value};

use super::{Asked, Inner, trip::blocks};
use crate::{
    rate_limit::{Decision, counter::Counter},
    store::{Expiry, Script, StoreError, StoreErrorKind},
};

/// How often another caller may have come between.
const ATTEMPTS: usize = 64;

// A text and its digest; no state.
static SWAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        return 1",
    )
});

impl Inner {
    async fn read(&self, hit: &Asked) -> Result<(Vec<u8>, Option<Decision>), StoreError> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("GET").arg(&hit.key);
        pipeline.cmd("PTTL").arg(blocks(&hit.key));
        let answers: Vec<Value> = self.store.pipeline(&pipeline, self.call()).await?;
        let mut answers = answers.into_iter();
        let state = match answers.next() {
            Some(Value::BulkString(state)) => state,
            Some(Value::Nil) => Vec::new(),
            _ => return Err(StoreError::new(StoreErrorKind::Corrupt)),
        };
        let blocked = match answers.next() {
            Some(Value::Int(left)) => u64::try_from(left).ok().filter(|left| *left > 0),
            _ => return Err(StoreError::new(StoreErrorKind::Corrupt)),
        };
        let refusal = blocked
            .map(Duration::from_millis)
            .map(|left| Decision::refuse(hit.quota.limit(), 0, left, Some(left)));
        Ok((state, refusal))
    }

    pub(super) async fn look_at_state(
        &self,
        hit: &Asked,
        now: u64,
    ) -> Result<Decision, StoreError> {
        let (state, blocked) = self.read(hit).await?;
        let look = || Counter::unpack(&hit.quota, &state).look(&hit.quota, hit.cost, now);
        Ok(blocked.unwrap_or_else(look))
    }

    /// Changes what is counted. What decides to refuse changes nothing, and is not written.
    pub(super) async fn update(
        &self,
        hit: &Asked,
        change: impl Fn(&mut Counter) -> Decision + Send,
    ) -> Result<Decision, StoreError> {
        let mut packed = vec![0; Counter::packed(&hit.quota)];
        for _ in 0..ATTEMPTS {
            let (state, blocked) = self.read(hit).await?;
            if let Some(blocked) = blocked {
                return Ok(blocked);
            }
            let decision = {
                let mut counter = Counter::unpack(&hit.quota, &state);
                let decision = change(&mut counter);
                packed.fill(0);
                counter.pack(&hit.quota, &mut packed);
                decision
            };
            if !decision.allowed {
                return Ok(decision);
            }
            let lifetime = Expiry::after(Duration::from_nanos(hit.quota.view_nanos()));
            let swapped: i64 = self.swap(hit, &state, &packed, lifetime).await?;
            if swapped == 1 {
                return Ok(decision);
            }
        }
        Err(StoreError::new(StoreErrorKind::Timeout))
    }

    async fn swap(
        &self,
        hit: &Asked,
        state: &[u8],
        packed: &[u8],
        lifetime: Expiry,
    ) -> Result<i64, StoreError> {
        let keys = [&hit.name];
        self.store
            .script(&SWAP, &keys, (state, packed, lifetime), self.call())
            .await
    }
}
