//! When the keys are fetched again, and what happens when they cannot be.

use std::time::Duration;

use http::header;
use portcullis::jwt::{
    Algorithm::{Ed25519, Es256},
    JwtErrorKind,
};

use crate::{
    flight::verifier,
    support::{Answer, Endpoint, HOUR, MINUTE, SECOND, World, set, settle, token},
};

#[tokio::test]
async fn the_keys_are_refreshed_in_the_background_when_their_life_is_over() {
    let (world, mut events) = World::new();
    let body = Answer::ok(set(&[(Ed25519, "one")]));
    let endpoint = Endpoint::start(body.with(header::CACHE_CONTROL, "max-age=3600")).await;
    let keys = world.keys(&endpoint);
    keys.refresh().await.expect("keys");
    assert_eq!(events.recv().await.expect("it tells").name, "jwks_loaded");
    settle().await;

    let mut spread = Vec::new();
    for round in 1..=8 {
        let last = world.now();
        // Not before nine tenths of it, and not after all of it.
        world.advance(54 * MINUTE - SECOND);
        settle().await;
        assert_eq!(world.fetched(), round);
        while world.fetched() == round {
            world.advance(10 * SECOND);
            settle().await;
            assert!(world.now() <= last + HOUR + 10 * SECOND);
        }
        spread.push(world.now().duration_since(last).expect("later"));
        assert_eq!(
            events.recv().await.expect("it tells").name,
            "jwks_confirmed"
        );
        settle().await;
    }
    spread.sort();
    assert!(
        spread[0] != spread[7],
        "a fleet would ask at once: {spread:?}"
    );
    assert_eq!(keys.generation(), 1, "the keys were the same all the time");
}

#[tokio::test]
async fn what_the_endpoint_says_of_its_life_is_believed_between_bounds() {
    // A date of the endpoint's own: years from this world's clock.
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (expires, least, most) in [
        ("Sun, 06 Nov 1994 09:09:37 GMT", 18 * MINUTE, 20 * MINUTE),
        (
            "Sat, 05 Nov 1994 08:49:37 GMT",
            4 * MINUTE + 30 * SECOND,
            5 * MINUTE,
        ),
        ("0", 4 * MINUTE + 30 * SECOND, 5 * MINUTE),
    ] {
        let answer = Answer::ok(set(&[(Ed25519, "one")]))
            .with(header::DATE, DATE)
            .with(header::EXPIRES, expires);
        is_refreshed_between(answer, least, most).await;
    }
    for (said, least, most) in [
        (Some("max-age=0"), 4 * MINUTE + 30 * SECOND, 5 * MINUTE),
        (Some("no-store"), 4 * MINUTE + 30 * SECOND, 5 * MINUTE),
        (None, 13 * MINUTE + 30 * SECOND, 15 * MINUTE),
        (Some("public, max-age=1200"), 18 * MINUTE, 20 * MINUTE),
        (Some("max-age=31536000"), 21 * HOUR + 36 * MINUTE, 24 * HOUR),
    ] {
        let mut answer = Answer::ok(set(&[(Ed25519, "one")]));
        if let Some(said) = said {
            answer = answer.with(header::CACHE_CONTROL, said);
        }
        is_refreshed_between(answer, least, most).await;
    }
}

async fn is_refreshed_between(answer: Answer, least: Duration, most: Duration) {
    let (world, mut events) = World::new();
    let endpoint = Endpoint::start(answer).await;
    let keys = world.keys(&endpoint);
    keys.refresh().await.expect("keys");
    let _ = events.recv().await;
    settle().await;
    world.advance(least - SECOND);
    settle().await;
    assert_eq!(world.fetched(), 1, "sooner than {least:?}");
    world.advance(most - least + 2 * SECOND);
    let told = events.recv().await.expect("it tells");
    assert_eq!(told.name, "jwks_confirmed", "by {most:?}");
    assert_eq!(world.fetched(), 2);
}

