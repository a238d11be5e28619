//! Revocations in Redis: one key a token or a subject.
//!
//! A key holds the moment before which the tokens of a subject are revoked, in milliseconds since 1970, and of
//! a single token 0. It lives until what it revokes has expired, by the server's clock.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::LazyLock,
    task::Poll,
    time::{Duration, SystemTime},
};

use super::{RevocationStore, TokenRef};
use crate::store::{Call, Expiry, Key, RedisStore, Reply, Script, StoreError};

const TOKENS: &str = "revoked-token";
const SUBJECTS: &str = "revoked-subject";

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

/// The tokens of a subject are asked for at the same time as the token itself.
impl RevocationStore for RedisStore {
    fn is_revoked(&self, token: &TokenRef<'_>, _: SystemTime) -> Reply<bool> {
        let store = self.clone();
        let issuer = token.issuer.as_bytes();
        let subject = self.key(SUBJECTS, &[issuer, token.subject.as_bytes()]);
        let own = token
            .jwt_id
            .map(|id| self.key(TOKENS, &[issuer, id.as_bytes()]));
        let issued_at = token.issued_at.map(crate::clock::since_epoch);
        Reply::Wait(Box::pin(async move {
            let by_id = async {
                match &own {
                    Some(own) => store.moment(own).await,
                    None => Ok(None),
                }
            };
            let (by_id, by_subject) = both(by_id, store.moment(&subject)).await;
            let is_before = |before: Duration| issued_at.is_none_or(|issued| issued < before);
            Ok(by_id?.is_some() | by_subject?.is_some_and(is_before))
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
    /// The moment that a key holds.
    async fn moment(&self, key: &Key) -> Result<Option<Duration>, StoreError> {
        let mut command = ::redis::cmd("GET");
        command.arg(key);
        let held: Option<u64> = self.command(&command, Call::idempotent()).await?;
        Ok(held.map(Duration::from_millis))
    }

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
        let moment = u64::try_from(moment.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let arguments = (moment, Expiry::after(left));
        Reply::Wait(Box::pin(async move {
            let keys = [&key];
            let revoked = store.script(&REVOKE, &keys, arguments, Call::idempotent());
            revoked.await.map(|_: i64| ())
        }))
    }
}

/// Waits for both at once.
async fn both<A: Future, B: Future>(one: A, two: B) -> (A::Output, B::Output) {
    let (mut one, mut two) = (pin!(one), pin!(two));
    let (mut first, mut second) = (None, None);
    poll_fn(move |cx| {
        if first.is_none()
            && let Poll::Ready(output) = one.as_mut().poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = two.as_mut().poll(cx)
        {
            second = Some(output);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(two)) => Poll::Ready((one, two)),
            (one, two) => {
                (first, second) = (one, two);
                Poll::Pending
            }
        }
    })
    .await
}
