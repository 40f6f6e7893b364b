//! What a meter has to say: the raw material of conditions, events, metrics and log lines.

use std::collections::{BTreeMap, BTreeSet};

use tollkeeper_core::{
    hour::BillingHour,
    identity::{Digest, DimensionName},
    quantity::Quantity,
    report::{SealedRecord, SealedReport},
};

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
    /// What is wrong with the hour that was sealed last.
    pub sealed: Option<Finding>,
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

    /// Usage that no record holds, because nobody knows how it is folded.
    pub(super) fn unknown(hour: BillingHour, dimensions: &BTreeSet<DimensionName>) -> Option<Self> {
        let names = named(dimensions)?;
        let message = format!(
            "the hour {hour} has usage of {names}, which an older version has measured and the product has no more: it is not billed"
        );
        Some(Self { reason: "UsageUnknown", message })
    }

    /// The hour was sealed before a crash, or by another process: what is in the ledger holds. Late usage that it does not carry
    /// is carried by the next one.
    pub(super) fn otherwise(sealed: &SealedReport, planned: &SealedReport) -> Option<Self> {
        let own = |report: &SealedReport| -> BTreeMap<DimensionName, Quantity> {
            let of = |record: &SealedRecord| {
                record.measured.saturating_sub(record.carried_from.iter().map(|from| from.quantity).sum())
            };
            report.body.records.iter().map(|record| (record.dimension.clone(), of(record))).collect()
        };
        let (sealed_own, planned_own) = (own(sealed), own(planned));
        let dimensions = sealed_own.keys().chain(planned_own.keys());
        let differs = |name: &&DimensionName| {
            let amount = |own: &BTreeMap<_, _>| own.get(*name).copied().unwrap_or_default();
            amount(&sealed_own) != amount(&planned_own)
        };
        let names = named(&dimensions.filter(differs).cloned().collect())?;
        let message = format!(
            "the hour {} was sealed by another process, which has measured {names} otherwise: the report holds",
            sealed.body.hour
        );
        Some(Self { reason: "SealedOtherwise", message })
    }
}

fn named(dimensions: &BTreeSet<DimensionName>) -> Option<String> {
    let names: Vec<&str> = dimensions.iter().map(DimensionName::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
