//! `tollkeeper plugin bench`: what a plugin costs, against what it may cost.
#![expect(clippy::disallowed_methods, reason = "a bench measures the real time, whatever the clock says")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;
use tollkeeper_core::{input::Input, plugin::PluginFailure, reading::Measurement};
use tollkeeper_plugin_host::{MAX_READINGS, MAX_STATE, fuel_for};

use super::{
    component,
    play::Play,
    progress,
    setting::{Setting, SettingArguments},
    subject::{Subject, tick},
};
use crate::cli::{
    Failure, Output, print,
    render::{Align, table},
    workshop,
};

/// Ticks that are not counted: the first ones touch memory that the later ones find.
const WARM_UP: usize = 20;

/// Measure what a plugin costs: time, fuel and memory of a tick, compilation and loading, against the limits.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// File of the component.
    component: PathBuf,
    #[command(flatten)]
    setting: SettingArguments,
    /// JSON lines, each the state of one input from a moment on. Its ticks are run over and over.
    #[arg(long, env = "TOLLKEEPER_TRACE", value_name = "FILE")]
    trace: PathBuf,
    /// Ticks to run.
    #[arg(long, env = "TOLLKEEPER_TICKS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    ticks: u32,
    /// How to print it.
    #[arg(long, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

/// What was measured, in whole units of each name.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Costs {
    component_bytes: Limited,
    compile_micros: u64,
    load_micros: u64,
    ticks: usize,
    tick_nanos: Spread,
    fuel: Spread,
    memory_bytes: Spread,
    state_bytes: Limited,
    readings: Limited,
}

/// The largest of a kind, and what it may be.
#[derive(Serialize)]
struct Limited {
    max: u64,
    limit: u64,
}

/// How something is spread over ticks, and what it may be.
#[derive(Serialize)]
struct Spread {
    median: u64,
    p99: u64,
    max: u64,
    limit: u64,
}

impl Spread {
    /// Of at least one value.
    fn of(mut values: Vec<u64>, limit: u64) -> Self {
        values.sort_unstable();
        // The smallest value that is not below so many hundredths of all.
        let at = |hundredths: usize| {
            let rank = (values.len() * hundredths).div_ceil(100).max(1) - 1;
            values.get(rank).copied().unwrap_or_default()
        };
        Self { median: at(50), p99: at(99), max: at(100), limit }
    }
}

impl Bench {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let setting = self.setting.read()?;
        let bytes = component::read(&self.component)?;
        // A cache of its own, which has compiled nothing yet.
        let cache = tempfile::tempdir()
            .map_err(|error| Failure::new(format!("there is no folder for temporary files: {error}")))?;
        let host = workshop::host_in(cache.path())?;
        let began = Instant::now();
        let subject = Subject::by(host, &bytes, setting.limits)?.map_err(Failure::new)?;
        let compiled = began.elapsed();
        let loaded = subject.load_again(&workshop::host_in(cache.path())?, &bytes, setting.limits)?;
        let play = Play::of_trace(&self.trace, &setting)?;
        let ticks = usize::try_from(self.ticks).unwrap_or(usize::MAX);
        let runs = run(&subject, &setting, &play, ticks)?;
        let costs = costs(&bytes, compiled, loaded, &runs, &setting);
        match self.output {
            Output::Json => print::json(&costs),
            Output::Text => print::text(costs.text()),
        }
    }
}

/// Ticks of the trace, over and over, each with the state of the one before.
fn run(
    subject: &Subject,
    setting: &Setting,
    play: &Play,
    ticks: usize,
) -> Result<Vec<(Duration, Measurement)>, Failure> {
    let bar = progress::bar("ticks", ticks);
    let frames: Vec<_> = play.frames().collect();
    let mut runs = Vec::with_capacity(ticks);
    let mut state = Vec::new();
    let mut missed: Option<PluginFailure> = None;
    for (at, inputs) in frames.iter().cycle().take((ticks + WARM_UP).saturating_mul(frames.len())) {
        let (took, outcome) = timed(subject, setting, *at, &state, inputs.clone());
        match outcome {
            Ok(measured) => {
                state.clone_from(&measured.state);
                runs.push((took, measured));
                bar.inc(1);
            }
            Err(failure) => missed = Some(failure),
        }
        if runs.len() >= ticks + WARM_UP {
            break;
        }
    }
    bar.finish_and_clear();
    runs.drain(..WARM_UP.min(runs.len()));
    match missed {
        Some(failure) if runs.is_empty() => Err(Failure::new(format!(
            "no tick of the trace can be measured: {}: {failure}",
            failure.reason()
        ))),
        _ => Ok(runs),
    }
}

