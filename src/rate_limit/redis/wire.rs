//! How the counts of a window lie in Redis, and the commands and answers about them.
//!
//! A key holds a part of all segments there are: the counts of some views, each in as many bytes as the limit
//! needs, and a last cell that is always zero. The next part has a key of its own, so no count is ever
//! written twice. A key is made whole and with an expiry; one that somebody deleted comes back at the next
//! increment, without an expiry but also without its last cell: whoever reads it sees that it is too short.

use std::{mem, ops::RangeInclusive, time::Duration};

use redis::{Cmd, Pipeline, Value};

use super::{
    commands::{SLACK, command, corrupt, expire, part_name, until_in},
    decide::Seen,
    expiring::Expiring,
    group::Limit,
    kept::Remembered,
    time::{AHEAD, Now, Times},
    view::{Span, View},
};
use crate::{
    rate_limit::Quota,
    store::{Expiry, StoreError},
};

/// Up to this limit a count has two bytes: four times as much fits, for what waits to be given back.
const SMALL: u32 = 0x3fff;

/// The longest part: two views of 61 segments or four of 31, and the last cell, in four bytes each.
static EMPTY: [u8; LONGEST] = [0; LONGEST];
const LONGEST: usize = (4 * 31 + 1) * 4;

/// How the counts of a quota lie in its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The bytes of a count.
    width: usize,
    /// The segments of a part.
    pub(super) cells: u64,
}

impl Shape {
    pub(super) fn of(quota: &Quota) -> Self {
        let view = u64::from(quota.segment_count()) + 1;
        Self {
            width: if quota.limit() <= SMALL { 2 } else { 4 },
            // A part is read whole, so of long views it holds two only.
            cells: view * if view < 32 { 4 } else { 2 },
        }
    }

    /// The bytes of a key as it is made.
    fn bytes(self) -> usize {
        let cells = usize::try_from(self.cells).unwrap_or(0) + 1;
        (cells * self.width).min(LONGEST)
    }
}

/// Where units are to be counted, and what is to be read.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) span: Span,
    pub(super) units: u32,
    shape: Shape,
    parts: RangeInclusive<u64>,
    /// The key may be new.
    fresh: bool,
    /// What need not be read.
    remembered: Option<Remembered>,
    /// The changes of what is kept of the limit, before.
    pub(super) change: u32,
}

/// What was read.
pub(super) struct Counted {
    pub(super) seen: Seen,
    /// The units that were counted and may have to be given back.
    pub(super) taken: u32,
    /// What a script needs to undo that: of a log, when they were counted; of a pace, before and after.
    pub(super) undo: Vec<u8>,
    /// Parts that have come back without an expiry.
    pub(super) short: Vec<u64>,
    /// Until when the key is blocked, if it is.
    pub(super) blocked: Option<u64>,
}

impl Counted {
    /// What was seen, which is nothing but a block if there is one.
    pub(super) fn take_seen(&mut self) -> Seen {
        let seen = mem::replace(&mut self.seen, Seen::Blocked(0));
        self.blocked.map_or(seen, Seen::Blocked)
    }
}

impl Placed {
    pub(super) fn new(
        limit: &Limit,
        times: &Times,
        units: u32,
        expiring: &Expiring,
        remembered: Option<Remembered>,
    ) -> Self {
        let (span, shape) = (Span::of(&limit.quota, times), limit.shape());
        // One segment ahead is read from the same key.
        let last = (span.place + 1).is_multiple_of(shape.cells);
        let remembered = remembered.filter(|one| !(one.ahead && last));
        let segment = limit.quota.segment_nanos();
        let part = span.place / shape.cells;
        // What others count a little ahead is read, too.
        let ahead = times.late.saturating_add(AHEAD) / segment / shape.cells;
        let ahead = if times.early == times.late {
            part
        } else {
            ahead
        };
        Self {
            span,
            units,
            shape,
            parts: span.first / shape.cells..=ahead.clamp(part, part + 1),
            // What is remembered was read of a key that has an expiry.
            fresh: remembered.is_none() && units > 0 && !expiring.knows(limit.id, part),
            remembered,
            change: 0,
        }
    }

    /// Whether the key may be new.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether all was read.
    pub(super) fn is_whole(&self) -> bool {
        self.remembered.is_none()
    }

