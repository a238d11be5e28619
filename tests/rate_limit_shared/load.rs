//! Steady load on three limiters that share a Redis, one for each answer to its absence.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    panic,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use portcullis::{
    audit::{AuditEvent, AuditKind},
    client_ip::PeerAddr,
    problem::Rejection,
    rate_limit::{
        Quota, RateLimitEvent, RateLimitEventKind, RateLimitLayer, RedisRateLimits, StoreFailure,
    },
    store::RedisStore,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::timeout,
};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::{is_long, redis::eventually};

/// How many processes a local share is for.
const INSTANCES: u32 = 4;
/// What the tight limit lets in, in an hour.
const TIGHT: usize = 40;
/// What the small one does, for whoever tries it.
const SMALL: u32 = 20;

/// No answer takes longer, however busy the machine.
const HANG: Duration = Duration::from_secs(30);

/// Callers at once, for each limiter.
const TASKS: usize = 4;
const PAUSE: Duration = Duration::from_millis(3);

/// The default, which a machine that does other things besides does not always keep; then far more.
fn deadline() -> Duration {
    Duration::from_millis(if is_long() { 50 } else { 2_000 })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Refuse,
    Allow,
    Local,
}

/// What is asked: a limit that nobody reaches, a pace that nobody reaches, a limit that is soon reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Wide,
    Paced,
    Tight,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) asked: Asked,
    pub(crate) client: u8,
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    pub(crate) status: u16,
    /// Whether it says how much is left.
    pub(crate) counted: bool,
    pub(crate) code: Option<&'static str>,
    pub(crate) retry_after: Option<String>,
}

type Service = BoxCloneSyncService<Request<Empty<Bytes>>, Response<()>, Infallible>;

/// A limiter, and what was heard of it.
struct Limiter {
    policy: Policy,
    limits: [Service; 3],
    small: Service,
    heard: Arc<Heard>,
    answers: Mutex<Vec<Answer>>,
}

#[derive(Default)]
struct Heard {
    edges: Mutex<Vec<(Instant, bool)>>,
    uncounted: AtomicUsize,
    locally: AtomicUsize,
    audited: AtomicUsize,
}

pub(crate) struct Load {
    runtime: Runtime,
    name: String,
    limiters: Vec<Arc<Limiter>>,
    running: JoinSet<()>,
    stop: Arc<AtomicBool>,
    tried: AtomicU32,
}

