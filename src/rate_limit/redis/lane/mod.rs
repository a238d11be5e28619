//! [`Lane`]: who is on the way, and who waits.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    mem,
    time::{Duration, Instant},
};

use super::{
    group::Group,
    mix::Mixed,
    together::{Caller, Together},
};
use crate::rate_limit::identity::Identity;

/// The most groups that travel together.
const MOST: usize = 256;

/// So many groups are worth a trip of their own while others are answered.
const ENOUGH: usize = 16;

/// Who is back sooner than that has not been to Redis: all whom he went for went away, or were answered here.
const SHORTEST: Duration = Duration::from_micros(5);

/// The memory for the places of so many groups is kept while nobody waits.
const SPARE: usize = 1_024;

/// Who is on the way and who waits, in the order in which they came.
#[derive(Default)]
pub(super) struct Lane {
    away: Vec<Away>,
    waiting: VecDeque<Together>,
    /// Where a group waits, counted from where the first one once did.
    places: HashMap<(u64, u64), usize, Mixed>,
    /// How many groups before those who wait have left since.
    left: usize,
    /// How many callers wait.
    callers: usize,
    /// When somebody last went.
    went: Option<Instant>,
    /// How long a trip took lately.
    trip: Option<Duration>,
}

struct Away {
    ticket: u64,
    since: Instant,
    /// He is back, and about to go on with those who come meanwhile.
    back: bool,
}

impl Lane {
    /// Whether nobody is on the way, nor waits.
    pub(super) fn is_empty(&self) -> bool {
        self.away.is_empty() && self.waiting.is_empty()
    }

    /// Whether nobody waits.
    pub(super) fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets one caller go at once, if nobody waits and somebody may go.
    pub(super) fn go_alone(
        &mut self,
        ticket: impl FnOnce() -> u64,
        now: Instant,
        at_once: u32,
    ) -> Option<u64> {
        let goes = self.waiting.is_empty() && self.is_time(now, at_once);
        goes.then(|| self.leave(ticket(), now))
    }

    /// Lets one caller wait with those of his group.
    pub(super) fn wait(&mut self, id: Identity, group: impl FnOnce() -> Group, caller: Caller) {
        self.callers += 1;
        if let Some(last) = self.waiting.back_mut().filter(|last| last.group.id == id) {
            last.callers.push(caller);
            return;
        }
        let (waiting, left) = (&mut self.waiting, self.left);
        let place = self.places.entry((id.first, id.second)).or_insert_with(|| {
            waiting.push_back(Together::new(group()));
            left + waiting.len() - 1
        });
        if let Some(together) = waiting.get_mut(place.wrapping_sub(left)) {
            together.callers.push(caller);
        }
    }

    /// Those who wait go with somebody who has left already, and has nothing to ask himself.
    pub(super) fn gather(&mut self) -> Vec<Together> {
        self.take(MOST)
    }

    /// Lets those who wait go beside those who are on the way, if somebody may; where nobody is, in place of
    /// whoever stood still. Where they are many under few limits, it is better that more of them go as one.
    pub(super) fn go_beside(
        &mut self,
        ticket: impl FnOnce() -> u64,
        now: Instant,
        at_once: u32,
    ) -> Option<(u64, Vec<Together>)> {
        let many = self.callers > 2 * self.waiting.len();
        let goes = self.away.is_empty() || !many && self.is_time(now, at_once);
        goes.then(|| self.go(ticket, now, MOST))?
    }

    /// Lets those who wait go beside those who have just gone, if they are enough.
    pub(super) fn go_after(
        &mut self,
        ticket: impl FnOnce() -> u64,
        now: Instant,
        at_once: u32,
    ) -> Option<(u64, Vec<Together>)> {
        let goes = self.waiting.len() >= ENOUGH && self.away.len() < at_once as usize;
        goes.then(|| self.go(ticket, now, MOST))?
    }

    /// Lets some of those who wait go before so many groups that are back hear their answers, if enough wait:
    /// half of both, so that the ones are on their way while the others ask again.
    pub(super) fn go_ahead(&mut self, ticket: u64, now: Instant, back: usize) -> Vec<Together> {
        let waiting = self.waiting.len();
        let Some(at) = self.back(ticket, now) else {
            return Vec::new();
        };
        if waiting < ENOUGH || 3 * waiting < back {
            return Vec::new();
        }
        let gone = self.go(|| ticket, now, (waiting + back).div_ceil(2));
        gone.map_or_else(Vec::new, |(_, next)| {
            self.away.swap_remove(at);
            next
        })
    }

