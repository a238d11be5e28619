//! What a shared limit costs: decisions a second and the processor time of Redis' main thread, with 64 and 256
//! requests in flight over one connection, against the script that is usually written for it.
//!
//! It starts a `redis-server` of its own, on the first core where `taskset` is there, and itself takes the
//! second. Every round measures every cell, so that a slow phase of the machine falls on all of them.

#[path = "support/redis.rs"]
mod redis_support;
mod support;

use std::{
    cell::Cell,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use portcullis::{
    rate_limit::{Hit, Quota, RateLimitStore, RedisRateLimits},
    store::{RedisStore, Reply},
};
use redis::{Client, Value, aio::MultiplexedConnection, cmd};
use tokio::{
    runtime::{Builder, Runtime},
    task::{LocalSet, yield_now},
};

use crate::{
    redis_support::{Server, median, pin, worked},
    support::Figures,
};

/// How long a cell is measured in a round.
const CELL: Duration = Duration::from_millis(500);
const ROUNDS: usize = 5;
const KEYS: u32 = 10_000;

/// Not reached by any of the keys in all rounds.
const MANY: Quota = Quota::new(16_000, Duration::from_secs(60));
/// Nor this one by a single key.
const HOT: Quota = Quota::new(4_000_000_000, Duration::from_secs(60));

/// Units of a hot key that may be taken ahead.
const AHEAD: u32 = 1_000;

/// Two buckets, as it is usually written: read both, compare, count.
const TWO_BUCKETS: &str = "
local current = tonumber(redis.call('GET', KEYS[1]) or '0')
local previous = tonumber(redis.call('GET', KEYS[2]) or '0')
local used = math.floor(previous * (1 - tonumber(ARGV[3])) + current)
if used + 1 > tonumber(ARGV[1]) then return -1 end
current = redis.call('INCR', KEYS[1])
if current == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return tonumber(ARGV[1]) - used - 1";

fn main() -> io::Result<()> {
    let server = Server::start()?;
    println!("pinned: {}", pin());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let bench = Bench::new(&server, &runtime);
    let mut figures = Figures::new("rate_limit_redis");
    // A part of a name as an argument measures only such cells.
    let part = std::env::args().skip(1).find(|one| !one.starts_with("--"));
    bench.throughput(&mut figures, part.as_deref());
    if part.is_some() {
        return Ok(());
    }
    bench.refused(&mut figures);
    bench.alone(&mut figures);
    bench.memory(&mut figures);
    figures.write()
}

type Decided = Pin<Box<dyn Future<Output = ()>>>;

/// One decision about a key.
type Decide = Rc<dyn Fn(u32) -> Decided>;

struct Bench<'s> {
    server: &'s Server,
    runtime: &'s Runtime,
    connection: MultiplexedConnection,
    script: String,
}

/// A cell: who decides, about how many keys, how many at once.
struct Measured {
    name: String,
    decide: Decide,
    keys: u32,
    flight: usize,
    /// By round.
    rounds: Vec<Run>,
}

#[derive(Clone, Copy)]
struct Run {
    /// Decisions a second.
    rate: f64,
    /// The microseconds that each took of Redis' main thread, and of this one.
    server: f64,
    client: f64,
}

impl<'s> Bench<'s> {
    fn new(server: &'s Server, runtime: &'s Runtime) -> Self {
        let (connection, script) = runtime.block_on(async {
            let client = Client::open(server.url()).expect("a url");
            let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
            let connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await;
            let mut connection = connection.expect("a connection");
            let mut load = cmd("SCRIPT");
            load.arg("LOAD").arg(TWO_BUCKETS);
            let script: String = load.query_async(&mut connection).await.expect("a digest");
            (connection, script)
        });
        Self {
            server,
            runtime,
            connection,
            script,
        }
    }

    fn limits(&self) -> RedisRateLimits {
        let store = RedisStore::new(&self.server.url()).expect("a url");
        let limits = RedisRateLimits::new(store);
        limits
            .deadline(Duration::from_millis(200))
            .expect("a deadline")
    }

    fn ours(&self, quota: Quota) -> Decide {
        Self::decides(self.limits(), quota)
    }

    fn decides(limits: RedisRateLimits, quota: Quota) -> Decide {
        Rc::new(move |key| {
            let name = format!("user-{key}");
            let reply = limits.hit(&[Hit::new(name.as_bytes(), quota, 1)], SystemTime::now());
            Box::pin(async move {
                let decisions = match reply {
                    Reply::Ready(decisions) => decisions,
                    Reply::Wait(decisions) => decisions.await,
                };
                assert!(decisions.expect("an answer").allowed());
            })
        })
    }