/// Threads that have panicked, of whichever test.
static PANICKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Load {
    /// Begins; the store is made anew for each limiter, as for processes of their own.
    pub(crate) fn start(name: &str, clients: u8, store: impl Fn() -> RedisStore) -> Self {
        watch_panics();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .unwrap();
        let limiters: Vec<_> = [Policy::Refuse, Policy::Allow, Policy::Local]
            .into_iter()
            .map(|policy| Arc::new(Limiter::new(store(), policy)))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for limiter in &limiters {
            for task in 0..TASKS {
                let (limiter, stop) = (Arc::clone(limiter), Arc::clone(&stop));
                let asking = async move {
                    for turn in task.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let asked = [Asked::Wide, Asked::Paced, Asked::Tight][turn % 3];
                        let client = u8::try_from(turn / 3 % usize::from(clients)).unwrap();
                        let client = if asked == Asked::Tight { 0 } else { client };
                        let answer = limiter.ask(asked, client).await;
                        limiter.answers.lock().unwrap().push(answer);
                        tokio::time::sleep(PAUSE).await;
                    }
                };
                running.spawn_on(asking, runtime.handle());
            }
            let (limiter, stop) = (Arc::clone(limiter), Arc::clone(&stop));
            running.spawn_on(go_away(limiter, stop), runtime.handle());
        }
        let load = Self {
            runtime,
            name: name.to_owned(),
            limiters,
            running,
            stop,
            tried: AtomicU32::new(0),
        };
        load.until_counting();
        load.until_in_force();
        for limiter in &load.limiters {
            eventually("the tight limit is reached", || {
                let answers = limiter.answers.lock().unwrap();
                answers
                    .iter()
                    .any(|answer| answer.status == 429)
                    .then_some(())
            });
        }
        load
    }

    /// Waits until every limiter has counted some more in Redis, all that it was asked.
    fn until_counting(&self) {
        for limiter in &self.limiters {
            let mut seen = limiter.answers.lock().unwrap().len();
            eventually("a limiter counts", || {
                let answers = limiter.answers.lock().unwrap();
                let new = answers.get(seen..)?;
                if new.len() < 60 {
                    return None;
                }
                seen = answers.len();
                let decided = |answer: &Answer| {
                    answer.status == 429 || answer.status == 200 && answer.counted
                };
                (new.iter().all(decided) && !limiter.is_out()).then_some(())
            });
        }
    }

    /// Waits until every limiter lets a new client in as often as it should, and no oftener.
    fn until_in_force(&self) {
        for limiter in &self.limiters {
            eventually("a limit is in force", || {
                let passed = self.passed(limiter, SMALL + 5);
                (passed == SMALL && !limiter.is_out()).then_some(())
            });
        }
    }

    /// How often a new client is let in of so many times.
    fn passed(&self, limiter: &Limiter, times: u32) -> u32 {
        let tried = self.tried.fetch_add(1, Ordering::Relaxed);
        let client = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + tried);
        self.runtime.block_on(async {
            let mut passed = 0;
            for _ in 0..times {
                let answer = ask(&limiter.small, client).await;
                passed += u32::from(answer.status() == 200);
            }
            passed
        })
    }

    /// Waits until every limiter has told that Redis is away, and then some.
    pub(crate) fn until_out(&self) {
        for limiter in &self.limiters {
            eventually("an outage is told", || limiter.is_out().then_some(()));
        }
    }

    /// That each does as it was told while nobody can answer, and is quick about it.
    pub(crate) fn follows_the_policies(&self) {
        for limiter in &self.limiters {
            let policy = limiter.policy;
            let (begun, heard) = (Instant::now(), &limiter.heard);
            let counts = || {
                [&heard.uncounted, &heard.locally, &heard.audited]
                    .map(|count| count.load(Ordering::Relaxed))
            };
            let before = counts();
            let during = eventually("some are answered meanwhile", || {
                let answers = limiter.answers.lock().unwrap();
                let during: Vec<_> = answers
                    .iter()
                    .filter(|one| one.at > begun)
                    .cloned()
                    .collect();
                (during.len() >= 100).then_some(during)
            });
            for answer in during.iter().filter(|answer| answer.asked != Asked::Tight) {
                answer.is_as(policy);
            }
            let mut took: Vec<_> = during.iter().map(|answer| answer.took).collect();
            took.sort_unstable();
            let median = took[took.len() / 2];
            assert!(median < deadline() / 2, "{policy:?} took {median:?}");
            // What is told of each request.
            let told: Vec<_> = counts()
                .iter()
                .zip(before)
                .map(|(now, before)| *now > before)
                .collect();
            assert_eq!(
                told,
                [
                    policy == Policy::Allow,
                    policy == Policy::Local,
                    policy == Policy::Refuse
                ]
            );
            let expected = match policy {
                Policy::Refuse => 0,
                Policy::Allow => 10,
                Policy::Local => SMALL / INSTANCES,
            };
            assert_eq!(self.passed(limiter, 10), expected, "{policy:?}");
            assert!(limiter.is_out());
        }
    }

    /// Waits until every limiter has told that Redis is back, and is in force again.
    pub(crate) fn until_back(&self) {
        for limiter in &self.limiters {
            eventually("its end is told", || (!limiter.is_out()).then_some(()));
        }
        self.until_counting();
        self.until_in_force();
    }

    /// Ends, and says what was answered since it broke; by then it was whole again. Keys were lost so many
    /// times.
    pub(crate) fn stop(mut self, since: Instant, whole: Instant, lost: usize) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.runtime.block_on(async {
            while let Some(task) = self.running.join_next().await {
                task.unwrap();
            }
        });
        let panicked = PANICKED.lock().unwrap();
        assert!(!panicked.contains(&self.name), "a task panicked");
        drop(panicked);
        let seen = |limiter: &Arc<Limiter>| {
            let answers = limiter.answers.lock().unwrap().clone();
            let edges = limiter.heard.edges.lock().unwrap().clone();
            Seen::new(limiter.policy, answers, &edges, since, lost)
        };
        let seen: Vec<_> = self.limiters.iter().map(seen).collect();
        eprintln!(
            "{}: whole after {:.2} s",
            self.name,
            (whole - since).as_secs_f64()
        );
        for seen in &seen {
            seen.tell();
        }
        seen
    }
}

