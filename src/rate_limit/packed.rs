//! A [`SlidingWindow`] as a store keeps it, and decided on as it lies there.
//!
//! The newest segment in 7 bytes, the age of the oldest that holds anything in
//! one; then what all hold together and what each holds, the newest first, each in as many bytes as the
//! limit needs.

use super::{Quota, SlidingWindow, decision::Room, window::gone};

impl SlidingWindow {
    /// The bytes that a window of this quota takes.
    pub(super) const fn packed(quota: &Quota) -> usize {
        HEAD + (quota.segment_count() as usize + 2) * width(quota)
    }

    /// Decides, and counts what there is room for, on a packed window, of which most cells then need not be
    /// looked at. `None` if they do, or if the clock was set back: then the whole window decides.
    #[inline]
    pub(super) fn hit_packed(
        quota: &Quota,
        packed: &mut [u8],
        cost: u32,
        count: bool,
        now: u64,
    ) -> Option<Room> {
        let (head, cells) = packed.split_first_chunk_mut::<HEAD>()?;
        let (mut newest, mut oldest) = read_head(*head);
        let since = now.checked_sub(newest.checked_mul(quota.segment_nanos())?)?;
        if since >= quota.segment_nanos() {
            (newest, oldest) = advance_packed(quota, newest, oldest, cells, now);
            *head = write_head(newest, oldest);
        }
        let (limit, width) = (quota.limit(), width(quota));
        let used = get(cells, 0, width);
        let room = limit.checked_sub(used)?;
        if cost > room || (used == 0 && cost == 0) {
            return None;
        }
        if count {
            put(cells, 0, width, used + cost);
            let counted = get(cells, 1, width);
            put(cells, 1, width, counted + cost);
        }
        let gone = gone(quota, newest, oldest);
        Some(Room {
            remaining: room - cost,
            reset_after: gone.saturating_sub(now),
        })
    }

    /// Counts units in the newest segment of a packed window, for which there was room.
    pub(super) fn add_packed(quota: &Quota, packed: &mut [u8], units: u32) {
        if let Some((_, cells)) = packed.split_first_chunk_mut::<HEAD>() {
            let width = width(quota);
            for cell in [0, 1] {
                put(cells, cell, width, get(cells, cell, width) + units);
            }
        }
    }

    /// The newest segment of a packed window, the age of the oldest that holds anything, and what all hold.
    #[inline]
    pub(super) fn sum_packed(quota: &Quota, packed: &[u8]) -> (u64, u32, u32) {
        let Some((head, cells)) = packed.split_first_chunk::<HEAD>() else {
            return (0, 0, quota.limit());
        };
        let (newest, oldest) = read_head(*head);
        #[allow(clippy::cast_possible_truncation, reason = "there are at most 60")]
        (newest, oldest as u32, get(cells, 0, width(quota)))
    }

    /// Reads what was [packed](SlidingWindow::pack).
    pub(super) fn unpack(quota: &Quota, packed: &[u8]) -> Self {
        let mut window = Self::new();
        if let Some((head, cells)) = packed.split_first_chunk::<HEAD>() {
            (window.newest, _) = read_head(*head);
            let (width, in_view) = (width(quota), quota.segment_count() as usize + 1);
            for (age, count) in window.counts.iter_mut().take(in_view).enumerate() {
                *count = get(cells, age + 1, width);
            }
        }
        window
    }

    /// Writes the window where there are as many bytes as it takes.
    pub(super) fn pack(&self, quota: &Quota, packed: &mut [u8]) {
        if let Some((head, cells)) = packed.split_first_chunk_mut::<HEAD>() {
            let (used, oldest) = self.used(quota);
            *head = write_head(self.newest, oldest);
            let width = width(quota);
            put(cells, 0, width, used);
            for (age, count) in self.view(quota).iter().enumerate() {
                put(cells, age + 1, width, *count);
            }
        }
    }
}

const HEAD: usize = 8;

/// The newest segment, and the age of the oldest that holds anything.
#[inline]
fn read_head(head: [u8; HEAD]) -> (u64, usize) {
    let head = u64::from_le_bytes(head);
    (head >> 8, (head & 0xff) as usize)
}

#[inline]
fn write_head(newest: u64, oldest: usize) -> [u8; HEAD] {
    // A segment is at least 16,667 ns long, so its number fits 50 bits.
    ((newest << 8) | oldest as u64).to_le_bytes()
}

