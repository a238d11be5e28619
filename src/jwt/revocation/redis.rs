//! Revocations in Redis: one key a token or a subject.
//!
//! A key holds the moment before which the tokens of a subject are revoked, in milliseconds since 1970, and of
//! a single token 0. It lives until what it revokes has expired, by the server's clock.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use super::{RevocationStore, TokenRef};
use crate::store::{Call, Expiry, Key, RedisStore, Reply, Script, StoreError, StoreErrorKind};

const TOKENS: &str = "revoked-token";
const SUBJECTS: &str = "revoked-subject";
/// What Lua's numbers can tell apart, in milliseconds: some 285,000 years.
const LATEST: u64 = 1 << 53;

/// The latest of both moments holds.
static REVOKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local moment, left = tonumber(ARGV[1]), tonumber(ARGV[2])
        local held = redis.call('GET', KEYS[1])
        if held and tonumber(held) > moment then moment = tonumber(held) end
        left = math.max(left, redis.call('PTTL', KEYS[1]))
        redis.call('SET', KEYS[1], string.format('%.0f', moment), 'PX', string.format('%.0f', left))
        return 1",
    )
});

/// A token and its subject are asked about in one command. On a Cluster they lie in two slots (one slot for all
/// of an issuer would be one server's burden): there it is one command to each of the two servers, at once.
impl RevocationStore for RedisStore {
    fn is_revoked(&self, token: &TokenRef<'_>, _: SystemTime) -> Reply<bool> {
        let store = self.clone();
        let issuer = token.issuer.as_bytes();
        let subject = self.key(SUBJECTS, &[issuer, token.subject.as_bytes()]);
        let own = token
            .jwt_id
            .map(|id| self.key(TOKENS, &[issuer, id.as_bytes()]));
        let issued_at = token.issued_at.map(crate::clock::since_epoch);
        let asks_for_own = own.is_some();
        let mut command = ::redis::cmd("MGET");
        command.arg(subject).arg(own);
        Reply::Wait(Box::pin(async move {
            let held: Vec<Option<u64>> = store.command(&command, Call::idempotent()).await?;
            let (before, by_id) = match (held.as_slice(), asks_for_own) {
                ([before], false) => (*before, false),
                ([before, own], true) => (*before, own.is_some()),
                _ => return Err(StoreError::new(StoreErrorKind::Corrupt)),
            };
            let before = before.map(Duration::from_millis);
            let is_before = |before| issued_at.is_none_or(|issued| issued < before);
            Ok(by_id || before.is_some_and(is_before))
        }))
    }

    fn revoke_token(
        &self,
        issuer: &str,
        jwt_id: &str,
        until: SystemTime,
        now: SystemTime,
    ) -> Reply<()> {
        let key = self.key(TOKENS, &[issuer.as_bytes(), jwt_id.as_bytes()]);
        self.revoke(key, Duration::ZERO, until, now)
    }

    fn revoke_subject(
        &self,
        issuer: &str,
        subject: &str,
        issued_before: SystemTime,
        until: SystemTime,
        now: SystemTime,
    ) -> Reply<()> {
        let key = self.key(SUBJECTS, &[issuer.as_bytes(), subject.as_bytes()]);
        let moment = crate::clock::since_epoch(issued_before);
        self.revoke(key, moment, until, now)
    }
}

impl RedisStore {
    fn revoke(&self, key: Key, moment: Duration, until: SystemTime, now: SystemTime) -> Reply<()> {
        let Some(left) = until
            .duration_since(now)
            .ok()
            .filter(|left| !left.is_zero())
        else {
            return Reply::Ready(Ok(()));
        };
        let store = self.clone();
        // Rounded up: rather a token too many.
        let moment = u64::try_from(moment.as_nanos().div_ceil(1_000_000)).unwrap_or(LATEST);
        let arguments = (moment.min(LATEST), Expiry::after(left));
        Reply::Wait(Box::pin(async move {
            let keys = [&key];
            let revoked = store.script(&REVOKE, &keys, arguments, Call::idempotent());
            revoked.await.map(|_: i64| ())
        }))
    }
}
