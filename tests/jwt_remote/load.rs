//! An issuer on its worst day, under load: the clock runs hours in seconds.
//!
//! The endpoint is a server on loopback, asked over real sockets by the client that ships, and its faults are
//! real: what it sends is wrong, endless, late or nothing at all. Only the time is not: keys age, attempts run
//! out of their five seconds and the slow endpoint is slow by a clock that is moved by hand, three seconds at
//! a time, as fast as the tokens get through.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{StatusCode, header};
use portcullis::jwt::{
    Algorithm::{Ed25519, Es256},
    JwtAuthLayer,
};

use crate::{
    flight::verifier,
    layer::{answer, bearer},
    support::{
        Answer, Endpoint, HOUR, MINUTE, SECOND, Tally, World, set, settle, token, token_of_nobody,
    },
};

const ONE: &[(portcullis::jwt::Algorithm, &str)] = &[(Ed25519, "one")];
const BOTH: &[(portcullis::jwt::Algorithm, &str)] = &[(Ed25519, "one"), (Es256, "two")];

/// Valid tokens at a steady rate are never refused, and tokens with keys of nobody's cause one fetch a
/// cooldown at most, while the endpoint rotates, slows, answers garbage and dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_issuer_is_none_of_this_service() {
    let (world, mut events) = World::new();
    let cached = |body: String| Answer::ok(body).with(header::CACHE_CONTROL, "max-age=600");
    let mut endpoint = Endpoint::start(cached(set(ONE))).await;
    let keys = world.keys(&endpoint);
    keys.refresh().await.expect("keys");
    let layer = JwtAuthLayer::new(verifier(&keys)).with_clock(Arc::clone(&world.clock));

    let (good, refused, strangers) = (Tally::default(), Tally::default(), Tally::default());
    let rotated = Arc::new(AtomicBool::new(false));
    let stop = Arc::new(AtomicBool::new(false));
    let number = Arc::new(AtomicUsize::new(0));
    let tokens = [token(Ed25519, "one"), token(Es256, "two")];
    let users: Vec<_> = (0..4)
        .map(|user| {
            let (layer, tokens) = (layer.clone(), tokens.clone());
            let (good, refused, strangers) = (good.clone(), refused.clone(), strangers.clone());
            let (rotated, stop, number) = (rotated.clone(), stop.clone(), number.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if user % 2 == 0 {
                        // The new key signs once it has been published for a while.
                        let own = &tokens[usize::from(rotated.load(Ordering::Relaxed))];
                        match answer(&layer, bearer(own)).await.0 {
                            StatusCode::OK => good.add(),
                            _ => refused.add(),
                        }
                    } else {
                        let number = number.fetch_add(1, Ordering::Relaxed);
                        let (status, ..) = answer(&layer, bearer(&token_of_nobody(number))).await;
                        assert_eq!(status, StatusCode::UNAUTHORIZED);
                        strangers.add();
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();

    // Some tokens of each kind at every step of the clock.
    let pass = async |time: Duration| {
        let until = world.now() + time;
        while world.now() < until {
            let before = (good.total(), strangers.total());
            while good.total() < before.0 + 4 {
                tokio::task::yield_now().await;
            }
            world.advance(3 * SECOND);
            settle().await;
        }
        strangers.total()
    };
    let started = world.now();
    pass(5 * MINUTE).await;
    // It rotates: the new key is published first, then signs, then is alone.
    endpoint.answer(cached(set(BOTH)));
    pass(15 * MINUTE).await;
    rotated.store(true, Ordering::Relaxed);
    pass(MINUTE).await;
    endpoint.answer(cached(set(&BOTH[1..])));
    pass(10 * MINUTE).await;
    // It slows to thirty seconds, answers nothing, answers garbage, fails, sends somebody else.
    let late = Box::new(cached(set(&BOTH[1..])));
    for bad in [
        Answer::Slow(world.clone(), 30 * SECOND, late),
        Answer::Hold,
        Answer::ok("<html>maintenance</html>"),
        Answer::status(500, ""),
        Answer::ok(r#"{"keys":[]}"#),
        Answer::status(302, "").with(header::LOCATION, "http://127.0.0.1:1/"),
        Answer::Endless,
        Answer::Break,
    ] {
        endpoint.answer(bad);
        pass(5 * MINUTE).await;
    }
    // It dies.
    endpoint.die().await;
    pass(HOUR).await;
    stop.store(true, Ordering::Relaxed);
    for user in users {
        user.await.expect("it ends");
    }

    assert_eq!(refused.total(), 0, "of {} valid tokens", good.total());
    assert!(good.total() > 1000 && strangers.total() > 1000);
    let fetches = world.fetches();
    // A retry may come a fifth sooner than the cooldown (what tokens ask for never does). On a slow machine
    // the endpoint may note a fetch only when its deadline has passed and the next one is there, so the
    // time is taken from each fetch to the one after the next; all of them are counted below.
    let gaps = fetches
        .windows(3)
        .map(|three| three[2].duration_since(three[0]));
    for gap in gaps {
        let gap = gap.expect("time goes forward");
        assert!(gap >= 15 * SECOND, "three fetches within {gap:?}");
    }
    let minutes = world
        .now()
        .duration_since(started)
        .expect("later")
        .as_secs()
        / 60;
    let most = usize::try_from(minutes * 5 / 2).expect("a number");
    assert!(
        fetches.len() <= most,
        "{} fetches in {minutes} minutes for {} strange tokens",
        fetches.len(),
        strangers.total()
    );
    let mut stale = 0;
    while let Ok(told) = events.try_recv() {
        assert_ne!(told.name, "jwks_unavailable");
        stale += usize::from(told.name == "jwks_stale");
    }
    assert!(stale > 5, "the outage was told {stale} times");
}
