//! The hash chain of one product.

use std::collections::BTreeSet;

use super::{Kind, Problem};
use crate::{
    audit,
    hour::BillingHour,
    ledger::Entry,
    month::Month,
    report::Link,
    settlement::RecordState,
    statement::{StatementBody, StoredStatement},
};

/// The statement of a month.
pub(super) fn of_month(statements: &[StoredStatement], month: Month) -> Option<&StatementBody> {
    statements.iter().map(|stored| &stored.statement.body).find(|body| body.month == month)
}

/// Runs of reports that follow each other: what lies between two runs was pruned.
pub(super) fn runs(history: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    history.chunk_by(|before, after| after.report.body.previous.as_ref() == Some(&before.report.link()))
}

/// What is wrong with the reports: order, links, and the arithmetic of each run.
pub(super) fn problems(history: &[Entry], statements: &[StoredStatement]) -> Vec<Problem> {
    let mut found = order(history);
    if !found.is_empty() {
        // Reports in a wrong order follow nothing: one cause is enough.
        return found;
    }
    found.extend(history.iter().flat_map(receipts));
    let names: BTreeSet<String> = history.iter().map(|entry| entry.report.name()).collect();
    for run in runs(history) {
        let Some(first) = run.first() else { continue };
        found.extend(beginning(first, &names, history, statements));
        let broken = audit::violations(run);
        found.extend(broken.into_iter().map(|violation| {
            Problem::new(
                Kind::Broken,
                violation.report,
                format!("{}: {}", violation.invariant, violation.message),
            )
        }));
    }
    found
}

/// What AWS took, it gave an id.
fn receipts(entry: &Entry) -> impl Iterator<Item = Problem> {
    let lost = entry
        .settlement
        .records
        .iter()
        .filter(|record| record.state == RecordState::Accepted && record.metering_record_id.is_none());
    lost.map(|record| {
        Problem::new(Kind::Edited, entry.key(), "it is Accepted without AWS's id of it")
            .of_record(&record.dimension)
            .in_field("status.records[].meteringRecordId")
    })
}

fn order(history: &[Entry]) -> Vec<Problem> {
    let mut found = Vec::new();
    for pair in history.windows(2) {
        let [before, after] = pair else { continue };
        let (earlier, later) = (before.report.body.hour, after.report.body.hour);
        if earlier == later {
            found.push(Problem::new(Kind::Duplicated, after.key(), "it is there twice"));
        } else if earlier > later {
            let message = format!("it comes after {}, which is later", before.report.name());
            found.push(Problem::new(Kind::OutOfOrder, after.key(), message));
        }
    }
    found
}

/// Whether a run may begin with this report.
fn beginning(
    first: &Entry,
    names: &BTreeSet<String>,
    history: &[Entry],
    statements: &[StoredStatement],
) -> Option<Problem> {
    let hour = first.report.body.hour;
    let Some(Link { name, hash }) = &first.report.body.previous else {
        let earlier = history.first().map(|entry| entry.report.body.hour).filter(|earlier| *earlier < hour);
        let stated = statements.iter().map(|stored| stored.statement.body.through);
        let known = stated.filter(|through| *through < hour).max().or(earlier)?;
        let message =
            format!("it says that it is the product's first report, but there was one of the hour {known}");
        return Some(Problem::new(Kind::Broken, first.key(), message));
    };
    if names.contains(name) {
        let message = format!("it follows {name} with the hash {hash}, which that report does not have");
        return Some(Problem::new(Kind::Edited, first.key(), message).in_field("spec.previous"));
    }
    if was_pruned(name, first, statements) {
        return None;
    }
    let missing = format!("{}/{name}", first.namespace);
    let message = format!(
        "{} follows it, and no statement says that it was pruned: it was deleted",
        first.report.name()
    );
    Some(Problem::new(Kind::Missing, missing, message))
}

/// Whether a statement says that the report of this name may be gone.
fn was_pruned(name: &str, follower: &Entry, statements: &[StoredStatement]) -> bool {
    let Some(hour) = hour_of(name) else { return false };
    match of_month(statements, Month::of(hour)) {
        Some(statement) => statement.pruned_through.is_some_and(|through| hour <= through),
        // Its statement is gone, too, after its own retention: then that of the follower's month names it.
        None => of_month(statements, Month::of(follower.report.body.hour)).is_some_and(|statement| {
            statement
                .previous
                .as_ref()
                .is_some_and(|previous| Some(previous) == follower.report.body.previous.as_ref())
        }),
    }
}

/// The hour in the name of a report: `vecdb-2026112114`.
fn hour_of(name: &str) -> Option<BillingHour> {
    let digits = name.rsplit_once('-')?.1;
    let part = |range| digits.get(range);
    let text = format!("{}-{}-{}T{}:00:00Z", part(0..4)?, part(4..6)?, part(6..8)?, digits.get(8..)?);
    text.parse().ok()
}
