//! What a guest returned, checked into the core's types. A wrong reading is named by its index and dimension.

use std::collections::BTreeSet;

use tollkeeper_core::{
    identity::DimensionName,
    plugin::{Manifest, PluginFailure},
    quantity::Quantity,
    quote::clip,
    reading::{Reading, Value},
    tags::TagSet,
};

use crate::{
    bindings::{exports::tollkeeper::meter::describe, tollkeeper::meter::types},
    limits::{MAX_NAMES, MAX_READINGS, MAX_SCHEMA, MAX_SOURCE, MAX_STATE},
};

/// The readings and the state of an outcome.
pub(crate) fn outcome(outcome: types::Outcome) -> Result<(Vec<Reading>, Vec<u8>), PluginFailure> {
    if outcome.readings.len() > MAX_READINGS {
        return Err(PluginFailure::TooLarge(format!(
            "it returned {} readings, more than {MAX_READINGS}",
            outcome.readings.len()
        )));
    }
    if outcome.state.len() > MAX_STATE {
        return Err(PluginFailure::TooLarge(format!(
            "it returned {} bytes of state, more than {MAX_STATE}",
            outcome.state.len()
        )));
    }
    let readings = outcome
        .readings
        .into_iter()
        .enumerate()
        .map(|(index, raw)| {
            let dimension = clip(&raw.dimension, 80);
            reading(raw).map_err(|why| {
                PluginFailure::InvalidOutput(format!("reading {index} (`{dimension}`): {}", clip(&why, 400)))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    check_sources(&readings)?;
    Ok((readings, outcome.state))
}

fn reading(raw: types::Reading) -> Result<Reading, String> {
    let dimension: DimensionName = raw.dimension.parse().map_err(text)?;
    let value = match raw.value {
        types::Value::Gauge(value) => Value::Gauge(Quantity::from_reported(&value).map_err(text)?),
        types::Value::Counter(counter) => {
            if counter.source.len() > MAX_SOURCE {
                let length = counter.source.len();
                return Err(format!("its source has {length} bytes, more than {MAX_SOURCE}"));
            }
            Value::Counter {
                total: Quantity::from_reported(&counter.total).map_err(text)?,
                source: counter.source,
            }
        }
    };
    let tags = TagSet::new(raw.tags.into_iter().map(|tag| (tag.key, tag.value))).map_err(text)?;
    Ok(Reading { dimension, value, tags })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Gauges of one dimension and tag set are added; two totals of one counter would contradict each other.
fn check_sources(readings: &[Reading]) -> Result<(), PluginFailure> {
    let mut seen = BTreeSet::new();
    for (index, reading) in readings.iter().enumerate() {
        let Value::Counter { source, .. } = &reading.value else { continue };
        if !seen.insert((&reading.dimension, &reading.tags, source)) {
            return Err(PluginFailure::InvalidOutput(format!(
                "reading {index} (`{}`): the source `{}` is there twice with the same tags",
                reading.dimension,
                clip(source, 80)
            )));
        }
    }
    Ok(())
}

/// A manifest whose names are usable.
pub(crate) fn manifest(raw: describe::Manifest) -> Result<Manifest, PluginFailure> {
    let invalid = |why: String| PluginFailure::InvalidOutput(format!("the manifest: {why}"));
    for (what, text) in [("name", &raw.name), ("version", &raw.version)] {
        if !(1..=100).contains(&text.len()) || text.chars().any(char::is_control) {
            return Err(invalid(format!("its {what} does not have 1 to 100 printable characters")));
        }
    }
    for (what, names) in [("dimensions", &raw.dimensions), ("inputs", &raw.inputs)] {
        if names.len() > MAX_NAMES {
            return Err(invalid(format!("it names {} {what}, more than {MAX_NAMES}", names.len())));
        }
    }
    for dimension in &raw.dimensions {
        dimension.parse::<DimensionName>().map_err(|error| invalid(clip(&error.to_string(), 400)))?;
    }
    if let Some(input) = raw
        .inputs
        .iter()
        .find(|input| !(1..=253).contains(&input.len()) || input.chars().any(char::is_control))
    {
        return Err(invalid(format!(
            "the input `{}` does not have 1 to 253 printable characters",
            clip(input, 80)
        )));
    }
    if raw.config_schema.len() > MAX_SCHEMA {
        return Err(invalid(format!(
            "its schema has {} bytes, more than {MAX_SCHEMA}",
            raw.config_schema.len()
        )));
    }
    Ok(Manifest {
        name: raw.name,
        version: raw.version,
        dimensions: raw.dimensions,
        inputs: raw.inputs,
        config_schema: raw.config_schema,
    })
}