impl Limiter {
    fn new(store: RedisStore, policy: Policy) -> Self {
        let heard = Arc::<Heard>::default();
        let prefix = format!("{policy:?}:").to_lowercase();
        let telling = Arc::clone(&heard);
        let limits = RedisRateLimits::new(store.key_prefix(&prefix).unwrap())
            .deadline(deadline())
            .unwrap()
            .on_outage(move |out| telling.edges.lock().unwrap().push((Instant::now(), out)));
        let failure = match policy {
            Policy::Refuse => StoreFailure::Refuse,
            Policy::Allow => StoreFailure::Allow,
            Policy::Local => StoreFailure::Local {
                instances: INSTANCES.try_into().unwrap(),
            },
        };
        let service = |quota| {
            let (telling, auditing) = (Arc::clone(&heard), Arc::clone(&heard));
            let layer = RateLimitLayer::new(quota)
                .with_store(limits.clone())
                .on_store_error(failure)
                .on_event(move |event: &RateLimitEvent<'_>| {
                    match event.kind {
                        RateLimitEventKind::Uncounted => &telling.uncounted,
                        RateLimitEventKind::CountedLocally => &telling.locally,
                        _ => return,
                    }
                    .fetch_add(1, Ordering::Relaxed);
                })
                .with_audit(move |event: &AuditEvent<'_>| {
                    if event.kind == AuditKind::SysDependencyFail {
                        auditing.audited.fetch_add(1, Ordering::Relaxed);
                    }
                });
            let inner = service_fn(async |_: Request<Empty<Bytes>>| {
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            });
            let limited = layer.layer(inner);
            BoxCloneSyncService::new(limited.map_response(|response| response.map(drop)))
        };
        Self {
            policy,
            limits: [
                Quota::per_hour(4_000_000),
                Quota::per_second(1_000_000).burst(1_000_000),
                Quota::per_hour(u32::try_from(TIGHT).unwrap()),
            ]
            .map(service),
            small: service(Quota::per_hour(SMALL).segments(60)),
            heard,
            answers: Mutex::default(),
        }
    }

    fn is_out(&self) -> bool {
        let edges = self.heard.edges.lock().unwrap();
        edges.last().is_some_and(|(_, out)| *out)
    }

    async fn ask(&self, asked: Asked, client: u8) -> Answer {
        let at = Instant::now();
        let address = Ipv4Addr::new(192, 0, 2, client);
        let response = ask(&self.limits[asked as usize], address).await;
        let (field, code) = (
            |name| response.headers().get(name),
            response.extensions().get::<Rejection>(),
        );
        Answer {
            asked,
            client,
            at,
            took: at.elapsed(),
            status: response.status().as_u16(),
            counted: field("ratelimit").is_some(),
            code: code.map(Rejection::code),
            retry_after: field("retry-after").map(|value| value.to_str().unwrap().to_owned()),
        }
    }
}

/// Asks, and does not wait for the answer: the store must not wait for whoever has gone, nor forget a key that
/// was counted for him.
async fn go_away(limiter: Arc<Limiter>, stop: Arc<AtomicBool>) {
    for turn in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let client = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 51, 100, 0)) + turn % 256);
        let patience = Duration::from_micros(u64::from(turn * 37 % 2_000));
        let service = &limiter.limits[turn as usize / 256 % 2];
        let _ = timeout(patience, ask(service, client)).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(service: &Service, client: Ipv4Addr) -> Response<()> {
    let mut request = Request::new(Empty::new());
    let peer = SocketAddr::from((client, 40_000));
    request.extensions_mut().insert(PeerAddr(peer));
    let Ok(response) = service.clone().oneshot(request).await;
    response
}

