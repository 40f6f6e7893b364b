//! What a plugin returns, its manifest and its outcomes: what is taken is what the plugin said, within the limits of the host;
//! what is not is refused in one sentence.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use tollkeeper_core::{identity::DimensionName, quantity::Quantity, reading};
use tollkeeper_fuzz::assert_sentence;

use self::bindings::{
    exports::tollkeeper::meter::describe::Manifest,
    tollkeeper::meter::types::{Counter, Outcome, Reading, Tag, Value},
};

/// Private to the plugin host, which would bring the compiler with it.
#[path = "../../operator/crates/plugin-host/src/output.rs"]
mod output;

#[path = "../../operator/crates/plugin-host/src/limits.rs"]
#[allow(dead_code, unreachable_pub, reason = "the plugin host uses the rest of this file")]
mod limits;

/// What wasmtime makes of `plugins/wit`, as far as a plugin returns it.
mod bindings {
    pub mod exports {
        pub mod tollkeeper {
            pub mod meter {
                pub mod describe {
                    #[derive(Clone)]
                    pub struct Manifest {
                        pub name: String,
                        pub version: String,
                        pub dimensions: Vec<String>,
                        pub inputs: Vec<String>,
                        pub config_schema: String,
                    }
                }
            }
        }
    }
    pub mod tollkeeper {
        pub mod meter {
            pub mod types {
                #[derive(Clone)]
                pub struct Outcome {
                    pub readings: Vec<Reading>,
                    pub state: Vec<u8>,
                }
                #[derive(Clone)]
                pub struct Reading {
                    pub dimension: String,
                    pub value: Value,
                    pub tags: Vec<Tag>,
                }
                #[derive(Clone)]
                pub struct Tag {
                    pub key: String,
                    pub value: String,
                }
                #[derive(Clone)]
                pub enum Value {
                    Counter(Counter),
                    Gauge(String),
                }
                #[derive(Clone)]
                pub struct Counter {
                    pub total: String,
                    pub source: String,
                }
            }
        }
    }
}

fuzz_target!(|text: &str| {
    manifest(text);
    outcome(text);
});

/// Lines: name, version, dimensions and inputs with tabs between them, schema.
fn manifest(text: &str) {
    let mut lines = text.splitn(5, '\n');
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let names = |line: &str| line.split('\t').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let (name, version) = (line(), line());
    let (dimensions, inputs) = (names(&line()), names(&line()));
    let said = Manifest { name, version, dimensions, inputs, config_schema: line() };
    match output::manifest(said.clone()) {
        Ok(taken) => {
            assert_eq!((&taken.name, &taken.version), (&said.name, &said.version));
            assert_eq!((&taken.dimensions, &taken.inputs), (&said.dimensions, &said.inputs));
            assert_eq!(taken.config_schema, said.config_schema);
            assert_sentence(&[taken.name, taken.version].join(" "));
            taken.inputs.iter().for_each(|input| assert_sentence(input));
            assert!(taken.dimensions.iter().all(|dimension| dimension.parse::<DimensionName>().is_ok()));
            assert!(taken.dimensions.len() <= limits::MAX_NAMES && taken.inputs.len() <= limits::MAX_NAMES);
        }
        Err(failure) => assert_sentence(&failure.to_string()),
    }
}

/// The first line is the state, every other one a reading: dimension, amount, source of a counter or nothing, keys and values of
/// tags, with tabs between them.
fn outcome(text: &str) {
    let (state, lines) = text.split_once('\n').unwrap_or_default();
    let readings: Vec<Reading> = lines.lines().map(reading).collect();
    let said = Outcome { readings, state: state.into() };
    match output::outcome(said.clone()) {
        Ok((taken, state)) => {
            assert_eq!((taken.len(), &state), (said.readings.len(), &said.state));
            assert!(taken.len() <= limits::MAX_READINGS && state.len() <= limits::MAX_STATE);
            taken.iter().zip(&said.readings).for_each(|(taken, said)| is_as_said(taken, said));
            let counters = taken.iter().filter_map(|reading| match &reading.value {
                reading::Value::Counter { source, .. } => Some((&reading.dimension, &reading.tags, source)),
                reading::Value::Gauge(_) => None,
            });
            let counters: Vec<_> = counters.collect();
            assert_eq!(counters.iter().collect::<BTreeSet<_>>().len(), counters.len());
        }
        Err(failure) => assert_sentence(&failure.to_string()),
    }
}

fn reading(line: &str) -> Reading {
    let mut fields = line.split('\t').map(str::to_owned);
    let mut field = || fields.next().unwrap_or_default();
    let (dimension, total, source) = (field(), field(), field());
    let value =
        if source.is_empty() { Value::Gauge(total) } else { Value::Counter(Counter { total, source }) };
    let mut tags = Vec::new();
    while let Some(key) = fields.next() {
        tags.push(Tag { key, value: fields.next().unwrap_or_default() });
    }
    Reading { dimension, value, tags }
}

fn is_as_said(taken: &reading::Reading, said: &Reading) {
    assert_eq!(taken.dimension.as_str(), said.dimension);
    let said_tags: BTreeSet<_> = said.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    assert_eq!(taken.tags.iter().collect::<BTreeSet<_>>(), said_tags);
    match (&taken.value, &said.value) {
        (reading::Value::Gauge(taken), Value::Gauge(said)) => is_amount(*taken, said),
        (reading::Value::Counter { total, source }, Value::Counter(said)) => {
            assert_eq!(source, &said.source);
            is_amount(*total, &said.total);
        }
        (taken, _) => panic!("a gauge is no counter: {taken:?}"),
    }
}

/// The same decimal: six places are written, fewer may be said.
fn is_amount(taken: Quantity, said: &str) {
    let (whole, places) = said.split_once('.').unwrap_or((said, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    assert_eq!(taken.to_string(), format!("{whole}.{places:0<6}"));
}
