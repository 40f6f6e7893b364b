//! A trace: JSON lines, each the state of one input from a moment on.
//!
//! Traces come from other people's clusters and scripts. Every moment of one lies between [`FIRST`] and [`LAST`], so that
//! hours and months around it can be computed. Numbers are read to the last bit, and JSON is kept as it is written. Whatever
//! is wrong is said with file, line and column, on one line.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{Timestamp, tz::Offset};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny},
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    input::{InputData, InputDeclaration, InputSource, Sample, SampleGroup},
    quote::clip,
    workload::{Labels, Selector},
};

/// A line is at most this long: the largest input, written as JSON.
const MAX_LINE: usize = 64 << 20;

/// Bytes that an error quotes of a trace.
const MAX_REASON: usize = 1_000;

/// The first year that a trace may speak of: before, AWS sold nothing.
pub const FIRST: i16 = 2000;

/// The first year that a trace may not speak of any more.
pub const LAST: i16 = 2200;

/// What is wrong with a trace: file, line, reason.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidTrace {
    /// A line is not one of a trace.
    #[error("{file}:{at}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// The line, and the column where it is known.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing in it.
    #[error(
        "{file}: the trace is empty; write at least one line such as {{\"at\":\"2026-11-01T00:00:00Z\",\"input\":\"nodes\",\"objects\":[]}}"
    )]
    Empty {
        /// The file.
        file: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: Timestamp,
    input: String,
    objects: Option<Vec<Box<RawValue>>>,
    samples: Option<Vec<SampleLine>>,
    scalar: Option<Number>,
    json: Option<Box<RawValue>>,
    missing: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleLine {
    name: String,
    #[serde(default)]
    labels: Labels,
    value: Number,
}

/// A number to the last bit: `serde_json` rounds those of many digits.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let number: Option<f64> = text.get().parse().ok();
        number.filter(|number| number.is_finite()).map(Self).ok_or_else(|| {
            D::Error::custom(format_args!("`{}` is not a number of 64 bits", clip(text.get(), 80)))
        })
    }
}

/// One input from a moment on.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// The moment.
    pub at: Timestamp,
    /// The line that says so, from 1.
    pub line: usize,
    /// The input's name.
    pub input: String,
    /// What it holds.
    pub contents: Contents,
}

/// What a line says about its input.
#[derive(Clone, PartialEq, Debug)]
pub enum Contents {
    /// Kubernetes objects as JSON, before they are reduced to what a product declares.
    Objects(Vec<Arc<str>>),
    /// Anything else, as it is.
    Ready(InputData),
}

/// All states of all inputs, in the order of time.
#[derive(Clone, PartialEq, Debug)]
pub struct Trace {
    file: String,
    states: Vec<State>,
}

