//! Families in Redis: one hash a subject, one script a verb.
//!
//! The key is made of the [`subject_tag`] that every id of the subject's families begins with, and its fields
//! are the families, so that whatever is decided together lies in one key and one slot. Different subjects
//! may share a key; a family holds its subject's name. The key expires with the last of its families, and
//! what has expired within it goes at the latest when sixteen more have begun. Times are the caller's, in
//! milliseconds.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use super::{
    FamilyFacts, FamilyId, MOST_FAMILIES, NewFamily, RefreshTokenStore, ReuseKind, Turn, Turned,
    store::MOST_SKEW, subject_tag,
};
use crate::store::{Call, Expiry, RedisStore, Reply, Script, StoreError, StoreErrorKind};

const DOMAIN: &str = "refresh";

// A family: s subject, p payload, h hash of the live token, g its generation, d end, e expiry, t last touched,
// v revoked, r moments of the latest rotations.

static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local now, most = tonumber(ARGV[2]), tonumber(ARGV[8])
        local held = redis.call('HGET', KEYS[1], ARGV[1])
        if held then return cmsgpack.unpack(held).h == ARGV[5] and 1 or 0 end
        local count = redis.call('HLEN', KEYS[1])
        if count % 16 == 15 or count >= most then
            local all = redis.call('HGETALL', KEYS[1])
            for i = 1, #all, 2 do
                if cmsgpack.unpack(all[i + 1]).e <= now then redis.call('HDEL', KEYS[1], all[i]) end
            end
            if redis.call('HLEN', KEYS[1]) >= most then return 0 end
        end
        local f = {s = ARGV[3], p = ARGV[4], h = ARGV[5], g = 0, d = tonumber(ARGV[6]),
            e = tonumber(ARGV[6]), t = now, v = 0, r = {}}
        if now + tonumber(ARGV[7]) < f.e then f.e = now + tonumber(ARGV[7]) end
        redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(f))
        local left = math.max(f.e - now, 1)
        if redis.call('PTTL', KEYS[1]) < left then redis.call('PEXPIRE', KEYS[1], left) end
        return 1",
    )
});

static ROTATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local raw = redis.call('HGET', KEYS[1], ARGV[1])
        if not raw then return {5, '', '', 0, 0, ''} end
        local f = cmsgpack.unpack(raw)
        local now, gen = tonumber(ARGV[2]), tonumber(ARGV[3])
        if f.e <= now then
            redis.call('HDEL', KEYS[1], ARGV[1])
            return {5, '', '', 0, 0, ''}
        end
        if f.v == 1 then return {4, '', '', 0, 0, ''} end
        local clock = now
        if now < f.t then now = f.t end
        local what = -1
        if gen == f.g and ARGV[4] == f.h then what = 0 end
        if gen == f.g + 1 and ARGV[9] == f.h then
            what = 2
            table.insert(f.r, clock)
        end
        if what >= 0 then
            f.h, f.g, f.t = ARGV[5], gen + 1, now
            table.insert(f.r, clock)
            while #f.r > tonumber(ARGV[8]) do table.remove(f.r, 1) end
            f.e = f.d
            if now + tonumber(ARGV[7]) < f.e then f.e = now + tonumber(ARGV[7]) end
            redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(f))
            local left = math.max(f.e - clock, 1)
            if redis.call('PTTL', KEYS[1]) < left then redis.call('PEXPIRE', KEYS[1], left) end
            return {what, f.s, f.p, f.d, f.g, f.h}
        end
        local behind = f.g - gen
        if behind > 0 and behind <= #f.r then
            local age = clock - f.r[#f.r - behind + 1]
            if age <= tonumber(ARGV[6]) and age >= -tonumber(ARGV[10]) then
                return {1, f.s, f.p, f.d, f.g, f.h}
            end
        end
        f.v = 1
        redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(f))
        local kind = 8
        if behind == 1 then kind = 6 elseif behind > 1 then kind = 7 end
        return {kind, f.s, f.p, f.d, f.g, f.h}",
    )
});

// What has expired goes at once: by another caller's clock it may live on.
static REVOKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local raw = redis.call('HGET', KEYS[1], ARGV[1])
        if not raw then return 0 end
        local f = cmsgpack.unpack(raw)
        if f.e <= tonumber(ARGV[2]) then
            redis.call('HDEL', KEYS[1], ARGV[1])
            return 0
        end
        if f.v == 1 then return 0 end
        f.v = 1
        redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(f))
        return 1",
    )
});

