//! Logs and paces: each is a script, which counts what fits and answers with what there was before.
//!
//! Where the clock goes back, a log keeps its order and a pace its place: neither lets in more by the time that it
//! then is. When the clock is ahead again, units of a log leave earlier by as long as it had gone back when they
//! were counted, and a pace that was idle has come back as much farther, as in memory.

use std::{sync::LazyLock, time::Duration};

use redis::Value;

use super::{
    Inner,
    commands::{corrupt, until_in},
    decide::Seen,
    group::Limit,
    time::Times,
    wire::Counted,
};
use crate::{
    rate_limit::{Algorithm, Gcra, Quota, SlidingLog},
    store::{Call, Expiry, Script, StoreError},
};

/// As far ahead of the clock counts are believed at least, as in memory.
const BELIEVED_AHEAD: u64 = 60_000_000_000;

/// Clocks differ, and callers stand still.
const SLACK: Duration = Duration::from_secs(60);

/// A log is its times, the oldest first, in eight bytes each. A number of Lua holds 53 bits, so times are compared in
/// halves.
///
/// To take: the state and the block; what is asked at, as text and in bytes, what has left, the latest that is
/// believed, when to count, the limit, the expiry, and each cost. To give back: from when, to when, how many, the
/// expiry.
macro_rules! log {
    ($script:literal) => {
        concat!(
            "
local function after(a, b)
  local x, y = struct.unpack('>I4I4', a)
  local u, v = struct.unpack('>I4I4', b)
  return x > u or x == u and y > v
end
",
            $script
        )
    };
}

// Texts and their digests; no state.
static LOG_TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(log!(
        "
local block = redis.call('GET', KEYS[2])
if block and #block == #ARGV[1] and block > ARGV[1] then return {block} end
local state = redis.call('GET', KEYS[1]) or ''
if #state > 0 and after(string.sub(state, -8), ARGV[4]) then
  state = string.rep(ARGV[2], #state / 8)
end
local first = 1
while first < #state and not after(string.sub(state, first, first + 7), ARGV[3]) do first = first + 8 end
state = string.sub(state, first)
local held, taken, place = #state / 8, 0, ARGV[5]
if held > 0 and after(string.sub(state, -8), place) then place = string.sub(state, -8) end
for i = 8, #ARGV do
  local cost = tonumber(ARGV[i])
  if held + cost <= tonumber(ARGV[6]) then held, taken = held + cost, taken + cost end
end
if taken > 0 then
  redis.call('SET', KEYS[1], state .. string.rep(place, taken), 'PX', ARGV[7])
end
return {false, state, taken, place}"
    ))
});

static LOG_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(log!(
        "
local state = redis.call('GET', KEYS[1])
if not state then return 0 end
local first, left = 1, tonumber(ARGV[3])
while first < #state and after(ARGV[1], string.sub(state, first, first + 7)) do first = first + 8 end
local rest = first
while left > 0 and rest < #state and not after(string.sub(state, rest, rest + 7), ARGV[2]) do
  rest, left = rest + 8, left - 1
end
local kept = string.sub(state, 1, math.max(0, first - 1 - 8 * left))
redis.call('SET', KEYS[1], kept .. string.sub(state, rest), 'PX', ARGV[4])
return 1"
    ))
});

/// The time of a pace is a number of 128 bits, the highest first.
macro_rules! pace {
    ($script:literal) => {
        concat!(
            "
local function read(text) return {struct.unpack('>I4I4I4I4', text)} end
local function write(n) return struct.pack('>I4I4I4I4', n[1], n[2], n[3], n[4]) end
local function after(a, b)
  for i = 1, 4 do if a[i] ~= b[i] then return a[i] > b[i] end end
  return false
end
local function add(a, b, sign)
  local sum, carry = {}, 0
  for i = 4, 1, -1 do
    local n = a[i] + sign * b[i] + carry
    carry = math.floor(n / 4294967296)
    sum[i] = n - carry * 4294967296
  end
  return sum
end
",
            $script
        )
    };
}

static PACE_TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(pace!(
        "
local block = redis.call('GET', KEYS[2])
if block and #block == #ARGV[1] and block > ARGV[1] then return {block} end
local now, most = read(ARGV[2]), read(ARGV[3])
local state = redis.call('GET', KEYS[1])
local back = state and read(state) or {0, 0, 0, 0}
if after(back, read(ARGV[4])) then back = most end
state = write(back)
if after(now, back) then back = now end
local taken = 0
for i = 6, #ARGV, 2 do
  local new = add(back, read(ARGV[i]), 1)
  if not after(new, most) then back, taken = new, taken + tonumber(ARGV[i + 1]) end
end
if taken > 0 then redis.call('SET', KEYS[1], write(back), 'PX', ARGV[5]) end
return {false, state, taken, state .. write(back)}"
    ))
});

static PACE_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(pace!(
        "
local state = redis.call('GET', KEYS[1])
if not state then return 0 end
local new
if state == string.sub(ARGV[3], 17) then
  new = string.sub(ARGV[3], 1, 16)
else
  local back, units = read(state), read(ARGV[1])
  if after(units, back) then back = units end
  new = write(add(back, units, -1))
end
redis.call('SET', KEYS[1], new, 'PX', ARGV[2])
return 1"
    ))
});

