//! The replay store in memory: the common suite, time, and room.

use std::{
    sync::{Arc, Barrier},
    time::Duration,
};

use portcullis::{
    replay::{Claim, ReplayStore},
    store::{MemoryStore, Reply, StoreErrorKind},
};
use proptest::prelude::*;

use crate::replay::{self, KEEP, LEASE, answer, now, token};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_its_promises() {
    replay::keeps_its_promises(Arc::new(MemoryStore::new()), "memory").await;
}

#[tokio::test]
async fn a_claim_ends_with_its_lease_and_a_used_value_with_its_time() {
    let store = MemoryStore::new();
    let (first, second) = (token(), token());
    let almost = Duration::from_nanos(1);

    answer(store.claim(b"key", &first, now(), LEASE))
        .await
        .unwrap();
    let claim = answer(store.claim(b"key", &second, now() + LEASE - almost, LEASE)).await;
    assert_eq!(claim.unwrap(), Claim::InFlight);
    let claim = answer(store.claim(b"key", &second, now() + LEASE, LEASE)).await;
    assert_eq!(claim.unwrap(), Claim::Claimed);
    // The first comes late, and frees nothing that is not its own.
    assert!(
        !answer(store.release(b"key", &first, now() + LEASE))
            .await
            .unwrap()
    );
    let claim = answer(store.claim(b"key", &first, now() + LEASE, LEASE)).await;
    assert_eq!(claim.unwrap(), Claim::InFlight);

    answer(store.commit(b"key", &second, now() + LEASE, KEEP))
        .await
        .unwrap();
    let until = now() + LEASE + KEEP;
    assert!(
        !answer(store.consume(b"key", until - almost, KEEP))
            .await
            .unwrap()
    );
    assert!(answer(store.consume(b"key", until, KEEP)).await.unwrap());
}

#[tokio::test]
async fn claiming_again_renews_the_lease_and_committing_again_never_shortens_the_memory() {
    let store = MemoryStore::new();
    let (ours, other) = (token(), token());
    answer(store.claim(b"key", &ours, now(), LEASE))
        .await
        .unwrap();
    answer(store.claim(b"key", &ours, now() + LEASE / 2, LEASE))
        .await
        .unwrap();
    let claim = answer(store.claim(b"key", &other, now() + LEASE, LEASE)).await;
    assert_eq!(claim.unwrap(), Claim::InFlight);

    answer(store.commit(b"key", &ours, now(), KEEP))
        .await
        .unwrap();
    answer(store.commit(b"key", &ours, now(), LEASE))
        .await
        .unwrap();
    let claim = answer(store.claim(b"key", &other, now() + KEEP / 2, LEASE)).await;
    assert_eq!(claim.unwrap(), Claim::Used);
}

#[tokio::test]
async fn full_refuses_and_forgets_nothing_that_counts() {
    let store = MemoryStore::bounded(64);
    for index in 0..64_u8 {
        assert!(answer(store.consume(&[index], now(), KEEP)).await.unwrap());
    }
    let full = |error: portcullis::store::StoreError| error.kind() == StoreErrorKind::Full;
    let ours = token();
    assert!(
        answer(store.consume(b"more", now(), KEEP))
            .await
            .is_err_and(full)
    );
    assert!(
        answer(store.claim(b"more", &ours, now(), LEASE))
            .await
            .is_err_and(full)
    );
    assert!(
        answer(store.commit(b"more", &ours, now(), KEEP))
            .await
            .is_err_and(full)
    );
    for index in 0..64_u8 {
        assert!(!answer(store.consume(&[index], now(), KEEP)).await.unwrap());
    }
    // When their time is over there is room again, for each.
    let later = now() + KEEP;
    for index in 0..64_u8 {
        assert!(
            answer(store.consume(&[index, 1], later, KEEP))
                .await
                .unwrap()
        );
    }
    assert!(
        answer(store.consume(b"more", later, KEEP))
            .await
            .is_err_and(full)
    );
}

