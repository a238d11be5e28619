//! [`ReplayStore`] for [`RedisStore`]: one key a value, one script a verb.
//!
//! A key holds one letter and a token: `p` (pending) of whoever holds the claim, `u` of whoever used the value,
//! `l` of whoever used it after his claim was lost. The scripts compare the whole of it. Times are the server's.
//!
//! Each verb may be sent twice, as a reply may be lost: the second finds its own token and answers alike. Only a
//! release that is sent twice answers that there was nothing to give back.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Claim, ClaimToken, ReplayStore};
use crate::store::{Call, Expiry, RedisStore, Reply, Script, StoreError, StoreErrorKind};

const DOMAIN: &str = "replay";

// Texts and their digests; no state.
static CONSUME: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('GET', KEYS[1])
        if held then return held == 'u' .. ARGV[1] and 1 or 0 end
        redis.call('SET', KEYS[1], 'u' .. ARGV[1], 'PX', ARGV[2])
        return 1",
    )
});

// 0: claimed; 1: held by another; 2: used.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('GET', KEYS[1])
        if held and held ~= 'p' .. ARGV[1] then
            return string.sub(held, 1, 1) == 'p' and 1 or 2
        end
        redis.call('SET', KEYS[1], 'p' .. ARGV[1], 'PX', ARGV[2])
        return 0",
    )
});

static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('GET', KEYS[1])
        local ours = held == 'p' .. ARGV[1] or held == 'u' .. ARGV[1]
        if held and string.sub(held, 1, 1) ~= 'p' then
            if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
                redis.call('PEXPIRE', KEYS[1], ARGV[2])
            end
        else
            redis.call('SET', KEYS[1], (ours and 'u' or 'l') .. ARGV[1], 'PX', ARGV[2])
        end
        return ours and 1 or 0",
    )
});

static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= 'p' .. ARGV[1] then return 0 end
        return redis.call('DEL', KEYS[1])",
    )
});

impl ReplayStore for RedisStore {
    fn consume(&self, key: &[u8], _: SystemTime, keep: Duration) -> Reply<bool> {
        // A token, so that a caller whose connection broke can ask again and be told it was him.
        match ClaimToken::generate() {
            Ok(token) => self.yes_or_no(&CONSUME, key, &token, Some(keep)),
            Err(error) => Reply::Ready(Err(StoreError::caused_by(
                StoreErrorKind::Unreachable,
                error,
            ))),
        }
    }

    fn claim(
        &self,
        key: &[u8],
        token: &ClaimToken,
        _: SystemTime,
        lease: Duration,
    ) -> Reply<Claim> {
        let asked = self.ask(&CLAIM, key, token, Some(lease));
        Reply::Wait(Box::pin(async move {
            match asked.await? {
                0 => Ok(Claim::Claimed),
                1 => Ok(Claim::InFlight),
                2 => Ok(Claim::Used),
                _ => Err(StoreError::new(StoreErrorKind::Corrupt)),
            }
        }))
    }

    fn commit(&self, key: &[u8], token: &ClaimToken, _: SystemTime, keep: Duration) -> Reply<bool> {
        self.yes_or_no(&COMMIT, key, token, Some(keep))
    }

    fn release(&self, key: &[u8], token: &ClaimToken, _: SystemTime) -> Reply<bool> {
        self.yes_or_no(&RELEASE, key, token, None)
    }
}

impl RedisStore {
    fn ask(
        &self,
        script: &'static Script,
        key: &[u8],
        token: &ClaimToken,
        lifetime: Option<Duration>,
    ) -> impl Future<Output = Result<i64, StoreError>> + Send + use<> {
        let store = self.clone();
        let key = self.key(DOMAIN, &[key]);
        let token = URL_SAFE_NO_PAD.encode(token.0);
        let expiry = lifetime.map(Expiry::after);
        async move {
            let arguments = (token, expiry);
            store
                .script(script, &[&key], &arguments, Call::idempotent())
                .await
        }
    }

    fn yes_or_no(
        &self,
        script: &'static Script,
        key: &[u8],
        token: &ClaimToken,
        lifetime: Option<Duration>,
    ) -> Reply<bool> {
        let asked = self.ask(script, key, token, lifetime);
        Reply::Wait(Box::pin(async move {
            match asked.await? {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(StoreError::new(StoreErrorKind::Corrupt)),
            }
        }))
    }
}
