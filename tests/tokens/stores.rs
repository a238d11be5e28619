//! What every store of refresh tokens must do, tried on each of them.

use std::{
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::StatusCode;
use portcullis::{
    audit::AuditEvent,
    clock::ManualClock,
    store::{MemoryStore, Reply},
    tokens::{
        FamilyId, MOST_FAMILIES, NewFamily, RefreshErrorKind, RefreshTokenStore, RefreshTokens,
        ReuseKind, Turn, Turned,
    },
};

use crate::mint::NOW;

pub(crate) const KEY: &str = "a secret key of the service, of 32 bytes or more";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Bench {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) refresh: RefreshTokens,
}

pub(crate) fn bench(store: impl RefreshTokenStore) -> Bench {
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let refresh = RefreshTokens::new(KEY)
        .unwrap()
        .with_store(store)
        .with_clock(clock.clone());
    Bench { clock, refresh }
}

impl Bench {
    async fn kind(&self, token: &str) -> Result<(), RefreshErrorKind> {
        let answer = self.refresh.rotate(token).await;
        answer.map(|_| ()).map_err(|error| error.kind())
    }
}

macro_rules! suite {
    ($module:ident, $store:expr) => {
        mod $module {
            use super::*;

            #[tokio::test]
            async fn a_family_goes_on_token_by_token() {
                super::a_family_goes_on_token_by_token($store).await;
            }

            #[tokio::test]
            async fn a_token_comes_again_within_the_grace_window_only() {
                super::a_token_comes_again_within_the_grace_window_only($store).await;
            }

            #[tokio::test]
            async fn an_older_token_within_the_window_leads_to_the_live_one() {
                super::an_older_token_within_the_window_leads_to_the_live_one($store).await;
            }

            #[tokio::test]
            async fn a_clock_that_goes_back_does_not_hold_the_window_open() {
                super::a_clock_that_goes_back_does_not_hold_the_window_open($store).await;
            }

            #[tokio::test]
            async fn reuse_is_named_and_ends_the_family() {
                super::reuse_is_named_and_ends_the_family($store).await;
            }

            #[tokio::test]
            async fn a_store_that_lost_a_rotation_does_it_again() {
                super::a_store_that_lost_a_rotation_does_it_again($store).await;
            }

            #[tokio::test]
            async fn a_family_ends_idle_and_altogether() {
                super::a_family_ends_idle_and_altogether($store).await;
            }

            #[tokio::test]
            async fn one_a_family_and_all_of_a_subject_are_revoked() {
                super::one_a_family_and_all_of_a_subject_are_revoked($store).await;
            }

            #[tokio::test]
            async fn what_is_revoked_by_a_clock_ahead_is_dead_by_every_clock() {
                super::what_is_revoked_by_a_clock_ahead_is_dead_by_every_clock($store).await;
            }

            #[tokio::test]
            async fn a_subject_that_signs_in_for_ever_fills_its_own_place() {
                let store = MemoryStore::bounded(2 * MOST_FAMILIES);
                super::a_subject_that_signs_in_for_ever_fills_its_own_place(store).await;
            }

            #[test]
            fn a_hundred_at_once_get_one_successor() {
                super::a_hundred_at_once_get_one_successor($store);
            }

            #[test]
            fn a_hundred_thieves_end_a_family_once() {
                super::a_hundred_thieves_end_a_family_once($store);
            }
        }
    };
}

suite!(memory, MemoryStore::bounded(64));

pub(crate) async fn a_family_goes_on_token_by_token(store: impl RefreshTokenStore) {
    let bench = bench(store);
    let first = bench
        .refresh
        .begin("user-7", "{\"client\":\"web\"}")
        .await
        .unwrap();
    let mut token = first.clone();
    for generation in 1..=20 {
        bench.clock.advance(HOUR);
        let refreshed = bench.refresh.rotate(token.expose()).await.unwrap();
        assert_eq!(refreshed.subject(), "user-7");
        assert_eq!(refreshed.payload(), "{\"client\":\"web\"}");
        assert_eq!(refreshed.token().generation(), generation);
        assert_eq!(refreshed.token().family(), first.family());
        assert!(!refreshed.is_again() && *refreshed.token() != token);
        token = refreshed.token().clone();
    }
}

