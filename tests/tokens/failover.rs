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
use tokio::sync::{Semaphore, oneshot, watch};

use crate::{
    redis::{RedisCluster, RedisSentinels, RedisServer, eventually},
    stores::{self, bench},
};

const USERS: usize = 300;
/// When so many of them have refreshed, the master dies.
const BEFORE: usize = 60;
/// Those after so many refresh when it is dead; the others whenever it is their turn.
const AFTER: usize = 200;

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

/// Whether a replica has taken over.
fn is_master(replica: &RedisServer) -> bool {
    replica.command(&["ROLE"]).list()[0].text() == "master"
}

/// Each user refreshes once, again and again with the same token while the store does not answer, a few at a
/// time. `middle` happens while they do.
async fn all_refresh(
    refresh: &RefreshTokens,
    tokens: &mut Vec<RefreshToken>,
    middle: impl FnOnce() + Send + 'static,
) {
    let (done, few) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(8)));
    let (begins, is_begun) = oneshot::channel();
    let begins = Arc::new(std::sync::Mutex::new(Some(begins)));
    let (ends, is_over) = watch::channel(false);
    let middle = tokio::spawn(async move {
        is_begun.await.unwrap();
        tokio::task::spawn_blocking(middle).await.unwrap();
        ends.send_replace(true);
    });
    let users: Vec<_> = tokens
        .drain(..)
        .enumerate()
        .map(|(user, token)| {
            let refresh = refresh.clone();
            let (done, few) = (Arc::clone(&done), Arc::clone(&few));
            let (begins, mut is_over) = (Arc::clone(&begins), is_over.clone());
            tokio::spawn(async move {
                if user >= AFTER {
                    is_over.wait_for(|over| *over).await.unwrap();
                }
                let mut permit = few.acquire().await.unwrap();
                loop {
                    match refresh.rotate(token.expose()).await {
                        Ok(next) => {
                            if done.fetch_add(1, Ordering::SeqCst) + 1 == BEFORE {
                                let begins = begins.lock().unwrap().take();
                                begins.unwrap().send(()).unwrap();
                            }
                            return next.token().clone();
                        }
                        Err(error) if error.kind() == RefreshErrorKind::StoreUnavailable => {
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
    let all = async {
        middle.await.unwrap();
        for user in users {
            tokens.push(user.await.unwrap());
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(60), all).await;
    all.expect("everybody refreshes in the end");
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
    all_refresh(&calm.refresh, &mut tokens, || ()).await;
    catch_up();

    let refresh = calm.refresh.clone().with_store(hasty(store));
    all_refresh(&refresh, &mut tokens, kill).await;
    all_refresh(&refresh, &mut tokens, || ()).await;
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
        let mut set = dying.lock().unwrap();
        set.watch_closely();
        set.nodes[0].kill();
    })
    .await;
    assert!(is_master(&set.lock().unwrap().nodes[1]));
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
        dying.lock().unwrap().kill(1);
    })
    .await;
    assert!(is_master(&cluster.lock().unwrap().nodes[4]));
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
