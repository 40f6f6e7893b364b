//! A tape: ticks of one binding, with what its plugin was handed and what it made of it.
//!
//! A tape is cut out of a recording, can be redacted, and is complete: the components are on it. So a vendor can play it on a
//! desk far from the cluster and compare to the byte. Like a recording it is JSON lines: a [`Header`], then [`Line`]s.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Entry, InvalidRecording, RecordedInput, Recording, Terms};
use crate::{
    hour::BillingHour,
    identity::{Digest, DimensionName, ObjectKey},
    input::{Input, InputData, SampleGroup},
    plugin::PluginLimits,
    product::Binding,
    redaction::{Place, Redactor},
};

/// The version of the format. It changes when an old reader would misunderstand a new tape.
pub const FORMAT: &str = "tollkeeper.dev/tape/v1";

/// The first line: whose ticks these are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// The product.
    pub product: ObjectKey,
    /// The binding.
    pub binding: String,
    /// The hour that the recording is of; the tick that ends it is in it, too.
    pub hour: BillingHour,
    /// What the product sells: readings of anything else make a tick a missed one.
    pub dimensions: BTreeSet<DimensionName>,
    /// What one call may use.
    pub limits: PluginLimits,
}

/// A further line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    /// A plugin that ran.
    Component(Component),
    /// A tick, in the order of time.
    Tick(Box<TapedTick>),
}

/// The bytes of a plugin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Component {
    /// Their digest.
    pub digest: Digest,
    /// In hexadecimal digits, which compress to what they stand for.
    pub bytes: Bytes,
}

/// Bytes, written as hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Bytes(#[serde(with = "hex::serde")] pub Vec<u8>);

/// One tick of the binding.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TapedTick {
    /// When it was due.
    pub at: Timestamp,
    /// Seconds between ticks.
    pub seconds: u32,
    /// Digest of the plugin that ran.
    pub plugin: Digest,
    /// Handed to the plugin, as JSON.
    pub config: String,
    /// What the plugin was handed, where it is not what it returned at the last tick that was not missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Bytes>,
    /// Why the cluster missed it, if it did. Its state was not handed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<String>,
    /// What the plugin saw.
    pub inputs: Vec<RecordedInput>,
    /// Readings, state and log, or the failure; null before it has been played.
    pub outcome: Value,
}

/// A whole tape.
#[derive(Clone, PartialEq, Debug)]
pub struct Tape {
    /// Whose.
    pub header: Header,
    /// The components of all plugins that ran.
    pub components: BTreeMap<Digest, Vec<u8>>,
    /// In the order of time.
    pub ticks: Vec<TapedTick>,
}

/// Why nothing can be cut out of a recording.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncut {
    /// The binding did not run.
    #[error("the recording has no tick of a binding `{wanted}`; it has those of {there}")]
    NoBinding {
        /// The one asked for.
        wanted: String,
        /// Those it has.
        there: String,
    },
    /// A tick comes before the product or its binding.
    #[error("the recording has a tick at {0} before its product or its binding")]
    Unordered(Timestamp),
}

