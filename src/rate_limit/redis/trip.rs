//! One exchange about a window: an increment of the newest count, and a read of the others in view.

use std::time::Duration;

use redis::{Pipeline, Value};

use super::{Asked, Inner};
use crate::{
    rate_limit::{Algorithm, Decision, Quota, SlidingWindow},
    store::{Expiry, StoreError, StoreErrorKind},
};

/// A key holds this many views.
const VIEWS: u64 = 4;

/// Longer than any caller stands still between reading the clock and being answered.
const SLACK: Duration = Duration::from_secs(60);

/// How much callers' times may differ, in nanoseconds: half of how long an answer takes, and some.
const AHEAD: u64 = 5_000_000;

/// What was counted of a key, before what this exchange counted.
pub(super) struct Seen {
    pub(super) window: SlidingWindow,
    /// Whether what was asked to be counted was.
    pub(super) counted: bool,
    /// How long the key is blocked, if it is.
    pub(super) blocked: Option<Duration>,
}

/// Where the counts of a time are.
struct Place {
    /// The segment of the time.
    segment: u64,
    /// The segments of a key.
    length: u64,
}

impl Place {
    fn of(quota: &Quota, now: u64) -> Self {
        Self {
            segment: now / quota.segment_nanos(),
            length: VIEWS * (u64::from(quota.segment_count()) + 1),
        }
    }

    fn part(&self) -> u64 {
        self.segment / self.length
    }

    fn offset(&self) -> u64 {
        self.segment % self.length
    }
}

fn named(key: &str, part: u64) -> String {
    format!("{key}:{part:x}")
}

fn corrupt() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt)
}

fn bitfield(key: &str, offset: u64, by: i64) -> redis::Cmd {
    let mut command = redis::cmd("BITFIELD");
    command.arg(key).arg("OVERFLOW").arg("FAIL").arg("INCRBY");
    command.arg("u32").arg(format!("#{offset}")).arg(by);
    command
}

impl Inner {
    /// Counts so many units, if any, and reads what was counted before.
    pub(super) async fn exchange(
        &self,
        hit: &Asked,
        units: u32,
        now: u64,
    ) -> Result<Seen, StoreError> {
        let (quota, place) = (&hit.quota, Place::of(&hit.quota, now));
        let in_view = u64::from(quota.segment_count());
        let first = place.segment.saturating_sub(in_view);
        let (part, offset) = (place.part(), place.offset());
        let current = named(&hit.key, part);
        // Callers' times may differ a little: what is counted a little ahead is read, too.
        let ahead = (AHEAD / quota.segment_nanos() + 1).min(in_view + 1);
        let last = place.segment.saturating_add(ahead);
        let mut pipeline = Pipeline::new();
        let fresh = units > 0 && !self.expiring.knows(&current);
        if fresh {
            pipeline.cmd("SET").arg(&current).arg("").arg("PX");
            pipeline.arg(self.lifetime(hit, &place)).arg("NX");
        }
        if units > 0 {
            pipeline.add_command(bitfield(&current, offset, i64::from(units)));
        }
        let mut ranges = Vec::new();
        for read in first / place.length..=last / place.length {
            let from = first.max(read * place.length);
            let to = last.min((read + 1) * place.length - 1);
            let start = read * place.length;
            pipeline.cmd("GETRANGE").arg(named(&hit.key, read));
            pipeline.arg((from - start) * 4).arg((to - start) * 4 + 3);
            ranges.push((from, to));
        }
        pipeline.cmd("PTTL").arg(blocks(&hit.key));
        let answers: Vec<Value> = self.store.pipeline(&pipeline, self.call()).await?;
        let mut answers = answers.into_iter();
        if fresh {
            answers.next();
            self.expiring.remember(&current);
        }
        let after = if units > 0 {
            increased(answers.next().ok_or_else(corrupt)?)?
        } else {
            None
        };
        let mut counts = vec![0_u32; usize::try_from(last - first + 1).map_err(|_| corrupt())?];
        for (from, to) in ranges {
            let Some(Value::BulkString(bytes)) = answers.next() else {
                return Err(corrupt());
            };
            let at = usize::try_from(from - first).map_err(|_| corrupt())?;
            let length = usize::try_from(to - from + 1).map_err(|_| corrupt())?;
            let cells = bytes.as_chunks::<4>().0.iter().take(length);
            for (count, cell) in counts[at..].iter_mut().zip(cells) {
                *count = u32::from_be_bytes(*cell);
            }
        }
        let Some(Value::Int(blocked)) = answers.next() else {
            return Err(corrupt());
        };
        let newest = usize::try_from(place.segment - first).map_err(|_| corrupt())?;
        if let Some(after) = after {
            // By its own place among all callers, not by how many came since.
            counts[newest] = after.saturating_sub(units);
            // As good as new: perhaps somebody has deleted it since it was given an expiry.
            let begins = usize::try_from(part * place.length - first.min(part * place.length));
            let begins = begins.map_err(|_| corrupt())?;
            if !fresh && counts[begins..=newest].iter().all(|count| *count == 0) {
                self.expire(hit, &current, &place).await?;
            }
        }
        let ahead = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        let seen = ahead.max(newest);
        let segment = first + seen as u64;
        let counts = counts[..=seen].iter().rev().copied();
        let millis = u64::try_from(blocked).ok().filter(|left| *left > 0);
        Ok(Seen {
            window: SlidingWindow::counted(segment, counts),
            counted: units == 0 || after.is_some(),
            blocked: millis.map(Duration::from_millis),
        })
    }