impl Trace {
    /// Reads the lines of a trace. `file` is what errors name. `inputs` are the names that the products declare; without them
    /// every name will do.
    pub fn parse(file: &str, text: &str, inputs: Option<&BTreeSet<String>>) -> Result<Self, InvalidTrace> {
        let mut states = Vec::new();
        for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let line = index + 1;
            let state = State::parse(text, line).map_err(|wrong| wrong.in_file(file))?;
            if let Some(known) = inputs.filter(|known| !known.contains(&state.input)) {
                return Err(undeclared(&state, known).in_file(file));
            }
            states.push(state);
        }
        if states.is_empty() {
            return Err(InvalidTrace::Empty { file: file.to_owned() });
        }
        // Stable: of two lines for one moment the later one holds.
        states.sort_by_key(|state| state.at);
        Ok(Self { file: file.to_owned(), states })
    }

    /// All inputs at one moment: what a line says about each, without the line's `at`.
    pub fn of_moment(
        file: &str,
        at: Timestamp,
        inputs: Vec<Map<String, Value>>,
    ) -> Result<Self, InvalidTrace> {
        let mut states = Vec::new();
        for (index, mut input) in inputs.into_iter().enumerate() {
            input.insert("at".to_owned(), Value::from(at.to_string()));
            let state = State::parse(&Value::from(input).to_string(), 1)
                .map_err(|wrong| Wrong { at: format!("inputs[{index}]"), ..wrong }.in_file(file))?;
            states.push(state);
        }
        Ok(Self { file: file.to_owned(), states })
    }

    /// All states, in the order of time.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// What a product would declare that shows its plugin everything in the trace.
    pub fn declarations(&self) -> Vec<InputDeclaration> {
        let mut fields: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for state in &self.states {
            let seen = fields.entry(&state.input).or_default();
            let Contents::Objects(objects) = &state.contents else { continue };
            // What is no object is told when it is read as one.
            let parts = objects.iter().filter_map(|object| serde_json::from_str(object).ok());
            let keys = parts.flat_map(|parts: BTreeMap<String, IgnoredAny>| parts.into_keys());
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
    pub fn span(&self) -> (Timestamp, Timestamp) {
        let first = self.states.first().map_or(Timestamp::UNIX_EPOCH, |state| state.at);
        let last = self.states.last().map_or(first, |state| state.at);
        (first, last)
    }

    /// The same trace, from another moment on.
    pub fn moved_to(mut self, start: Timestamp) -> Self {
        let (first, _) = self.span();
        for state in &mut self.states {
            state.at = start.checked_add(state.at.duration_since(first)).unwrap_or(Timestamp::MAX);
        }
        self
    }

    /// An error at the line of a state.
    pub fn refused(&self, state: &State, reason: &str) -> InvalidTrace {
        Wrong::new(state.line.to_string(), reason).in_file(&self.file)
    }
}

impl State {
    fn parse(text: &str, number: usize) -> Result<Self, Wrong> {
        let wrong = |reason: &str| Wrong::new(number.to_string(), reason);
        if text.len() > MAX_LINE {
            return Err(wrong(&format!("the line is longer than {MAX_LINE} bytes")));
        }
        let line: Line = serde_json::from_str(text).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or(&reason);
            Wrong::new(format!("{number}:{}", error.column()), reason)
        })?;
        if !(FIRST..LAST).contains(&Offset::UTC.to_datetime(line.at).year()) {
            return Err(wrong(&format!(
                "the moment {} is not in the years {FIRST} to {}; correct it",
                line.at,
                LAST - 1
            )));
        }
        let mut contents = [
            line.objects
                .map(|objects| Contents::Objects(objects.iter().map(|object| object.get().into()).collect())),
            line.samples.map(|samples| Contents::Ready(sampled(samples))),
            line.scalar.map(|Number(value)| Contents::Ready(InputData::Scalar(value))),
            line.json.map(|json| Contents::Ready(InputData::Json(json.get().into()))),
            line.missing.map(|why| Contents::Ready(InputData::Unavailable(why))),
        ]
        .into_iter()
        .flatten();
        match (contents.next(), contents.next()) {
            (Some(contents), None) => Ok(Self { at: line.at, line: number, input: line.input, contents }),
            _ => Err(wrong("a line holds exactly one of objects, samples, scalar, json and missing")),
        }
    }
}

/// What is wrong, and where in its file.
struct Wrong {
    at: String,
    reason: String,
}

impl Wrong {
    fn new(at: String, reason: &str) -> Self {
        Self { at, reason: clip(reason, MAX_REASON) }
    }

    fn in_file(self, file: &str) -> InvalidTrace {
        InvalidTrace::Line { file: file.to_owned(), at: self.at, reason: self.reason }
    }
}

fn undeclared(state: &State, known: &BTreeSet<String>) -> Wrong {
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let input = clip(&state.input, 80);
    Wrong::new(
        state.line.to_string(),
        &format!("no product declares the input `{input}`; they declare {}", known.join(", ")),
    )
}

