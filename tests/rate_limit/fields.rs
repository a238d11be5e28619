//! The header fields and the body, to the letter.

use std::time::Duration;

use portcullis::rate_limit::{Quota, RateLimitFields, RateLimitLayer};
use serde_json::json;

use crate::support::{Door, from};

const MINUTE: Quota = Quota::per_minute(60);

#[tokio::test]
async fn responses_tell_the_quota_and_what_is_left_of_it() {
    let door = Door::new(RateLimitLayer::new(MINUTE));
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!((answer.status, &*answer.body), (200, "inner"));
    assert_eq!(
        answer.field("ratelimit-policy"),
        Some(r#""default";q=60;w=60"#)
    );
    // The start lies on a segment's boundary: 60 s, and the segment of 3.75 s, rounded up.
    assert_eq!(answer.field("ratelimit"), Some(r#""default";r=59;t=64"#));
    assert_eq!(answer.field("retry-after"), None);

    door.clock.advance(Duration::from_secs(30));
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!(answer.field("ratelimit"), Some(r#""default";r=58;t=34"#));
}

#[tokio::test]
async fn a_refusal_tells_when_to_come_back() {
    let door = Door::new(RateLimitLayer::new(Quota::per_minute(1).name("slow")));
    door.ask(from("192.0.2.1")).await;
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.field("retry-after"), Some("64"));
    assert_eq!(answer.field("ratelimit-policy"), Some(r#""slow";q=1;w=60"#));
    assert_eq!(answer.field("ratelimit"), Some(r#""slow";r=0;t=64"#));
    assert_eq!(
        answer.field("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        answer.json(),
        json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Too Many Requests",
            "status": 429,
            "detail": "The quota is used up; a later request may find room.",
            "code": "rate_limited",
            "violated-policies": ["slow"],
        })
    );
    assert_eq!(door.calls(), 1);
}

#[tokio::test]
async fn retry_after_is_rounded_up_and_never_zero() {
    let window = Duration::from_millis(100);
    let door = Door::new(RateLimitLayer::new(Quota::new(1, window)));
    door.ask(from("192.0.2.1")).await;
    door.clock.advance(window);
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(
        answer.field("ratelimit-policy"),
        Some(r#""default";q=1;w=1"#)
    );
}

#[tokio::test]
async fn who_comes_back_when_told_is_let_in() {
    let door = Door::new(RateLimitLayer::new(
        Quota::new(2, Duration::from_millis(9_500)).segments(7),
    ));
    for _ in 0..20 {
        let answer = door.ask(from("192.0.2.1")).await;
        if answer.status == 429 {
            let wait = answer.field("retry-after").unwrap().parse().unwrap();
            door.clock.advance(Duration::from_secs(wait));
            assert_eq!(door.ask(from("192.0.2.1")).await.status, 200);
        }
    }
}

#[tokio::test]
async fn several_quotas_stand_in_one_list() {
    let layer = RateLimitLayer::new(Quota::per_second(2).name("burst"))
        .add_quota(Quota::per_hour(2).name("hourly"));
    let door = Door::new(layer);
    let answer = door.ask(from("192.0.2.1")).await;
    let policy = r#""burst";q=2;w=1, "hourly";q=2;w=3600"#;
    assert_eq!(answer.field("ratelimit-policy"), Some(policy));
    assert_eq!(
        answer.field("ratelimit"),
        Some(r#""burst";r=1;t=2, "hourly";r=1;t=3825"#)
    );

    door.ask(from("192.0.2.1")).await;
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!(answer.field("retry-after"), Some("3825"));
    assert_eq!(
        answer.json()["violated-policies"],
        json!(["burst", "hourly"])
    );

    door.clock.advance(Duration::from_secs(5));
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!(answer.json()["violated-policies"], json!(["hourly"]));
    assert_eq!(
        answer.field("ratelimit"),
        Some(r#""burst";r=2, "hourly";r=0;t=3820"#)
    );
}

#[tokio::test]
async fn a_name_that_is_taken_gets_its_position() {
    let layer = RateLimitLayer::new(MINUTE)
        .add_quota(Quota::per_hour(100))
        .add_quota(Quota::per_hour(200).name("default-2"));
    let answer = Door::new(layer).ask(from("192.0.2.1")).await;
    let policy = r#""default";q=60;w=60, "default-2";q=100;w=3600, "default-2-3";q=200;w=3600"#;
    assert_eq!(answer.field("ratelimit-policy"), Some(policy));
}

#[tokio::test]
async fn many_and_long_names_fit() {
    let name: &'static str = Box::leak("n".repeat(64).into_boxed_str());
    let quota = Quota::new(u32::MAX, Duration::from_secs(366 * 86_400)).name(name);
    let mut layer = RateLimitLayer::new(quota);
    for _ in 0..9 {
        layer = layer.add_quota(quota);
    }
    let answer = Door::new(layer).ask(from("192.0.2.1")).await;
    let policies: Vec<_> = answer
        .field("ratelimit-policy")
        .unwrap()
        .split(", ")
        .collect();
    assert_eq!(policies.len(), 10);
    assert_eq!(
        policies[9],
        format!("\"{name}-10\";q=4294967295;w=31622400")
    );
    let limits: Vec<_> = answer.field("ratelimit").unwrap().split(", ").collect();
    // Ten times the same counts are ten times counted.
    assert!(
        limits[9].starts_with(&format!("\"{name}-10\";r=4294967285;t=")),
        "{limits:?}"
    );
}

#[tokio::test]
async fn names_of_all_lengths_and_characters_are_told_on_every_way() {
    // All that a name may have: printable ASCII without quotes and backslashes.
    let characters = (' '..='~').filter(|character| !matches!(character, '"' | '\\'));
    let characters: String = characters.collect();
    for length in 1..=64 {
        for from_character in [0, characters.len() - length] {
            let name = &characters[from_character..from_character + length];
            let quota = MINUTE.name(Box::leak(Box::from(name)));
            // One quota in memory is decided on the shortest way, unless somebody listens.
            let heard = RateLimitLayer::new(quota).on_event(|_| {});
            for layer in [RateLimitLayer::new(quota), heard] {
                let answer = Door::new(layer).ask(from("192.0.2.1")).await;
                let policy = format!("\"{name}\";q=60;w=60");
                assert_eq!(answer.field("ratelimit-policy"), Some(&*policy));
                let left = format!("\"{name}\";r=59;t=64");
                assert_eq!(answer.field("ratelimit"), Some(&*left));
                assert_eq!(answer.headers.len(), 2);
            }
        }
    }
}

#[tokio::test]
async fn the_most_that_can_be_left_is_told_without_a_time() {
    let name: &'static str = Box::leak("n".repeat(64).into_boxed_str());
    let quota = Quota::new(u32::MAX, Duration::from_secs(366 * 86_400)).name(name);
    for layer in [
        RateLimitLayer::new(quota),
        RateLimitLayer::new(quota).on_event(|_| {}),
    ] {
        let answer = Door::new(layer.cost(|_| 0)).ask(from("192.0.2.1")).await;
        let policy = format!("\"{name}\";q=4294967295;w=31622400");
        assert_eq!(answer.field("ratelimit-policy"), Some(&*policy));
        let left = format!("\"{name}\";r=4294967295");
        assert_eq!(answer.field("ratelimit"), Some(&*left));
    }
}

#[tokio::test]
async fn fields_come_after_those_of_the_inner_service() {
    for fields in [RateLimitFields::Ietf, RateLimitFields::Legacy] {
        for layer in [
            RateLimitLayer::new(MINUTE),
            RateLimitLayer::new(MINUTE).on_event(|_| {}),
        ] {
            let door = Door::new(layer.fields(fields)).inner_field("x-inner", "kept");
            let answer = door.ask(from("192.0.2.1")).await;
            let told: Vec<_> = answer
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
                .collect();
            let expected = match fields {
                RateLimitFields::Ietf => vec![
                    ("x-inner", "kept"),
                    ("ratelimit-policy", r#""default";q=60;w=60"#),
                    ("ratelimit", r#""default";r=59;t=64"#),
                ],
                _ => vec![
                    ("x-inner", "kept"),
                    ("x-ratelimit-limit", "60"),
                    ("x-ratelimit-remaining", "59"),
                    ("x-ratelimit-reset", "1800000064"),
                ],
            };
            assert_eq!(told, expected);
        }
    }
}

#[tokio::test]
async fn without_fields_only_retry_after_is_left() {
    let door = Door::new(RateLimitLayer::new(Quota::per_minute(1)).fields(RateLimitFields::None));
    let answer = door.ask(from("192.0.2.1")).await;
    assert!(answer.headers.is_empty());
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!(answer.field("retry-after"), Some("64"));
    assert!(
        answer
            .field("ratelimit")
            .or(answer.field("ratelimit-policy"))
            .is_none()
    );
}

#[tokio::test]
async fn fields_of_the_inner_service_are_not_doubled() {
    for (name, value) in [
        ("ratelimit", r#""own";r=1;t=2"#),
        ("ratelimit-policy", r#""own";q=5;w=9"#),
    ] {
        let door = Door::new(RateLimitLayer::new(MINUTE)).inner_field(name, value);
        let answer = door.ask(from("192.0.2.1")).await;
        assert_eq!(answer.headers.len(), 1, "{:?}", answer.headers);
        assert_eq!(answer.field(name), Some(value));
    }
    for name in ["limit", "remaining", "reset"] {
        let name = Box::leak(format!("x-ratelimit-{name}").into_boxed_str());
        let layer = RateLimitLayer::new(MINUTE).fields(RateLimitFields::Legacy);
        let door = Door::new(layer).inner_field(name, "7");
        let answer = door.ask(from("192.0.2.1")).await;
        assert_eq!(answer.headers.len(), 1, "{:?}", answer.headers);
        assert_eq!(answer.field(name), Some("7"));
    }
}
