//! Limits that several processes share: the layer beside tower-rate-limit-redis, on one server, in turns.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, Ready, ready},
    io,
    pin::Pin,
    rc::Rc,
    time::{Duration, Instant},
};

use http::{Request, Response};
use portcullis::{
    rate_limit::{Quota, RateLimitFields, RateLimitKey, RateLimitLayer, RedisRateLimits},
    store::RedisStore,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::LocalSet,
};
use tower::{Layer, Service, service_fn};
use tower_rate_limit_redis::{KeyResolver, RateLimitLayer as Peer};

use crate::{
    redis_support::{Server, median, pin, worked},
    support::Figures,
};

const CELL: Duration = Duration::from_millis(300);
const ROUNDS: usize = 5;

/// Whose request it is.
#[derive(Clone)]
struct Name(String);

#[derive(Clone)]
struct ByName;

impl KeyResolver for ByName {
    type Key = String;
    type ErrorBody = String;

    fn key<T>(&self, request: &Request<T>) -> Result<String, Response<String>> {
        let name = request.extensions().get::<Name>();
        name.map(|name| name.0.clone())
            .ok_or_else(|| Response::new("nobody".to_owned()))
    }
}

type Asked = Pin<Box<dyn Future<Output = u16>>>;
type Ask = Rc<dyn Fn(String) -> Asked>;

fn inner(_: Request<()>) -> Ready<Result<Response<String>, Infallible>> {
    ready(Ok(Response::new(String::new())))
}

fn asking<S, B>(service: S) -> Ask
where
    S: Service<Request<()>, Response = Response<B>> + Clone + 'static,
    S::Error: std::fmt::Debug,
    B: 'static,
{
    Rc::new(move |name| {
        let mut service = service.clone();
        let mut request = Request::new(());
        request.extensions_mut().insert(Name(name));
        Box::pin(async move {
            std::future::poll_fn(|context| service.poll_ready(context))
                .await
                .expect("ready");
            let response = service.call(request).await.expect("an answer");
            response.status().as_u16()
        })
    })
}

fn ours(server: &Server, quota: Quota) -> Ask {
    let limits = RedisRateLimits::new(RedisStore::new(&server.url()).expect("a url"));
    let limits = limits
        .deadline(Duration::from_millis(200))
        .expect("a deadline");
    let key = RateLimitKey::custom(|request| Some(request.extensions().get::<Name>()?.0.clone()));
    let layer = RateLimitLayer::new(quota)
        .key(key)
        .fields(RateLimitFields::None)
        .with_store(limits);
    asking(layer.layer(service_fn(inner)))
}

fn peer(server: &Server, runtime: &Runtime, capacity: u16) -> Ask {
    let client = redis_of_peer::Client::open(server.url()).expect("a url");
    let connection = runtime.block_on(client.get_multiplexed_async_connection());
    let layer = Peer::builder()
        .conn(connection.expect("a connection"))
        .key_resolver(ByName)
        .capacity(capacity)
        .emission_interval(Duration::from_millis(1))
        .build();
    asking(layer.layer(service_fn(inner)))
}

#[derive(Clone, Copy)]
struct Run {
    rate: f64,
    server: f64,
    client: f64,
}

fn run(
    server: &Server,
    runtime: &Runtime,
    ask: &Ask,
    (keys, flight, round): (u32, u32, usize),
    expected: u16,
) -> Run {
    let done = Rc::new(Cell::new(0_u64));
    let (at_server, here, started) = (server.worked(), worked(), Instant::now());
    runtime.block_on(LocalSet::new().run_until(async {
        let tasks: Vec<_> = (0..flight)
            .map(|task| {
                let (ask, done) = (Rc::clone(ask), Rc::clone(&done));
                tokio::task::spawn_local(async move {
                    let mut turn = task.wrapping_mul(7_919);
                    while started.elapsed() < CELL {
                        for _ in 0..32 {
                            turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                            // A single key is another one now and then, as the peer's burst is soon used up.
                            let key = if keys == 1 {
                                round as u32 * 1_000 + (done.get() / 40_000) as u32
                            } else {
                                (turn >> 8) % keys
                            };
                            assert_eq!(ask(format!("{keys}-user-{key}")).await, expected);
                        }
                        done.set(done.get() + 32);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    }));
    let (took, done) = (started.elapsed().as_secs_f64(), done.get() as f64);
    Run {
        rate: done / took,
        server: (server.worked() - at_server) * 1e6 / done,
        client: (worked() - here) * 1e6 / done,
    }
}

pub(crate) fn measure() -> io::Result<()> {
    let server = Server::start()?;
    println!("pinned: {}", pin());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut figures = Figures::new("peers-rate_limit_redis");
    let many = Quota::new(16_000, Duration::from_secs(60));
    let hot = Quota::new(4_000_000_000, Duration::from_secs(60));
    for (title, keys, quota) in [("10,000 keys", 10_000, many), ("1 key", 1, hot)] {
        let contenders = [ours(&server, quota), peer(&server, &runtime, u16::MAX)];
        for flight in [64, 256] {
            let mut rounds = [Vec::new(), Vec::new()];
            // The first warms up.
            for round in 0..=ROUNDS {
                let round = round + flight as usize * 100;
                for (ask, rounds) in contenders.iter().zip(&mut rounds) {
                    rounds.push(run(&server, &runtime, ask, (keys, flight, round), 200));
                }
            }
            let title = format!("{title}, {flight} in flight");
            compare(&mut figures, &title, &rounds);
        }
    }
    // A key that is being refused, by quotas that do not come back meanwhile.
    let contenders = [
        ours(&server, Quota::per_hour(1).name("refused")),
        peer(&server, &runtime, 1),
    ];
    let mut rounds = [Vec::new(), Vec::new()];
    for (at, ask) in contenders.iter().enumerate() {
        let before = server.commands();
        let mut refused = 0;
        runtime.block_on(async {
            for _ in 0..10_000 {
                refused += u32::from(ask("refused".to_owned()).await == 429);
            }
        });
        let sent = server.commands() - before - 2.0;
        rounds[at].push(sent / f64::from(refused.max(1)));
    }
    let [ours, peer] = rounds.map(|rounds| rounds[0]);
    println!("commands for a refusal: {ours:.4} portcullis, {peer:.2} tower-rate-limit-redis");
    figures.record("refused: portcullis", ours, "commands", None);
    figures.record("refused: tower-rate-limit-redis", peer, "commands", None);
    figures.write()
}

fn compare(figures: &mut Figures, title: &str, [ours, peer]: &[Vec<Run>; 2]) {
    println!("\n{title}");
    println!("| | portcullis | tower-rate-limit-redis | ratio |");
    println!("|---|---|---|---|");
    let of: [(&str, &str, fn(&Run) -> f64); 3] = [
        ("decisions", "/s", |run| run.rate),
        ("Redis", "us a decision", |run| run.server),
        ("client", "us a decision", |run| run.client),
    ];
    for (what, unit, of) in of {
        let (ours, peer) = (&ours[1..], &peer[1..]);
        let ratio = median(
            ours.iter()
                .zip(peer)
                .map(|(ours, peer)| of(ours) / of(peer))
                .collect(),
        );
        let (ours, peer) = (
            median(ours.iter().map(of).collect()),
            median(peer.iter().map(of).collect()),
        );
        println!("| {what}, {unit} | {ours:.2} | {peer:.2} | {ratio:.2} |");
        let against = Some(("tower-rate-limit-redis", ratio));
        figures.record(&format!("{title}: {what}"), ours, unit, against);
    }
}