fn sampled(samples: Vec<SampleLine>) -> InputData {
    let samples = samples
        .into_iter()
        .map(|sample| Sample { name: sample.name, labels: sample.labels, value: sample.value.0 })
        .collect();
    InputData::Samples(vec![Arc::new(SampleGroup { origin: None, samples })])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Trace::parse("t.jsonl", text, None).unwrap_err().to_string()
    }

    #[test]
    fn a_line_holds_one_state() {
        let at = r#"{"at":"2026-11-01T00:00:00Z","input":"a""#;
        assert!(refused(&format!("{at}}}")).contains("exactly one"));
        assert!(refused(&format!(r#"{at},"scalar":1,"json":1}}"#)).contains("exactly one"));
        assert!(refused(&format!(r#"{at},"sample":[]}}"#)).contains("unknown field"));
        let yesterday = "\n\n{\"at\":\"yesterday\",\"input\":\"a\",\"scalar\":1}";
        assert!(refused(yesterday).starts_with("t.jsonl:3:17: "), "{}", refused(yesterday));
    }

    #[test]
    fn a_refusal_is_one_short_line_whatever_the_trace_says() {
        let name = format!("forged\\ntollkeeper: all is well{}", "!".repeat(100_000));
        let field = refused(&format!(r#"{{"{name}":1}}"#));
        assert!(field.starts_with("t.jsonl:1:") && field.len() < 1_100, "{field}");
        let line = format!(r#"{{"at":"2026-11-01T00:00:00Z","input":"{name}","scalar":1}}"#);
        let known = BTreeSet::from(["pods".to_owned()]);
        let input = Trace::parse("t.jsonl", &line, Some(&known)).unwrap_err().to_string();
        assert!(input.ends_with("…`; they declare pods"), "{input}");
        assert!(![field, input].iter().any(|text| text.contains(char::is_control)));
    }

    #[test]
    fn hours_around_every_moment_of_a_trace_can_be_computed() {
        for at in [
            "9999-12-30T22:00:00Z",
            "2200-01-01T00:00:00Z",
            "1999-12-31T23:59:59Z",
            "-009999-01-02T02:00:00Z",
        ] {
            let refusal = refused(&format!(r#"{{"at":"{at}","input":"a","scalar":1}}"#));
            assert_eq!(
                refusal,
                format!("t.jsonl:1: the moment {at} is not in the years 2000 to 2199; correct it")
            );
        }
    }

    #[test]
    fn a_number_is_read_to_the_last_bit_and_json_as_it_is_written() {
        let read = |contents: &str| {
            let line = format!(r#"{{"at":"2026-11-01T00:00:00Z","input":"a",{contents}}}"#);
            Trace::parse("t.jsonl", &line, None).map(|trace| trace.states[0].contents.clone())
        };
        let number = "0.000000000000000000000000001234567890123456789";
        let scalar = read(&format!(r#""scalar":{number}"#)).unwrap();
        assert_eq!(scalar, Contents::Ready(InputData::Scalar(number.parse().unwrap())));
        assert_eq!(
            read(r#""objects":[{"z": 1e2}]"#).unwrap(),
            Contents::Objects(vec![r#"{"z": 1e2}"#.into()])
        );
        assert_eq!(read(r#""json":[1.50]"#).unwrap(), Contents::Ready(InputData::Json("[1.50]".into())));
        for wrong in ["1e999", "\"1\"", "true", "[]"] {
            let refusal = read(&format!(r#""scalar":{wrong}"#)).unwrap_err().to_string();
            assert!(refusal.contains(&format!("`{wrong}` is not a number of 64 bits")), "{refusal}");
        }
    }

    #[test]
    fn of_two_lines_for_one_moment_the_later_one_comes_later() {
        let line = |hour: u8, value: u8| {
            format!("{{\"at\":\"2026-11-01T0{hour}:00:00Z\",\"input\":\"a\",\"scalar\":{value}}}\n")
        };
        let trace = Trace::parse("t.jsonl", &[line(2, 1), line(1, 2), line(1, 3)].concat(), None).unwrap();
        let lines: Vec<_> = trace.states().iter().map(|state| state.line).collect();
        assert_eq!(lines, [2, 3, 1]);
    }
}
