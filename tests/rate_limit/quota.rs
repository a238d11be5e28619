//! Quotas: what can be built, and what cannot.

use std::{panic::catch_unwind, time::Duration};

use portcullis::rate_limit::{MAX_SEGMENTS, Quota};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_quota_says_what_it_was_given() {
    const QUOTA: Quota = Quota::new(7, Duration::from_millis(1_500))
        .segments(4)
        .name("burst");
    assert_eq!(QUOTA.limit(), 7);
    assert_eq!(QUOTA.window(), Duration::from_millis(1_500));
    assert_eq!(QUOTA.segment_count(), 4);
    assert_eq!(QUOTA.segment_length(), Duration::from_millis(375));
    assert_eq!(QUOTA.policy_name(), "burst");
    assert_eq!(Quota::per_second(1).window(), Duration::from_secs(1));
    assert_eq!(Quota::per_minute(1).window(), Duration::from_secs(60));
    assert_eq!(Quota::per_hour(1).window(), Duration::from_secs(3_600));
    assert_eq!(Quota::per_hour(1).policy_name(), "default");
}

#[test]
fn a_segment_is_rounded_up() {
    let quota = Quota::new(1, Duration::from_secs(1)).segments(60);
    assert_eq!(quota.segment_length(), Duration::from_nanos(16_666_667));
}

#[test]
fn every_bound_is_kept() {
    for (limit, window) in [
        (0, DAY),
        (1, Duration::ZERO),
        (1, Duration::from_nanos(999_999)),
        (1, DAY * 366 + Duration::from_nanos(1)),
        (1, Duration::MAX),
    ] {
        assert!(Quota::try_new(limit, window).is_err(), "{limit} {window:?}");
        assert!(catch_unwind(|| Quota::new(limit, window)).is_err());
    }
    for (limit, window) in [(1, Duration::from_millis(1)), (u32::MAX, DAY * 366)] {
        assert_eq!(Quota::try_new(limit, window), Ok(Quota::new(limit, window)));
    }
    for segments in [0, MAX_SEGMENTS + 1, u32::MAX] {
        assert!(Quota::per_second(1).try_segments(segments).is_err());
        assert!(catch_unwind(|| Quota::per_second(1).segments(segments)).is_err());
    }
    for segments in [1, MAX_SEGMENTS] {
        assert!(Quota::per_second(1).try_segments(segments).is_ok());
    }
}

#[test]
fn an_error_says_what_was_given() {
    let error = Quota::try_new(1, Duration::ZERO).unwrap_err();
    assert_eq!((error.setting(), error.given()), ("window", "0ns"));
    let error = Quota::per_second(1).try_segments(61).unwrap_err();
    assert_eq!(
        error.to_string(),
        "segments: must be from 1 to 60 (given: 61)"
    );
}

#[test]
fn a_name_is_a_structured_fields_string_without_escapes() {
    let name = |name: &'static str| catch_unwind(|| Quota::per_second(1).name(name));
    for wrong in ["", "a\"b", "a\\b", "a\nb", "a\x7fb", "ä", "a\0"] {
        assert!(name(wrong).is_err(), "{wrong:?}");
    }
    let longest: &'static str = Box::leak("x".repeat(64).into_boxed_str());
    let too_long: &'static str = Box::leak("x".repeat(65).into_boxed_str());
    assert!(name(too_long).is_err());
    for right in [longest, "per minute; (of all)", "~", " "] {
        assert_eq!(name(right).unwrap().policy_name(), right);
    }
}