impl Inner {
    /// Counts, one after the other, what fits of these costs.
    pub(super) async fn take(
        &self,
        limit: &Limit,
        costs: &[u32],
        heeds_blocks: bool,
        times: &Times,
        call: Call,
    ) -> Result<Counted, StoreError> {
        let quota = &limit.quota;
        let (name, block) = (limit.name.as_str(), limit.block());
        let keys = [name, &block];
        let believed = quota.view_nanos().max(BELIEVED_AHEAD);
        // At the greatest time no block is in force.
        let asked = if heeds_blocks { times.asked } else { u64::MAX };
        let asked = format!("{asked:020}");
        let mut answers: Vec<Value> = match quota.algorithm() {
            Algorithm::SlidingLog => {
                let gone = times.early.checked_sub(quota.window_nanos());
                let mut arguments = vec![
                    asked.into_bytes(),
                    times.asked.to_be_bytes().to_vec(),
                    gone.unwrap_or(0).to_be_bytes().to_vec(),
                    times.late.saturating_add(believed).to_be_bytes().to_vec(),
                    times.late.to_be_bytes().to_vec(),
                    quota.limit().to_string().into_bytes(),
                    lifetime(quota).millis().to_string().into_bytes(),
                ];
                arguments.extend(costs.iter().map(|cost| cost.to_string().into_bytes()));
                self.store.script(&LOG_TAKE, &keys, arguments, call).await?
            }
            Algorithm::SlidingWindow => return Err(corrupt()),
            Algorithm::Gcra => {
                let (limits, unit) = (u128::from(quota.limit()), u128::from(quota.window_nanos()));
                let now = u128::from(times.asked) * limits;
                // Whole nanoseconds ahead are believed.
                let believed = now + u128::from(believed) * limits + limits - 1;
                let most = now + u128::from(quota.burst_size()) * unit;
                let mut arguments = vec![
                    asked.into_bytes(),
                    now.to_be_bytes().to_vec(),
                    most.to_be_bytes().to_vec(),
                    believed.to_be_bytes().to_vec(),
                    lifetime(quota).millis().to_string().into_bytes(),
                ];
                for cost in costs {
                    arguments.push((u128::from(*cost) * unit).to_be_bytes().to_vec());
                    arguments.push(cost.to_string().into_bytes());
                }
                self.store
                    .script(&PACE_TAKE, &keys, arguments, call)
                    .await?
            }
        };
        answers.resize(4, Value::Nil);
        let (blocked, state, taken) = match &answers[..] {
            [Value::BulkString(until), ..] => (Some(until_in(until)?), unpack(quota, &[0; 16])?, 0),
            [_, Value::BulkString(state), Value::Int(taken), _] => {
                (None, unpack(quota, state)?, *taken)
            }
            _ => return Err(corrupt()),
        };
        let taken = u32::try_from(taken).map_err(|_| corrupt())?;
        Ok(Counted {
            seen: state,
            taken,
            undo: match answers.pop() {
                Some(Value::BulkString(undo)) => undo,
                _ => Vec::new(),
            },
            short: Vec::new(),
            blocked,
        })
    }

    /// Undoes what was just taken, as far as nobody else has counted since.
    pub(super) async fn undo(
        &self,
        limit: &Limit,
        units: u32,
        undo: &[u8],
        call: Call,
    ) -> Result<(), StoreError> {
        if limit.quota.algorithm() == Algorithm::SlidingLog {
            let place = undo.first_chunk().map_or(0, |at| u64::from_be_bytes(*at));
            return self.log_back(limit, units, (place, place), call).await;
        }
        let units = u128::from(units) * u128::from(limit.quota.window_nanos());
        self.pace_back(limit, units, undo, call).await
    }

    /// Takes units of a log back that were counted at some time between these, or else before.
    pub(super) async fn log_back(
        &self,
        limit: &Limit,
        units: u32,
        (from, to): (u64, u64),
        call: Call,
    ) -> Result<(), StoreError> {
        let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
        let arguments = (&from[..], &to[..], units, lifetime(&limit.quota).millis());
        let keys = [limit.name.as_str()];
        let done = self
            .store
            .script_in_order(&LOG_BACK, &keys, arguments, call);
        done.await.map(|_: i64| ())
    }

    /// Sets a pace back by nanoseconds times the limit, or to where it was, if it is as it was left.
    pub(super) async fn pace_back(
        &self,
        limit: &Limit,
        units: u128,
        undo: &[u8],
        call: Call,
    ) -> Result<(), StoreError> {
        let units = units.to_be_bytes();
        let arguments = (&units[..], lifetime(&limit.quota).millis(), undo);
        let keys = [limit.name.as_str()];
        let done = self
            .store
            .script_in_order(&PACE_BACK, &keys, arguments, call);
        done.await.map(|_: i64| ())
    }
}

fn lifetime(quota: &Quota) -> Expiry {
    Expiry::after(Duration::from_nanos(quota.view_nanos()).saturating_add(SLACK))
}

/// A state as a script has it.
fn unpack(quota: &Quota, state: &[u8]) -> Result<Seen, StoreError> {
    if quota.algorithm() == Algorithm::SlidingLog {
        let (times, _) = state.as_chunks::<8>();
        let held = std::iter::once((times.len() as u64).to_le_bytes());
        let times = times
            .iter()
            .map(|time| u64::from_be_bytes(*time).to_le_bytes());
        let packed: Vec<u8> = held.chain(times).flatten().collect();
        return Ok(Seen::Log(SlidingLog::unpack(&packed)));
    }
    let back = state.first_chunk().ok_or_else(corrupt)?;
    let back = u128::from_be_bytes(*back).to_le_bytes();
    Ok(Seen::Pace(Gcra::unpack(&back)))
}
