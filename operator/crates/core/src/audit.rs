//! Checks a ledger against its own rules: what anybody can do with an export and no access to anything else.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    identity::{DimensionName, ObjectKey},
    ledger::Entry,
    quantity::Quantity,
    report::{SealedRecord, SealedReport},
    settlement::RecordState,
};

/// A broken invariant. The numbers are those of `docs/ledger.md`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// Such as `I13`, or `Chain` for the hash chain.
    pub invariant: &'static str,
    /// The report.
    pub report: String,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.invariant, self.report, self.message)
    }
}

/// What has become of one dimension's usage over the reports that were looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Total {
    /// What the meter measured in these hours, without what was carried into them.
    pub measured: Quantity,
    /// Units that AWS took.
    pub billed: u64,
    /// Units that were given up.
    pub written_off: u64,
    /// Units that AWS refused for good.
    pub rejected: u64,
    /// Units that wait for a person.
    pub held: u64,
    /// Units that are in none of these places yet.
    pub unsettled: u64,
    /// What the next hour starts with.
    pub remainder: Quantity,
    /// Accepted records.
    pub records: u64,
}

/// The hash chain and the arithmetic of one product's reports, oldest first. The first report's predecessor may have been
/// pruned.
pub fn violations(history: &[Entry]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut previous: Option<&SealedReport> = None;
    for entry in history {
        let report = &entry.report;
        let mut note = |invariant, message: String| {
            found.push(Violation { invariant, report: entry.key().to_string(), message });
        };
        if !report.is_intact() {
            note("Chain", "its content is not what was sealed: the hash differs".to_owned());
        }
        if let Some(previous) = previous {
            if report.body.previous.as_ref() != Some(&previous.link()) {
                note("Chain", format!("it does not follow {}", previous.name()));
            }
            if report.body.hour <= previous.body.hour {
                note("Chain", format!("its hour is not after that of {}", previous.name()));
            }
        }
        for record in &report.body.records {
            let allocated: u64 = record.allocations.iter().map(|part| u64::from(part.quantity)).sum();
            if !record.allocations.is_empty() && allocated != u64::from(record.quantity) {
                note(
                    "I13",
                    format!(
                        "the allocations of {} sum to {allocated}, not {}",
                        record.dimension, record.quantity
                    ),
                );
            }
            if carried_in(record, previous).is_some_and(|carried| carried > record.measured) {
                note("I4", format!("{} measured less than what was carried into it", record.dimension));
            }
        }
        if entry.settlement.records.len() != report.body.records.len() {
            note("I4", "its status does not name every record".to_owned());
        }
        previous = Some(report);
    }
    found
}

/// What was carried into a record; `None` if the report before is not known though there was one.
fn carried_in(record: &SealedRecord, previous: Option<&SealedReport>) -> Option<Quantity> {
    let late: Quantity = record.carried_from.iter().map(|from| from.quantity).sum();
    let remainder = previous?.remainders().get(&record.dimension).copied().unwrap_or_default();
    Some(late + remainder)
}

/// What has become of every dimension of every product, oldest report first within a product.
pub fn totals(entries: &[Entry]) -> BTreeMap<(ObjectKey, DimensionName), Total> {
    let mut totals: BTreeMap<(ObjectKey, DimensionName), Total> = BTreeMap::new();
    let mut previous: BTreeMap<ObjectKey, &SealedReport> = BTreeMap::new();
    for entry in entries {
        let product = entry.product();
        let before = previous.insert(product.clone(), &entry.report);
        for (record, status) in entry.report.body.records.iter().zip(&entry.settlement.records) {
            let total = totals.entry((product.clone(), record.dimension.clone())).or_default();
            let late = record.carried_from.iter().map(|from| from.quantity).sum();
            let carried = carried_in(record, before).unwrap_or(late);
            total.measured += record.measured.saturating_sub(carried);
            let units = u64::from(record.quantity);
            match status.state {
                RecordState::Accepted => {
                    total.billed += units;
                    total.records += 1;
                }
                RecordState::Rejected => total.rejected += units,
                RecordState::WrittenOff => total.written_off += units,
                RecordState::Held => total.held += units,
                // It is in a later record.
                RecordState::CarriedForward => {}
                RecordState::Sealed
                | RecordState::Sending
                | RecordState::Ambiguous
                | RecordState::Expired => {
                    total.unsettled += units;
                }
            }
        }
    }
    for (product, report) in previous {
        for (dimension, remainder) in report.remainders() {
            totals.entry((product.clone(), dimension)).or_default().remainder = remainder;
        }
    }
    totals
}
