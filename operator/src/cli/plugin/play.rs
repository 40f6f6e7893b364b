//! Plays a trace or a single tick through a plugin, as the operator would: a tick at every interval, state handed on.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::executor::block_on;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use tollkeeper_core::{
    input::{Input, InputDeclaration, Inputs as _},
    plugin::PluginFailure,
    reading::Measurement,
    trace::Trace,
};

use super::{
    outcome::Played,
    progress,
    setting::Setting,
    subject::{Subject, tick},
};
use crate::cli::{
    Failure,
    simulate::trace::{self, TraceInputs},
};

/// Moments with what the plugin sees at each.
pub(super) struct Play {
    inputs: TraceInputs,
    declared: Vec<InputDeclaration>,
    moments: Vec<Timestamp>,
    /// What the first tick is handed.
    state: Vec<u8>,
}

/// A file with one tick.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TickFile {
    at: Timestamp,
    /// In base64.
    #[serde(default)]
    state: String,
    inputs: Vec<Map<String, Value>>,
}

impl Play {
    /// Every tick of a trace, from its first line to its last.
    pub(super) fn of_trace(path: &Path, setting: &Setting) -> Result<Self, Failure> {
        let names = setting.inputs.as_ref().map(|all| all.iter().map(|input| input.name.clone()).collect());
        let trace = trace::read(path, names.as_ref())?;
        let (first, last) = trace.span();
        let mut moments = Vec::new();
        let mut next = setting.interval.tick_at_or_before(first);
        while next <= last {
            if next >= first {
                moments.push(next);
            }
            next = setting.interval.after(next);
        }
        Self::new(&trace, setting, moments, Vec::new())
    }

    /// The tick of a file.
    pub(super) fn of_tick(path: &Path, setting: &Setting) -> Result<Self, Failure> {
        let file = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("{file}: the tick cannot be read: {error}")))?;
        let tick: TickFile = serde_json::from_str(&text).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or(&reason).to_owned();
            Failure::new(format!(
                "{file}:{}: {reason}; a tick is {{\"at\": TIME, \"inputs\": [{{\"input\": NAME, \"objects\": […]}}]}}",
                error.line()
            ))
        })?;
        let state = STANDARD
            .decode(&tick.state)
            .map_err(|error| Failure::new(format!("{file}: `state` is not base64: {error}")))?;
        let trace = Trace::of_moment(&file.to_string(), tick.at, tick.inputs).map_err(Failure::new)?;
        Self::new(&trace, setting, vec![tick.at], state)
    }

    fn new(
        trace: &Trace,
        setting: &Setting,
        moments: Vec<Timestamp>,
        state: Vec<u8>,
    ) -> Result<Self, Failure> {
        let declared = setting.inputs.clone().unwrap_or_else(|| trace.declarations());
        let inputs = TraceInputs::new(trace, &declared).map_err(Failure::new)?;
        Ok(Self { inputs, declared, moments, state })
    }

    /// What the plugin sees at each moment, in their order.
    pub(super) fn frames(&self) -> impl Iterator<Item = (Timestamp, Vec<Input>)> + '_ {
        self.moments.iter().map(|at| (*at, block_on(self.inputs.collect(&self.declared, &[], *at)).inputs))
    }

    /// Runs every tick.
    pub(super) fn run(&self, subject: &Subject, setting: &Setting) -> Vec<Played> {
        let bar = progress::bar("ticks", self.moments.len());
        let mut state = self.state.clone();
        let mut played = Vec::with_capacity(self.moments.len());
        for (at, inputs) in self.frames() {
            let outcome = measured(subject, setting, at, &state, inputs);
            if let Ok(measured) = &outcome {
                state.clone_from(&measured.state);
            }
            played.push(Played { at, outcome });
            bar.inc(1);
        }
        bar.finish_and_clear();
        played
    }
}

/// Runs one tick, with the state of the one before.
pub(super) fn measured(
    subject: &Subject,
    setting: &Setting,
    at: Timestamp,
    state: &[u8],
    inputs: Vec<Input>,
) -> Result<Measurement, PluginFailure> {
    let measured = subject.measure(tick(setting, at, state), inputs)?;
    known_dimensions(measured, setting)
}

/// The meter refuses a tick with a dimension that the product does not have.
fn known_dimensions(measured: Measurement, setting: &Setting) -> Result<Measurement, PluginFailure> {
    let Some(known) = &setting.dimensions else { return Ok(measured) };
    match measured.readings.iter().find(|reading| !known.contains(&reading.dimension)) {
        Some(stray) => Err(PluginFailure::InvalidOutput(format!(
            "it reports the dimension `{}`, which the product does not have",
            stray.dimension
        ))),
        None => Ok(measured),
    }
}
