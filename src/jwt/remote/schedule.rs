//! When to fetch: pure arithmetic.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

use super::date;
use crate::random;

/// How long a set is good that says nothing of it.
const UNSTATED: Duration = Duration::from_secs(15 * 60);
/// How long a set is good at most that says only when it was last changed.
const GUESSED: Duration = Duration::from_secs(60 * 60);
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
    pub(super) fn life(&self, answer: &HeaderMap, now: SystemTime) -> Duration {
        let stated = stated_life(answer, now).unwrap_or(UNSTATED);
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

/// What an answer says of its own life, less its `Age` (RFC 9111 section 4.2): `max-age`; without it the time
/// from `Date` to `Expires`; without that a tenth of the time from `Last-Modified` to `Date`, an hour at most
/// (section 4.2.2).
///
/// Times of the endpoint's are measured against its own `Date`, so that clocks that differ change nothing.
fn stated_life(answer: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let date =
        |name: &header::HeaderName| answer.get(name).and_then(|at| date::read(at.as_bytes()));
    let sent_at = date(&header::DATE).unwrap_or(now);
    let since = |later: SystemTime, earlier| later.duration_since(earlier).unwrap_or_default();
    let life = directed_life(answer).or_else(|| {
        let mut expires = answer.get_all(header::EXPIRES).into_iter();
        let first = expires.next()?;
        // Two of them, or one that is no date (`0`), mean that it has expired (section 5.3).
        let at = date::read(first.as_bytes()).filter(|_| expires.next().is_none());
        Some(at.map_or(Duration::ZERO, |at| since(at, sent_at)))
    });
    let life = life.or_else(|| {
        let changed_at = date(&header::LAST_MODIFIED)?;
        Some((since(sent_at, changed_at) / 10).min(GUESSED))
    });
    let age = answer.get(header::AGE);
    let age = age.and_then(|age| seconds(age.as_bytes())).unwrap_or(0);
    life.map(|life| life.saturating_sub(Duration::from_secs(age)))
}

/// What `Cache-Control` says of an answer's life (RFC 9111 section 5.2.2). One that is not to be stored or
/// reused, and one that says something unreadable, has none.
fn directed_life(answer: &HeaderMap) -> Option<Duration> {
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
    life.map(Duration::from_secs)
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
        let stated_life = |answer: &HeaderMap| stated_life(answer, SystemTime::UNIX_EPOCH);
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
    fn without_a_directive_dates_say_it() {
        const DATE: (header::HeaderName, &str) = (header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        let expires = |at| (header::EXPIRES, at);
        let modified = |at| (header::LAST_MODIFIED, at);
        // The clock here is years apart from the endpoint's.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let of = |fields: &[_]| stated_life(&answer(fields), now).map(|life| life.as_secs());
        let in_ten_minutes = expires("Sun, 06 Nov 1994 08:59:37 GMT");
        let yesterday = expires("Sat, 05 Nov 1994 08:49:37 GMT");
        let an_hour_ago = modified("Sun, 06 Nov 1994 07:49:37 GMT");
        let years_ago = modified("Sun, 06 Nov 1988 07:49:37 GMT");
        let cache = |value| (header::CACHE_CONTROL, value);
        for (fields, life) in [
            (&[DATE, in_ten_minutes.clone()][..], Some(600)),
            (
                &[DATE, in_ten_minutes.clone(), (header::AGE, "60")],
                Some(540),
            ),
            (&[DATE, yesterday], Some(0)),
            (&[DATE, expires("0")], Some(0)),
            (
                &[DATE, in_ten_minutes.clone(), in_ten_minutes.clone()],
                Some(0),
            ),
            // `Cache-Control` wins where it says something of it, and only there.
            (
                &[DATE, in_ten_minutes.clone(), cache("max-age=60")],
                Some(60),
            ),
            (&[DATE, in_ten_minutes.clone(), cache("no-store")], Some(0)),
            (&[DATE, in_ten_minutes.clone(), cache("public")], Some(600)),
            (&[DATE, an_hour_ago.clone()], Some(360)),
            (&[DATE, an_hour_ago.clone(), in_ten_minutes], Some(600)),
            (&[DATE, years_ago], Some(3600)),
            (&[DATE, modified("lately")], None),
            (&[DATE], None),
            // Without `Date` the own clock is all there is.
            (&[expires("Fri, 15 Jan 2027 08:10:00 GMT")], Some(600)),
        ] {
            assert_eq!(of(fields), life, "{fields:?}");
        }
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
            expires in "[ -~]{0,30}",
            changed in "[ -~]{0,30}",
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
            for (name, value) in [(header::EXPIRES, expires), (header::LAST_MODIFIED, changed)] {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    answer.insert(name, value);
                }
            }
            let life = schedule.life(&answer, SystemTime::UNIX_EPOCH);
            prop_assert!(life >= schedule.least && life <= schedule.most);
            let pause = schedule.refresh_in(life);
            prop_assert!(pause <= life && pause >= life * 9 / 10 - Duration::from_nanos(9));
        }
    }
}