pub(crate) async fn a_token_comes_again_within_the_grace_window_only(
    store: impl RefreshTokenStore,
) {
    let bench = bench(store);
    let first = bench.refresh.begin("user-7", "").await.unwrap();
    let second = bench.refresh.rotate(first.expose()).await.unwrap();
    for _ in 0..2 {
        bench.clock.advance(5 * SECOND);
        let again = bench.refresh.rotate(first.expose()).await.unwrap();
        assert!(again.is_again());
        assert_eq!(again.token(), second.token());
    }
    // Ten seconds are within, a moment more is not.
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(
        bench.kind(first.expose()).await,
        Err(RefreshErrorKind::Reused(ReuseKind::Predecessor))
    );
    assert_eq!(
        bench.kind(second.token().expose()).await,
        Err(RefreshErrorKind::Revoked)
    );
}

pub(crate) async fn a_clock_that_goes_back_does_not_hold_the_window_open(
    store: impl RefreshTokenStore,
) {
    let bench = bench(store);
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW) + seconds;
    let first = bench.refresh.begin("user-7", "").await.unwrap();
    bench.clock.advance(HOUR);
    let second = bench.refresh.rotate(first.expose()).await.unwrap();
    // Clocks that differ by a minute are what they are.
    bench.clock.set(at(HOUR - 60 * SECOND));
    let again = bench.refresh.rotate(first.expose()).await.unwrap();
    assert_eq!(again.token(), second.token());
    // By an hour: what goes on goes on, within windows as long as ever.
    bench.clock.set(at(Duration::ZERO));
    let third = bench.refresh.rotate(second.token().expose()).await.unwrap();
    bench.clock.advance(10 * SECOND);
    let again = bench.refresh.rotate(second.token().expose()).await.unwrap();
    assert_eq!(again.token(), third.token());
    bench.clock.advance(SECOND);
    assert_eq!(
        bench.kind(second.token().expose()).await,
        Err(RefreshErrorKind::Reused(ReuseKind::Predecessor))
    );
    assert_eq!(
        bench.kind(third.token().expose()).await,
        Err(RefreshErrorKind::Revoked)
    );
    // A rotation in a future that is no clock's fault is none of just now.
    let first = bench.refresh.begin("user-8", "").await.unwrap();
    bench.clock.set(at(HOUR));
    bench.refresh.rotate(first.expose()).await.unwrap();
    bench.clock.set(at(HOUR - 61 * SECOND));
    assert_eq!(
        bench.kind(first.expose()).await,
        Err(RefreshErrorKind::Reused(ReuseKind::Predecessor))
    );
}

pub(crate) async fn an_older_token_within_the_window_leads_to_the_live_one(
    store: impl RefreshTokenStore,
) {
    let bench = bench(store);
    let mut chain = vec![bench.refresh.begin("user-7", "").await.unwrap()];
    for _ in 0..8 {
        let next = bench
            .refresh
            .rotate(chain[chain.len() - 1].expose())
            .await
            .unwrap();
        chain.push(next.token().clone());
    }
    for token in &chain[..8] {
        let again = bench.refresh.rotate(token.expose()).await.unwrap();
        assert_eq!(
            again.token(),
            &chain[8],
            "generation {}",
            token.generation()
        );
    }
    // One more, and the first is further back than is remembered.
    let live = bench.refresh.rotate(chain[8].expose()).await.unwrap();
    assert_eq!(
        bench
            .refresh
            .rotate(chain[1].expose())
            .await
            .unwrap()
            .token(),
        live.token()
    );
    assert_eq!(
        bench.kind(chain[0].expose()).await,
        Err(RefreshErrorKind::Reused(ReuseKind::Ancestor))
    );
}