/// Moves the view of packed cells on to the segment of `now`, which is later than the newest, and says which
/// it is and how old the oldest is that still holds anything.
fn advance_packed(
    quota: &Quota,
    newest: u64,
    oldest: usize,
    cells: &mut [u8],
    now: u64,
) -> (u64, usize) {
    let (width, in_view) = (width(quota), quota.segment_count() as usize + 1);
    let current = quota.segment_of(now);
    let by = usize::try_from(current.saturating_sub(newest)).unwrap_or(in_view);
    if oldest + by < in_view {
        // Nothing leaves: what is older than the oldest is empty.
        cells[width..(in_view + 1) * width].copy_within(..(oldest + 1) * width, by * width);
        cells[width..(by + 1) * width].fill(0);
        let is_empty = get(cells, 0, width) == 0;
        return (current, if is_empty { 0 } else { oldest + by });
    }
    let kept = in_view.saturating_sub(by);
    let used = (1..=kept).map(|cell| get(cells, cell, width)).sum();
    let oldest = (1..=kept).rev().find(|cell| get(cells, *cell, width) > 0);
    put(cells, 0, width, used);
    let view = &mut cells[width..(in_view + 1) * width];
    view.copy_within(..kept * width, (in_view - kept) * width);
    view[..(in_view - kept) * width].fill(0);
    // The cell of an age is the one after it; empty, a window says 0.
    (current, oldest.map_or(0, |cell| cell - 1 + by))
}

/// The bytes of a count, which is at most the limit.
#[inline]
const fn width(quota: &Quota) -> usize {
    match quota.limit() {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

#[inline]
fn get(cells: &[u8], index: usize, width: usize) -> u32 {
    let cell = &cells[index * width..];
    match width {
        1 => cell.first().map_or(0, |cell| u32::from(*cell)),
        2 => cell
            .first_chunk()
            .map_or(0, |cell| u32::from(u16::from_le_bytes(*cell))),
        _ => cell
            .first_chunk()
            .map_or(0, |cell| u32::from_le_bytes(*cell)),
    }
}

#[inline]
#[allow(
    clippy::cast_possible_truncation,
    reason = "no count is over the limit"
)]
fn put(cells: &mut [u8], index: usize, width: usize, count: u32) {
    let cell = &mut cells[index * width..];
    // Each of a length that is known here: a copy of an unknown one would be a call.
    match width {
        1 => cell[0] = count as u8,
        2 => cell[..2].copy_from_slice(&(count as u16).to_le_bytes()),
        _ => cell[..4].copy_from_slice(&count.to_le_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A packed window that is decided on in place, beside a whole one: hits, looks and units given back at
    /// times that mostly go on, by a little or by far.
    #[test]
    fn packed_and_whole_are_the_same() {
        let mut state = 7_u64;
        let mut any = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 11) % below
        };
        for (limit, segments) in [(5, 1), (9, 16), (200, 60), (1_000, 16), (100_000, 7)] {
            let quota = Quota::new(limit, Duration::from_secs(10)).segments(segments);
            let mut packed = vec![0; SlidingWindow::packed(&quota)];
            let (mut whole, mut now, mut quick) = (SlidingWindow::new(), 1_u64 << 60, 0);
            for step in 0..20_000 {
                let segment = quota.segment_nanos();
                now += [0, any(segment), any(4 * segment), any(80 * segment)][any(4) as usize];
                now -= [0, 0, 0, any(3 * segment)][any(4) as usize];
                let (cost, count) = (any(u64::from(limit) / 3 + 2) as u32, any(4) > 0);
                if any(6) == 0 {
                    let mut unpacked = SlidingWindow::unpack(&quota, &packed);
                    for window in [&mut unpacked, &mut whole] {
                        window.advance(&quota, now);
                        window.give_back(&quota, cost, now);
                    }
                    unpacked.pack(&quota, &mut packed);
                }
                let decision = whole.look(&quota, cost, now);
                if decision.allowed && count {
                    whole.take(cost);
                }
                match SlidingWindow::hit_packed(&quota, &mut packed, cost, count, now) {
                    Some(room) => {
                        quick += 1;
                        assert_eq!(room.decision(limit), decision, "{quota:?}, step {step}");
                    }
                    None => whole.pack(&quota, &mut packed),
                }
                let unpacked = SlidingWindow::unpack(&quota, &packed);
                assert_eq!(unpacked, whole, "{quota:?}, step {step}");
                let mut again = packed.clone();
                unpacked.pack(&quota, &mut again);
                assert_eq!(again, packed, "{quota:?}, step {step}");
            }
            assert!(quick > 5_000, "{quick} of 20,000");
        }
    }
}