impl Tape {
    /// Cuts the ticks of a binding out, with what it saw of the inputs. The components are not on the recording.
    pub fn cut(recording: &Recording, binding: &str) -> Result<Self, Uncut> {
        let mut terms: Option<&Terms> = None;
        let mut bound: Option<&Binding> = None;
        let mut state = None;
        let mut ticks = Vec::new();
        for entry in &recording.entries {
            match entry {
                Entry::Terms(new) => terms = Some(new),
                Entry::Start(start) if start.binding.key.name == binding => {
                    bound = Some(&start.binding);
                    state = Some(Bytes(start.tally.plugin_state().to_vec()));
                }
                Entry::Tick(tick) => {
                    let Some(missed) = tick.bindings.get(binding) else { continue };
                    let (Some(terms), Some(bound)) = (terms, bound) else {
                        return Err(Uncut::Unordered(tick.at));
                    };
                    ticks.push(TapedTick {
                        at: tick.at,
                        seconds: terms.interval,
                        plugin: tick.plugin.clone(),
                        config: terms.config.clone(),
                        state: state.take(),
                        missed: missed.clone(),
                        inputs: tick.inputs.iter().map(|input| seen(&input.input(), bound)).collect(),
                        outcome: Value::Null,
                    });
                }
                Entry::Start(_) | Entry::Seal(_) => {}
            }
        }
        let Some(terms) = terms.filter(|_| !ticks.is_empty()) else {
            let there = bindings(recording).into_iter().collect::<Vec<_>>().join(", ");
            return Err(Uncut::NoBinding { wanted: binding.to_owned(), there });
        };
        let header = Header {
            format: FORMAT.to_owned(),
            product: recording.header.product.clone(),
            binding: binding.to_owned(),
            hour: recording.header.hour,
            dimensions: terms.dimensions.iter().map(|dimension| dimension.name.clone()).collect(),
            limits: terms.limits,
        };
        Ok(Self { header, components: BTreeMap::new(), ticks })
    }

    /// All that the plugin saw.
    pub fn inputs(&self) -> Vec<Input> {
        self.ticks.iter().flat_map(|tick| tick.inputs.iter().map(RecordedInput::input)).collect()
    }

    /// Whether a tick is handed a state that another one has not returned.
    pub fn has_state(&self) -> bool {
        self.ticks.iter().filter_map(|tick| tick.state.as_ref()).any(|state| !state.0.is_empty())
    }

    /// The same ticks with texts replaced, except at some places. A state that is not kept is an empty one.
    pub fn redacted(&self, redactor: &Redactor, kept: &BTreeSet<Place>) -> Self {
        let mut redacted = self.clone();
        for tick in &mut redacted.ticks {
            let inputs = tick.inputs.iter().map(RecordedInput::input);
            tick.inputs = inputs.map(|input| (&redactor.redacted(&input, kept)).into()).collect();
            if !kept.contains(&Place::state()) {
                tick.state = tick.state.as_ref().map(|_| Bytes::default());
            }
        }
        redacted
    }

    /// Reads the lines of a tape.
    pub fn parse(text: &str) -> Result<Self, InvalidRecording> {
        let (header, lines) = super::parts(text, FORMAT)?;
        let mut tape = Self { header, components: BTreeMap::new(), ticks: Vec::new() };
        for line in lines {
            match line {
                Line::Component(Component { digest, bytes }) => {
                    tape.components.insert(digest, bytes.0);
                }
                Line::Tick(tick) => tape.ticks.push(*tick),
            }
        }
        Ok(tape)
    }

    /// Its lines.
    pub fn text(&self) -> String {
        let components = self.components.iter().map(|(digest, bytes)| {
            Line::Component(Component { digest: digest.clone(), bytes: Bytes(bytes.clone()) })
        });
        let ticks = self.ticks.iter().map(|tick| Line::Tick(Box::new(tick.clone())));
        let lines = components.chain(ticks).map(|part| super::line(&part));
        [super::line(&self.header)].into_iter().chain(lines).collect()
    }
}

/// The bindings that a recording has ticks of.
pub fn bindings(recording: &Recording) -> BTreeSet<String> {
    let ticks = recording.entries.iter().filter_map(|entry| match entry {
        Entry::Tick(tick) => Some(tick),
        _ => None,
    });
    ticks.flat_map(|tick| tick.bindings.keys().cloned()).collect()
}

/// What the plugin sees of an input. Where samples came from decides only which binding sees them.
fn seen(input: &Input, binding: &Binding) -> RecordedInput {
    let mut narrowed = input.narrowed(&binding.workload);
    if let InputData::Samples(groups) = &mut narrowed.data {
        for group in groups {
            *group = SampleGroup { origin: None, samples: group.samples.clone() }.into();
        }
    }
    (&narrowed).into()
}

#[cfg(test)]
#[path = "tape_tests.rs"]
mod tests;