    /// How long a key may matter.
    fn lifetime(&self, hit: &Asked, place: &Place) -> Expiry {
        let left = place.length - place.offset() + u64::from(hit.quota.segment_count()) + 1;
        let left = Duration::from_nanos(left.saturating_mul(hit.quota.segment_nanos()));
        Expiry::after(left.saturating_add(SLACK))
    }

    async fn expire(&self, hit: &Asked, key: &str, place: &Place) -> Result<(), StoreError> {
        let mut command = redis::cmd("PEXPIRE");
        command.arg(key).arg(self.lifetime(hit, place));
        let _: i64 = self.store.command(&command, self.call()).await?;
        Ok(())
    }

    /// Counts units that nobody was let in for no longer.
    pub(super) async fn give_back(
        &self,
        hit: &Asked,
        units: u32,
        counted: u64,
    ) -> Result<(), StoreError> {
        if units == 0 {
            return Ok(());
        }
        let place = Place::of(&hit.quota, counted);
        let key = named(&hit.key, place.part());
        let command = bitfield(&key, place.offset(), -i64::from(units));
        // A count that holds fewer units stays as it is. It may be that the key was deleted, and is empty now.
        let left: Vec<Option<u32>> = self.store.command(&command, self.call()).await?;
        if left.first() == Some(&None) {
            self.expire(hit, &key, &place).await?;
        }
        Ok(())
    }

    /// Decides without counting.
    pub(super) async fn look(&self, hit: &Asked, now: u64) -> Result<Decision, StoreError> {
        if hit.quota.algorithm() != Algorithm::SlidingWindow {
            return self.look_at_state(hit, now).await;
        }
        let mut seen = self.exchange(hit, 0, now).await?;
        if let Some(left) = seen.blocked {
            return Ok(Decision::refuse(hit.quota.limit(), 0, left, Some(left)));
        }
        Ok(seen.window.look(&hit.quota, hit.cost, now))
    }

    /// Takes back what was counted at a time.
    pub(super) async fn refund(
        &self,
        hit: &Asked,
        counted: u64,
        now: u64,
    ) -> Result<(), StoreError> {
        self.denied.forget(&hit.key);
        if hit.quota.algorithm() != Algorithm::SlidingWindow {
            let back = self.update(hit, |counter| {
                counter.give_back(&hit.quota, hit.cost, counted, now);
                counter.look(&hit.quota, 0, now)
            });
            return back.await.map(drop);
        }
        self.give_back(hit, hit.cost, counted).await
    }

    /// Counts as far as there is room.
    pub(super) async fn charge(&self, hit: &Asked, now: u64) -> Result<(), StoreError> {
        if hit.quota.algorithm() != Algorithm::SlidingWindow {
            let charged = self.update(hit, |counter| {
                counter.charge(&hit.quota, hit.cost, now);
                counter.look(&hit.quota, 0, now)
            });
            return charged.await.map(drop);
        }
        let cost = hit.cost.min(hit.quota.limit());
        let mut seen = self.exchange(hit, cost, now).await?;
        if !seen.counted {
            return Ok(());
        }
        let fits = cost.min(seen.window.room(&hit.quota, now));
        self.give_back(hit, cost - fits, now).await
    }

    /// Forgets a key and lifts its block.
    pub(super) async fn reset(&self, hit: &Asked, now: u64) -> Result<(), StoreError> {
        self.denied.forget(&hit.key);
        let part = Place::of(&hit.quota, now).part();
        let mut command = redis::cmd("DEL");
        command.arg(blocks(&hit.key)).arg(&hit.key);
        for part in part.saturating_sub(1)..=part + 1 {
            command.arg(named(&hit.key, part));
        }
        let _: i64 = self.store.command(&command, self.call()).await?;
        Ok(())
    }

    /// Refuses all for so long.
    pub(super) async fn block(&self, hit: &Asked, span: Duration) -> Result<(), StoreError> {
        if span.is_zero() {
            return Ok(());
        }
        let mut command = redis::cmd("SET");
        command.arg(blocks(&hit.key)).arg(1).arg("PX");
        command.arg(Expiry::after(span));
        let _: String = self.store.command(&command, self.call()).await?;
        Ok(())
    }
}

/// The key of a block.
pub(super) fn blocks(key: &str) -> String {
    format!("{key}:block")
}

/// The count after an increment; `None` if it would have been over four bytes.
fn increased(answer: Value) -> Result<Option<u32>, StoreError> {
    let Value::Array(values) = answer else {
        return Err(corrupt());
    };
    match values[..] {
        [Value::Int(count)] => u32::try_from(count).map(Some).map_err(|_| corrupt()),
        [Value::Nil] => Ok(None),
        _ => Err(corrupt()),
    }
}
