//! When to fetch: pure arithmetic.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

use crate::random;

/// How long a set is good that says nothing of it.
const UNSTATED: Duration = Duration::from_secs(15 * 60);
/// The first pause after a failure while there are no keys to go by.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause after failures.
const LAST_RETRY: Duration = Duration::from_secs(5 * 60);

/// The times that the keys are fetched by.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) least: Duration,
    pub(super) most: Duration,
    pub(super) cooldown: Duration,
    pub(super) stale: Duration,
}

impl Schedule {
    /// How long an answer is good: what it says, between the bounds.
    pub(super) fn life(&self, answer: &HeaderMap) -> Duration {
        let stated = stated_life(answer).unwrap_or(UNSTATED);
        stated.clamp(self.least, self.most)
    }

    /// The pause before the next refresh: up to a tenth shorter than the answer's life, so that a fleet
    /// that started at once does not ask at once.
    pub(super) fn refresh_in(&self, life: Duration) -> Duration {
        shortened(life, 10)
    }

    /// The pause before the next attempt after failures in a row: twice as long every time. Without keys
    /// to go by it begins short, since everybody waits.
    pub(super) fn retry_in(&self, failures: u32, has_keys: bool) -> Duration {
        let (first, last) = match has_keys {
            true => (self.cooldown, LAST_RETRY.max(self.cooldown)),
            false => (FIRST_RETRY, self.cooldown.max(FIRST_RETRY)),
        };
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        shortened(doubled.min(last), 5)
    }
}

/// Somewhat less than `time`: up to one part in `parts`. Without randomness, all of it.
fn shortened(time: Duration, parts: u32) -> Duration {
    let mut dice = [0; 4];
    if random::fill(&mut dice).is_err() {
        return time;
    }
    let share = f64::from(u32::from_ne_bytes(dice)) / f64::from(u32::MAX);
    time - (time / parts).mul_f64(share)
}

/// What an answer says of its own life: `max-age` less `Age` (RFC 9111 sections 4.2 and 5.2.2). One that is
/// not to be stored or reused, and one that says something unreadable, has none left.
fn stated_life(answer: &HeaderMap) -> Option<Duration> {
    let mut life: Option<u64> = None;
    for field in answer.get_all(header::CACHE_CONTROL) {
        for directive in field.as_bytes().split(|byte| *byte == b',') {
            let mut halves = directive.splitn(2, |byte| *byte == b'=');
            let name = halves.next().unwrap_or_default().trim_ascii();
            let value = halves.next().map(<[u8]>::trim_ascii);
            let stated = match name.to_ascii_lowercase().as_slice() {
                b"no-store" | b"no-cache" => 0,
                b"max-age" => value.and_then(seconds).unwrap_or(0),
                _ => continue,
            };
            life = Some(life.map_or(stated, |life| life.min(stated)));
        }
    }
    let age = answer.get(header::AGE);
    let age = age.and_then(|age| seconds(age.as_bytes())).unwrap_or(0);
    life.map(|life| Duration::from_secs(life.saturating_sub(age)))
}

/// `delta-seconds` (RFC 9111 section 1.2.2), quoted or not; what is too large is very large.
fn seconds(text: &[u8]) -> Option<u64> {
    let text = text
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""))
        .unwrap_or(text);
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(text).ok().filter(|_| digits)?;
    Some(text.parse().unwrap_or(u64::from(u32::MAX)))
}

/// Milliseconds since 1970, for comparing times without a lock.
pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// A later time; the latest that there is, where it would lie beyond.
pub(super) fn after(time: SystemTime, pause: Duration) -> SystemTime {
    time.checked_add(pause).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn answer(fields: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let fields = fields.iter().cloned();
        fields
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_life_of_an_answer_is_what_it_says() {
        let of = |value| stated_life(&answer(&[(header::CACHE_CONTROL, value)]));
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(stated_life(&HeaderMap::new()), None);
        for (value, life) in [
            ("public", None),
            ("s-maxage=60", None),
            ("max-age=600", seconds(600)),
            ("public, MAX-AGE = 600 ,must-revalidate", seconds(600)),
            ("max-age=\"600\"", seconds(600)),
            ("max-age=600, max-age=60", seconds(60)),
            ("max-age=600, no-cache", seconds(0)),
            ("no-store", seconds(0)),
            ("max-age", seconds(0)),
            ("max-age=", seconds(0)),
            ("max-age=-1", seconds(0)),
            ("max-age=1e9", seconds(0)),
            ("max-age=99999999999999999999", seconds(u64::from(u32::MAX))),
        ] {
            assert_eq!(of(value), life, "{value}");
        }
        let aged = |age| {
            let cache = (header::CACHE_CONTROL, "max-age=600");
            stated_life(&answer(&[cache, (header::AGE, age)]))
        };
        assert_eq!(aged("100"), seconds(500));
        assert_eq!(aged("1000"), seconds(0));
        assert_eq!(aged("soon"), seconds(600));
    }

    #[test]
    fn retries_double_from_the_cooldown_and_begin_short_without_keys() {
        let schedule = Schedule {
            least: Duration::from_secs(300),
            most: Duration::from_secs(86_400),
            cooldown: Duration::from_secs(30),
            stale: Duration::ZERO,
        };
        for (failures, has_keys, longest) in [
            (0, true, 30),
            (1, true, 30),
            (2, true, 60),
            (5, true, 300),
            (u32::MAX, true, 300),
            (1, false, 1),
            (4, false, 8),
            (9, false, 30),
        ] {
            let longest = Duration::from_secs(longest);
            for _ in 0..20 {
                let pause = schedule.retry_in(failures, has_keys);
                assert!(pause <= longest && pause >= longest * 4 / 5, "{pause:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_an_answer_says_its_life_is_within_the_bounds(
            fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
            age in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let schedule = Schedule {
                least: Duration::from_secs(300),
                most: Duration::from_secs(86_400),
                cooldown: Duration::from_secs(30),
                stale: Duration::ZERO,
            };
            let mut answer = HeaderMap::new();
            for field in fields {
                if let Ok(value) = HeaderValue::from_bytes(&field) {
                    answer.append(header::CACHE_CONTROL, value);
                }
            }
            if let Ok(value) = HeaderValue::from_bytes(&age) {
                answer.insert(header::AGE, value);
            }
            let life = schedule.life(&answer);
            prop_assert!(life >= schedule.least && life <= schedule.most);
            let pause = schedule.refresh_in(life);
            prop_assert!(pause <= life && pause >= life * 9 / 10 - Duration::from_nanos(9));
        }
    }
}