    /// Lets those who wait go, unless they are few and others have just gone, who will see to them. If nobody
    /// goes, whoever has this ticket is on the way no more.
    pub(super) fn go_on(&mut self, ticket: u64, now: Instant, at_once: u32) -> Vec<Together> {
        match self.back(ticket, now) {
            Some(at) => drop(self.away.swap_remove(at)),
            // He was taken for one who stands still. If all others were, too, nobody else sees to who waits.
            None if !self.away.is_empty() => return Vec::new(),
            None => {}
        }
        let (waiting, others) = (self.waiting.len(), self.away.len());
        if others > 0 && waiting < ENOUGH && !self.is_time(now, at_once) {
            return Vec::new();
        }
        // Half of many, and then the others: Redis has something to do while they are gathered.
        let halves = waiting >= 2 * ENOUGH && others + 2 <= at_once as usize;
        let most = if halves { waiting.div_ceil(2) } else { MOST };
        let gone = self.go(|| ticket, now, most);
        gone.map_or_else(Vec::new, |(_, next)| next)
    }

    /// Answers those who have waited too long, and lets others go in place of those who stand still.
    pub(super) fn sweep(&mut self, deadline: Duration) {
        let now = Instant::now();
        let late = |since: Instant| now.saturating_duration_since(since) >= deadline;
        let mut over = false;
        for together in &mut self.waiting {
            over |= together.send_away(now, deadline) > 0;
        }
        if over {
            self.waiting.retain(|together| !together.callers.is_empty());
            self.find_places();
            self.away.retain(|away| !late(away.since));
        }
    }

    /// Whether somebody may go: of those who may be on their way, not all are, nor is one about to go on, and
    /// the last one has been for a while, so that they come back one after the other.
    fn is_time(&self, now: Instant, at_once: u32) -> bool {
        if self.away.is_empty() {
            return true;
        }
        let (Some(went), Some(trip)) = (self.went, self.trip) else {
            return false;
        };
        self.away.len() < at_once as usize
            && now.saturating_duration_since(went) >= trip / at_once
            && !self.away.iter().any(|away| away.back)
    }

    fn leave(&mut self, ticket: u64, now: Instant) -> u64 {
        self.away.push(Away {
            ticket,
            since: now,
            back: false,
        });
        self.went = Some(now);
        ticket
    }

    /// Whoever has this ticket is back.
    fn back(&mut self, ticket: u64, now: Instant) -> Option<usize> {
        let at = self.away.iter().position(|away| away.ticket == ticket)?;
        let away = self.away.get_mut(at)?;
        let took = now.saturating_duration_since(away.since);
        if !mem::replace(&mut away.back, true) && took >= SHORTEST {
            // Of a few that took longer, most waited for something that does not come again.
            let trip = self
                .trip
                .map_or(took, |trip| took.min((3 * trip + took) / 4));
            self.trip = Some(trip);
        }
        Some(at)
    }

    /// The first of those who wait leave, if anybody who waits still wants to know.
    fn go(
        &mut self,
        ticket: impl FnOnce() -> u64,
        now: Instant,
        most: usize,
    ) -> Option<(u64, Vec<Together>)> {
        while !self.waiting.is_empty() {
            let next = self.take(most.min(MOST));
            if !next.is_empty() {
                return Some((self.leave(ticket(), now), next));
            }
        }
        None
    }

    /// The first groups of those who wait, without those callers who went away.
    fn take(&mut self, most: usize) -> Vec<Together> {
        let mut next: Vec<_> = if self.waiting.len() <= most {
            (self.callers, self.left) = (0, 0);
            self.places.clear();
            self.places.shrink_to(SPARE);
            mem::take(&mut self.waiting).into()
        } else {
            // The others keep their places, however many they are.
            let next: Vec<_> = self.waiting.drain(..most).collect();
            self.left += next.len();
            for together in &next {
                let id = together.group.id;
                self.places.remove(&(id.first, id.second));
                self.callers -= together.callers.len();
            }
            next
        };
        for together in &mut next {
            together.callers.retain(|caller| !caller.answer.is_closed());
        }
        next.retain(|together| !together.callers.is_empty());
        next
    }

    fn find_places(&mut self) {
        self.left = 0;
        self.callers = self
            .waiting
            .iter()
            .map(|together| together.callers.len())
            .sum();
        self.places.clear();
        let ids = self.waiting.iter().map(|together| together.group.id);
        let places = ids.enumerate().map(|(at, id)| ((id.first, id.second), at));
        self.places.extend(places);
    }
}