fn timed(
    subject: &Subject,
    setting: &Setting,
    at: jiff::Timestamp,
    state: &[u8],
    inputs: Vec<Input>,
) -> (Duration, Result<Measurement, PluginFailure>) {
    let tick = tick(setting, at, state);
    let began = Instant::now();
    let outcome = subject.measure(tick, inputs);
    (began.elapsed(), outcome)
}

fn costs(
    bytes: &[u8],
    compiled: Duration,
    loaded: Duration,
    runs: &[(Duration, Measurement)],
    setting: &Setting,
) -> Costs {
    let of = |value: &dyn Fn(&Measurement) -> u64| runs.iter().map(|(_, run)| value(run)).collect::<Vec<_>>();
    let most = |value: &dyn Fn(&Measurement) -> usize| {
        number(runs.iter().map(|(_, run)| value(run)).max().unwrap_or_default())
    };
    let nanos = runs.iter().map(|(took, _)| nanos(*took)).collect();
    let limits = setting.limits;
    Costs {
        component_bytes: Limited { max: number(bytes.len()), limit: limits.component },
        compile_micros: self::nanos(compiled) / 1000,
        load_micros: self::nanos(loaded) / 1000,
        ticks: runs.len(),
        tick_nanos: Spread::of(nanos, self::nanos(limits.time)),
        fuel: Spread::of(of(&|run| run.fuel), fuel_for(limits.time)),
        memory_bytes: Spread::of(of(&|run| run.memory), limits.memory),
        state_bytes: Limited { max: most(&|run| run.state.len()), limit: number(MAX_STATE) },
        readings: Limited { max: most(&|run| run.readings.len()), limit: number(MAX_READINGS) },
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Costs {
    fn text(&self) -> String {
        let spread = |name: &str, spread: &Spread, unit: &dyn Fn(u64) -> String| {
            vec![
                name.to_owned(),
                unit(spread.median),
                unit(spread.p99),
                unit(spread.max),
                unit(spread.limit),
                share(spread.max, spread.limit),
            ]
        };
        let limited = |name: &str, one: &Limited, unit: &dyn Fn(u64) -> String| {
            let none = String::new;
            vec![name.to_owned(), none(), none(), unit(one.max), unit(one.limit), share(one.max, one.limit)]
        };
        let once = |name: &str, micros: u64| {
            let none = String::new;
            vec![name.to_owned(), none(), none(), time(micros.saturating_mul(1000)), none(), none()]
        };
        let plain = |number: u64| number.to_string();
        let heads = [
            ("COST", Align::Left),
            ("MEDIAN", Align::Right),
            ("P99", Align::Right),
            ("MOST", Align::Right),
            ("LIMIT", Align::Right),
            ("USED", Align::Right),
        ];
        let rows = [
            spread("time of a tick", &self.tick_nanos, &time),
            spread("fuel of a tick", &self.fuel, &plain),
            spread("memory of a tick", &self.memory_bytes, &size),
            limited("readings", &self.readings, &plain),
            limited("state", &self.state_bytes, &size),
            limited("component", &self.component_bytes, &size),
            once("compile, once a cluster", self.compile_micros),
            once("load", self.load_micros),
        ];
        format!("{}\nover {} ticks; the limits are those of one call\n", table(&heads, &rows), self.ticks)
    }
}

fn share(used: u64, limit: u64) -> String {
    let thousandths = u128::from(used) * 1000 / u128::from(limit.max(1));
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

fn time(nanos: u64) -> String {
    match nanos {
        0..10_000 => format!("{nanos} ns"),
        10_000..10_000_000 => format!("{} µs", nanos / 1000),
        _ => format!("{} ms", nanos / 1_000_000),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_there() {
        let spread = Spread::of((1..=200).rev().collect(), 1000);
        assert_eq!((spread.median, spread.p99, spread.max), (100, 198, 200));
        let one = Spread::of(vec![7], 1);
        assert_eq!((one.median, one.p99, one.max), (7, 7, 7));
    }

    #[test]
    fn numbers_have_the_unit_that_is_read_best() {
        assert_eq!((time(9_999).as_str(), time(12_345).as_str()), ("9999 ns", "12 µs"));
        assert_eq!((size(512).as_str(), size(64 << 20).as_str()), ("512 B", "64 MiB"));
        assert_eq!(share(1, 8), "12.5 %");
    }
}