pub(crate) async fn reuse_is_named_and_ends_the_family(store: impl RefreshTokenStore) {
    let bench = bench(store);
    let other = bench.refresh.begin("user-7", "other").await.unwrap();
    let first = bench.refresh.begin("user-7", "").await.unwrap();
    let second = bench.refresh.rotate(first.expose()).await.unwrap();
    bench.clock.advance(HOUR);
    let third = bench.refresh.rotate(second.token().expose()).await.unwrap();
    bench.clock.advance(HOUR);
    assert_eq!(
        bench.kind(first.expose()).await,
        Err(RefreshErrorKind::Reused(ReuseKind::Ancestor))
    );
    for token in [&first, second.token(), third.token()] {
        assert_eq!(
            bench.kind(token.expose()).await,
            Err(RefreshErrorKind::Revoked)
        );
    }
    // Another sign-in of the same user goes on.
    assert!(bench.refresh.rotate(other.expose()).await.is_ok());
}

/// Answers, for as long as it is told to, what another store says: as a master does whose replica does not
/// hear of it. What comes after, the replica is asked.
#[derive(Clone)]
struct Failing<S> {
    master: MemoryStore,
    replica: S,
    is_dead: Arc<AtomicBool>,
}

impl<S: RefreshTokenStore> RefreshTokenStore for Failing<S> {
    fn begin(&self, family: &NewFamily<'_>, now: SystemTime) -> Reply<()> {
        let begun = self.master.begin(family, now);
        assert!(matches!(begun, Reply::Ready(Ok(()))));
        self.replica.begin(family, now)
    }

    fn rotate(&self, turn: &Turn, now: SystemTime) -> Reply<Turned> {
        match self.is_dead.load(Ordering::SeqCst) {
            true => self.replica.rotate(turn, now),
            false => self.master.rotate(turn, now),
        }
    }

    fn revoke_family(&self, _: FamilyId, _: SystemTime) -> Reply<bool> {
        unimplemented!("nothing is revoked here")
    }

    fn revoke_subject(&self, _: &str, _: SystemTime) -> Reply<u64> {
        unimplemented!("nothing is revoked here")
    }
}

pub(crate) async fn a_store_that_lost_a_rotation_does_it_again(
    store: impl RefreshTokenStore + Clone,
) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let fresh = |store: &_| {
        let sink = Arc::clone(&told);
        let is_dead = Arc::new(AtomicBool::new(false));
        let failing = Failing {
            master: MemoryStore::new(),
            replica: Clone::clone(store),
            is_dead: Arc::clone(&is_dead),
        };
        let mut bench = bench(failing);
        bench.refresh = bench.refresh.with_audit(move |event: &AuditEvent<'_>| {
            sink.lock().unwrap().push((event.code, event.status));
        });
        (bench, is_dead)
    };
    let (bench, is_dead) = fresh(&store);
    let first = bench.refresh.begin("user-7", "web").await.unwrap();
    let second = bench.refresh.rotate(first.expose()).await.unwrap();
    is_dead.store(true, Ordering::SeqCst);
    let third = bench.refresh.rotate(second.token().expose()).await.unwrap();
    assert_eq!((third.subject(), third.payload()), ("user-7", "web"));
    assert_eq!(third.token().generation(), 2);
    assert!(!third.is_again());
    // It all goes on as ever: the other tabs, the next refresh, and whoever comes late.
    for token in [&first, second.token()] {
        let again = bench.refresh.rotate(token.expose()).await.unwrap();
        assert!(again.is_again());
        assert_eq!(again.token(), third.token());
    }
    let fourth = bench.refresh.rotate(third.token().expose()).await.unwrap();
    bench.clock.advance(HOUR);
    assert_eq!(
        bench.kind(first.expose()).await,
        Err(RefreshErrorKind::Reused(ReuseKind::Ancestor))
    );
    assert_eq!(
        bench.kind(fourth.token().expose()).await,
        Err(RefreshErrorKind::Revoked)
    );

    // Of two that were lost nothing proves the first.
    let (bench, is_dead) = fresh(&store);
    let mut token = bench.refresh.begin("user-8", "").await.unwrap();
    for _ in 0..2 {
        let next = bench.refresh.rotate(token.expose()).await.unwrap();
        token = next.token().clone();
    }
    is_dead.store(true, Ordering::SeqCst);
    assert_eq!(
        bench.kind(token.expose()).await,
        Err(RefreshErrorKind::Reused(ReuseKind::Orphan))
    );
    assert_eq!(
        *told.lock().unwrap(),
        [
            ("refresh_store_lost_rotation", StatusCode::OK),
            ("refresh_reuse_ancestor", StatusCode::BAD_REQUEST),
            ("refresh_reuse_orphan", StatusCode::BAD_REQUEST),
        ]
    );
}

