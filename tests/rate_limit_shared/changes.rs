//! What is given back, charged, reset and blocked while Redis is away: refused at once, like what is asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use portcullis::{
    rate_limit::{Hit, Quota, RateLimitStore, RedisRateLimits},
    store::{RedisStore, Reply, StoreError, StoreErrorKind},
};

use crate::redis::{RedisServer, eventually_async};

const QUOTA: Quota = Quota::per_hour(1_000);

async fn waited<T>(reply: Reply<T>) -> Result<T, StoreError> {
    match reply {
        Reply::Ready(reply) => reply,
        Reply::Wait(reply) => reply.await,
    }
}

/// All that changes counts without deciding.
fn verbs(limits: &RedisRateLimits) -> [Reply<()>; 4] {
    let (hits, now) = ([Hit::new(b"k", QUOTA, 1)], SystemTime::now());
    [
        limits.refund(&hits, now, now),
        limits.charge(&hits, now),
        limits.reset(b"k", &QUOTA),
        limits.block(b"k", &QUOTA, now + Duration::from_secs(1), now),
    ]
}

#[tokio::test]
async fn what_is_changed_heeds_the_breaker_and_may_end_the_outage() {
    let mut server = RedisServer::start();
    let edges = Arc::<[AtomicUsize; 2]>::default();
    let (told, deadline) = (Arc::clone(&edges), Duration::from_secs(10));
    let limits = RedisRateLimits::new(RedisStore::new(&server.url()).unwrap())
        .deadline(deadline)
        .unwrap()
        .on_outage(move |out| {
            told[usize::from(!out)].fetch_add(1, Ordering::Relaxed);
        });
    let told = |edge: usize| edges[edge].load(Ordering::Relaxed);
    for verb in verbs(&limits) {
        waited(verb).await.unwrap();
    }

    // Killed: what is changed finds out like what is asked.
    server.kill();
    eventually_async("an outage is told", async || {
        let _ = waited(limits.reset(b"k", &QUOTA)).await;
        (told(0) == 1).then_some(())
    })
    .await;
    // There again, it is found out as well, though nobody asks for a decision.
    server.restart();
    eventually_async("its end is told", async || {
        waited(limits.reset(b"k", &QUOTA)).await.ok()
    })
    .await;
    assert_eq!((told(0), told(1)), (1, 1));

    // While one asks whether it is over, the others are told at once.
    server.kill();
    eventually_async("an outage is told", async || {
        let _ = waited(limits.charge(&[Hit::new(b"k", QUOTA, 1)], SystemTime::now())).await;
        (told(0) == 2).then_some(())
    })
    .await;
    server.restart();
    server.pause();
    let mut context = Context::from_waker(Waker::noop());
    let mut probe = loop {
        let hits = [Hit::new(b"probe", QUOTA, 1)];
        if let Reply::Wait(mut asking) = limits.hit(&hits, SystemTime::now()) {
            // Past the pause after a failed attempt to connect, it waits for the server's word.
            let asked = tokio::time::timeout(deadline / 40, &mut asking).await;
            if asked.is_err() {
                break asking;
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    for verb in verbs(&limits) {
        match verb {
            Reply::Ready(Err(error)) => assert_eq!(error.kind(), StoreErrorKind::Unreachable),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(probe.as_mut().poll(&mut context), Poll::Pending));
    server.resume();
    let _ = probe.await;
    eventually_async("its end is told", async || {
        waited(limits.reset(b"k", &QUOTA)).await.ok()
    })
    .await;
    assert_eq!((told(0), told(1)), (2, 2));
}