    /// The same, for decisions that need not wait: whoever had one lets the others go on, as a server would.
    fn yielding(decide: Decide) -> Decide {
        Rc::new(move |key| {
            let decided = decide(key);
            Box::pin(async move {
                decided.await;
                yield_now().await;
            })
        })
    }

    fn script(&self, quota: Quota) -> Decide {
        let (connection, script) = (self.connection.clone(), self.script.clone());
        let (window, limit) = (quota.window().as_millis(), quota.limit());
        Rc::new(move |key| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = now.expect("after 1970").as_millis();
            let (bucket, into) = (now / window, (now % window) as f64 / window as f64);
            let mut invoke = cmd("EVALSHA");
            invoke.arg(&script).arg(2);
            invoke.arg(format!("rate:{{user-{key}}}{limit}:{bucket}"));
            invoke.arg(format!("rate:{{user-{key}}}{limit}:{}", bucket - 1));
            invoke.arg(limit).arg((2 * window) as u64).arg(into);
            let mut connection = connection.clone();
            Box::pin(async move {
                let left: i64 = invoke
                    .query_async(&mut connection)
                    .await
                    .expect("an answer");
                assert!(left >= 0);
            })
        })
    }

    /// Two commands on one key in one pipeline, and nothing decided.
    fn pair(&self) -> Decide {
        let connection = self.connection.clone();
        Rc::new(move |key| {
            let name = format!("rate:{{user-{key}}}:pair");
            let mut pipeline = redis::pipe();
            pipeline.cmd("BITFIELD").arg(&name).arg("INCRBY");
            pipeline.arg("u16").arg("#20").arg(1);
            pipeline.cmd("GETRANGE").arg(&name).arg(0).arg(67);
            let mut connection = connection.clone();
            Box::pin(async move {
                let answers: Vec<Value> = pipeline.query_async(&mut connection).await.expect("two");
                assert_eq!(answers.len(), 2);
            })
        })
    }

    fn throughput(&self, figures: &mut Figures, part: Option<&str>) {
        let measured = |name: &str, decide: Decide, keys, flight| Measured {
            name: format!("{name}, {keys} keys, {flight} in flight"),
            decide,
            keys,
            flight,
            rounds: Vec::new(),
        };
        let mut cells = Vec::new();
        for flight in [64, 256] {
            cells.push(measured("script", self.script(MANY), KEYS, flight));
            cells.push(measured("ours", self.ours(MANY), KEYS, flight));
            cells.push(measured(
                "ours, N = 32",
                self.ours(MANY.segments(32)),
                KEYS,
                flight,
            ));
            cells.push(measured(
                "ours, N = 60",
                self.ours(MANY.segments(60)),
                KEYS,
                flight,
            ));
            cells.push(measured("pair", self.pair(), KEYS, flight));
            cells.push(measured("script", self.script(HOT), 1, flight));
            cells.push(measured("ours", self.ours(HOT), 1, flight));
            let ahead = self.limits().units_ahead(AHEAD);
            let ahead = Self::yielding(Self::decides(ahead, HOT));
            let name = format!("ours, {AHEAD} units ahead");
            cells.push(measured(&name, ahead, 1, flight));
        }
        if let Some(part) = part {
            cells.retain(|cell| cell.name.contains(part));
        }
        // The first round warms up.
        for round in 0..=ROUNDS {
            for cell in &mut cells {
                let figures = self.run(cell);
                if round > 0 {
                    cell.rounds.push(figures);
                }
            }
        }
        for cell in &cells {
            let group = |other: &&Measured| other.keys == cell.keys && other.flight == cell.flight;
            let script = cells.iter().find(group).expect("the script comes first");
            let mut add = |what: &str, unit, of: fn(&Run) -> f64| {
                let pairs = cell.rounds.iter().zip(&script.rounds);
                let ratio = median(pairs.map(|(one, other)| of(one) / of(other)).collect());
                let against = (cell.name != script.name).then_some(("the script", ratio));
                let value = median(cell.rounds.iter().map(of).collect());
                figures.add(&format!("{}: {what}", cell.name), value, unit, against);
            };
            add("decisions", "/s", |run| run.rate);
            add("Redis", "us a decision", |run| run.server);
            add("client", "us a decision", |run| run.client);
        }
    }

    /// Decisions a second, and what each cost Redis.
    fn run(&self, cell: &Measured) -> Run {
        let local = LocalSet::new();
        let done = Rc::new(Cell::new(0_u64));
        let (server, client) = (self.server.worked(), worked());
        let started = Instant::now();
        self.runtime.block_on(local.run_until(async {
            let tasks: Vec<_> = (0..cell.flight)
                .map(|task| {
                    let (decide, done) = (Rc::clone(&cell.decide), Rc::clone(&done));
                    let keys = cell.keys;
                    tokio::task::spawn_local(async move {
                        let mut turn = task as u32 * 7_919;
                        loop {
                            // Thirty-two at a time between two looks at the clock.
                            for _ in 0..32 {
                                turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                                decide((turn >> 8) % keys).await;
                            }
                            done.set(done.get() + 32);
                            if started.elapsed() >= CELL {
                                return;
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic");
            }
            yield_now().await;
        }));
        let took = started.elapsed();
        let (server, client) = (self.server.worked() - server, worked() - client);
        let done = done.get() as f64;
        Run {
            rate: done / took.as_secs_f64(),
            server: server * 1e6 / done,
            client: client * 1e6 / done,
        }
    }

    /// A key that is being refused.
    fn refused(&self, figures: &mut Figures) {
        let limits = self.limits();
        let quota = Quota::per_hour(10);
        let ask = || {
            let reply = limits.hit(&[Hit::new(b"refused", quota, 1)], SystemTime::now());
            match reply {
                Reply::Ready(decisions) => decisions.expect("an answer").allowed(),
                Reply::Wait(decisions) => {
                    let decisions = self.runtime.block_on(decisions);
                    decisions.expect("an answer").allowed()
                }
            }
        };
        while ask() {}
        // What was begun behind the last answer, and the time that the server is asked for now and then.
        self.runtime.block_on(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
        let before = self.server.commands();
        let started = Instant::now();
        const ASKED: u32 = 1_000_000;
        for _ in 0..ASKED {
            assert!(!ask());
        }
        let nanos = started.elapsed().as_nanos() as f64 / f64::from(ASKED);
        // The question itself is two.
        let sent = self.server.commands() - before - 2.0;
        figures.add("refused: commands for a million", sent, "commands", None);
        figures.add("refused: a decision", nanos, "ns", None);
    }

    /// One request after the other, against the bare pair.
    fn alone(&self, figures: &mut Figures) {
        for (name, keys) in [("10,000 keys", KEYS), ("1 key", 1)] {
            let (ours, pair) = (self.ours(if keys == 1 { HOT } else { MANY }), self.pair());
            let mut took = [Vec::new(), Vec::new()];
            self.runtime.block_on(async {
                for turn in 0..20_000_u32 {
                    for (decide, took) in [&ours, &pair].into_iter().zip(&mut took) {
                        let started = Instant::now();
                        decide(turn.wrapping_mul(7_919) % keys).await;
                        took.push(started.elapsed().as_nanos() as f64);
                    }
                }
            });
            let [ours, pair] = took.map(|took| median(took[2_000..].to_vec()));
            let against = Some(("a bare pipelined pair", ours / pair));
            figures.add(&format!("alone, {name}: p50"), ours, "ns", against);
        }
    }

    /// What a key takes, as Redis says.
    fn memory(&self, figures: &mut Figures) {
        let limits = self.limits();
        let large = Quota::new(1_000_000, Duration::from_secs(600));
        for segments in [16, 32, 60] {
            for (limit, quota) in [
                ("16,000", MANY.segments(segments)),
                ("1,000,000", large.segments(segments)),
            ] {
                let key = format!("memory-{segments}-{}", quota.limit());
                let hits = [Hit::new(key.as_bytes(), quota, 1)];
                self.runtime.block_on(async {
                    if let Reply::Wait(reply) = limits.hit(&hits, SystemTime::now()) {
                        reply.await.expect("an answer");
                    }
                });
                let names = self.server.ask(&["KEYS", &format!("*{key}*")]);
                let of_key = |line: &&str| line.contains(&format!("{{{key}}}"));
                let name = names.lines().find(of_key).unwrap_or_default();
                let bytes = self.server.ask(&["MEMORY", "USAGE", name]);
                let bytes: f64 = bytes
                    .trim()
                    .trim_start_matches(':')
                    .parse()
                    .unwrap_or(f64::NAN);
                figures.add(
                    &format!("a key, N = {segments}, limit {limit}"),
                    bytes,
                    "bytes",
                    None,
                );
            }
        }
    }
}
