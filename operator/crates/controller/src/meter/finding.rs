//! What a meter has to say: the raw material of conditions, events, metrics and log lines.

use std::collections::{BTreeMap, BTreeSet};

use tollkeeper_core::{hour::BillingHour, identity::Digest};

use super::Successor;

/// One thing that people should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Bounded, PascalCase.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

/// All that is wrong with a product's metering at the moment; empty if all is well.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    /// Inputs that could not be read at the last tick, and why.
    pub unavailable_inputs: BTreeMap<String, String>,
    /// Inputs of which a part was missing at the last tick, and what.
    pub partial_inputs: BTreeMap<String, String>,
    /// Why the last tick of a binding was missed, by the binding's name.
    pub missed: BTreeMap<String, Finding>,
    /// What keeps usage from being saved or sealed.
    pub storage: Option<Finding>,
    /// Why the time is in doubt.
    pub clock: Option<Finding>,
    /// Tag keys for which the last sealed hour had no room.
    pub dropped_tag_keys: BTreeSet<String>,
    /// The last hour that was sealed.
    pub last_sealed: Option<BillingHour>,
    /// Whether any tick has run yet.
    pub has_ticked: bool,
    /// The plugin that measures.
    pub plugin: Option<Digest>,
    /// One that has not taken over yet.
    pub successor: Option<Successor>,
}

impl Finding {
    pub(crate) fn new(reason: &'static str, message: impl ToString) -> Self {
        Self { reason, message: message.to_string() }
    }
}
