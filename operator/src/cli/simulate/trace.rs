//! A trace: JSON lines, each the state of one input from a moment on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use tollkeeper_controller::collect::object_from_json;
use tollkeeper_core::{
    input::{Collected, Input, InputData, InputDeclaration, InputSource, Inputs, Sample, SampleGroup},
    workload::{Labels, Selector},
};

/// A line is at most this long: the largest input, written as JSON.
const MAX_LINE: usize = 64 << 20;

/// What is wrong with a trace: file, line, reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    #[error("{file}: the trace cannot be read: {reason}")]
    Unreadable { file: String, reason: String },
    /// `at` is the line, and the column where it is known.
    #[error("{file}:{at}: {reason}")]
    Line { file: String, at: String, reason: String },
    #[error(
        "{file}: the trace is empty; write at least one line such as {{\"at\":\"2026-11-01T00:00:00Z\",\"input\":\"nodes\",\"objects\":[]}}"
    )]
    Empty { file: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: Timestamp,
    input: String,
    objects: Option<Vec<Value>>,
    samples: Option<Vec<SampleLine>>,
    scalar: Option<f64>,
    json: Option<Value>,
    missing: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleLine {
    name: String,
    #[serde(default)]
    labels: Labels,
    value: f64,
}

/// What a line says about its input, before it is reduced to what a product declares.
enum State {
    Objects(Vec<(usize, Value)>),
    Ready(InputData),
}

/// All states of all inputs, in order.
pub(crate) struct Trace {
    file: String,
    states: Vec<(Timestamp, usize, String, State)>,
}

impl Trace {
    /// Reads a trace. `inputs` are the names that the products declare; without them every name will do.
    pub(crate) fn read(path: &Path, inputs: Option<&BTreeSet<String>>) -> Result<Self, TraceError> {
        let file = path.display().to_string();
        let unreadable =
            |error: std::io::Error| TraceError::Unreadable { file: file.clone(), reason: error.to_string() };
        let mut states = Vec::new();
        for (index, text) in BufReader::new(File::open(path).map_err(unreadable)?).lines().enumerate() {
            let text = text.map_err(unreadable)?;
            if text.trim().is_empty() {
                continue;
            }
            let refused = |at: String, reason: String| TraceError::Line { file: file.clone(), at, reason };
            let line = index + 1;
            let (at, input, state) = parse(&text, line).map_err(|(at, reason)| refused(at, reason))?;
            if let Some(inputs) = inputs.filter(|inputs| !inputs.contains(&input)) {
                let known: Vec<_> = inputs.iter().map(String::as_str).collect();
                return Err(refused(
                    line.to_string(),
                    format!("no product declares the input `{input}`; they declare {}", known.join(", ")),
                ));
            }
            states.push((at, line, input, state));
        }
        if states.is_empty() {
            return Err(TraceError::Empty { file });
        }
        // Stable: of two lines for one moment the later one holds.
        states.sort_by_key(|(at, ..)| *at);
        Ok(Self { file, states })
    }

    /// All inputs at one moment: what a line says about each, without the line's `at`.
    pub(crate) fn of_moment(
        path: &Path,
        at: Timestamp,
        inputs: Vec<Map<String, Value>>,
    ) -> Result<Self, TraceError> {
        let file = path.display().to_string();
        let mut states = Vec::new();
        for (index, mut input) in inputs.into_iter().enumerate() {
            input.insert("at".to_owned(), Value::from(at.to_string()));
            let (at, name, state) = parse(&Value::from(input).to_string(), 1).map_err(|(_, reason)| {
                TraceError::Line { file: file.clone(), at: format!("inputs[{index}]"), reason }
            })?;
            states.push((at, 1, name, state));
        }
        Ok(Self { file, states })
    }

    /// What a product would declare that shows its plugin everything in the trace.
    pub(crate) fn declarations(&self) -> Vec<InputDeclaration> {
        let mut fields: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (_, _, input, state) in &self.states {
            let seen = fields.entry(input).or_default();
            let State::Objects(objects) = state else { continue };
            let keys = objects.iter().filter_map(|(_, object)| object.as_object()).flat_map(Map::keys);
            // Dots that belong to a key are written so in a field.
            seen.extend(
                keys.filter(|key| !["apiVersion", "kind", "metadata"].contains(&key.as_str()))
                    .map(|key| key.replace('.', "\\.")),
            );
        }
        let declare = |(name, fields): (&str, BTreeSet<String>)| InputDeclaration {
            name: name.to_owned(),
            source: InputSource::Objects {
                api_version: String::new(),
                kind: String::new(),
                selector: Selector::default(),
                fields: fields.into_iter().collect(),
            },
        };
        fields.into_iter().map(declare).collect()
    }

    /// The first and the last moment.
    pub(crate) fn span(&self) -> (Timestamp, Timestamp) {
        let first = self.states.first().map_or(Timestamp::UNIX_EPOCH, |(at, ..)| *at);
        let last = self.states.last().map_or(first, |(at, ..)| *at);
        (first, last)
    }

    /// The same trace, from another moment on.
    pub(crate) fn moved_to(mut self, start: Timestamp) -> Self {
        let (first, _) = self.span();
        for (at, ..) in &mut self.states {
            *at = start.checked_add(at.duration_since(first)).unwrap_or(Timestamp::MAX);
        }
        self
    }

    /// The trace as one product sees it.
    pub(crate) fn inputs(&self, declared: &[InputDeclaration]) -> Result<TraceInputs, TraceError> {
        let mut by_input: BTreeMap<String, Vec<(Timestamp, InputData)>> = BTreeMap::new();
        for declaration in declared {
            let states = self.states.iter().filter(|(_, _, input, _)| *input == declaration.name);
            for (at, line, _, state) in states {
                let data = reduced(declaration, state).map_err(|reason| TraceError::Line {
                    file: self.file.clone(),
                    at: line.to_string(),
                    reason,
                })?;
                by_input.entry(declaration.name.clone()).or_default().push((*at, data));
            }
        }
        Ok(TraceInputs { by_input })
    }
}

/// One line, or where it is wrong and why.
fn parse(text: &str, number: usize) -> Result<(Timestamp, String, State), (String, String)> {
    if text.len() > MAX_LINE {
        return Err((number.to_string(), format!("the line is longer than {MAX_LINE} bytes")));
    }
    let line: Line = serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or(&reason).to_owned();
        (format!("{number}:{}", error.column()), reason)
    })?;
    let mut states = [
        line.objects
            .map(|objects| State::Objects(objects.into_iter().map(|object| (number, object)).collect())),
        line.samples.map(|samples| State::Ready(sampled(samples))),
        line.scalar.map(|value| State::Ready(InputData::Scalar(value))),
        line.json.map(|json| State::Ready(InputData::Json(json.to_string().into()))),
        line.missing.map(|why| State::Ready(InputData::Unavailable(why))),
    ]
    .into_iter()
    .flatten();
    match (states.next(), states.next()) {
        (Some(state), None) => Ok((line.at, line.input, state)),
        _ => Err((
            number.to_string(),
            "a line holds exactly one of objects, samples, scalar, json and missing".to_owned(),
        )),
    }
}

