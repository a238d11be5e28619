//! Four processes of the example server under full load, two of them with clocks that are 3 seconds ahead.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use portcullis::rate_limit::Quota;
use tokio::runtime::Runtime;

use crate::{
    admissions::{Admission, surely_within, within_by_passing},
    alone,
    clients::{Answers, load},
    is_long,
    redis::RedisServer,
};

const SERVERS: usize = 4;
const LIMIT: usize = 1_000;
/// To each server.
const CONNECTIONS: usize = 16;

/// A process of the example server, stopped when dropped.
struct Server {
    process: Child,
    address: SocketAddr,
    admissions: PathBuf,
}

impl Server {
    fn start(admissions: PathBuf, environment: &[(&str, String)]) -> Self {
        // Test binaries lie in `deps`, beside the folder of the examples.
        let here = env::current_exe().unwrap();
        let folder = here.parent().unwrap().parent().unwrap();
        let binary = folder.join("examples").join("shared_limit");
        let mut process = Command::new(&binary)
            .env("PORT", "0")
            .env("ADMISSIONS", &admissions)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; `cargo test` builds it", binary.display())
            });
        let mut line = String::new();
        // It prints nothing after this line, so nobody needs to go on reading.
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.split("http://").nth(1).unwrap();
        let address = address.split('/').next().unwrap().parse().unwrap();
        Self {
            process,
            address,
            admissions,
        }
    }

    fn admissions(&self) -> Vec<Admission> {
        let written = fs::read_to_string(&self.admissions).unwrap();
        written.lines().map(Admission::parse).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.admissions);
    }
}

/// What the servers have in common.
#[derive(Clone, Copy, Debug)]
enum Sharing {
    Nothing,
    One,
    /// One limit, of which each takes units ahead while half of it is left.
    Ahead,
}

/// What a run showed.
struct Run {
    /// Of each server.
    admissions: Vec<Vec<Admission>>,
    answers: Vec<Answers>,
    span: Duration,
    window: Duration,
}

impl Run {
    fn new(window: Duration, span: Duration, deadline: Duration, sharing: Sharing) -> Self {
        let redis = RedisServer::start();
        let servers: Vec<_> = (0..SERVERS)
            .map(|index| {
                let file = format!("admissions-{}-{index}-{sharing:?}", std::process::id());
                let (prefix, ahead) = match sharing {
                    Sharing::Nothing => (index, 0),
                    Sharing::One => (0, 0),
                    Sharing::Ahead => (0, LIMIT),
                };
                let skew = if index < 2 { 3_000 } else { 0 };
                Server::start(
                    Path::new(env!("CARGO_TARGET_TMPDIR")).join(file),
                    &[
                        ("REDIS_URL", redis.url()),
                        ("KEY_PREFIX", format!("{prefix}:")),
                        ("LIMIT", LIMIT.to_string()),
                        ("WINDOW_MS", window.as_millis().to_string()),
                        ("DEADLINE_MS", deadline.as_millis().to_string()),
                        ("CLOCK_SKEW_MS", skew.to_string()),
                        ("UNITS_AHEAD", ahead.to_string()),
                    ],
                )
            })
            .collect();
        let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
        let answers = Runtime::new()
            .unwrap()
            .block_on(load(&addresses, CONNECTIONS, span));
        redis.assert_every_key_expires();
        Self {
            admissions: servers.iter().map(Server::admissions).collect(),
            answers,
            span,
            window,
        }
    }

    fn all(&self) -> Vec<Admission> {
        self.admissions.concat()
    }

    /// What was let in for each window of the run, on average.
    fn average(&self) -> f64 {
        let windows = self.span.as_secs_f64() / self.window.as_secs_f64();
        self.all().len() as f64 / windows
    }

    fn tell(&self) {
        let all = self.all();
        let mut took: Vec<_> = all
            .iter()
            .map(|one| (one.passed - one.came) / 1_000)
            .collect();
        took.sort_unstable();
        let took = |share: usize| took[(took.len() - 1) * share / 100];
        let requests: u64 = self.answers.iter().map(Answers::all).sum();
        let unanswerable: u64 = self.answers.iter().map(|one| one.unanswerable).sum();
        eprintln!(
            "{} s, window {} s, limit {LIMIT}: {requests} requests, {} let in, {unanswerable} answered 503\n\
             \x20 a window surely held {} at most ({} by the time of passing), {:.1} on average\n\
             \x20 let in by each server: {:?}; us from coming to passing: p50 {}, p99 {}, most {}",
            self.span.as_secs_f64(),
            self.window.as_secs_f64(),
            all.len(),
            surely_within(&all, self.window),
            within_by_passing(&all, self.window),
            self.average(),
            self.admissions.iter().map(Vec::len).collect::<Vec<_>>(),
            took(50),
            took(99),
            took(100),
        );
    }
}

#[test]
fn four_processes_under_full_load_share_one_limit() {
    share_one_limit(Sharing::One);
}

#[test]
fn four_processes_that_take_units_ahead_share_one_limit() {
    share_one_limit(Sharing::Ahead);
}

fn share_one_limit(sharing: Sharing) {
    let _alone = alone();
    let run = if is_long() {
        let deadline = Duration::from_millis(50);
        Run::new(
            Duration::from_secs(10),
            Duration::from_secs(60),
            deadline,
            sharing,
        )
    } else {
        // A machine that does other things besides may leave Redis without its turn for longer than 50 ms.
        let deadline = Duration::from_secs(5);
        Run::new(
            Duration::from_secs(2),
            Duration::from_secs(12),
            deadline,
            sharing,
        )
    };
    run.tell();
    for (server, answers) in run.answers.iter().enumerate() {
        // Every second somebody asked and was refused: there was demand.
        let seconds = usize::try_from(run.span.as_secs()).unwrap();
        assert!(answers.refused.len() >= seconds);
        let idle = answers.refused[..seconds].contains(&0);
        assert!(!idle, "server {server}: {:?}", answers.refused);
        let share = run.admissions[server].len() * SERVERS * 10;
        assert!(share >= run.all().len(), "server {server} starves");
    }
    assert!(surely_within(&run.all(), run.window) <= LIMIT);
    let segments = f64::from(Quota::new(1, run.window).segment_count());
    let least = LIMIT as f64 * segments / (segments + 1.0);
    assert!(run.average() >= least, "{} on average", run.average());
}

/// That the test above can fail: it sees processes that do not share.
#[test]
fn processes_that_share_nothing_are_found_out() {
    let _alone = alone();
    // As long a window as a slow machine needs to let more than the limit in.
    let window = Duration::from_secs(4);
    let run = Run::new(window, window, window, Sharing::Nothing);
    run.tell();
    assert!(surely_within(&run.all(), window) > LIMIT);
}