#[tokio::test]
async fn an_entity_tag_is_sent_back_and_a_304_confirms() {
    let (world, mut events) = World::new();
    let tagged = |keys, tag| Answer::ok(set(keys)).with(header::ETAG, tag);
    let endpoint = Endpoint::start(tagged(&[(Ed25519, "one")], "\"a\"")).await;
    let keys = world.keys(&endpoint);
    for (name, generation) in [
        ("jwks_loaded", 1),
        ("jwks_confirmed", 1),
        ("jwks_confirmed", 1),
    ] {
        keys.refresh().await.expect("keys");
        assert_eq!(events.recv().await.expect("it tells").name, name);
        assert_eq!(keys.generation(), generation);
    }
    endpoint.answer(tagged(&[(Es256, "two")], "\"b\""));
    keys.refresh().await.expect("keys");
    assert_eq!(events.recv().await.expect("it tells").name, "jwks_loaded");
    assert_eq!(keys.generation(), 2);
    let sent = |head: &(String, http::HeaderMap)| {
        let tag = head.1.get(header::IF_NONE_MATCH);
        tag.map(|tag| tag.to_str().expect("text").to_owned())
    };
    let sent: Vec<_> = endpoint.heads().iter().map(sent).collect();
    let tag = Some("\"a\"".to_owned());
    assert_eq!(sent, [None, tag.clone(), tag.clone(), tag]);

    // A confirmation makes the keys as young as an answer.
    world.advance(5 * HOUR);
    keys.refresh().await.expect("keys");
    assert_eq!(keys.loaded_at(), Some(world.now()));
}

#[tokio::test]
async fn a_304_that_was_not_asked_for_is_no_answer() {
    let (world, mut events) = World::new();
    let endpoint = Endpoint::start(Answer::status(304, "")).await;
    let keys = world.keys(&endpoint);
    assert!(keys.refresh().await.is_err());
    let told = events.recv().await.expect("it tells");
    assert_eq!(
        (told.name, told.code),
        ("jwks_unavailable", Some("jwks_status"))
    );
}

#[tokio::test]
async fn the_last_good_keys_are_gone_by_for_a_bounded_time() {
    let (world, mut events) = World::new();
    let mut endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys_with(&endpoint, |builder| builder.serve_stale_for(2 * HOUR));
    let verifier = verifier(&keys);
    let good = token(Ed25519, "one");
    keys.refresh().await.expect("keys");
    let _ = events.recv().await;
    let until = keys.usable_until().expect("there are keys");
    assert_eq!(until, world.now() + 15 * MINUTE + 2 * HOUR);

    endpoint.die().await;
    let (mut failures, mut last) = (0, None);
    while world.now() + MINUTE < until {
        world.advance(MINUTE);
        settle().await;
        assert!(verifier.verify(&good, world.now()).is_ok());
        while let Ok(told) = events.try_recv() {
            assert_eq!(
                (told.name, told.code),
                ("jwks_stale", Some("jwks_unanswered"))
            );
            assert_eq!(told.usable_until, Some(until));
            failures += 1;
            last = Some(told);
        }
    }
    // Growing pauses, of five minutes at most: neither silence nor hammering.
    assert!(
        (20..=40).contains(&failures),
        "{failures} attempts in two hours"
    );
    assert!(last.is_some_and(|told| told.line.contains("code=jwks_unanswered")));

    world.advance(until.duration_since(world.now()).expect("it is later"));
    let refused = verifier.verify(&good, world.now()).expect_err("too old");
    assert_eq!(refused.kind(), JwtErrorKind::KeysUnavailable);
    assert_eq!((keys.keys().is_none(), keys.usable_until()), (true, None));
    // The attempts go on, and now say that there is nothing left.
    let told = keys.refresh().await.expect_err("it is dead").code();
    assert_eq!(told, "jwks_unanswered");
    let last = std::iter::from_fn(|| events.try_recv().ok()).last();
    let last = last.expect("it tells");
    assert_eq!((last.name, last.usable_until), ("jwks_unavailable", None));
}

