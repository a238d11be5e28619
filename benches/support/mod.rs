//! Interleaved measurement: what is compared runs in turns, in one process, so that a slow phase of the
//! machine falls on all of it alike.
//!
//! Each round gives every contender one slice of about two milliseconds, in an order that moves on by one
//! with each round. A figure is the median over the rounds; a ratio is the median of the rounds' own
//! ratios, which a change of the machine's speed between rounds does not touch.

#![allow(dead_code, reason = "each bench uses the part it needs")]

use std::{
    fs, io,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How long one slice of a round lasts.
const SLICE: Duration = Duration::from_millis(2);
/// How many rounds there are; odd, so that the median is one of them.
const ROUNDS: usize = 151;

/// Something to be measured: runs so many iterations and says how long they took.
pub(crate) struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut(u64) -> Duration + 'a>,
}

impl<'a> Contender<'a> {
    /// A contender that is called once an iteration.
    pub(crate) fn new<T>(name: &'static str, mut step: impl FnMut() -> T + 'a) -> Self {
        Self::timed(name, move |iterations| {
            let start = Instant::now();
            for _ in 0..iterations {
                std::hint::black_box(step());
            }
            start.elapsed()
        })
    }

    /// A contender that times its iterations itself.
    pub(crate) fn timed(name: &'static str, run: impl FnMut(u64) -> Duration + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }
}

/// What a run has measured, to be written to `target/figures/<bench>.json`.
pub(crate) struct Figures {
    bench: &'static str,
    rows: Vec<Value>,
}

/// The nanoseconds an iteration took, for each contender and round.
pub(crate) struct Rounds {
    names: Vec<&'static str>,
    nanos: Vec<Vec<f64>>,
}

impl Rounds {
    /// Measures the contenders in turns.
    pub(crate) fn measure(mut contenders: Vec<Contender<'_>>) -> Self {
        let iterations: Vec<u64> = contenders.iter_mut().map(calibrate).collect();
        let mut nanos = vec![Vec::with_capacity(ROUNDS); contenders.len()];
        for round in 0..ROUNDS {
            for turn in 0..contenders.len() {
                let index = (round + turn) % contenders.len();
                let took = (contenders[index].run)(iterations[index]);
                nanos[index].push(took.as_nanos() as f64 / iterations[index] as f64);
            }
        }
        Self {
            names: contenders.iter().map(|contender| contender.name).collect(),
            nanos,
        }
    }

    /// The median of a contender, in nanoseconds an iteration.
    pub(crate) fn median(&self, name: &str) -> f64 {
        median(self.of(name).to_vec())
    }

    /// The median of the rounds' ratios of one contender to another.
    pub(crate) fn ratio(&self, name: &str, against: &str) -> f64 {
        let pairs = self.of(name).iter().zip(self.of(against));
        median(pairs.map(|(one, other)| one / other).collect())
    }

    /// The ratio of what two contenders add to a base.
    pub(crate) fn added_ratio(&self, name: &str, against: &str, base: &str) -> f64 {
        let pairs = self
            .of(name)
            .iter()
            .zip(self.of(against))
            .zip(self.of(base));
        median(
            pairs
                .map(|((one, other), base)| (one - base) / (other - base))
                .collect(),
        )
    }

    fn of(&self, name: &str) -> &[f64] {
        let index = self.names.iter().position(|known| *known == name);
        &self.nanos[index.unwrap_or_else(|| panic!("no contender is called {name}"))]
    }
}

impl Figures {
    /// Nothing measured yet.
    pub(crate) fn new(bench: &'static str) -> Self {
        Self {
            bench,
            rows: Vec::new(),
        }
    }

    /// Adds a row and prints it.
    pub(crate) fn add(&mut self, name: &str, value: f64, unit: &str, against: Option<(&str, f64)>) {
        match against {
            Some((other, ratio)) => println!("{name}: {value:.1} {unit}, {ratio:.3} of {other}"),
            None => println!("{name}: {value:.1} {unit}"),
        }
        self.record(name, value, unit, against);
    }

    /// Adds a row.
    pub(crate) fn record(
        &mut self,
        name: &str,
        value: f64,
        unit: &str,
        against: Option<(&str, f64)>,
    ) {
        let (against, ratio) = against.unzip();
        let row =
            json!({"name": name, "value": value, "unit": unit, "against": against, "ratio": ratio});
        self.rows.push(row);
    }

    /// Adds a contender's median, and its ratio to another.
    pub(crate) fn add_median(
        &mut self,
        rounds: &Rounds,
        name: &'static str,
        against: Option<&'static str>,
    ) {
        let against = against.map(|other| (other, rounds.ratio(name, other)));
        self.add(name, rounds.median(name), "ns", against);
    }

    /// Writes `target/figures/<bench>.json`.
    pub(crate) fn write(&self) -> io::Result<()> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target")),
            PathBuf::from,
        );
        let folder = target.join("figures");
        fs::create_dir_all(&folder)?;
        let text = serde_json::to_string_pretty(&self.rows)?;
        fs::write(folder.join(format!("{}.json", self.bench)), text + "\n")
    }
}

/// How many iterations fill a slice; running them warms the contender up.
fn calibrate(contender: &mut Contender<'_>) -> u64 {
    let mut iterations = 1;
    loop {
        let took = (contender.run)(iterations);
        if took >= SLICE {
            return iterations;
        }
        let missing = SLICE.as_nanos() as f64 / (took.as_nanos().max(1)) as f64;
        iterations = (iterations as f64 * missing.clamp(1.1, 10.0)).ceil() as u64;
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
