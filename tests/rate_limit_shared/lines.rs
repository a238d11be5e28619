//! Redis behind a line that is slow in one direction just when it is asked for the time: half of how long the
//! answer took is then no good guess of when it was true.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use portcullis::{
    rate_limit::{Hit, Quota, RateLimitStore, RedisRateLimits},
    store::{RedisStore, Reply},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::redis::RedisServer;

const SLOW: u64 = 1_200;
const LIMIT: u32 = 10;

/// How late what is sent arrives, there and back, in milliseconds.
#[derive(Clone, Debug, Default)]
struct Line {
    there: Arc<AtomicU64>,
    back: Arc<AtomicU64>,
}

impl Line {
    /// Where the server is to be reached over this line, as long as the runtime lives.
    async fn to(&self, server: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, line) = (listener.local_addr().unwrap(), self.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_client, to_server, Arc::clone(&line.there)));
                tokio::spawn(carry(from_server, to_client, Arc::clone(&line.back)));
            }
        });
        address
    }
}

/// Carries everything, in order.
async fn carry(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, later: Arc<AtomicU64>) {
    let (sender, mut pieces) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let later = Duration::from_millis(later.load(Ordering::Relaxed));
            let _ = sender.send((Instant::now() + later, buffer[..count].to_vec()));
        }
    });
    while let Some((at, piece)) = pieces.recv().await {
        sleep_until(at).await;
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
}

/// A process at this end, which has been told the time over the line as slow as that.
async fn process(line: &Line, there: u64, back: u64, server: SocketAddr) -> RedisRateLimits {
    let address = line.to(server).await;
    let store = RedisStore::new(&format!("redis://{address}")).unwrap();
    // Connected before, so that nothing is as slow but the time.
    store.ping().await.unwrap();
    let limits = RedisRateLimits::new(store)
        .deadline(Duration::from_secs(20))
        .unwrap();
    line.there.store(there, Ordering::Relaxed);
    line.back.store(back, Ordering::Relaxed);
    passed(&limits, "another", Quota::per_hour(10), 1).await;
    line.there.store(0, Ordering::Relaxed);
    line.back.store(0, Ordering::Relaxed);
    limits
}

/// How many of so many requests at once are let in.
async fn passed(limits: &RedisRateLimits, key: &'static str, quota: Quota, requests: u32) -> u32 {
    let mut running = JoinSet::new();
    for _ in 0..requests {
        let limits = limits.clone();
        running.spawn(async move {
            let hits = [Hit::new(key.as_bytes(), quota, 1)];
            let decided = match limits.hit(&hits, SystemTime::now()) {
                Reply::Ready(decided) => decided,
                Reply::Wait(decided) => decided.await,
            };
            decided.unwrap().allowed()
        });
    }
    let answers = running.join_all().await;
    answers.into_iter().map(u32::from).sum()
}

#[tokio::test]
async fn a_time_that_was_long_on_its_way_lets_nobody_pass_the_limit() {
    let server = RedisServer::start();
    let server_at = SocketAddr::from(([127, 0, 0, 1], server.port()));
    // A segment lasts a sixth of a second, and a guess is off by more than three of them.
    let quota = Quota::new(LIMIT, Duration::from_secs(10)).segments(60);
    let (near, late, early) = tokio::join!(
        async { process(&Line::default(), 0, 0, server_at).await },
        async { process(&Line::default(), 0, SLOW, server_at).await },
        async { process(&Line::default(), SLOW, 0, server_at).await },
    );
    for (key, order) in [
        ("a", [&near, &late, &early]),
        ("b", [&near, &early, &late]),
        ("c", [&late, &near, &early]),
        ("d", [&late, &early, &near]),
        ("e", [&early, &near, &late]),
        ("f", [&early, &late, &near]),
    ] {
        let mut all = Vec::new();
        for limits in order {
            all.push(passed(limits, key, quota, LIMIT).await);
        }
        let sum: u32 = all.iter().sum();
        assert!(sum <= LIMIT, "key {key}: {all:?} of {LIMIT}");
        assert!(sum > LIMIT / 2, "key {key}: only {all:?} of {LIMIT}");
    }
    server.assert_every_key_expires();
}