#[tokio::test]
async fn keys_come_back_when_the_endpoint_does() {
    let (world, mut events) = World::new();
    let endpoint = Endpoint::start(Answer::status(500, "")).await;
    let keys = world.keys(&endpoint);
    let verifier = verifier(&keys);
    let good = token(Ed25519, "one");
    let refused = verifier.verify_async(&good, world.now()).await;
    let unavailable = Some(JwtErrorKind::KeysUnavailable);
    assert_eq!(refused.err().map(|error| error.kind()), unavailable);
    assert_eq!(
        events.recv().await.expect("it tells").name,
        "jwks_unavailable"
    );
    // Without keys the first pause is a second, in which nobody waits.
    let refused = verifier.verify_async(&good, world.now()).await;
    assert_eq!(refused.err().map(|error| error.kind()), unavailable);
    assert_eq!(world.fetched(), 1);
    endpoint.answer(Answer::ok(set(&[(Ed25519, "one")])));
    settle().await;
    world.advance(SECOND);
    assert_eq!(events.recv().await.expect("it tells").name, "jwks_loaded");
    assert!(verifier.verify(&good, world.now()).is_ok());
    assert_eq!(world.fetched(), 2);
}

#[tokio::test]
async fn a_clock_that_is_set_back_neither_stops_refreshing_nor_asks_without_end() {
    let (world, mut events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys(&endpoint);
    let verifier = verifier(&keys);
    let good = token(Ed25519, "one");
    keys.refresh().await.expect("keys");
    let _ = events.recv().await;
    world.clock.set(world.now() - 1000 * HOUR);
    for _ in 0..20 {
        let _ = verifier.verify(&good, world.now());
        settle().await;
    }
    assert_eq!(
        events.recv().await.expect("it tells").name,
        "jwks_confirmed"
    );
    assert_eq!(world.fetched(), 2);
}

#[tokio::test]
async fn the_task_that_refreshes_ends_with_the_last_of_the_keys() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys(&endpoint);
    keys.refresh().await.expect("keys");
    settle().await;
    assert_eq!(world.sleeping(), 1);
    let verifier = verifier(&keys);
    drop(keys);
    settle().await;
    assert_eq!(world.sleeping(), 1, "the verifier has them still");
    drop(verifier);
    settle().await;
    assert_eq!(world.sleeping(), 0);
}

#[tokio::test]
async fn a_process_may_begin_with_the_keys_of_the_one_before() {
    let (world, mut events) = World::new();
    let endpoint = Endpoint::start(Answer::status(503, "")).await;
    let document = set(&[(Ed25519, "one")]);
    let before = world.now() - HOUR;
    let keys = world.keys_with(&endpoint, |builder| builder.seed(document.clone(), before));
    let verifier = verifier(&keys);
    let good = token(Ed25519, "one");
    assert!(
        verifier.verify(&good, world.now()).is_ok(),
        "without waiting"
    );
    let told = events.recv().await.expect("it tells");
    assert_eq!(told.name, "jwks_stale", "and it was due at once");
    // They age as if they had been fetched here.
    assert_eq!(keys.usable_until(), Some(before + 5 * MINUTE + 6 * HOUR));
    world.advance(6 * HOUR);
    assert!(verifier.verify(&good, world.now()).is_err());

    let old = world.keys_with(&endpoint, |builder| {
        builder.seed(document.clone(), before - 24 * HOUR)
    });
    assert!(old.keys().is_none());
    // Of a process whose clock was wrong: no better than fetched now.
    let ahead = world.now() + 365 * 24 * HOUR;
    let odd = world.keys_with(&endpoint, |builder| builder.seed(document, ahead));
    let now = world.now();
    assert_eq!(odd.usable_until(), Some(now + 5 * MINUTE + 6 * HOUR));
}