fn sampled(samples: Vec<SampleLine>) -> InputData {
    let samples = samples
        .into_iter()
        .map(|sample| Sample { name: sample.name, labels: sample.labels, value: sample.value })
        .collect();
    InputData::Samples(vec![Arc::new(SampleGroup { origin: None, samples })])
}

fn reduced(declaration: &InputDeclaration, state: &State) -> Result<InputData, String> {
    match (state, &declaration.source) {
        (State::Objects(objects), InputSource::Objects { selector, fields, .. }) => {
            let objects = objects
                .iter()
                .map(|(_, object)| object_from_json(object, fields).map(Arc::new))
                .filter(|object| object.as_ref().map_or(true, |object| selector.matches(&object.labels)))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(InputData::Objects(objects))
        }
        (State::Objects(_), _) => {
            Err(format!("the input `{}` does not hold Kubernetes objects", declaration.name))
        }
        (State::Ready(data), _) => Ok(data.clone()),
    }
}

/// A product's inputs, read from a trace.
pub(crate) struct TraceInputs {
    by_input: BTreeMap<String, Vec<(Timestamp, InputData)>>,
}

impl TraceInputs {
    fn at(&self, name: &str, at: Timestamp) -> InputData {
        let Some(states) = self.by_input.get(name) else {
            return InputData::Unavailable("the trace never says anything about it".to_owned());
        };
        let place = states.partition_point(|(from, _)| *from <= at);
        match place.checked_sub(1).and_then(|current| states.get(current)) {
            Some((_, data)) => data.clone(),
            None => InputData::Unavailable(format!("the trace says nothing about it before {at}")),
        }
    }
}

#[async_trait]
impl Inputs for TraceInputs {
    async fn collect(&self, declared: &[InputDeclaration], _: &[String], at: Timestamp) -> Collected {
        let inputs = declared
            .iter()
            .map(|declaration| Input { name: declaration.name.clone(), data: self.at(&declaration.name, at) })
            .collect();
        Collected { inputs, problems: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_one_state() {
        let reason = |text: &str| parse(text, 1).err().unwrap().1;
        assert!(reason(r#"{"at":"2026-11-01T00:00:00Z","input":"a"}"#).contains("exactly one"));
        assert!(
            reason(r#"{"at":"2026-11-01T00:00:00Z","input":"a","scalar":1,"json":1}"#)
                .contains("exactly one")
        );
        assert_eq!(parse(r#"{"at":"yesterday","input":"a","scalar":1}"#, 7).err().unwrap().0, "7:17");
        assert!(reason(r#"{"at":"2026-11-01T00:00:00Z","input":"a","sample":[]}"#).contains("unknown field"));
    }
}
