//! Refreshes while Redis fails over: nobody is signed out, and nobody's family forks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis::{
    store::{RedisSentinel, RedisStore},
    tokens::{RefreshErrorKind, RefreshToken, RefreshTokens},
};
use tokio::sync::{Semaphore, oneshot};

use crate::{
    redis::{RedisCluster, RedisSentinels, RedisServer, eventually},
    stores::{self, bench},
};

const USERS: usize = 300;
/// When so many of them have refreshed, the master dies.
const BEFORE: usize = 60;

fn hasty(store: RedisStore) -> RedisStore {
    store.deadline(Duration::from_millis(500)).unwrap()
}

fn patient(store: RedisStore) -> RedisStore {
    store.deadline(Duration::from_secs(20)).unwrap()
}

fn in_cluster(cluster: &RedisCluster) -> RedisStore {
    let urls = cluster.urls();
    RedisStore::cluster(urls.iter().map(String::as_str)).unwrap()
}

fn behind_sentinels(set: &RedisSentinels) -> RedisStore {
    let urls = set.urls();
    let sentinels = RedisSentinel::new(urls.iter().map(String::as_str), RedisSentinels::MASTER);
    RedisStore::sentinel(&sentinels).unwrap()
}

/// Waits until a replica has all that its master has done so far.
fn catches_up(master: &RedisServer, replica: &RedisServer) {
    let offset = |of: &RedisServer, name: &str| -> u64 {
        let offset = of.command(&["INFO", "replication"]).field(name);
        offset.expect("an offset").parse().unwrap()
    };
    let done = offset(master, "master_repl_offset");
    eventually("the replica catches up", || {
        (offset(replica, "slave_repl_offset") >= done).then_some(())
    });
}

/// Each user refreshes once, again and again with the same token while the store does not answer, a few at a
/// time. `middle` is told when some have. How often the store did not answer.
async fn all_refresh(
    refresh: &RefreshTokens,
    tokens: &mut Vec<RefreshToken>,
    middle: oneshot::Sender<()>,
) -> usize {
    let (done, failures) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let few = Arc::new(Semaphore::new(8));
    let middle = Arc::new(std::sync::Mutex::new(Some(middle)));
    let users: Vec<_> = tokens
        .drain(..)
        .map(|token| {
            let refresh = refresh.clone();
            let (done, failures) = (Arc::clone(&done), Arc::clone(&failures));
            let (few, middle) = (Arc::clone(&few), Arc::clone(&middle));
            tokio::spawn(async move {
                let mut permit = few.acquire().await.unwrap();
                loop {
                    match refresh.rotate(token.expose()).await {
                        Ok(next) => {
                            if done.fetch_add(1, Ordering::SeqCst) + 1 == BEFORE {
                                let middle = middle.lock().unwrap().take();
                                let _ = middle.unwrap().send(());
                            }
                            return next.token().clone();
                        }
                        Err(error) if error.kind() == RefreshErrorKind::StoreUnavailable => {
                            failures.fetch_add(1, Ordering::SeqCst);
                            // Somebody else's turn meanwhile.
                            drop(permit);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                            permit = few.acquire().await.unwrap();
                        }
                        Err(error) => panic!("signed out: {error}"),
                    }
                }
            })
        })
        .collect();
    for user in users {
        tokens.push(user.await.unwrap());
    }
    failures.load(Ordering::SeqCst)
}

/// Everybody refreshes, everybody refreshes while a master dies, everybody refreshes with what they were
/// handed meanwhile. The clock stands: whoever repeats a refresh is within the grace window.
async fn nobody_is_signed_out(
    store: RedisStore,
    catch_up: impl Fn(),
    kill: impl FnOnce() + Send + 'static,
) {
    let calm = bench(patient(store.clone()));
    let mut tokens = Vec::new();
    for user in 0..USERS {
        let token = calm.refresh.begin(&format!("user-{user}"), "").await;
        tokens.push(token.unwrap());
    }
    let (middle, _) = oneshot::channel();
    all_refresh(&calm.refresh, &mut tokens, middle).await;
    catch_up();

    let refresh = calm.refresh.clone().with_store(hasty(store));
    let (middle, is_middle) = oneshot::channel();
    let killed = tokio::spawn(async move {
        is_middle.await.unwrap();
        tokio::task::spawn_blocking(kill).await.unwrap();
    });
    let failures = all_refresh(&refresh, &mut tokens, middle).await;
    killed.await.unwrap();
    assert!(failures > 0, "nobody noticed that the master died");
    let (middle, _) = oneshot::channel();
    all_refresh(&refresh, &mut tokens, middle).await;
    // One family each still, and no refresh was counted twice or lost.
    assert!(tokens.iter().all(|token| token.generation() == 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_behind_sentinels_dies_and_nobody_is_signed_out() {
    let set = Arc::new(std::sync::Mutex::new(RedisSentinels::start()));
    let store = behind_sentinels(&set.lock().unwrap());
    let catch_up = || {
        let set = set.lock().unwrap();
        catches_up(&set.nodes[0], &set.nodes[1]);
    };
    let dying = Arc::clone(&set);
    nobody_is_signed_out(store, catch_up, move || {
        dying.lock().unwrap().nodes[0].kill();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_of_a_cluster_dies_and_nobody_is_signed_out() {
    let cluster = Arc::new(std::sync::Mutex::new(RedisCluster::start()));
    let store = in_cluster(&cluster.lock().unwrap());
    let catch_up = || {
        let cluster = cluster.lock().unwrap();
        for at in 0..3 {
            catches_up(&cluster.nodes[at], &cluster.nodes[at + 3]);
        }
    };
    let dying = Arc::clone(&cluster);
    nobody_is_signed_out(store, catch_up, move || {
        dying.lock().unwrap().nodes[1].kill();
    })
    .await;
}

#[test]
fn a_hundred_at_once_get_one_successor_on_a_cluster() {
    let cluster = RedisCluster::start();
    let store = patient(in_cluster(&cluster));
    stores::a_hundred_at_once_get_one_successor(store.clone());
    stores::a_hundred_thieves_end_a_family_once(store);
}

#[test]
fn a_hundred_at_once_get_one_successor_behind_sentinels() {
    let set = RedisSentinels::start();
    let store = patient(behind_sentinels(&set));
    stores::a_hundred_at_once_get_one_successor(store.clone());
    stores::a_hundred_thieves_end_a_family_once(store);
}
