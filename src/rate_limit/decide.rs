//! What is decided on a [`Table`] under its lock, and counted there.

use super::{
    Algorithm, Decision, Quota, SlidingWindow,
    counter::Counter,
    counters::{Located, lifetime},
    decision::Room,
    state::seconds,
    table::{At, Held, Table},
};

impl Table {
    /// Decides about `cost`, and counts the hit's own if there is room: that is 0 where somebody only looks.
    #[inline]
    pub(super) fn decide(
        &mut self,
        hit: &Located<'_>,
        cost: u32,
        now: u64,
        most: usize,
    ) -> Decision {
        let (room, place) = self.quick(hit, cost, now);
        match room {
            Some(room) => room.decision(hit.quota.limit()),
            None => self.decide_whole(hit, place, cost, now, most),
        }
    }

    /// Decides where what is counted lies as it lies there, and says where that is.
    #[inline]
    pub(super) fn quick(
        &mut self,
        hit: &Located<'_>,
        cost: u32,
        now: u64,
    ) -> (Option<Room>, Option<At>) {
        let Some(at) = self.find(hit.key) else {
            return (None, None);
        };
        let (quota, count) = (hit.quota, hit.cost > 0);
        let room = self
            .hit(at, quota, cost, count, now)
            .or_else(|| self.advance(at, quota, cost, count, now));
        (room, Some(at))
    }

    /// As [`Table::quick`], of a large window of which a segment is over.
    fn advance(&mut self, at: At, quota: &Quota, cost: u32, count: bool, now: u64) -> Option<Room> {
        let Held::Record(state, packed) = self.held(at) else {
            return None;
        };
        if quota.algorithm() != Algorithm::SlidingWindow {
            return None;
        }
        state.settle(quota, packed);
        let room = SlidingWindow::hit_packed(quota, packed, cost, count, now);
        state.summarise(quota, packed);
        state.touch(seconds(now));
        room
    }

    /// As [`Table::decide`], where the whole of what is counted must be looked at.
    pub(super) fn decide_whole(
        &mut self,
        hit: &Located<'_>,
        place: Option<At>,
        cost: u32,
        now: u64,
        most: usize,
    ) -> Decision {
        let mut counter = self.counter(hit, place, now);
        let decision = counter.look(hit.quota, cost, now);
        let counts = decision.allowed && hit.cost > 0;
        if counts {
            counter.take(hit.quota, hit.cost, now);
        }
        // Neither asking nor a refusal takes a place.
        if place.is_some() || counts {
            self.keep(hit, place, &counter, now, most);
        }
        decision
    }

    /// Takes back units that were counted at that time. What is not there takes no place for it.
    pub(super) fn give_back(&mut self, hit: &Located<'_>, counted: u64, now: u64, most: usize) {
        if let Some(at) = self.find(hit.key) {
            let mut counter = self.counter(hit, Some(at), now);
            counter.give_back(hit.quota, hit.cost, counted, now);
            self.write(hit, at, &counter, most);
        }
    }

    /// Counts units as far as there is room for them.
    pub(super) fn charge(&mut self, hit: &Located<'_>, now: u64, most: usize) {
        let place = self.find(hit.key);
        let mut counter = self.counter(hit, place, now);
        counter.charge(hit.quota, hit.cost, now);
        self.keep(hit, place, &counter, now, most);
    }

    /// What is counted at a place, or nothing.
    fn counter(&mut self, hit: &Located<'_>, place: Option<At>, now: u64) -> Counter {
        let quota = hit.quota;
        match place.map(|at| self.held(at)) {
            Some(Held::Small(window)) => Counter::Window(window.unpack_small(quota, now)),
            Some(Held::Here(packed)) => Counter::unpack(quota, packed),
            Some(Held::Record(state, packed)) => {
                if quota.algorithm() == Algorithm::SlidingWindow {
                    state.settle(quota, packed);
                }
                Counter::unpack(quota, packed)
            }
            None => Counter::empty(quota),
        }
    }

    /// Writes what is counted where it was, or where there is room for it.
    fn keep(
        &mut self,
        hit: &Located<'_>,
        place: Option<At>,
        counter: &Counter,
        now: u64,
        most: usize,
    ) {
        let second = seconds(now);
        let at = place.unwrap_or_else(|| self.claim(hit.key, hit.code, second, most));
        self.touch(at, second);
        // By a clock that was set back: it may be set forth again before what is counted has left the window.
        let ahead = counter.ahead(hit.quota, now);
        if ahead > 0 {
            self.outlast(at, lifetime(hit.quota, ahead));
        }
        self.write(hit, at, counter, most);
    }

