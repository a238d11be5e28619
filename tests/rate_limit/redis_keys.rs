//! What is left behind in Redis: every key expires, whatever happens to it and to those who ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use portcullis::{
    rate_limit::{Hit, Quota, RateLimitStore, RedisRateLimits},
    store::RedisStore,
};

use crate::redis::{
    now, patient,
    servers::{RedisServer, eventually},
};

fn quotas() -> [Quota; 5] {
    let quota = Quota::new(40, Duration::from_secs(20));
    [
        quota,
        quota.segments(60),
        Quota::new(100_000, Duration::from_millis(200)),
        quota.exact(),
        quota.burst(7),
    ]
}

/// One process: requests of all kinds, of which some are given up.
async fn storm(limits: RedisRateLimits, seed: u64, goes_on: Arc<AtomicBool>) {
    let mut chance = seed;
    while goes_on.load(Ordering::Relaxed) {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let draw = chance >> 33;
        let (key, other) = ([b'k', (draw % 23) as u8], [b'o', (draw % 5) as u8]);
        let quota = quotas()[(draw / 7 % 5) as usize];
        let at = SystemTime::now();
        let hits = [
            Hit::new(&key, quota, (draw % 4) as u32),
            Hit::new(&other, quotas()[(draw / 11 % 5) as usize], 1),
        ];
        let hits = &hits[..1 + (draw / 13 % 2) as usize];
        match draw / 29 % 12 {
            0 => drop(now(limits.refund(hits, at, at)).await),
            1 => drop(now(limits.charge(hits, at)).await),
            2 => drop(now(limits.reset(&key, &quota)).await),
            3 => {
                let until = at + Duration::from_millis(20);
                drop(now(limits.block(&key, &quota, until, at)).await);
            }
            4 | 5 => {
                // Given up at some time or other.
                let asking = now(limits.hit(hits, at));
                let _ = tokio::time::timeout(Duration::from_micros(draw % 700), asking).await;
            }
            _ => {
                now(limits.hit(hits, at)).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_storm_in_which_keys_are_deleted_every_key_expires() {
    let server = RedisServer::start();
    let goes_on = Arc::new(AtomicBool::new(true));
    let mut running = Vec::new();
    for process in 0..3 {
        let limits = patient(RedisStore::new(&server.url()).unwrap());
        for task in 0..8 {
            let goes_on = Arc::clone(&goes_on);
            running.push(tokio::spawn(storm(
                limits.clone(),
                process * 100 + task,
                goes_on,
            )));
        }
    }
    for round in 0..60 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        match round % 3 {
            0 => drop(server.command(&["FLUSHALL"])),
            _ => {
                for key in server.keys().iter().step_by(2) {
                    server.command(&["DEL", key]);
                }
            }
        }
    }
    goes_on.store(false, Ordering::Relaxed);
    for one in running {
        one.await.unwrap();
    }
    // Also those that what was sent behind the last answers has made.
    eventually("every key expires", || {
        let stays = |key: &String| server.command(&["PTTL", key]).number() == -1;
        (!server.keys().iter().any(stays)).then_some(())
    });
    server.assert_every_key_expires();
}