impl Answer {
    /// Whether nobody decided.
    pub(crate) fn is_by_policy(&self, policy: Policy) -> bool {
        match policy {
            Policy::Refuse => self.status == 503,
            Policy::Allow => self.status == 200 && !self.counted,
            // Nothing tells the client.
            Policy::Local => false,
        }
    }

    fn is_as(&self, policy: Policy) {
        match policy {
            Policy::Refuse => {
                assert_eq!(self.status, 503, "{self:?}");
                assert_eq!(self.code, Some("rate_limit_store_unavailable"));
                assert_eq!(self.retry_after.as_deref(), Some("1"));
            }
            Policy::Allow => assert!(self.is_by_policy(policy), "{self:?}"),
            Policy::Local => assert!(self.status == 200 && self.counted, "{self:?}"),
        }
    }
}

/// What was seen of a limiter.
pub(crate) struct Seen {
    pub(crate) policy: Policy,
    pub(crate) answers: Vec<Answer>,
    longest: Duration,
    waited: usize,
    edges: Vec<(f64, bool)>,
}

impl Seen {
    fn new(
        policy: Policy,
        answers: Vec<Answer>,
        edges: &[(Instant, bool)],
        since: Instant,
        lost: usize,
    ) -> Self {
        for answer in &answers {
            let expected: &[u16] = match (policy, answer.asked) {
                (Policy::Refuse, Asked::Tight) => &[200, 429, 503],
                (Policy::Refuse, _) => &[200, 503],
                (_, Asked::Tight) => &[200, 429],
                _ => &[200],
            };
            assert!(expected.contains(&answer.status), "{answer:?}");
            if answer.status == 503 {
                answer.is_as(policy);
            }
            assert!(answer.took < deadline() + HANG, "{answer:?}");
        }
        let tight = answers.iter().filter(|one| one.asked == Asked::Tight);
        let passed = tight.filter(|answer| answer.status == 200).count();
        let most = match policy {
            Policy::Allow => usize::MAX,
            // What was let in before is counted here, too: there is no share left.
            Policy::Refuse | Policy::Local => TIGHT * (1 + lost),
        };
        assert!(
            passed <= most,
            "{policy:?}: {passed} of {TIGHT} were let in"
        );
        assert!(
            passed >= TIGHT,
            "{policy:?}: only {passed} of {TIGHT} were let in"
        );
        // Told in turn, and over in the end.
        let alternate = edges.iter().zip([true, false].iter().cycle());
        assert!(
            alternate
                .clone()
                .all(|((_, out), expected)| out == expected)
        );
        assert!(edges.len().is_multiple_of(2), "{edges:?}");
        let answers: Vec<_> = answers.into_iter().filter(|one| one.at >= since).collect();
        let waited = answers.iter().filter(|answer| answer.took >= deadline());
        Self {
            policy,
            longest: answers
                .iter()
                .map(|answer| answer.took)
                .max()
                .unwrap_or_default(),
            waited: waited.count(),
            edges: edges
                .iter()
                .filter(|(at, _)| *at >= since)
                .map(|(at, out)| ((*at - since).as_secs_f64(), *out))
                .collect(),
            answers,
        }
    }

    pub(crate) fn by_policy(&self) -> usize {
        let by_policy = self
            .answers
            .iter()
            .filter(|one| one.is_by_policy(self.policy));
        by_policy.count()
    }

    fn tell(&self) {
        let edges: Vec<_> = self
            .edges
            .iter()
            .map(|(at, out)| format!("{} {at:.2} s", if *out { "away" } else { "back" }))
            .collect();
        eprintln!(
            "  {:?}: {} answers, {} by the policy, {} waited for the deadline, longest {:.0} ms; {}",
            self.policy,
            self.answers.len(),
            self.by_policy(),
            self.waited,
            self.longest.as_secs_f64() * 1_000.0,
            edges.join(", "),
        );
    }
}

fn watch_panics() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let name = thread::current().name().unwrap_or_default().to_owned();
            PANICKED.lock().unwrap().push(name);
            tell(info);
        }));
    });
}
