//! `tollkeeper plugin run`: a tick or a trace through a plugin, and what it reads.

use std::{fs, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tollkeeper_core::plugin::PluginFailure;

use super::{outcome::Played, play::Play, setting::SettingArguments, subject::Subject};
use crate::cli::{Failure, Output, print};

/// Run a plugin on one tick or on a trace, and print its readings.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// File of the component.
    component: PathBuf,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    setting: SettingArguments,
    /// JSON with the ticks that must come out, as `--output json` prints them; what it leaves out may be anything.
    #[arg(long, env = "TOLLKEEPER_EXPECT", value_name = "FILE")]
    expect: Option<PathBuf>,
    /// How to print it.
    #[arg(long, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// JSON with one tick: `{"at": TIME, "state": BASE64, "inputs": [{"input": NAME, "objects": […]}]}`.
    #[arg(long, env = "TOLLKEEPER_INPUT", value_name = "FILE")]
    input: Option<PathBuf>,
    /// JSON lines, each the state of one input from a moment on, as for `simulate --signals`.
    #[arg(long, env = "TOLLKEEPER_TRACE", value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl Run {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let setting = self.setting.read()?;
        let play = match (&self.what.input, &self.what.trace) {
            (Some(path), _) => Play::of_tick(path, &setting)?,
            (None, Some(path)) => Play::of_trace(path, &setting)?,
            (None, None) => return Err(Failure::new("name a tick with --input or a trace with --trace")),
        };
        let subject = Subject::load(&self.component, setting.limits)?;
        subject.validate(&setting.config).map_err(Failure::new)?;
        let played = play.run(&subject, &setting);
        let ticks: Vec<Value> = played.iter().map(Played::json).collect();
        match self.output {
            Output::Json => {
                let manifest = subject.manifest();
                let plugin =
                    json!({ "digest": subject.digest, "name": manifest.name, "version": manifest.version });
                print::json(&json!({ "plugin": plugin, "ticks": ticks }))?;
            }
            Output::Text => print::text(played.iter().map(Played::text).collect::<String>())?,
        }
        if let Some(path) = &self.expect {
            return self.compare(path, &ticks);
        }
        missed(&played)
    }

    fn compare(&self, path: &PathBuf, ticks: &[Value]) -> Result<(), Failure> {
        let file = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("{file}: the expected ticks cannot be read: {error}")))?;
        let expected: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("{file}:{}: {error}", error.line())))?;
        let Some(expected) = expected.get("ticks").and_then(Value::as_array) else {
            return Err(Failure::new(format!(
                "{file}: there is no list `ticks` in it; take the one that --output json prints"
            )));
        };
        if expected.len() != ticks.len() {
            return Err(Failure::new(format!(
                "{file} expects {} ticks, and {} were played",
                expected.len(),
                ticks.len()
            )));
        }
        for (index, (expected, found)) in expected.iter().zip(ticks).enumerate() {
            if let Some((place, expected, found)) = difference("", expected, found) {
                return Err(Failure::new(format!(
                    "{file}: ticks[{index}]{place} is expected to be {expected}, but it is {found}"
                )));
            }
        }
        Ok(())
    }
}

/// A tick without an input that the trace says was missing is as it should be.
fn missed(played: &[Played]) -> Result<(), Failure> {
    let is_wrong = |tick: &&Played| !matches!(tick.outcome, Ok(_) | Err(PluginFailure::MissingInput(_)));
    let all = played.iter().all(|tick| tick.outcome.is_err());
    match played.iter().filter(|tick| all || is_wrong(tick)).count() {
        0 => Ok(()),
        missed => Err(Failure::new(format!("{missed} of {} ticks were missed", played.len()))),
    }
}

/// Where something is found that is not expected. Keys that are not expected are not looked at.
fn difference(place: &str, expected: &Value, found: &Value) -> Option<(String, String, String)> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected.iter().find_map(|(key, value)| {
            difference(&format!("{place}.{key}"), value, found.get(key).unwrap_or(&Value::Null))
        }),
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            expected.iter().zip(found).enumerate().find_map(|(index, (expected, found))| {
                difference(&format!("{place}[{index}]"), expected, found)
            })
        }
        _ if expected == found => None,
        _ => Some((place.to_owned(), expected.to_string(), found.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_expected_is_compared() {
        let found = json!({"readings": [{"gauge": "1.000000", "tags": {}}], "fuel": 7});
        assert_eq!(difference("", &json!({"readings": [{"gauge": "1.000000"}]}), &found), None);
        let (place, expected, found) =
            difference("", &json!({"readings": [{"gauge": "2.000000"}]}), &found).unwrap();
        assert_eq!(
            (place.as_str(), expected.as_str(), found.as_str()),
            (".readings[0].gauge", "\"2.000000\"", "\"1.000000\"")
        );
    }

    #[test]
    fn a_reading_too_many_is_a_difference() {
        let found = json!({"readings": [1, 2]});
        assert!(difference("", &json!({"readings": [1]}), &found).is_some());
        assert!(difference("", &json!({"failure": {}}), &found).is_some());
    }
}
