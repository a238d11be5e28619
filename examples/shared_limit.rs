//! One limit for several processes, counted in Redis: 1,000 requests of an address in 10 seconds, whichever of
//! them it asks.
//!
//! Start `redis-server`, and as many of these as you like, on ports of their own:
//!
//! `PORT=3001 cargo run --example shared_limit --features rate-limit,redis,axum`
//!
//! The environment says the rest: REDIS_URL (`redis://localhost`), KEY_PREFIX (`example:`), LIMIT (1000),
//! WINDOW_MS (10000), DEADLINE_MS (50), UNITS_AHEAD (0). CLOCK_SKEW_MS sets the clock of this process' limiter ahead, which
//! changes nothing: the time is Redis'. ADMISSIONS names a file that gets a line for every request that was
//! let in: when it came and when it had passed, in nanoseconds since 1970.

use std::{
    env,
    error::Error,
    fs::File,
    io::{self, Write},
    net::SocketAddr,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Extension, Router, extract::Request, http::StatusCode, middleware, routing::get};
use portcullis::{
    clock::Clock,
    rate_limit::{Quota, RateLimitLayer, RedisRateLimits},
    store::RedisStore,
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://localhost".to_owned());
    let prefix = env::var("KEY_PREFIX").unwrap_or_else(|_| "example:".to_owned());
    let window = Duration::from_millis(setting("WINDOW_MS", 10_000)?);
    let quota = Quota::new(setting("LIMIT", 1_000)?, window);

    let redis = RedisStore::new(&url)?.key_prefix(&prefix)?;
    let limits = RedisRateLimits::new(redis)
        .deadline(Duration::from_millis(setting("DEADLINE_MS", 50)?))?
        .units_ahead(setting("UNITS_AHEAD", 0)?)
        // Where somebody is to be woken up: once when Redis is away, once when it is back.
        .on_outage(|out| eprintln!("Redis is {}.", if out { "away" } else { "back" }));
    let layer = RateLimitLayer::new(quota)
        .with_store(limits)
        .with_clock(Ahead(Duration::from_millis(setting("CLOCK_SKEW_MS", 0)?)));

    // What stands last is asked first.
    let app = Router::new()
        .route("/", get(hello))
        .layer(layer)
        .layer(middleware::map_request(arrived))
        .layer(Extension(Admissions::open()?));

    let port = setting("PORT", 3_000)?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    println!("200, and 429 when all are used up: curl -i http://{address}/");
    // The limit counts by the peer's address, so the server has to hand it on.
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .await?;
    Ok(())
}

/// What the environment says, or what it is otherwise.
fn setting<T>(name: &str, otherwise: T) -> Result<T, Box<dyn Error>>
where
    T: FromStr<Err: Error + 'static>,
{
    match env::var(name) {
        Ok(value) => Ok(value.parse()?),
        Err(_) => Ok(otherwise),
    }
}

/// A clock that is not right.
#[derive(Debug)]
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> SystemTime {
        SystemTime::now() + self.0
    }
}

/// When a request came, before the limit was asked about it.
#[derive(Clone, Copy)]
struct Arrival(SystemTime);

async fn arrived(mut request: Request) -> Request {
    request.extensions_mut().insert(Arrival(SystemTime::now()));
    request
}

/// Where admissions are written down, if they are.
#[derive(Clone)]
struct Admissions(Option<Arc<File>>);

impl Admissions {
    fn open() -> io::Result<Self> {
        let file = env::var_os("ADMISSIONS").map(File::create).transpose()?;
        Ok(Self(file.map(Arc::new)))
    }

    fn write(&self, came: SystemTime) -> io::Result<()> {
        let Some(file) = &self.0 else {
            return Ok(());
        };
        let nanos = |at: SystemTime| match at.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Ok(since.as_nanos()),
            Err(before) => Err(io::Error::other(before)),
        };
        let line = format!("{} {}\n", nanos(came)?, nanos(SystemTime::now())?);
        // One write a line, so that lines do not mix.
        file.as_ref().write_all(line.as_bytes())
    }
}

/// Only a request that was let in gets here.
async fn hello(
    Extension(Arrival(came)): Extension<Arrival>,
    Extension(admissions): Extension<Admissions>,
) -> Result<&'static str, StatusCode> {
    match admissions.write(came) {
        Ok(()) => Ok("Hello.\n"),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
