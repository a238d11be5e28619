//! One fetch at a time, for unknown keys one in a cooldown, and cancelling nothing for others.

use portcullis::jwt::{
    Algorithm::{Ed25519, Es256},
    Claims, JwksErrorKind, JwtError, JwtErrorKind, JwtVerifier, RemoteJwks,
};

use crate::{
    mint::{AUDIENCE, ISSUER},
    support::{Answer, Endpoint, SECOND, World, once, set, settle, token, token_of_nobody},
};

pub(crate) fn verifier(keys: &RemoteJwks) -> JwtVerifier {
    JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE)
}

fn kind(result: Result<Claims, JwtError>) -> Option<JwtErrorKind> {
    result.err().map(|error| error.kind())
}

#[tokio::test]
async fn the_first_tokens_wait_for_one_fetch() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::start(Answer::Hold).await;
    let verifier = verifier(&world.keys(&endpoint));
    settle().await;
    assert_eq!(world.fetched(), 0, "nothing is fetched before it is needed");

    let good = token(Ed25519, "one");
    let refused = kind(verifier.verify(&good, world.now()));
    assert_eq!(refused, Some(JwtErrorKind::KeysUnavailable));
    let many: Vec<_> = (0..50)
        .map(|_| {
            let (verifier, good, now) = (verifier.clone(), good.clone(), world.now());
            tokio::spawn(async move { verifier.verify_async(good, now).await })
        })
        .collect();
    endpoint.asked(1).await;
    settle().await;
    assert!(many.iter().all(|one| !one.is_finished()));
    endpoint.answer(Answer::ok(set(&[(Ed25519, "one")])));
    for one in many {
        assert_eq!(kind(one.await.expect("it ends")), None);
    }
    assert_eq!((endpoint.count(), world.fetched()), (1, 1));
    // From now on no token waits.
    let mut now = Box::pin(verifier.verify_async(&good, world.now()));
    assert_eq!(once(&mut now).await.map(kind), Some(None));
    assert_eq!(kind(verifier.verify(&good, world.now())), None);
}

#[tokio::test]
async fn garbage_waits_for_nothing_and_has_nothing_fetched() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::start(Answer::Hold).await;
    let keys = world.keys(&endpoint);
    // The keys are due as soon as anything is asked of them: that one fetch is all.
    let verifier = verifier(&keys);
    for garbage in ["", "a.b.c", "e30.e30.e30", "..", "a.b.c.d.e"] {
        let mut verified = Box::pin(verifier.verify_async(garbage, world.now()));
        let refused = once(&mut verified).await.expect("at once");
        assert!(refused.is_err(), "{garbage}");
    }
    settle().await;
    assert!(world.fetched() <= 1);
}

#[tokio::test]
async fn unknown_keys_cause_one_fetch_in_a_cooldown() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys(&endpoint);
    let verifier = verifier(&keys);
    keys.refresh().await.expect("keys");
    assert_eq!(world.fetched(), 1);

    for round in 0..5 {
        // Within the cooldown nobody waits, and nothing is fetched.
        for number in 0..200 {
            let token = token_of_nobody(number);
            let mut refused = Box::pin(verifier.verify_async(token, world.now()));
            let refused = once(&mut refused).await.expect("at once");
            assert_eq!(kind(refused), Some(JwtErrorKind::KeyUnknown));
        }
        settle().await;
        assert_eq!(world.fetched(), 1 + round);
        world.advance(29 * SECOND);
        let refused = verifier.verify_async(token_of_nobody(0), world.now()).await;
        assert_eq!(kind(refused), Some(JwtErrorKind::KeyUnknown));
        assert_eq!(world.fetched(), 1 + round);
        // After it, however many come at once, there is one fetch.
        world.advance(SECOND);
        let many: Vec<_> = (0..200)
            .map(|number| {
                let (verifier, now) = (verifier.clone(), world.now());
                let token = token_of_nobody(number);
                tokio::spawn(async move { verifier.verify_async(token, now).await })
            })
            .collect();
        for one in many {
            let refused = kind(one.await.expect("it ends"));
            assert_eq!(refused, Some(JwtErrorKind::KeyUnknown));
        }
        assert_eq!(world.fetched(), 2 + round);
    }
}