pub(crate) async fn a_family_ends_idle_and_altogether(store: impl RefreshTokenStore) {
    let mut bench = bench(store);
    bench.refresh = bench
        .refresh
        .idle(2 * HOUR)
        .unwrap()
        .absolute(5 * HOUR)
        .unwrap();
    let idle = bench.refresh.begin("user-7", "").await.unwrap();
    let mut busy = bench.refresh.begin("user-8", "").await.unwrap();
    let ends_at = portcullis::clock::Clock::now(&*bench.clock) + 5 * HOUR;
    for _ in 0..2 {
        bench.clock.advance(2 * HOUR - SECOND);
        let refreshed = bench.refresh.rotate(busy.expose()).await.unwrap();
        assert_eq!(refreshed.ends_at(), ends_at);
        busy = refreshed.token().clone();
    }
    assert_eq!(
        bench.kind(idle.expose()).await,
        Err(RefreshErrorKind::Unknown)
    );
    bench.clock.advance(HOUR + SECOND);
    let last = bench.refresh.rotate(busy.expose()).await.unwrap();
    bench.clock.advance(SECOND);
    assert_eq!(
        bench.kind(last.token().expose()).await,
        Err(RefreshErrorKind::Unknown)
    );
}

pub(crate) async fn one_a_family_and_all_of_a_subject_are_revoked(store: impl RefreshTokenStore) {
    let bench = bench(store);
    let mut tokens = Vec::new();
    for subject in ["user-7", "user-7", "user-7", "user-8"] {
        tokens.push(bench.refresh.begin(subject, "").await.unwrap());
    }
    // A token that is not the live one any more ends its family just as well.
    let next = bench.refresh.rotate(tokens[0].expose()).await.unwrap();
    assert!(bench.refresh.revoke(tokens[0].expose()).await.unwrap());
    assert!(!bench.refresh.revoke(tokens[0].expose()).await.unwrap());
    assert_eq!(
        bench.kind(next.token().expose()).await,
        Err(RefreshErrorKind::Revoked)
    );
    assert!(
        bench
            .refresh
            .revoke_family(tokens[1].family())
            .await
            .unwrap()
    );
    assert_eq!(
        bench.kind(tokens[1].expose()).await,
        Err(RefreshErrorKind::Revoked)
    );
    assert_eq!(bench.refresh.revoke_subject("user-7").await.unwrap(), 1);
    assert_eq!(bench.refresh.revoke_subject("user-7").await.unwrap(), 0);
    assert_eq!(bench.refresh.revoke_subject("user-9").await.unwrap(), 0);
    assert_eq!(
        bench.kind(tokens[2].expose()).await,
        Err(RefreshErrorKind::Revoked)
    );
    assert!(bench.refresh.rotate(tokens[3].expose()).await.is_ok());
    // A sign-in afterwards is a new one.
    let anew = bench.refresh.begin("user-7", "").await.unwrap();
    assert!(bench.refresh.rotate(anew.expose()).await.is_ok());
}