    pub(super) fn part(&self) -> u64 {
        self.span.place / self.shape.cells
    }

    /// Appends the commands.
    pub(super) fn write(&self, limit: &Limit, now: Now, pipeline: &mut Pipeline) {
        let name = part_name(limit, self.part());
        if let Some(remembered) = &self.remembered {
            let mut count = self.count(&name, self.span.place, i64::from(self.units));
            if remembered.ahead {
                count.arg("GET").arg(self.cell_type());
                count.arg(self.bits(self.span.place + 1));
            }
            pipeline.add_command(count);
            return;
        }
        if self.fresh {
            let lifetime = self.lifetime(limit, self.part(), now);
            let mut make = command("SET", 6, name.len() + self.shape.bytes());
            make.arg(&name).arg(&EMPTY[..self.shape.bytes()]);
            make.arg("PX").arg(lifetime).arg("NX");
            pipeline.add_command(make);
            // Another process' that was deleted meanwhile.
            pipeline.add_command(expire(&name, lifetime));
        }
        if self.units > 0 {
            pipeline.add_command(self.count(&name, self.span.place, i64::from(self.units)));
        }
        let parts = self.parts.clone();
        let mut read = command("MGET", 5, 4 * name.len());
        for part in parts {
            if part == self.part() {
                read.arg(&name);
            } else {
                read.arg(part_name(limit, part));
            }
        }
        read.arg(limit.block());
        pipeline.add_command(read);
    }

    /// Reads what the commands were answered.
    pub(super) fn read(
        &self,
        times: &Times,
        answers: &mut impl Iterator<Item = Value>,
    ) -> Result<Counted, StoreError> {
        if let Some(remembered) = &self.remembered {
            return self.read_newest(remembered, answers.next());
        }
        if self.fresh {
            answers.nth(1);
        }
        let after = match self.units {
            0 => Some(None),
            _ => increased(answers.next())?.0.map(Some),
        };
        let Some(Value::Array(values)) = answers.next() else {
            return Err(corrupt());
        };
        let (mut values, mut short) = (values.into_iter(), Vec::new());
        let mut view = View::empty(self.span);
        for part in self.parts.clone() {
            let bytes = match values.next() {
                Some(Value::BulkString(bytes)) => bytes,
                Some(Value::Nil) => continue,
                _ => return Err(corrupt()),
            };
            if bytes.len() < self.shape.bytes() {
                short.push(part);
            }
            self.add(&mut view, part, &bytes);
        }
        match after {
            // By its own place among all callers, not by how many came since.
            Some(Some(after)) => view.set_newest(after.saturating_sub(self.units)),
            Some(None) => {}
            None => view.full = true,
        }
        let blocked = match values.next() {
            Some(Value::Nil) => None,
            Some(Value::BulkString(until)) => {
                Some(until_in(&until)?).filter(|until| *until > times.asked)
            }
            _ => return Err(corrupt()),
        };
        Ok(Counted {
            seen: Seen::Window(view),
            taken: if after.flatten().is_some() {
                self.units
            } else {
                0
            },
            undo: Vec::new(),
            short,
            blocked,
        })
    }

    /// Reads what the increment was answered.
    fn read_newest(
        &self,
        remembered: &Remembered,
        answer: Option<Value>,
    ) -> Result<Counted, StoreError> {
        let (after, ahead) = increased(answer)?;
        let (mut view, mut short) = (View::of(self.span, &remembered.counts), Vec::new());
        match after {
            Some(after) => {
                let before = after.saturating_sub(self.units);
                view.set_newest(before);
                if before == 0 {
                    // Something was counted there before: the key may have been deleted.
                    short.push(self.part());
                }
            }
            None => view.full = true,
        }
        if remembered.ahead {
            view.ahead_at_least(ahead.ok_or_else(corrupt)?);
        }
        Ok(Counted {
            seen: Seen::Window(view),
            taken: after.map_or(0, |_| self.units),
            undo: Vec::new(),
            short,
            blocked: None,
        })
    }

