//! Rules 39, 40 and 65, on the store that all single-use values go through.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use portcullis::{
    replay::{Claim, ClaimToken, ReplayStore},
    store::{MemoryStore, Reply, StoreError},
};
use tokio::sync::Barrier;

async fn answer<T>(reply: Reply<T>) -> Result<T, StoreError> {
    match reply {
        Reply::Ready(answer) => answer,
        Reply::Wait(answer) => answer.await,
    }
}

/// How many of a hundred that start together get one value.
async fn winners(store: Arc<dyn ReplayStore>, two_phases: bool) -> usize {
    let start = Arc::new(Barrier::new(100));
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            tokio::spawn(async move {
                let (token, now) = (ClaimToken::generate().unwrap(), SystemTime::now());
                let minute = Duration::from_secs(60);
                start.wait().await;
                if two_phases {
                    answer(store.claim(b"delivery", &token, now, minute))
                        .await
                        .unwrap()
                        == Claim::Claimed
                } else {
                    answer(store.consume(b"code", now, minute)).await.unwrap()
                }
            })
        })
        .collect();
    let mut winners = 0;
    for caller in callers {
        winners += usize::from(caller.await.unwrap());
    }
    winners
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rule_39_one_of_a_hundred_parallel_uses_wins_in_memory() {
    let store = Arc::new(MemoryStore::new());
    assert_eq!(winners(store.clone(), false).await, 1);
    assert_eq!(winners(store, true).await, 1);
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rule_39_one_of_a_hundred_parallel_uses_wins_in_redis() {
    let server = crate::redis::RedisServer::start();
    // Each caller's half of them over a connection of its own, as from two processes.
    let store = || {
        let store = portcullis::store::RedisStore::new(&server.url()).unwrap();
        store.deadline(Duration::from_secs(20)).unwrap()
    };
    let store = Arc::new(TwoProcesses(store(), store()));
    assert_eq!(winners(store.clone(), false).await, 1);
    assert_eq!(winners(store, true).await, 1);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn rule_40_a_store_that_cannot_be_asked_gives_nothing_out() {
    let mut server = crate::redis::RedisServer::start();
    let store = portcullis::store::RedisStore::new(&server.url()).unwrap();
    store.ping().await.unwrap();
    server.kill();
    let (token, now) = (ClaimToken::generate().unwrap(), SystemTime::now());
    let minute = Duration::from_secs(60);
    assert!(answer(store.consume(b"code", now, minute)).await.is_err());
    assert!(
        answer(store.claim(b"code", &token, now, minute))
            .await
            .is_err()
    );
    assert!(
        answer(store.commit(b"code", &token, now, minute))
            .await
            .is_err()
    );
    assert!(answer(store.release(b"code", &token, now)).await.is_err());
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn rule_65_no_single_use_value_is_kept_in_redis_for_ever() {
    let server = crate::redis::RedisServer::start();
    let store = portcullis::store::RedisStore::new(&server.url()).unwrap();
    let (token, now) = (ClaimToken::generate().unwrap(), SystemTime::now());
    // However long it is to be kept, and however short.
    for (index, keep) in [Duration::MAX, Duration::from_secs(60)]
        .into_iter()
        .enumerate()
    {
        let key = |verb: &str| format!("{verb} {index}").into_bytes();
        answer(store.consume(&key("consume"), now, keep))
            .await
            .unwrap();
        answer(store.claim(&key("claim"), &token, now, keep))
            .await
            .unwrap();
        answer(store.commit(&key("commit"), &token, now, keep))
            .await
            .unwrap();
        answer(store.commit(&key("commit"), &token, now, keep))
            .await
            .unwrap();
    }
    assert_eq!(server.keys().len(), 6);
    server.assert_every_key_expires();
}

#[cfg(feature = "redis")]
struct TwoProcesses(portcullis::store::RedisStore, portcullis::store::RedisStore);

#[cfg(feature = "redis")]
impl TwoProcesses {
    /// One or the other, as chance has it.
    fn one(&self) -> &portcullis::store::RedisStore {
        let mut chance = [0];
        portcullis::random::fill(&mut chance).unwrap();
        if chance[0] % 2 == 0 { &self.0 } else { &self.1 }
    }
}

#[cfg(feature = "redis")]
impl ReplayStore for TwoProcesses {
    fn consume(&self, key: &[u8], now: SystemTime, keep: Duration) -> Reply<bool> {
        self.one().consume(key, now, keep)
    }

    fn claim(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        lease: Duration,
    ) -> Reply<Claim> {
        self.one().claim(key, token, now, lease)
    }

    fn commit(
        &self,
        key: &[u8],
        token: &ClaimToken,
        now: SystemTime,
        keep: Duration,
    ) -> Reply<bool> {
        self.one().commit(key, token, now, keep)
    }

    fn release(&self, key: &[u8], token: &ClaimToken, now: SystemTime) -> Reply<bool> {
        self.one().release(key, token, now)
    }
}
