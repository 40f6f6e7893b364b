//! Runs seeds, or one seed or schedule in detail. `make chaos SEEDS=1000000` is this in a release build.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people")]
#![allow(clippy::disallowed_methods, reason = "it says how long a real run took")]

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use clap::Parser;
use tollkeeper_chaos::{mutant::Mutant, run::run, schedule::Schedule, shrink::shrink, table::Table};

/// Run the production code of metering and settling through seeded schedules of faults.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One seed, event by event.
    #[arg(long, conflicts_with = "schedule")]
    seed: Option<u64>,
    /// A schedule from a file, event by event.
    #[arg(long)]
    schedule: Option<PathBuf>,
    /// Hours of workload in each run, with a fault a day, instead of two to five with up to six faults.
    #[arg(long, conflicts_with = "schedule")]
    hours: Option<u32>,
    /// Put a defect back.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: u64,
}

impl Arguments {
    fn schedule_of(&self, seed: u64) -> Schedule {
        self.hours.map_or_else(|| Schedule::of(seed), |hours| Schedule::lasting(hours, seed))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let one = match (&arguments.seed, &arguments.schedule) {
        (Some(seed), _) => Some(arguments.schedule_of(*seed)),
        (None, Some(path)) => match read(path) {
            Ok(schedule) => Some(schedule),
            Err(problem) => {
                eprintln!("{}: {problem}", path.display());
                return ExitCode::FAILURE;
            }
        },
        (None, None) => None,
    };
    match one {
        Some(schedule) => show(&schedule, arguments.mutant),
        None => sweep(&arguments),
    }
}

fn read(path: &PathBuf) -> Result<Schedule, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_yaml::from_str(&text).map_err(|error| error.to_string())
}

/// One run, event by event.
fn show(schedule: &Schedule, mutant: Option<Mutant>) -> ExitCode {
    let verdict = run(schedule, mutant, true);
    println!("{schedule:#?}");
    verdict.trace.iter().for_each(|line| println!("{line}"));
    verdict.violations.iter().for_each(|violation| println!("VIOLATION {violation}"));
    if verdict.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Many runs; the first that breaks something is shrunk.
fn sweep(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.seeds);
    let worker = || {
        let (mut table, mut broken) = (Table::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return (table, broken);
            }
            let verdict = run(&arguments.schedule_of(seed), arguments.mutant, false);
            table.add(&verdict);
            if let Some(first) = verdict.violations.first() {
                broken.push((seed, first.clone()));
            }
        }
    };
    let (table, mut broken) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.threads.max(1)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).fold(
            (Table::default(), Vec::new()),
            |(mut table, mut broken), (more, others)| {
                table.merge(&more);
                broken.extend(others);
                (table, broken)
            },
        )
    });
    println!("{table}, {:.1} s", started.elapsed().as_secs_f64());
    broken.sort();
    println!("{} seeds broke an invariant", broken.len());
    broken.iter().take(40).for_each(|(seed, violation)| println!("seed {seed}: {violation}"));
    let Some((seed, _)) = broken.first() else { return ExitCode::SUCCESS };
    let small = shrink(&arguments.schedule_of(*seed), arguments.mutant);
    println!("the first of them, shrunk:\n{}", serde_yaml::to_string(&small).unwrap_or_default());
    ExitCode::FAILURE
}