    fn add(&self, view: &mut View, part: u64, bytes: &[u8]) {
        let start = part * self.shape.cells;
        let skipped = self.span.first.saturating_sub(start);
        let counts = bytes.chunks_exact(self.shape.width).map(|cell| match cell {
            [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
            [a, b, c, d] => u32::from_be_bytes([*a, *b, *c, *d]),
            _ => 0,
        });
        let segments = (start..).zip(counts);
        for (segment, count) in segments.skip(usize::try_from(skipped).unwrap_or(usize::MAX)) {
            if count > 0 {
                view.add(segment, count);
            }
        }
    }

    /// An increment, or with a negative number a decrement, which stays undone if the count holds less.
    fn count(&self, name: &str, segment: u64, by: i64) -> Cmd {
        let mut count = command("BITFIELD", 7, name.len() + 32);
        count.arg(name).arg("OVERFLOW").arg("FAIL").arg("INCRBY");
        count.arg(self.cell_type());
        count.arg(self.bits(segment)).arg(by);
        count
    }

    /// The place of a count in bits, which is quicker written than its number after a `#`.
    fn bits(&self, segment: u64) -> u64 {
        segment % self.shape.cells * self.shape.width as u64 * 8
    }

    fn cell_type(&self) -> &'static str {
        if self.shape.width == 2 { "u16" } else { "u32" }
    }

    /// Gives units back that were counted in a segment.
    pub(super) fn give_back(
        &self,
        limit: &Limit,
        segment: u64,
        units: u32,
        now: Now,
        pipeline: &mut Pipeline,
    ) {
        let part = segment / self.shape.cells;
        let name = part_name(limit, part);
        pipeline.add_command(self.count(&name, segment, -i64::from(units)));
        // If it is gone, it was just made anew.
        pipeline.add_command(expire(&name, self.lifetime(limit, part, now)));
    }

    /// Counts units in another segment.
    pub(super) fn count_at(
        &self,
        limit: &Limit,
        segment: u64,
        units: u32,
        now: Now,
        pipeline: &mut Pipeline,
    ) {
        let part = segment / self.shape.cells;
        let name = part_name(limit, part);
        pipeline.add_command(self.count(&name, segment, i64::from(units)));
        pipeline.add_command(expire(&name, self.lifetime(limit, part, now)));
    }

    /// Lets the key that units were to be counted in expire, unless that was sent with them.
    pub(super) fn let_expire(&self, limit: &Limit, now: Now, pipeline: &mut Pipeline) {
        if self.units > 0 && !self.fresh {
            let name = part_name(limit, self.part());
            pipeline.add_command(expire(&name, self.lifetime(limit, self.part(), now)));
        }
    }

    /// Makes a part whole, and lets it expire.
    pub(super) fn repair(&self, limit: &Limit, part: u64, now: Now, pipeline: &mut Pipeline) {
        let name = part_name(limit, part);
        let mut grow = command("BITFIELD", 5, name.len() + 24);
        grow.arg(&name).arg("INCRBY").arg(self.cell_type());
        grow.arg(format!("#{}", self.shape.cells)).arg(0);
        pipeline.add_command(grow);
        pipeline.add_command(expire(&name, self.lifetime(limit, part, now)));
    }

    /// How long a part may matter.
    fn lifetime(&self, limit: &Limit, part: u64, now: Now) -> Expiry {
        let view = u64::from(limit.quota.segment_count()) + 1;
        let last = part.saturating_add(1).saturating_mul(self.shape.cells);
        let over = last
            .saturating_add(view)
            .saturating_mul(limit.quota.segment_nanos());
        let left = Duration::from_nanos(over.saturating_sub(now.time));
        Expiry::after(left.saturating_add(SLACK))
    }
}

/// The count after an increment, `None` if it would have been over what a cell holds; and another that was
/// read with it.
fn increased(answer: Option<Value>) -> Result<(Option<u32>, Option<u32>), StoreError> {
    let Some(Value::Array(values)) = answer else {
        return Err(corrupt());
    };
    let number = |value: &Value| match value {
        Value::Int(count) => u32::try_from(*count).map(Some).map_err(|_| corrupt()),
        Value::Nil => Ok(None),
        _ => Err(corrupt()),
    };
    match &values[..] {
        [count] => Ok((number(count)?, None)),
        [count, other] => Ok((number(count)?, number(other)?)),
        _ => Err(corrupt()),
    }
}
