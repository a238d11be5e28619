//! What happens to others while something is given back, comes back, or is lost on its way.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use portcullis::{
    rate_limit::{Hit, Quota, RateLimitStore, RedisRateLimits},
    store::RedisStore,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    redis::{now, patient, servers::RedisServer},
    support::after,
};

async fn hit(store: &RedisRateLimits, hits: &[Hit<'_>]) -> bool {
    now(store.hit(hits, after(0))).await.unwrap().allowed()
}

#[tokio::test]
async fn what_is_about_to_be_given_back_refuses_nobody_for_longer() {
    let server = RedisServer::start();
    let [tenants, users] = [2, 1].map(Quota::per_hour);
    for (prefix, tenants) in [("window:", tenants), ("log:", tenants.exact())] {
        let store = RedisStore::new(&server.url()).unwrap();
        let store = patient(store.key_prefix(prefix).unwrap()).by_the_callers_clock();
        let (tenant, user) = (Hit::new(b"tenant", tenants, 1), Hit::new(b"user", users, 1));
        let (both, one) = ([tenant, user], [tenant]);
        assert!(hit(&store, &both).await);
        // While the first is on its way, the others wait and go together: the user has no room, and what was
        // counted of the tenant is given back.
        let first = [Hit::new(b"first", users, 1)];
        let (_, refused, beside) =
            join!(hit(&store, &first), hit(&store, &both), hit(&store, &one));
        assert!(!refused);
        // Whatever became of the one beside it, there is room for one in all, as soon as it is given back.
        let mut passed = u32::from(beside);
        for _ in 0..3 {
            passed += u32::from(hit(&store, &one).await);
        }
        assert_eq!(passed, 1, "{prefix}");
    }
}

#[tokio::test]
async fn who_is_refused_for_himself_costs_nothing_whoever_else_is() {
    let server = RedisServer::start();
    let store = patient(RedisStore::new(&server.url()).unwrap()).by_the_callers_clock();
    let [tenants, users] = [100, 1].map(Quota::per_hour);
    let tenant = Hit::new(b"tenant", tenants, 1);
    let groups = [b"one", b"two"].map(|user| [tenant, Hit::new(user, users, 1)]);
    for group in &groups {
        assert!(hit(&store, group).await);
    }
    for group in &groups {
        assert!(!hit(&store, group).await);
    }
    let calls = || {
        let stats = server.command(&["INFO", "commandstats"]);
        stats.field("cmdstat_bitfield")
    };
    let before = calls();
    for _ in 0..10 {
        for group in &groups {
            assert!(!hit(&store, group).await);
        }
    }
    assert_eq!(calls(), before);
}

/// Stands between a client and a server, and is slow to answer, by so many milliseconds: or never does.
struct Between {
    address: SocketAddr,
    slow: Arc<AtomicU64>,
}

const NEVER: u64 = u64::MAX;

impl Between {
    async fn start(server: &RedisServer) -> Self {
        let to = server.url().replace("redis://", "");
        let to = to.trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = Arc::new(AtomicU64::new(0));
        let slowness = Arc::clone(&slow);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&to).await.unwrap();
                let (mut asking, mut hearing) = client.into_split();
                let (mut answering, mut asked) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut asking, &mut asked).await });
                let slowness = Arc::clone(&slowness);
                tokio::spawn(async move {
                    let mut bytes = vec![0; 1 << 16];
                    while let Ok(read @ 1..) = answering.read(&mut bytes).await {
                        match slowness.load(Ordering::SeqCst) {
                            NEVER => std::future::pending().await,
                            slow => tokio::time::sleep(Duration::from_millis(slow)).await,
                        }
                        if hearing.write_all(&bytes[..read]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, slow }
    }

    fn store(&self) -> RedisStore {
        RedisStore::new(&format!("redis://{}", self.address)).unwrap()
    }
}

#[tokio::test]
async fn keys_that_come_back_together_are_repaired_together() {
    let server = RedisServer::start();
    let between = Between::start(&server).await;
    let store = patient(between.store()).by_the_callers_clock();
    let all = async |store: &RedisRateLimits| {
        let asking = (0..100).map(|key: u32| {
            let store = store.clone();
            async move {
                let key = key.to_be_bytes();
                hit(&store, &[Hit::new(&key, Quota::per_hour(1_000), 1)]).await
            }
        });
        let asking: JoinSet<_> = asking.collect();
        assert!(asking.join_all().await.iter().all(|allowed| *allowed));
    };
    all(&store).await;
    server.command(&["FLUSHALL"]);
    let slow = 20;
    between.slow.store(slow, Ordering::SeqCst);
    let started = Instant::now();
    all(&store).await;
    let took = started.elapsed();
    server.assert_every_key_expires();
    // One after the other, they would take a hundred times as long as an answer does.
    assert!(took < Duration::from_millis(30 * slow), "{took:?}");
}

#[tokio::test]
async fn a_key_that_came_back_expires_though_the_answer_is_lost() {
    for charged in [false, true] {
        let server = RedisServer::start();
        let between = Between::start(&server).await;
        let store = RedisRateLimits::new(between.store());
        let store = store.deadline(Duration::from_millis(300)).unwrap();
        let hits = [Hit::new(b"key", Quota::per_hour(1_000), 1)];
        for _ in 0..2 {
            assert!(hit(&store, &hits).await);
        }
        server.command(&["FLUSHALL"]);
        between.slow.store(NEVER, Ordering::SeqCst);
        if charged {
            assert!(now(store.charge(&hits, after(0))).await.is_err());
        } else {
            assert!(now(store.hit(&hits, after(0))).await.is_err());
        }
        assert_eq!(server.command(&["DBSIZE"]).number(), 1);
        crate::redis::servers::eventually_async("it expires", async || {
            let keys = server.keys();
            let mut keys = keys.iter().filter(|key| key.contains("key"));
            keys.all(|key| server.command(&["PTTL", key]).number() > 0)
                .then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_finds_no_place_in_its_new_segment_stays_in_the_old_one() {
    const SEGMENT: i64 = 62_500;
    const CELLS: i64 = 4 * 17;
    let server = RedisServer::start();
    let between = Between::start(&server).await;
    let store = patient(between.store());
    let quota = Quota::per_second(10_000);
    assert!(hit(&store, &[Hit::new(b"warm", quota, 1)]).await);
    // Not about where one key follows another.
    let cell = || {
        let time = server.command(&["TIME"]);
        let [seconds, micros] = time.list() else {
            panic!("{time:?}")
        };
        let [seconds, micros] = [seconds, micros].map(|text| text.text().parse::<i64>().unwrap());
        (seconds * 1_000_000 + micros) / SEGMENT % CELLS
    };
    crate::redis::servers::eventually_async("the middle", async || {
        (10..40).contains(&cell()).then_some(())
    })
    .await;
    between.slow.store(400, Ordering::SeqCst);
    let asked = store.clone();
    let asking = tokio::spawn(async move { hit(&asked, &[Hit::new(b"key", quota, 1_000)]).await });
    let key = crate::redis::servers::eventually_async("it is counted", async || {
        let keys = server.keys();
        keys.into_iter().find(|key| key.contains("{key}"))
    })
    .await;
    let bitfield = |arguments: &[&str], cell: i64| {
        let cell = format!("#{cell}");
        let mut command = vec!["BITFIELD", &key, arguments[0], "u16", &cell];
        command.extend(&arguments[1..]);
        server.command(&command).list()[0].number()
    };
    let at = (0..CELLS)
        .find(|cell| bitfield(&["GET"], *cell) > 0)
        .unwrap();
    // As full as can be, of units that others will give back.
    for cell in at + 1..CELLS {
        bitfield(&["SET", "65535"], cell);
    }
    assert!(asking.await.unwrap());
    // Whatever was sent behind the answer is heard of before this is.
    between.slow.store(0, Ordering::SeqCst);
    assert!(hit(&store, &[Hit::new(b"warm", quota, 1)]).await);
    for cell in at + 1..CELLS {
        bitfield(&["INCRBY", "-65535"], cell);
    }
    crate::redis::servers::eventually_async("it is counted somewhere", async || {
        let held: i64 = (0..CELLS).map(|cell| bitfield(&["GET"], cell)).sum();
        (held == 1_000).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_given_back_at_once_is_there_again_though_the_time_is_uncertain() {
    let server = RedisServer::start();
    let between = Between::start(&server).await;
    between.slow.store(60, Ordering::SeqCst);
    let store = patient(between.store());
    let quota = Quota::per_hour(1).exact();
    assert!(hit(&store, &[Hit::new(b"warm", quota, 1)]).await);
    between.slow.store(0, Ordering::SeqCst);
    let hits = [Hit::new(b"key", quota, 1)];
    for _ in 0..10 {
        assert!(hit(&store, &hits).await, "it was not given back");
        now(store.refund(&hits, after(0), after(0))).await.unwrap();
    }
}
