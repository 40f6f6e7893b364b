//! What a plugin made of a tick, as people and tools read it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use tollkeeper_core::{
    plugin::PluginFailure,
    reading::{LogLevel, LogLine, Measurement, Reading, Value},
};

/// A tick that was played.
pub(super) struct Played {
    pub(super) at: Timestamp,
    pub(super) outcome: Result<Measurement, PluginFailure>,
}

impl Played {
    /// As `--output json` prints it.
    pub(super) fn json(&self) -> Json {
        match &self.outcome {
            Ok(measured) => json!({
                "at": self.at,
                "readings": measured.readings.iter().map(reading).collect::<Vec<_>>(),
                "stateBytes": measured.state.len(),
                "log": measured.log.iter().map(logged).collect::<Vec<_>>(),
                "fuel": measured.fuel,
                "memoryBytes": measured.memory,
            }),
            Err(failure) => json!({
                "at": self.at,
                "failure": failed(failure),
            }),
        }
    }

    /// All that has to be the same when the tick is played again: readings, every byte of the state, the log; or the failure.
    pub(super) fn exact(&self) -> Json {
        match &self.outcome {
            Ok(measured) => json!({
                "readings": measured.readings.iter().map(reading).collect::<Vec<_>>(),
                "state": STANDARD.encode(&measured.state),
                "log": measured.log.iter().map(logged).collect::<Vec<_>>(),
            }),
            Err(failure) => json!({ "failure": failed(failure) }),
        }
    }

    /// What of it is billed: the readings, or why there are none. A redaction may change the rest, and not this.
    pub(super) fn billed(&self) -> Json {
        match &self.outcome {
            Ok(measured) => json!({ "readings": measured.readings.iter().map(reading).collect::<Vec<_>>() }),
            Err(failure) => json!({ "failure": failure.reason() }),
        }
    }

    /// A line for each reading, failure and line of the log.
    pub(super) fn text(&self) -> String {
        let lines: Vec<String> = match &self.outcome {
            Ok(measured) => {
                let log = measured.log.iter().map(|line| format!("{}: {}", level(line.level), line.message));
                let readings = measured.readings.iter().map(line);
                let all: Vec<_> = log.chain(readings).collect();
                if all.is_empty() { vec!["no readings: all usage has ended".to_owned()] } else { all }
            }
            Err(failure) => vec![format!("missed: {}: {failure}", failure.reason())],
        };
        lines.iter().map(|line| format!("{}  {line}\n", self.at)).collect()
    }
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

fn logged(line: &LogLine) -> Json {
    json!({ "level": level(line.level), "message": line.message })
}

fn failed(failure: &PluginFailure) -> Json {
    json!({ "reason": failure.reason(), "message": failure.to_string() })
}

fn reading(reading: &Reading) -> Json {
    match &reading.value {
        Value::Gauge(amount) => {
            json!({ "dimension": reading.dimension, "gauge": amount, "tags": reading.tags })
        }
        Value::Counter { total, source } => {
            json!({ "dimension": reading.dimension, "counter": total, "source": source, "tags": reading.tags })
        }
    }
}

fn line(reading: &Reading) -> String {
    let tags = if reading.tags.is_empty() { String::new() } else { format!(" {{{}}}", reading.tags) };
    match &reading.value {
        Value::Gauge(amount) => format!("{} = {amount}{tags}", reading.dimension),
        Value::Counter { total, source } => format!("{} total {total} of {source}{tags}", reading.dimension),
    }
}
