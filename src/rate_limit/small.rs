//! A small window: a [`SlidingWindow`] of up to 16 segments of which none holds more than 255, in the 24 bytes
//! of a [`State`].
//!
//! Whatever the limit, most keys never hold more. Decided on as it lies there: the segments before the newest
//! are the bytes of one number, which is shifted as the window moves on.

use super::{
    Quota, SlidingWindow,
    decision::Room,
    state::{NANOS, OLDER, SURE, State, age, apart, low, seconds},
    window::gone,
};

impl State {
    /// Decides, and counts what there is room for and a byte holds. `None` if that is not so, if the clock was
    /// set back, or if the key was not asked for in a long time: then the whole window decides.
    #[inline]
    pub(super) fn hit_small(
        &mut self,
        quota: &Quota,
        cost: u32,
        count: bool,
        now: u64,
    ) -> Option<Room> {
        let second = seconds(now);
        if age(self.touched, second).unsigned_abs() > SURE {
            return None;
        }
        let current = quota.segment_of(now);
        let by = u32::try_from(apart(current, self.newest >> 8)).ok()?;
        let (mut newest, mut older) = (self.newest & 0xff, u128::from_le_bytes(self.older));
        if by > 0 {
            older = moved_on(newest, older, by) & in_view(quota);
            newest = 0;
        }
        let used = newest + sum(older);
        let room = quota.limit().checked_sub(used)?;
        let counted = if count {
            newest.saturating_add(cost)
        } else {
            newest
        };
        if cost > room || (used == 0 && cost == 0) || counted > 0xff {
            return None;
        }
        self.newest = low(current) << 8 | counted;
        self.older = older.to_le_bytes();
        self.touch(second);
        // The age of the oldest that holds anything, 0 if it is the newest.
        let oldest = OLDER - older.leading_zeros() as usize / 8;
        Some(Room {
            remaining: room - cost,
            reset_after: gone(quota, current, oldest).saturating_sub(now),
        })
    }

    /// The whole of a small window.
    pub(super) fn unpack_small(&self, quota: &Quota, now: u64) -> SlidingWindow {
        let age = i64::from(age(self.touched, seconds(now)));
        let touched = (now / NANOS).saturating_add_signed(-age);
        let near = quota.segment_of(touched.saturating_mul(NANOS));
        let mut window = SlidingWindow::new();
        window.newest = near.saturating_add_signed(-i64::from(apart(near, self.newest >> 8)));
        let counts = std::iter::once(self.newest & 0xff).chain(self.older.map(u32::from));
        for (to, count) in window.counts.iter_mut().zip(counts) {
            *to = count;
        }
        window
    }

    /// Writes a window here, if it fits. It was asked for, or nothing of its time has changed.
    pub(super) fn pack_small(&mut self, quota: &Quota, window: &SlidingWindow) -> bool {
        let [newest, older @ ..] = window.view(quota) else {
            return false;
        };
        let mut packed = [0; OLDER];
        let Some(to) = packed.get_mut(..older.len()) else {
            return false;
        };
        for (to, count) in to.iter_mut().zip(older) {
            let Ok(count) = u8::try_from(*count) else {
                return false;
            };
            *to = count;
        }
        if *newest > 0xff {
            return false;
        }
        self.newest = low(window.newest) << 8 | newest;
        self.older = packed;
        true
    }
}

/// What the segments before the newest hold when the newest is one that is so many later.
#[inline]
fn moved_on(newest: u32, older: u128, by: u32) -> u128 {
    let all = older << 8 | u128::from(newest);
    (by - 1)
        .checked_mul(8)
        .and_then(|bits| all.checked_shl(bits))
        .unwrap_or(0)
}

/// The bytes of the segments that a quota has in view.
#[inline]
fn in_view(quota: &Quota) -> u128 {
    u128::MAX >> (128 - 8 * quota.segment_count())
}

