//! What every [`ReplayStore`] keeps to, whatever it keeps it in.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use portcullis::{
    replay::{Claim, ClaimToken, ReplayStore},
    store::{Reply, StoreError},
};
use tokio::sync::Barrier;

pub(crate) const LEASE: Duration = Duration::from_secs(60);
pub(crate) const KEEP: Duration = Duration::from_secs(3_600);

/// The reply, at once or later.
pub(crate) async fn answer<T>(reply: Reply<T>) -> Result<T, StoreError> {
    match reply {
        Reply::Ready(answer) => answer,
        Reply::Wait(answer) => answer.await,
    }
}

pub(crate) fn token() -> ClaimToken {
    ClaimToken::generate().unwrap()
}

/// A time at which the tests stand, however long they take.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// Everything that does not depend on time going by. `name` keeps the keys of several runs apart.
pub(crate) async fn keeps_its_promises(store: Arc<dyn ReplayStore>, name: &str) {
    one_of_a_hundred_wins(Arc::clone(&store), name).await;
    a_released_claim_can_be_claimed_again(&store, name).await;
    a_committed_value_is_used(&store, name).await;
    only_the_holder_releases(&store, name).await;
    a_lost_claim_is_committed_all_the_same(&store, name).await;
    a_verb_may_be_repeated(&store, name).await;
    any_bytes_are_a_key(&store, name).await;
}

/// On one key, of a hundred callers that start together, by `consume` and by `claim`.
pub(crate) async fn one_of_a_hundred_wins(store: Arc<dyn ReplayStore>, name: &str) {
    for two_phases in [false, true] {
        let start = Arc::new(Barrier::new(100));
        let key: Arc<[u8]> = format!("{name} race {two_phases}").into_bytes().into();
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let (store, start, key) =
                    (Arc::clone(&store), Arc::clone(&start), Arc::clone(&key));
                tokio::spawn(async move {
                    let token = token();
                    start.wait().await;
                    if two_phases {
                        let claim = answer(store.claim(&key, &token, now(), LEASE)).await;
                        claim.unwrap() == Claim::Claimed
                    } else {
                        answer(store.consume(&key, now(), KEEP)).await.unwrap()
                    }
                })
            })
            .collect();
        let mut winners = 0;
        for caller in callers {
            winners += usize::from(caller.await.unwrap());
        }
        assert_eq!(winners, 1, "two phases: {two_phases}");
    }
}

async fn a_released_claim_can_be_claimed_again(store: &Arc<dyn ReplayStore>, name: &str) {
    let key = format!("{name} released").into_bytes();
    let (first, second) = (token(), token());
    let claim = async |token| {
        answer(store.claim(&key, token, now(), LEASE))
            .await
            .unwrap()
    };
    assert_eq!(claim(&first).await, Claim::Claimed);
    assert_eq!(claim(&second).await, Claim::InFlight);
    assert!(!answer(store.consume(&key, now(), KEEP)).await.unwrap());
    assert!(answer(store.release(&key, &first, now())).await.unwrap());
    assert_eq!(claim(&second).await, Claim::Claimed);
    assert_eq!(claim(&first).await, Claim::InFlight);
}

async fn a_committed_value_is_used(store: &Arc<dyn ReplayStore>, name: &str) {
    let key = format!("{name} committed").into_bytes();
    let (first, second) = (token(), token());
    let claim = async |token| {
        answer(store.claim(&key, token, now(), LEASE))
            .await
            .unwrap()
    };
    assert_eq!(claim(&first).await, Claim::Claimed);
    assert!(
        answer(store.commit(&key, &first, now(), KEEP))
            .await
            .unwrap()
    );
    assert_eq!(claim(&second).await, Claim::Used);
    assert_eq!(claim(&first).await, Claim::Used);
    assert!(!answer(store.consume(&key, now(), KEEP)).await.unwrap());
    assert!(!answer(store.release(&key, &first, now())).await.unwrap());
    assert_eq!(claim(&second).await, Claim::Used);
}

async fn only_the_holder_releases(store: &Arc<dyn ReplayStore>, name: &str) {
    let key = format!("{name} holder").into_bytes();
    let (first, second) = (token(), token());
    // Nothing there yet.
    assert!(!answer(store.release(&key, &first, now())).await.unwrap());
    answer(store.claim(&key, &first, now(), LEASE))
        .await
        .unwrap();
    assert!(!answer(store.release(&key, &second, now())).await.unwrap());
    let claim = answer(store.claim(&key, &second, now(), LEASE)).await;
    assert_eq!(claim.unwrap(), Claim::InFlight);
}

async fn a_lost_claim_is_committed_all_the_same(store: &Arc<dyn ReplayStore>, name: &str) {
    let (late, other) = (token(), token());
    // Its lease ran out, and nobody came.
    let key = format!("{name} lost").into_bytes();
    // However often that is sent.
    for _ in 0..2 {
        let committed = answer(store.commit(&key, &late, now(), KEEP)).await;
        assert!(!committed.unwrap(), "{name}");
    }
    let claim = answer(store.claim(&key, &other, now(), LEASE)).await;
    assert_eq!(claim.unwrap(), Claim::Used);
    // Its lease ran out, and somebody else holds it now: what that one does changes nothing any more.
    let key = format!("{name} taken").into_bytes();
    answer(store.claim(&key, &other, now(), LEASE))
        .await
        .unwrap();
    assert!(
        !answer(store.commit(&key, &late, now(), KEEP))
            .await
            .unwrap()
    );
    assert!(!answer(store.release(&key, &other, now())).await.unwrap());
    assert!(
        !answer(store.commit(&key, &other, now(), KEEP))
            .await
            .unwrap()
    );
    let claim = answer(store.claim(&key, &token(), now(), LEASE)).await;
    assert_eq!(claim.unwrap(), Claim::Used);
}

async fn a_verb_may_be_repeated(store: &Arc<dyn ReplayStore>, name: &str) {
    let key = format!("{name} repeated").into_bytes();
    let token = token();
    for _ in 0..2 {
        let claim = answer(store.claim(&key, &token, now(), LEASE)).await;
        assert_eq!(claim.unwrap(), Claim::Claimed);
    }
    for _ in 0..2 {
        assert!(
            answer(store.commit(&key, &token, now(), KEEP))
                .await
                .unwrap()
        );
    }
}

async fn any_bytes_are_a_key(store: &Arc<dyn ReplayStore>, name: &str) {
    let keys: [&[u8]; 8] = [
        b"",
        b"%",
        b"}",
        b"{",
        b"{a}{b}",
        b"\0\xff\r\n",
        b"a,b",
        b"a%2Cb",
    ];
    for key in keys {
        let key = [name.as_bytes(), key].concat();
        assert!(
            answer(store.consume(&key, now(), KEEP)).await.unwrap(),
            "{key:?}"
        );
    }
    for key in keys {
        let key = [name.as_bytes(), key].concat();
        assert!(
            !answer(store.consume(&key, now(), KEEP)).await.unwrap(),
            "{key:?}"
        );
    }
}
