//! Dates of HTTP (RFC 9110 section 5.6.7): the one form that is sent, and the two that are still read.

use std::time::{Duration, SystemTime};

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// The moment that a field names; none before 1970. The name of the day is not compared with the date.
pub(super) fn read(text: &[u8]) -> Option<SystemTime> {
    let parts: Vec<_> = text.split(|byte| *byte == b' ').collect();
    let (day, month, year, time) = match parts.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [_, day, month, year, time, b"GMT"] => (number(day, 2)?, *month, number(year, 4)?, *time),
        // Sunday, 06-Nov-94 08:49:37 GMT
        [_, date, time, b"GMT"] => {
            let parts: Vec<_> = date.split(|byte| *byte == b'-').collect();
            let [day, month, year] = parts.as_slice() else {
                return None;
            };
            // Two digits mean the nearest such year that is not far ahead: these dates are of our time.
            let year = number(year, 2)?;
            let century = if year < 70 { 2000 } else { 1900 };
            (number(day, 2)?, *month, century + year, *time)
        }
        // Sun Nov  6 08:49:37 1994
        [_, month, b"", day, time, year] => (number(day, 1)?, *month, number(year, 4)?, *time),
        [_, month, day, time, year] => (number(day, 2)?, *month, number(year, 4)?, *time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = time else {
        return None;
    };
    let hour = number(&[*h1, *h2], 2)?;
    let minute = number(&[*m1, *m2], 2)?;
    let second = number(&[*s1, *s2], 2)?;
    // 60 is a leap second.
    let sound = (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60 && year >= 1970;
    let seconds = days_before(year, month) + day.checked_sub(1)?;
    let since = seconds * 86_400 + hour * 3600 + minute * 60 + second;
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(since))
        .filter(|_| sound)
}

/// Days from 1970 until the first of a month, January being 0.
fn days_before(year: u64, month: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let years = year.saturating_sub(1970) * 365;
    let leaps = leap_days(year.max(1970) - 1) - leap_days(1969);
    years + leaps + BEFORE[month as usize] + u64::from(is_leap && month > 1)
}

fn number(text: &[u8], digits: usize) -> Option<u64> {
    let sound = text.len() == digits && text.iter().all(u8::is_ascii_digit);
    sound.then(|| {
        text.iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unix(text: &str) -> Option<u64> {
        let at = read(text.as_bytes())?;
        Some(at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
    }

    #[test]
    fn all_three_forms_are_read() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Wed Nov 16 08:49:37 1994", 784_975_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
            ("Fri, 15 Jan 2027 08:00:00 GMT", 1_800_000_000),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ] {
            assert_eq!(unix(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "0",
            "-1",
            "now",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
        ] {
            assert_eq!(unix(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_field_says_is_a_date_or_none(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&bytes);
        }

        #[test]
        fn digits_anywhere_are_a_date_or_none(text in "[A-Z][a-z]{2}, [0-9]{2} (Jan|Feb|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT") {
            let _ = read(text.as_bytes());
        }
    }
}
