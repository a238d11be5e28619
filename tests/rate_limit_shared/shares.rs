//! What a process counts by itself while the store is away: without sockets, at times of the tests' own.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use portcullis::{
    client_ip::PeerAddr,
    clock::ManualClock,
    rate_limit::{Decisions, Hit, Quota, RateLimitLayer, RateLimitStore, StoreFailure},
    store::{MemoryStore, Reply, StoreError, StoreErrorKind},
};
use tower::{Layer, ServiceExt, service_fn};

const WINDOW: Duration = Duration::from_secs(60);

/// A store that several processes share, until it is away.
#[derive(Clone)]
struct Shared {
    counts: MemoryStore,
    away: Arc<AtomicBool>,
}

impl Shared {
    fn or_error<T>(&self, reply: impl FnOnce(&MemoryStore) -> Reply<T>) -> Reply<T> {
        if self.away.load(Ordering::Relaxed) {
            return Reply::Ready(Err(StoreError::new(StoreErrorKind::Unreachable)));
        }
        reply(&self.counts)
    }
}

impl RateLimitStore for Shared {
    fn hit(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<Decisions> {
        self.or_error(|counts| counts.hit(hits, now))
    }

    fn refund(&self, hits: &[Hit<'_>], counted: SystemTime, now: SystemTime) -> Reply<()> {
        self.or_error(|counts| counts.refund(hits, counted, now))
    }

    fn charge(&self, hits: &[Hit<'_>], now: SystemTime) -> Reply<()> {
        self.or_error(|counts| counts.charge(hits, now))
    }

    fn reset(&self, key: &[u8], quota: &Quota) -> Reply<()> {
        self.or_error(|counts| counts.reset(key, quota))
    }

    fn block(&self, key: &[u8], quota: &Quota, until: SystemTime, now: SystemTime) -> Reply<()> {
        self.or_error(|counts| counts.block(key, quota, until, now))
    }
}

/// Processes that share a store, each with a layer of its own.
struct Processes {
    layers: Vec<RateLimitLayer>,
    away: Arc<AtomicBool>,
    clock: Arc<ManualClock>,
}

impl Processes {
    fn new(count: u32, layer: impl Fn() -> RateLimitLayer) -> Self {
        let away = Arc::new(AtomicBool::new(false));
        let clock = Arc::new(ManualClock::at_unix(1_800_000_000));
        let shared = Shared {
            counts: MemoryStore::new(),
            away: Arc::clone(&away),
        };
        let layer = |_| {
            layer()
                .with_store(shared.clone())
                .with_clock(Arc::clone(&clock))
                .on_store_error(StoreFailure::Local {
                    instances: count.try_into().unwrap(),
                })
        };
        Self {
            layers: (0..count).map(layer).collect(),
            away,
            clock,
        }
    }

    fn store_is_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// The status that a process answers; its handler answers with the one it is asked for.
    async fn ask(&self, process: usize, status: u16) -> u16 {
        self.ask_for(process, status, [192, 0, 2, 1]).await
    }

    async fn ask_for(&self, process: usize, status: u16, client: [u8; 4]) -> u16 {
        let inner = service_fn(move |_: Request<Empty<Bytes>>| {
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = status.try_into().unwrap();
            async { Ok::<_, Infallible>(response) }
        });
        let mut request = Request::new(Empty::new());
        let peer = SocketAddr::from((client, 40_000));
        request.extensions_mut().insert(PeerAddr(peer));
        let service = self.layers[process].layer(inner);
        service.oneshot(request).await.unwrap().status().as_u16()
    }

    /// How many of so many requests to each process are let in, one process after the other.
    async fn passed(&self, times: usize) -> usize {
        let mut passed = 0;
        for turn in 0..times * self.layers.len() {
            let status = self.ask(turn % self.layers.len(), 200).await;
            assert!([200, 429].contains(&status), "{status}");
            passed += usize::from(status == 200);
        }
        passed
    }
}

fn quotas() -> [Quota; 3] {
    let quota = Quota::new(12, WINDOW);
    [quota, quota.exact(), quota.burst(12)]
}

#[tokio::test]
async fn a_window_that_an_outage_begins_in_holds_no_more_than_the_limit() {
    for quota in quotas() {
        for before in 0..=5 {
            let processes = Processes::new(3, || RateLimitLayer::new(quota));
            let counted = processes.passed(before).await;
            assert_eq!(counted, (3 * before).min(12));
            processes.store_is_away(true);
            let locally = processes.passed(20).await;
            assert_eq!(counted + locally, 12, "{quota:?} after {before}");
            // What is counted here leaves the window as anything else does.
            processes.clock.advance(WINDOW * 2);
            assert_eq!(processes.passed(20).await, 12, "{quota:?}");
        }
    }
}

#[tokio::test]
async fn one_that_got_more_than_its_share_gets_none_of_the_others() {
    let processes = Processes::new(3, || RateLimitLayer::new(Quota::new(12, WINDOW)));
    for _ in 0..9 {
        assert_eq!(processes.ask(0, 200).await, 200);
    }
    processes.store_is_away(true);
    assert_eq!(processes.ask(0, 200).await, 429);
    for other in [1, 2] {
        for status in [200, 200, 200, 200, 429] {
            assert_eq!(processes.ask(other, 200).await, status);
        }
    }
}

#[tokio::test]
async fn a_share_is_at_least_one_and_what_costs_more_finds_no_room() {
    let processes = Processes::new(5, || RateLimitLayer::new(Quota::new(2, WINDOW)));
    processes.store_is_away(true);
    assert_eq!(processes.passed(3).await, 5);

    let costly = || RateLimitLayer::new(Quota::new(12, WINDOW)).cost(|_| 5);
    let processes = Processes::new(3, costly);
    assert_eq!(processes.ask(0, 200).await, 200);
    processes.store_is_away(true);
    assert_eq!(processes.passed(1).await, 0);
}

#[tokio::test]
async fn outcomes_are_settled_wherever_they_were_counted() {
    for quota in quotas() {
        let layer = || RateLimitLayer::new(quota).count_if(|status, _| status == 401);
        let processes = Processes::new(3, layer);
        for _ in 0..50 {
            assert_eq!(processes.ask(0, 200).await, 200);
        }
        processes.store_is_away(true);
        for _ in 0..50 {
            assert_eq!(processes.ask(0, 200).await, 200, "{quota:?}");
        }
        for status in [401, 401, 401, 401, 429] {
            assert_eq!(processes.ask(0, 401).await, status, "{quota:?}");
        }
        // What was counted here is not given back to the store, nor charged there.
        processes.store_is_away(false);
        for _ in 0..12 {
            assert_eq!(processes.ask(1, 401).await, 401);
        }
        assert_eq!(processes.ask(1, 401).await, 429);
    }
}

#[tokio::test]
async fn a_cost_that_turns_out_higher_is_charged_here_too() {
    let layer = || RateLimitLayer::new(Quota::new(12, WINDOW)).settle(|_, _, _| 3);
    let processes = Processes::new(3, layer);
    assert_eq!(processes.ask(0, 200).await, 200);
    processes.store_is_away(true);
    // 3 of a share of 4 are used up, and 2 more than it has room for.
    for status in [200, 429] {
        assert_eq!(processes.ask(0, 200).await, status);
    }
}

#[tokio::test]
async fn several_limits_have_their_shares_together() {
    let layer = || {
        RateLimitLayer::new(Quota::new(30, WINDOW).name("wide"))
            .add_quota(Quota::new(6, WINDOW).name("narrow"))
    };
    let processes = Processes::new(3, layer);
    assert_eq!(processes.passed(1).await, 3);
    processes.store_is_away(true);
    assert_eq!(processes.passed(5).await, 3);
}

#[tokio::test]
async fn shares_are_kept_of_as_many_clients_as_there_is_room_for() {
    for most in [None, Some(64)] {
        let processes = Processes::new(1, || {
            let layer = RateLimitLayer::new(Quota::new(1, WINDOW));
            most.map_or(layer.clone(), |most| layer.local_keys(most))
        });
        processes.store_is_away(true);
        let mut again = 0;
        for turn in 0..2 {
            for client in 0..2_000_u16 {
                let [high, low] = client.to_be_bytes();
                let status = processes.ask_for(0, 200, [10, 0, high, low]).await;
                assert!(status == 200 || turn == 1, "{status}");
                again += u32::from(turn == 1 && status == 200);
            }
        }
        match most {
            None => assert_eq!(again, 0),
            Some(most) => assert!(again >= 2_000 - 2 * most as u32, "{again}"),
        }
    }
}