#[tokio::test]
async fn a_key_that_was_added_is_found_by_the_token_that_names_it() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys(&endpoint);
    let verifier = verifier(&keys);
    keys.refresh().await.expect("keys");
    assert_eq!(keys.generation(), 1);

    endpoint.answer(Answer::ok(set(&[(Ed25519, "one"), (Es256, "two")])));
    let new = token(Es256, "two");
    let early = verifier.verify_async(&new, world.now()).await;
    assert_eq!(
        kind(early),
        Some(JwtErrorKind::KeyUnknown),
        "within the cooldown"
    );
    world.advance(30 * SECOND);
    assert_eq!(kind(verifier.verify_async(&new, world.now()).await), None);
    assert_eq!((keys.generation(), world.fetched()), (2, 2));
    let old = token(Ed25519, "one");
    assert_eq!(kind(verifier.verify(&old, world.now())), None);

    // And one that was taken out is gone, whatever was remembered of tokens under it.
    endpoint.answer(Answer::ok(set(&[(Es256, "two")])));
    keys.refresh().await.expect("keys");
    assert_eq!(
        kind(verifier.verify(&old, world.now())),
        Some(JwtErrorKind::KeyUnknown)
    );
    assert_eq!(kind(verifier.verify(&new, world.now())), None);
}

#[tokio::test]
async fn verifiers_that_share_keys_keep_their_own_demands() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::of(&[(Ed25519, "one")]).await;
    let keys = world.keys(&endpoint);
    keys.refresh().await.expect("keys");
    let (lenient, strict) = (verifier(&keys), verifier(&keys).typ("at+jwt"));
    let good = token(Ed25519, "one");
    for _ in 0..3 {
        assert_eq!(kind(lenient.verify(&good, world.now())), None);
        let refused = kind(strict.verify(&good, world.now()));
        assert_eq!(refused, Some(JwtErrorKind::TypeMismatch));
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_gives_up_nothing_for_others() {
    let (world, _events) = World::new();
    let endpoint = Endpoint::start(Answer::Hold).await;
    let verifier = verifier(&world.keys(&endpoint));
    let good = token(Ed25519, "one");
    let mut first = Box::pin(verifier.verify_async(&good, world.now()));
    assert!(once(&mut first).await.is_none());
    let mut second = Box::pin(verifier.verify_async(&good, world.now()));
    assert!(once(&mut second).await.is_none());
    endpoint.asked(1).await;
    drop(first);
    settle().await;
    assert!(once(&mut second).await.is_none());
    endpoint.answer(Answer::ok(set(&[(Ed25519, "one")])));
    assert_eq!(kind(second.await), None);
    assert_eq!(world.fetched(), 1);
}

#[tokio::test]
async fn when_all_have_gone_the_keys_still_come() {
    let (world, mut events) = World::new();
    let endpoint = Endpoint::start(Answer::Hold).await;
    let keys = world.keys(&endpoint);
    let verifier = verifier(&keys);
    let good = token(Ed25519, "one");
    let mut only = Box::pin(verifier.verify_async(&good, world.now()));
    assert!(once(&mut only).await.is_none());
    drop(only);
    endpoint.asked(1).await;
    endpoint.answer(Answer::ok(set(&[(Ed25519, "one")])));
    assert_eq!(events.recv().await.expect("it tells").name, "jwks_loaded");
    assert_eq!(kind(verifier.verify(&good, world.now())), None);
    assert_eq!(world.fetched(), 1);
}

#[test]
fn without_a_runtime_nothing_hangs_and_nothing_panics() {
    let keys = RemoteJwks::builder("https://login.example.com/keys")
        .build()
        .expect("keys");
    let verifier = verifier(&keys);
    let refused = kind(verifier.verify(token(Ed25519, "one"), std::time::SystemTime::now()));
    assert_eq!(refused, Some(JwtErrorKind::KeysUnavailable));

    // A fetch whose runtime ends under it is over, and the next runtime fetches again.
    let (world, _events) = World::new();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    };
    let first = runtime();
    let endpoint = first.block_on(Endpoint::start(Answer::Hold));
    let keys = world.keys(&endpoint);
    first.block_on(async {
        let mut waiting = Box::pin(keys.refresh());
        assert!(once(&mut waiting).await.is_none());
        endpoint.asked(1).await;
    });
    drop(first);
    let second = runtime();
    second.block_on(async {
        // Nobody listens any more; that is found out, and told.
        let error = keys.refresh().await.expect_err("nobody is there");
        assert_eq!(error.kind(), JwksErrorKind::Unanswered);
    });
}