/// The sum of sixteen bytes.
#[inline]
fn sum(bytes: u128) -> u32 {
    /// The even ones of eight.
    const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
    /// Times this, the four numbers in a word of sixteen bits each are added in the topmost.
    const ADD: u64 = 0x0001_0001_0001_0001;
    #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let (low, high) = (bytes as u64, (bytes >> 64) as u64);
    let pairs = |word: u64| (word & EVEN) + (word >> 8 & EVEN);
    #[allow(clippy::cast_possible_truncation, reason = "sixteen bits are left")]
    let sum = ((pairs(low) + pairs(high)).wrapping_mul(ADD) >> 48) as u32;
    sum
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A small window that is decided on in place, beside a whole one: hits, looks and units given back at
    /// times that mostly go on, by a little, by minutes or by days, and are set back as far.
    #[test]
    fn small_and_whole_are_the_same() {
        let mut state = 7_u64;
        let mut any = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 11) % below
        };
        for (limit, segments, millis) in [
            (5, 1, 10_000),
            (9, 16, 10_000),
            (200, 16, 1),
            (1_000, 16, 1),
            (1_000, 10, 900_000),
            (3_000, 16, 86_400_000 * 3),
        ] {
            let window = Duration::from_millis(millis);
            let quota = Quota::new(limit, window).segments(segments);
            let (mut small, mut whole) = (State::new(0), SlidingWindow::new());
            let (mut now, mut quick, mut wide) = (1_u64 << 60, 0, 0);
            whole.advance(&quota, now);
            small.touch(seconds(now));
            assert!(small.pack_small(&quota, &whole));
            let segment = quota.segment_nanos();
            let jumps = [
                segment,
                4 * segment,
                80 * segment,
                70 * NANOS,
                900 * NANOS,
                90_000 * NANOS,
            ];
            for step in 0..40_000 {
                let far = jumps[any(6) as usize];
                match any(100) {
                    0 => now = now.saturating_sub(any(far)),
                    1..=5 => now += any(far),
                    6..=20 => now += any(4 * segment),
                    _ => now += any(2),
                }
                let (cost, count) = (any(u64::from(limit) / 3 + 2) as u32 % 120, any(4) > 0);
                if any(6) == 0 {
                    let mut unpacked = small.unpack_small(&quota, now);
                    let counted = now - any(3 * segment);
                    for window in [&mut unpacked, &mut whole] {
                        window.give_back(&quota, cost, counted);
                    }
                    assert!(small.pack_small(&quota, &unpacked));
                }
                let decision = whole.look(&quota, cost, now);
                if decision.allowed && count {
                    whole.take(cost);
                }
                if let Some(room) = small.hit_small(&quota, cost, count, now) {
                    quick += 1;
                    assert_eq!(room.decision(limit), decision, "{quota:?}, step {step}");
                } else {
                    let mut unpacked = small.unpack_small(&quota, now);
                    assert_eq!(
                        unpacked.look(&quota, cost, now),
                        decision,
                        "{quota:?}, step {step}"
                    );
                    if decision.allowed && count {
                        unpacked.take(cost);
                    }
                    small.touch(seconds(now));
                    if !small.pack_small(&quota, &unpacked) {
                        wide += 1;
                        whole = SlidingWindow::new();
                        whole.advance(&quota, now);
                        assert!(small.pack_small(&quota, &whole));
                    }
                }
                let unpacked = small.unpack_small(&quota, now);
                assert_eq!(unpacked, whole, "{quota:?}, step {step}");
            }
            assert!(quick > 5_000, "{quick} of 40,000 of {quota:?}");
            assert_eq!(wide > 0, limit > 255, "{quota:?}");
        }
    }

    #[test]
    fn bytes_are_added() {
        assert_eq!(sum(u128::MAX), 16 * 255);
        for at in 0..16 {
            assert_eq!(sum(0xfe << (8 * at)), 0xfe);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let now = std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (quota, cost) in [
            (Quota::per_minute(1_000), 256),
            (Quota::per_minute(1_000).segments(17), 1),
        ] {
            let (mut small, mut window) = (State::new(9), SlidingWindow::new());
            window.hit(&quota, cost, now);
            assert!(!small.pack_small(&quota, &window));
            assert_eq!(format!("{small:?}"), format!("{:?}", State::new(9)));
        }
    }
}
