//! Runs portcullis and its peers at the same work, in turns, and prints one table with ratios.
//!
//! ```console
//! $ cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```
//!
//! A name as an argument (`headers`, `rate_limit`, `rate_limit_redis`, `jwt`, `webhook`) runs only that part.
//! `rate_limit_redis` starts a `redis-server` of its own. The figures also go to
//! `target/figures/peers-<part>.json`.
//!
//! With `--features allocations` it counts the allocations of each instead, which cannot be done in the same run: to
//! count one takes about as long as to make it, and would be measured along with the one that makes fewer.

mod headers;
mod jwt;
mod rate_limit;
mod rate_limit_redis;
#[path = "../../support/redis.rs"]
mod redis_support;
#[path = "../../support/mod.rs"]
mod support;
mod webhook;

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use support::Figures;
#[cfg(not(feature = "allocations"))]
use support::{Contender, Rounds};
use tower::Service;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let parts: [(&str, fn() -> Vec<Table>); 4] = [
        ("headers", headers::tables),
        ("rate_limit", rate_limit::tables),
        ("jwt", jwt::tables),
        ("webhook", webhook::tables),
    ];
    for (name, tables) in parts {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            let mut figures = Figures::new(match name {
                "headers" => "peers-headers",
                "rate_limit" => "peers-rate_limit",
                "webhook" => "peers-webhook",
                _ => "peers-jwt",
            });
            for table in tables() {
                table.run(&mut figures);
            }
            figures.write()?;
        }
    }
    if wanted.is_empty() || wanted.iter().any(|part| part == "rate_limit_redis") {
        rate_limit_redis::measure()?;
    }
    Ok(())
}

/// One piece of work and who does it. The first contender is the bare service, the second portcullis.
struct Table {
    title: &'static str,
    contenders: Vec<(&'static str, Step)>,
}

/// One request through one stack.
type Step = Box<dyn FnMut()>;

impl Table {
    #[cfg(feature = "allocations")]
    fn run(mut self, _: &mut Figures) {
        println!("\n{}", self.title);
        println!("| stack | allocations added |");
        println!("|---|---|");
        let mut bare = None;
        for (name, step) in &mut self.contenders {
            step();
            let count = allocation_counter::measure(step).count_total as i64;
            println!("| {name} | {} |", count - *bare.get_or_insert(count));
        }
    }

    #[cfg(not(feature = "allocations"))]
    fn run(self, figures: &mut Figures) {
        let names: Vec<_> = self.contenders.iter().map(|(name, _)| *name).collect();
        let contenders = self
            .contenders
            .into_iter()
            .map(|(name, step)| Contender::new(name, step));
        let rounds = Rounds::measure(contenders.collect());
        let (bare, ours) = (names[0], names[1]);

        println!("\n{}", self.title);
        println!("| stack | ns | added ns | portcullis adds, of this |");
        println!("|---|---|---|---|");
        for name in &names {
            let median = rounds.median(name);
            let added = median - rounds.median(bare);
            if *name == bare {
                println!("| {name} | {median:.0} | | |");
                continue;
            }
            let ratio = rounds.added_ratio(ours, name, bare);
            println!("| {name} | {median:.0} | {added:.0} | {ratio:.2} |");
            let label = format!("{}: {name}, added", self.title);
            figures.record(
                &label,
                added,
                "ns",
                (*name != ours).then_some((ours, 1.0 / ratio)),
            );
        }
    }
}

/// Calls a service that answers without waiting, and gives the answer away.
fn call_now<S, B, R>(service: &mut S, request: Request<B>) -> Response<R>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: std::fmt::Debug,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut future = pin!(service.call(request));
    // Peers that await inside are ready after a few polls: nothing here waits for anything.
    for _ in 0..64 {
        if let Poll::Ready(response) = future.as_mut().poll(&mut cx) {
            return response.expect("no stack here fails");
        }
    }
    panic!("a stack waits for something");
}
