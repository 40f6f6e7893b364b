//! What a simulation has come to: the ledger, AWS's books, and whether they agree.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use tollkeeper_core::{
    audit::{self, Total, Violation},
    identity::{DimensionName, ObjectKey},
    ledger::Entry,
    settlement::RecordState,
};
use tollkeeper_simulator::BooksView;

use crate::cli::render;

/// The result of a run.
pub(crate) struct Simulation {
    /// All reports, oldest first within a product.
    pub(crate) entries: Vec<Entry>,
    /// AWS's own books.
    pub(crate) books: BooksView,
    /// What went wrong on the way, each once.
    pub(crate) problems: BTreeSet<String>,
    /// From the first to the last tick.
    pub(crate) span: (Timestamp, Timestamp),
    /// Broken invariants.
    pub(crate) violations: Vec<Violation>,
}

impl Simulation {
    pub(crate) fn new(
        entries: Vec<Entry>,
        books: BooksView,
        problems: BTreeSet<String>,
        span: (Timestamp, Timestamp),
    ) -> Self {
        let mut by_product: BTreeMap<ObjectKey, Vec<Entry>> = BTreeMap::new();
        for entry in &entries {
            by_product.entry(entry.product()).or_default().push(entry.clone());
        }
        let mut violations: Vec<Violation> =
            by_product.values().flat_map(|history| audit::violations(history)).collect();
        violations.extend(double_bills(&books));
        violations.extend(disagreements(&entries, &books));
        Self { entries, books, problems, span, violations }
    }

    /// What has become of every dimension.
    pub(crate) fn totals(&self) -> BTreeMap<(ObjectKey, DimensionName), Total> {
        audit::totals(&self.entries)
    }

    /// What can be said if no invariant is broken.
    pub(crate) fn agreement(&self) -> String {
        let agreed: usize = self.entries.iter().map(|entry| entry.settlement.accepted()).sum();
        // `disagreements` has made sure that the ledger calls each of these in doubt.
        let in_doubt = match self.books.accepted.len().saturating_sub(agreed) {
            0 => String::new(),
            1 => "; AWS has also taken a record that the ledger could only call in doubt".to_owned(),
            more => format!("; AWS has also taken {more} records that the ledger could only call in doubt"),
        };
        format!(
            "The ledger and AWS's books agree on {agreed} records{in_doubt}; the hash chain of {} reports is intact; nothing was billed twice.",
            self.entries.len()
        )
    }

    /// The result as `--output json` prints it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "reports": self.entries.iter().map(render::report).collect::<Vec<_>>(),
            "aws": { "accepted": self.books.accepted, "rejected": self.books.rejected },
            "totals": render::totals(&self.totals()),
            "problems": self.problems,
            "violations": self.violations,
        })
    }
}

fn double_bills(books: &BooksView) -> Vec<Violation> {
    books
        .double_bills
        .iter()
        .map(|double| Violation {
            invariant: "I1",
            report: format!("{} {}", double.product_code, double.hour),
            message: format!("{} was billed {} times", double.dimension, double.records.len()),
        })
        .collect()
}

/// What the ledger says was accepted and what AWS bills must be the same, record by record.
fn disagreements(entries: &[Entry], books: &BooksView) -> Vec<Violation> {
    let mut billed: BTreeMap<&str, (&str, u128)> = books
        .accepted
        .iter()
        .map(|record| {
            (record.metering_record_id.as_str(), (record.dimension.as_str(), record.quantity.0.micros()))
        })
        .collect();
    let mut found = Vec::new();
    let mut doubtful: BTreeSet<(String, String)> = BTreeSet::new();
    for entry in entries {
        let records = entry.report.body.records.iter().zip(&entry.settlement.records);
        for (record, status) in records {
            let slot = (entry.report.body.hour.to_string(), record.dimension.to_string());
            if status.state != RecordState::Accepted {
                // It may have been taken, and the ledger says that nobody knows.
                let was_refused = matches!(status.state, RecordState::Sealed | RecordState::CarriedForward);
                if status.claim.is_some() && !was_refused {
                    doubtful.insert(slot);
                }
                continue;
            }
            let id = status.metering_record_id.as_deref().unwrap_or_default();
            let expected = u128::from(record.quantity) * 1_000_000;
            if billed.remove(id) != Some((record.dimension.as_str(), expected)) {
                found.push(Violation {
                    invariant: "I1",
                    report: entry.key().to_string(),
                    message: format!(
                        "AWS does not bill {} {} under the id {id}",
                        record.quantity, record.dimension
                    ),
                });
            }
        }
    }
    for record in &books.accepted {
        let slot = (record.hour.to_string(), record.dimension.clone());
        if billed.contains_key(record.metering_record_id.as_str()) && !doubtful.contains(&slot) {
            found.push(Violation {
                invariant: "I4",
                report: record.hour.to_string(),
                message: format!("AWS bills {}, which no report accounts for", record.dimension),
            });
        }
    }
    found
}