/// However many threads fill it: as many get in as there is room for, and no other.
#[test]
fn threads_that_fill_it_never_pass_its_bound() {
    for round in 0..20_u8 {
        let store = MemoryStore::bounded(64);
        let barrier = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (0..8_u8)
            .map(|thread| {
                let (store, barrier) = (store.clone(), Arc::clone(&barrier));
                std::thread::spawn(move || {
                    barrier.wait();
                    let won = |index: &u8| {
                        // Half of the keys are everyone's.
                        let owner = if index.is_multiple_of(2) {
                            0xff
                        } else {
                            thread
                        };
                        match store.consume(&[round, owner, *index], now(), KEEP) {
                            Reply::Ready(won) => won.is_ok_and(|won| won),
                            Reply::Wait(_) => panic!("memory does not wait"),
                        }
                    };
                    (0..64).filter(won).count()
                })
            })
            .collect();
        let won: usize = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(won, 64);
    }
}

#[tokio::test]
async fn a_clock_set_back_gives_nothing_out_twice() {
    let store = MemoryStore::new();
    assert!(answer(store.consume(b"key", now(), KEEP)).await.unwrap());
    let before = now() - Duration::from_secs(86_400);
    assert!(!answer(store.consume(b"key", before, KEEP)).await.unwrap());
    let before_the_epoch = std::time::SystemTime::UNIX_EPOCH - KEEP;
    assert!(
        !answer(store.consume(b"key", before_the_epoch, KEEP))
            .await
            .unwrap()
    );
}

/// What a caller may do with a few keys and tokens, at times that go forwards.
#[derive(Clone, Debug)]
enum Verb {
    Consume,
    Claim(usize),
    Commit(usize),
    Release(usize),
}

/// Until when, who holds the claim (nobody: it was used), and who used it.
type Page = Option<(u64, Option<usize>, Option<usize>)>;

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        Just(Verb::Consume),
        (0..3_usize).prop_map(Verb::Claim),
        (0..3_usize).prop_map(Verb::Commit),
        (0..3_usize).prop_map(Verb::Release),
    ]
}

proptest! {
    /// Against the plainest book of what should be: a key is free, held by one until a time, or used until one.
    #[test]
    fn agrees_with_a_plain_book(steps in prop::collection::vec((verb(), 0..3_usize, 0..40_u64), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = MemoryStore::new();
        let tokens = [token(), token(), token()];
        let mut book: [Page; 3] = [None; 3];
        let mut seconds = 0;
        let (lease, keep) = (Duration::from_secs(30), Duration::from_secs(100));
        for (verb, key, passed) in steps {
            seconds += passed;
            let at = now() + Duration::from_secs(seconds);
            let name = [key as u8];
            if book[key].is_some_and(|(end, ..)| end <= seconds) {
                book[key] = None;
            }
            match verb {
                Verb::Consume => {
                    let won = runtime.block_on(answer(store.consume(&name, at, keep))).unwrap();
                    prop_assert_eq!(won, book[key].is_none());
                    if won {
                        book[key] = Some((seconds + 100, None, None));
                    }
                }
                Verb::Claim(who) => {
                    let claim =
                        runtime.block_on(answer(store.claim(&name, &tokens[who], at, lease))).unwrap();
                    let expected = match book[key] {
                        Some((_, None, _)) => Claim::Used,
                        Some((_, Some(holder), _)) if holder != who => Claim::InFlight,
                        _ => Claim::Claimed,
                    };
                    prop_assert_eq!(claim, expected);
                    if claim == Claim::Claimed {
                        book[key] = Some((seconds + 30, Some(who), None));
                    }
                }
                Verb::Commit(who) => {
                    let ours =
                        runtime.block_on(answer(store.commit(&name, &tokens[who], at, keep))).unwrap();
                    let (expected, end, by) = match book[key] {
                        // Whoever had lost the claim is told so each time.
                        None => (false, seconds + 100, None),
                        Some((_, Some(holder), _)) => {
                            let ours = holder == who;
                            (ours, seconds + 100, ours.then_some(who))
                        }
                        Some((end, None, by)) => (by == Some(who), end.max(seconds + 100), by),
                    };
                    prop_assert_eq!(ours, expected);
                    book[key] = Some((end, None, by));
                }
                Verb::Release(who) => {
                    let ours =
                        runtime.block_on(answer(store.release(&name, &tokens[who], at))).unwrap();
                    let expected = matches!(book[key], Some((_, Some(holder), _)) if holder == who);
                    prop_assert_eq!(ours, expected);
                    if ours {
                        book[key] = None;
                    }
                }
            }
        }
    }
}
