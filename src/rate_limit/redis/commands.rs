//! Names and commands, as they are written for Redis.

use std::time::Duration;

use redis::{Cmd, Pipeline};

use super::{group::Limit, time::Times};
use crate::store::{Expiry, StoreError, StoreErrorKind};

/// Longer than any caller stands still between reading the clock and being answered.
pub(super) const SLACK: Duration = Duration::from_secs(60);

/// The keys of a limit's counts about a time.
pub(super) fn parts_about(limit: &Limit, times: &Times) -> impl Iterator<Item = String> {
    let part = times.late / limit.quota.segment_nanos() / limit.shape().cells;
    (part.saturating_sub(1)..=part + 1).map(|part| part_name(limit, part))
}

/// Lets what is counted about a time expire, whoever made it.
pub(super) fn expire_all(limit: &Limit, times: &Times) -> Pipeline {
    let parts = limit.shape().cells + u64::from(limit.quota.segment_count()) + 1;
    let lifetime = Duration::from_nanos(parts.saturating_mul(limit.quota.segment_nanos()));
    let lifetime = Expiry::after(lifetime.saturating_add(SLACK));
    let mut pipeline = Pipeline::with_capacity(3);
    for name in parts_about(limit, times) {
        pipeline.add_command(expire(&name, lifetime));
    }
    pipeline
}

/// The time in a block.
pub(super) fn until_in(text: &[u8]) -> Result<u64, StoreError> {
    let text = std::str::from_utf8(text).map_err(|_| corrupt())?;
    text.parse().map_err(|_| corrupt())
}

pub(super) fn part_name(limit: &Limit, part: u64) -> String {
    let mut name = String::with_capacity(limit.name.len() + 14);
    name.push_str(&limit.name);
    name.push(':');
    push_number(&mut name, part);
    name
}

/// Appends a number in thirty-two digits, the lowest first: short, and without formatting machinery.
pub(super) fn push_number(text: &mut String, number: u64) {
    let mut rest = number;
    loop {
        text.push(char::from(
            b"0123456789abcdefghijklmnopqrstuv"[(rest % 32) as usize],
        ));
        rest /= 32;
        if rest == 0 {
            break;
        }
    }
}

pub(super) fn joined(name: &str, suffix: &str) -> String {
    let mut joined = String::with_capacity(name.len() + suffix.len());
    joined.push_str(name);
    joined.push_str(suffix);
    joined
}

pub(super) fn command(name: &str, arguments: usize, bytes: usize) -> Cmd {
    let mut command = Cmd::with_capacity(arguments, name.len() + bytes + 24);
    command.arg(name);
    command
}

pub(super) fn expire(name: &str, lifetime: Expiry) -> Cmd {
    let mut expire = command("PEXPIRE", 3, name.len());
    expire.arg(name).arg(lifetime);
    expire
}

pub(super) fn corrupt() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt)
}
