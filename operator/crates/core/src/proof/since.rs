//! A ledger against an earlier export of it: what was there must still be there, or have been pruned.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Books, Kind, Material, Problem, chain::of_month};
use crate::{
    difference::first_difference,
    identity::ObjectKey,
    ledger::Entry,
    month::Month,
    settlement::RecordStatus,
    statement::{MonthTotal, StatementBody, StoredStatement},
};

/// A statement that is gone must be at least this old: the shortest retention that can be set is two months, and the
/// one that an installation has is not written anywhere.
const SHORTEST_RETENTION: u32 = 2;

/// What reports say, by namespace and name.
type Specs<'a> = BTreeMap<(&'a str, &'a str), &'a Value>;

/// What cannot have become of `earlier` by the rules of the ledger.
pub fn changed_since(earlier: &Material, now: &Material) -> Vec<Problem> {
    let ((before, _), (after, _)) = (earlier.books(), now.books());
    let (earlier, now) = (specs(earlier), specs(now));
    let mut found = Vec::new();
    for (product, before) in &before {
        match after.get(product) {
            Some(after) => found.extend(changes(before, after, &earlier, &now)),
            None => found.push(Problem::new(
                Kind::Missing,
                product,
                "the earlier export has reports or statements of this product, and now there is nothing",
            )),
        }
    }
    found
}

fn changes(before: &Books, after: &Books, earlier: &Specs<'_>, now: &Specs<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    let (was, is) = (before.history.last(), after.history.last());
    if let (Some(was), Some(is)) = (was, is)
        && was.report.body.hour > is.report.body.hour
    {
        let message = format!("the ledger ends with it, but the earlier export with {}", was.report.name());
        found.push(Problem::new(Kind::RolledBack, is.key(), message));
    }
    let now_by_key: BTreeMap<ObjectKey, &Entry> =
        after.history.iter().map(|entry| (entry.key(), entry)).collect();
    for entry in &before.history {
        match now_by_key.get(&entry.key()) {
            Some(now_entry) => {
                let key = entry.key();
                let place = (key.namespace.as_str(), key.name.as_str());
                let specs = (earlier.get(&place).copied(), now.get(&place).copied());
                found.extend(changed_report(entry, now_entry, specs));
            }
            None => found.extend(lost_report(entry, &after.statements)),
        }
    }
    for stored in &before.statements {
        found.extend(changed_statement(stored, &after.statements));
    }
    found
}

/// The specs of all reports, by where they are.
fn specs(material: &Material) -> Specs<'_> {
    material
        .reports
        .iter()
        .filter_map(|object| {
            let namespace = object.pointer("/metadata/namespace")?.as_str()?;
            let name = object.pointer("/metadata/name")?.as_str()?;
            Some(((namespace, name), object.get("spec")?))
        })
        .collect()
}

fn changed_report(was: &Entry, is: &Entry, specs: (Option<&Value>, Option<&Value>)) -> Vec<Problem> {
    let mut found = Vec::new();
    if let (Some(before), Some(after)) = specs
        && let Some(difference) = first_difference(before, after)
    {
        let problem = Problem::new(Kind::Edited, is.key(), difference.to_string());
        found.push(problem.in_field(format!("spec{}", difference.path)));
    }
    for (before, after) in was.settlement.records.iter().zip(&is.settlement.records) {
        found.extend(changed_record(is, before, after));
    }
    found
}

fn changed_record(entry: &Entry, was: &RecordStatus, is: &RecordStatus) -> Option<Problem> {
    let problem = |field: &str, message: String| {
        let field = format!("status.records[].{field}");
        Some(Problem::new(Kind::Edited, entry.key(), message).of_record(&is.dimension).in_field(field))
    };
    if !is.decisions.starts_with(&was.decisions) {
        return problem("decisions", "a person's decision was changed or taken away".to_owned());
    }
    if is.attempts < was.attempts {
        return problem("attempts", format!("it had {} attempts, and now has {}", was.attempts, is.attempts));
    }
    if was.state.is_terminal() && was.state != is.state {
        let message = format!("it had ended as {:?}, and now is {:?}", was.state, is.state);
        return problem("state", message);
    }
    if was.metering_record_id.is_some() && was.metering_record_id != is.metering_record_id {
        return problem("meteringRecordId", "AWS's id of it was changed".to_owned());
    }
    None
}

fn lost_report(entry: &Entry, statements: &[StoredStatement]) -> Option<Problem> {
    let hour = entry.report.body.hour;
    let statement = of_month(statements, Month::of(hour));
    let newest = statements.last().map(|stored| stored.statement.body.month);
    let was_pruned = match statement {
        Some(body) => body.has_counted(hour) && body.pruned_through.is_some_and(|through| hour <= through),
        None => newest.is_some_and(|newest| Month::of(hour) < newest.before(SHORTEST_RETENTION)),
    };
    (!was_pruned).then(|| {
        let message = "the earlier export has it, and no statement says that it was pruned: it was deleted or rolled back";
        Problem::new(Kind::Missing, entry.key(), message)
    })
}

fn changed_statement(was: &StoredStatement, statements: &[StoredStatement]) -> Option<Problem> {
    let before = &was.statement.body;
    let newest = statements.last().map(|stored| stored.statement.body.month);
    let Some(after) = of_month(statements, before.month) else {
        let is_old = newest.is_some_and(|newest| before.month < newest.before(SHORTEST_RETENTION));
        let message = "the earlier export has this statement, and it is too young to have been removed";
        return (!is_old).then(|| Problem::new(Kind::Missing, was.key(), message));
    };
    if after.through < before.through {
        let message = format!("it counted up to {}, and now up to {}", before.through, after.through);
        return Some(Problem::new(Kind::RolledBack, was.key(), message).in_field("spec.through"));
    }
    changed_day(before, after)
        .map(|(field, message)| Problem::new(Kind::Edited, was.key(), message).in_field(field))
        .or_else(|| {
            let (dimension, field) = before.totals.iter().find_map(|total| {
                let field = shrunk(total, after.total(&total.dimension))?;
                Some((&total.dimension, field))
            })?;
            let message = "a total became smaller than it was".to_owned();
            let problem = Problem::new(Kind::Edited, was.key(), message);
            Some(problem.of_record(dimension).in_field(format!("spec.totals[].{field}")))
        })
}

fn changed_day(before: &StatementBody, after: &StatementBody) -> Option<(&'static str, String)> {
    if before.previous != after.previous {
        return Some(("spec.previous", "the report before the month is another one".to_owned()));
    }
    before.days.iter().find_map(|day| {
        let now = after.days.iter().find(|now| now.day == day.day);
        // A day grows when an hour of it is sealed late; the root then is another one.
        let is_kept = now.is_some_and(|now| now == day || now.reports > day.reports);
        (!is_kept).then(|| ("spec.days", format!("the root of {} is another one", day.day)))
    })
}

/// The first amount that only grows and has shrunk.
fn shrunk(before: &MonthTotal, after: Option<&MonthTotal>) -> Option<&'static str> {
    let Some(after) = after else { return Some("dimension") };
    [
        ("measured", before.measured, after.measured),
        ("carriedIn", before.carried_in, after.carried_in),
        ("billed", before.billed, after.billed),
        ("rejected", before.rejected, after.rejected),
        ("writtenOff", before.written_off, after.written_off),
        ("carriedForward", before.carried_forward, after.carried_forward),
    ]
    .into_iter()
    .find(|(_, before, after)| after < before)
    .map(|(field, _, _)| field)
}