    fn write(&mut self, hit: &Located<'_>, at: At, counter: &Counter, most: usize) {
        let quota = hit.quota;
        if let (Held::Small(small), Counter::Window(window)) = (self.held(at), counter)
            && small.pack_small(quota, window)
        {
            return;
        }
        match self.hold(at, quota, most) {
            Held::Small(_) => {}
            Held::Here(packed) => counter.pack(quota, packed),
            Held::Record(state, packed) => {
                counter.pack(quota, packed);
                if matches!(counter, Counter::Window(_)) {
                    state.summarise(quota, packed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use super::super::{Hit, counters::Counters};
    use super::*;

    /// Of each kind and size of what is counted, hits, looks, units given back and charged, of a few keys and at
    /// times that go on and back, beside counters that nobody packs.
    #[test]
    fn what_is_kept_is_what_was_counted() {
        let minute = Duration::from_secs(60);
        let quotas = [
            Quota::per_minute(5).segments(1),
            Quota::per_minute(1_000).segments(1),
            Quota::per_minute(200),
            Quota::per_minute(3_000),
            Quota::per_minute(3_000_000),
            Quota::per_minute(200).segments(60),
            Quota::per_minute(3_000).segments(32),
            Quota::per_minute(3_000_000).segments(60),
            Quota::new(900, Duration::from_millis(1)).segments(60),
            Quota::new(900, Duration::from_millis(1)).segments(16),
            Quota::new(200, Duration::from_millis(1)).segments(16),
            Quota::new(4_000, 1_440 * minute),
            Quota::new(100, minute).exact(),
            Quota::per_minute(300).burst(40),
        ];
        let mut state = 3_u64;
        let mut any = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 11) % below.max(1)
        };
        let counters = Counters::new(1 << 12);
        let mut plain: HashMap<(usize, u8), Counter> = HashMap::new();
        let (mut now, mut times) = (1_u64 << 60, vec![1_u64 << 60]);
        // All have a place from the beginning, so that none takes the place of one that is over, which a clock
        // that is set back would bring back.
        for (at, quota) in quotas.iter().enumerate() {
            for key in 0..3 {
                let hit = Hit::new(std::slice::from_ref(&key), *quota, 1);
                counters.hit_one(&hit, now);
                let counter = plain
                    .entry((at, key))
                    .or_insert_with(|| Counter::empty(quota));
                counter.look(quota, 1, now);
                counter.take(quota, 1, now);
            }
        }
        let mut allowed = 0;
        for step in 0..200_000 {
            let far = [
                1_000_000,
                1_000_000_000,
                100_000_000_000,
                90_000_000_000_000,
            ];
            let far = far[any(4) as usize];
            match any(100) {
                0 => now -= any(far),
                1..=9 => now += any(far),
                _ => now += any(40_000),
            }
            let (at, key) = (any(14) as usize, any(3) as u8);
            let quota = quotas[at];
            let part = [2, 20, 200][any(3) as usize];
            let cost = any(u64::from(quota.limit()) / part + 2) as u32;
            let hit = Hit::new(std::slice::from_ref(&key), quota, cost);
            let located = counters.locate(&hit);
            let counter = plain.get_mut(&(at, key)).unwrap();
            match any(10) {
                0 if cost > 0 => {
                    let back = any(times.len().min(50) as u64) as usize;
                    let counted = times[times.len() - 1 - back];
                    let mut table = counters.shard(&located).lock();
                    table.give_back(&located, counted, now, counters.most_blocks);
                    counter.give_back(&quota, cost, counted, now);
                }
                1 if cost > 0 => {
                    let mut table = counters.shard(&located).lock();
                    table.charge(&located, now, counters.most_blocks);
                    counter.charge(&quota, cost, now);
                }
                _ => {
                    let decision = counter.look(&quota, cost, now);
                    if decision.allowed && cost > 0 {
                        counter.take(&quota, cost, now);
                        times.push(now);
                        allowed += 1;
                    }
                    assert_eq!(
                        counters.hit_one(&hit, now),
                        decision,
                        "{quota:?}, step {step}"
                    );
                }
            }
        }
        assert!(allowed > 20_000, "{allowed}");
    }
}