static REVOKE_ALL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local count, all = 0, redis.call('HGETALL', KEYS[1])
        for i = 1, #all, 2 do
            local f = cmsgpack.unpack(all[i + 1])
            if f.s == ARGV[1] and f.e <= tonumber(ARGV[2]) then
                redis.call('HDEL', KEYS[1], all[i])
            elseif f.s == ARGV[1] and f.v == 0 then
                f.v = 1
                redis.call('HSET', KEYS[1], all[i], cmsgpack.pack(f))
                count = count + 1
            end
        end
        return count",
    )
});

/// Subjects whose [`subject_tag`] is the same have [`MOST_FAMILIES`] together.
impl RefreshTokenStore for RedisStore {
    fn begin(&self, family: &NewFamily<'_>, now: SystemTime) -> Reply<()> {
        let (store, key) = self.of(&family.id.subject_tag());
        let arguments = (
            family.id.as_bytes().to_vec(),
            millis(now),
            family.subject.to_owned(),
            family.payload.to_owned(),
            family.hash.to_vec(),
            millis(family.ends_at),
            Expiry::after(family.idle),
            MOST_FAMILIES,
        );
        Reply::Wait(Box::pin(async move {
            let keys = [&key];
            let begun = store.script(&BEGIN, &keys, arguments, Call::idempotent());
            match begun.await? {
                1_i64 => Ok(()),
                _ => Err(StoreError::new(StoreErrorKind::Full)),
            }
        }))
    }

    fn rotate(&self, turn: &Turn, now: SystemTime) -> Reply<Turned> {
        let (store, key) = self.of(&turn.family.subject_tag());
        let arguments = (
            turn.family.as_bytes().to_vec(),
            millis(now),
            turn.generation,
            turn.presented.to_vec(),
            turn.successor.to_vec(),
            whole_millis(turn.grace),
            Expiry::after(turn.idle),
            super::REMEMBERED_ROTATIONS,
            turn.predecessor.map_or(Vec::new(), Vec::from),
            whole_millis(MOST_SKEW),
        );
        // Sent again, a rotation that was done looks like another tab's: without a window, like a thief's.
        let call = match turn.grace < Duration::from_secs(2) {
            true => Call::once(),
            false => Call::idempotent(),
        };
        Reply::Wait(Box::pin(async move {
            let keys = [&key];
            let turned = store.script(&ROTATE, &keys, arguments, call);
            let (what, subject, payload, ends_at, generation, live): Answer = turned.await?;
            let ends_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ends_at));
            let corrupt = || StoreError::new(StoreErrorKind::Corrupt);
            let facts =
                FamilyFacts::new(subject.into(), payload.into(), ends_at.ok_or_else(corrupt)?);
            Ok(match what {
                0 => Turned::Rotated(facts),
                1 => Turned::Again {
                    facts,
                    generation,
                    live: live.try_into().map_err(|_| corrupt())?,
                },
                2 => Turned::CaughtUp(facts),
                4 => Turned::Revoked,
                5 => Turned::Unknown,
                6 => Turned::Reused(ReuseKind::Predecessor, facts),
                7 => Turned::Reused(ReuseKind::Ancestor, facts),
                8 => Turned::Reused(ReuseKind::Orphan, facts),
                _ => return Err(corrupt()),
            })
        }))
    }

    fn revoke_family(&self, family: FamilyId, now: SystemTime) -> Reply<bool> {
        let (store, key) = self.of(&family.subject_tag());
        let arguments = (family.as_bytes().to_vec(), millis(now));
        Reply::Wait(Box::pin(async move {
            let keys = [&key];
            let revoked = store.script(&REVOKE, &keys, arguments, Call::idempotent());
            let count: u64 = revoked.await?;
            Ok(count > 0)
        }))
    }

    fn revoke_subject(&self, subject: &str, now: SystemTime) -> Reply<u64> {
        let (store, key) = self.of(&subject_tag(subject));
        let arguments = (subject.to_owned(), millis(now));
        Reply::Wait(Box::pin(async move {
            let keys = [&key];
            let revoked = store.script(&REVOKE_ALL, &keys, arguments, Call::idempotent());
            revoked.await
        }))
    }
}

type Answer = (i64, String, String, u64, u32, Vec<u8>);

impl RedisStore {
    fn of(&self, tag: &[u8; 8]) -> (Self, crate::store::Key) {
        (self.clone(), self.key(DOMAIN, &[tag]))
    }
}

fn millis(moment: SystemTime) -> u64 {
    whole_millis(crate::clock::since_epoch(moment))
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