pub(crate) async fn what_is_revoked_by_a_clock_ahead_is_dead_by_every_clock(
    store: impl RefreshTokenStore,
) {
    let bench = bench(store);
    let begin = async |subject| bench.refresh.begin(subject, "").await.unwrap();
    let tokens = [
        begin("user-7").await,
        begin("user-8").await,
        begin("user-8").await,
    ];
    // By this one all of them have been idle for too long.
    let ahead = bench.refresh.clone();
    let ahead = ahead.with_clock(ManualClock::at_unix(NOW + 8 * 24 * 3600));
    let [first, ..] = &tokens;
    assert!(!ahead.revoke_family(first.family()).await.unwrap());
    assert_eq!(ahead.revoke_subject("user-8").await.unwrap(), 0);
    for token in &tokens {
        assert_eq!(
            bench.kind(token.expose()).await,
            Err(RefreshErrorKind::Unknown)
        );
    }
}

pub(crate) async fn a_subject_that_signs_in_for_ever_fills_its_own_place(
    store: impl RefreshTokenStore,
) {
    let bench = bench(store);
    let mut last = bench.refresh.begin("user-7", "").await.unwrap();
    for _ in 1..MOST_FAMILIES {
        last = bench.refresh.begin("user-7", "").await.unwrap();
    }
    let full = bench.refresh.begin("user-7", "").await.unwrap_err();
    assert_eq!(full.kind(), RefreshErrorKind::StoreUnavailable);
    assert!(bench.refresh.begin("user-8", "").await.is_ok());
    // A revoked one is still known to be, and the others go on.
    bench.refresh.revoke(last.expose()).await.unwrap();
    assert!(bench.refresh.begin("user-7", "").await.is_err());
    bench.clock.advance(8 * 24 * HOUR);
    assert!(bench.refresh.begin("user-7", "").await.is_ok());
}

/// Runs on a hundred threads at once and gives what each of them answers.
fn at_once<T: Send + 'static>(act: impl Fn() -> T + Send + Sync + 'static) -> Vec<T> {
    let (act, barrier) = (Arc::new(act), Arc::new(Barrier::new(100)));
    let threads: Vec<_> = (0..100)
        .map(|_| {
            let (act, barrier) = (Arc::clone(&act), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                act()
            })
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

pub(crate) fn a_hundred_at_once_get_one_successor(store: impl RefreshTokenStore) {
    let bench = bench(store);
    let runtime = runtime();
    let handle = runtime.handle().clone();
    let mut token = runtime.block_on(bench.refresh.begin("user-7", "")).unwrap();
    for _ in 0..3 {
        let (refresh, presented, handle) = (bench.refresh.clone(), token.clone(), handle.clone());
        let answers = at_once(move || handle.block_on(refresh.rotate(presented.expose())).unwrap());
        assert_eq!(
            answers.iter().filter(|answer| !answer.is_again()).count(),
            1
        );
        assert!(
            answers
                .iter()
                .all(|answer| answer.token() == answers[0].token())
        );
        token = answers[0].token().clone();
        bench.clock.advance(HOUR);
    }
    assert!(
        runtime
            .block_on(bench.refresh.rotate(token.expose()))
            .is_ok()
    );
}

pub(crate) fn a_hundred_thieves_end_a_family_once(store: impl RefreshTokenStore) {
    let bench = bench(store);
    let runtime = runtime();
    let handle = runtime.handle().clone();
    let first = runtime.block_on(bench.refresh.begin("user-7", "")).unwrap();
    runtime
        .block_on(bench.refresh.rotate(first.expose()))
        .unwrap();
    bench.clock.advance(HOUR);
    let refresh = bench.refresh.clone();
    let kinds = at_once(move || {
        handle
            .block_on(refresh.rotate(first.expose()))
            .unwrap_err()
            .kind()
    });
    let named = RefreshErrorKind::Reused(ReuseKind::Predecessor);
    assert_eq!(kinds.iter().filter(|kind| **kind == named).count(), 1);
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == RefreshErrorKind::Revoked)
            .count(),
        99
    );
}
