//! The statements of one product against its reports and against each other.

use super::{
    Kind, Problem,
    chain::{of_month, runs},
};
use crate::{
    ledger::Entry,
    month::{Month, day_of},
    statement::{StatementBody, StoredStatement, rolled_up},
};

/// What is wrong with the statements.
pub(super) fn problems(history: &[Entry], statements: &[StoredStatement]) -> Vec<Problem> {
    let mut found = succession(statements);
    for stored in statements {
        let body = &stored.statement.body;
        found.extend(inside(stored));
        found.extend(counts(stored, history));
        if body.pruned_through.is_none() {
            found.extend(totals(stored, statements, history));
        }
    }
    for run in runs(history) {
        found.extend(roots(run, statements));
    }
    found.extend(end(history, statements));
    found
}

fn contradiction(stored: &StoredStatement, field: &str, message: String) -> Problem {
    Problem::new(Kind::Contradiction, stored.key(), message).in_field(field)
}

/// Each month begins where the one before ends.
fn succession(statements: &[StoredStatement]) -> Vec<Problem> {
    let mut found = Vec::new();
    for pair in statements.windows(2) {
        let [before, after] = pair else { continue };
        let (earlier, later) = (&before.statement.body, &after.statement.body);
        if earlier.month == later.month {
            found.push(Problem::new(Kind::Duplicated, after.key(), "it is there twice"));
        } else if earlier.month > later.month {
            let message = format!("it comes after {}, which is later", before.statement.name());
            found.push(Problem::new(Kind::OutOfOrder, after.key(), message));
        } else if later.previous.as_ref().map(|link| &link.hash) != earlier.root() {
            let message = format!(
                "its first report does not follow the last one of {}: a statement was edited, or one between them deleted",
                before.statement.name()
            );
            found.push(contradiction(after, "spec.previous", message));
        }
    }
    found
}

/// What a statement says about itself.
fn inside(stored: &StoredStatement) -> Vec<Problem> {
    let body = &stored.statement.body;
    let mut found = Vec::new();
    let of_days: u32 = body.days.iter().map(|day| day.reports).sum();
    if of_days != body.reports {
        let message = format!("its days have {of_days} reports together, not {}", body.reports);
        found.push(contradiction(stored, "spec.reports", message));
    }
    if !body.days.is_sorted_by(|before, after| before.day < after.day) {
        found.push(contradiction(stored, "spec.days", "its days are not in order".to_owned()));
    }
    if body.days.last().is_none_or(|last| last.day != day_of(body.through)) {
        found.push(contradiction(stored, "spec.through", "it does not end with its last day".to_owned()));
    }
    found
}

/// Of what was not pruned, every counted report must be there; of what was, the open ones.
fn counts(stored: &StoredStatement, history: &[Entry]) -> Vec<Problem> {
    let body = &stored.statement.body;
    let mut found = Vec::new();
    let is_kept = |day: &str| body.pruned_through.is_none_or(|through| day > day_of(through).as_str());
    for day in body.days.iter().filter(|day| is_kept(&day.day)) {
        let there = history
            .iter()
            .filter(|entry| {
                entry.report.body.hour <= body.through && day_of(entry.report.body.hour) == day.day
            })
            .count();
        if u32::try_from(there) != Ok(day.reports) {
            let message = format!(
                "it counts {} reports on {}, and {there} are there: reports were deleted or added",
                day.reports, day.day
            );
            found.push(contradiction(stored, "spec.days", message));
        }
    }
    for open in &body.open {
        let there = history.iter().find(|entry| entry.report.body.hour == open.hour);
        let name = crate::report::report_name(&body.product_ref.name, open.hour);
        let report = format!("{}/{name}", stored.namespace);
        match there {
            None => found.push(Problem::new(
                Kind::Missing,
                report,
                format!("{} says that it has not ended: it was deleted", stored.statement.name()),
            )),
            Some(entry) if entry.report.hash != open.hash => found.push(Problem::new(
                Kind::Edited,
                report,
                format!("{} knows it with the hash {}", stored.statement.name(), open.hash),
            )),
            Some(_) => {}
        }
    }
    found
}

/// Where all reports of a month are there, its totals can be counted again.
fn totals(stored: &StoredStatement, statements: &[StoredStatement], history: &[Entry]) -> Vec<Problem> {
    let body = &stored.statement.body;
    let before = statements.iter().map(|one| &one.statement).rfind(|one| one.body.month < body.month);
    let Some(again) = rolled_up(None, before, history, body.month, body.through.next()) else {
        return vec![];
    };
    let mut found = Vec::new();
    if again.totals.len() != body.totals.len() {
        found.push(contradiction(
            stored,
            "spec.totals",
            "it does not have the dimensions of its reports".into(),
        ));
    }
    for (said, counted) in body.totals.iter().zip(&again.totals) {
        // Outcomes may have come since it was written; what was measured never changes.
        let fixed = [
            ("measured", said.measured, counted.measured),
            ("carriedIn", said.carried_in, counted.carried_in),
            ("remainder", said.remainder, counted.remainder),
        ];
        for (field, said_amount, counted_amount) in fixed {
            if said.dimension != counted.dimension || said_amount != counted_amount {
                let message = format!("it says {said_amount}, and its reports come to {counted_amount}");
                let field = format!("spec.totals[].{field}");
                found.push(contradiction(stored, &field, message).of_record(&said.dimension));
            }
        }
    }
    found
}

/// The last report of each day of a run must be the root of that day, or the run's end among the open reports.
fn roots(run: &[Entry], statements: &[StoredStatement]) -> Vec<Problem> {
    let mut found = Vec::new();
    for (index, entry) in run.iter().enumerate() {
        let hour = entry.report.body.hour;
        let Some(body) = of_month(statements, Month::of(hour)).filter(|body| hour <= body.through) else {
            continue;
        };
        let next = run.get(index + 1).map(|next| next.report.body.hour);
        let is_last_of_day = next.is_none_or(|next| day_of(next) != day_of(hour) || next > body.through);
        if !is_last_of_day {
            continue;
        }
        let root = body.days.iter().find(|day| day.day == day_of(hour)).map(|day| &day.root);
        if root == Some(&entry.report.hash) {
            continue;
        }
        // What follows it was pruned: only an open report, whose hash the statement knows, or one on its way out is left.
        let is_cut = next.is_none() && body.pruned_through.is_some_and(|through| hour <= through);
        if !is_cut {
            let message =
                format!("the statement of {} knows another last report of {}", body.month, day_of(hour));
            found.push(Problem::new(Kind::Edited, entry.key(), message));
        }
    }
    found
}

/// The newest report is never pruned: a ledger that ends before its statements has lost it.
fn end(history: &[Entry], statements: &[StoredStatement]) -> Option<Problem> {
    let newest: &StatementBody = &statements.last()?.statement.body;
    let stored = statements.last()?;
    let last = history.last().map(|entry| entry.report.body.hour);
    if last.is_some_and(|last| last >= newest.through) {
        return None;
    }
    let ends = last.map_or("it has no reports".to_owned(), |last| format!("the ledger ends at {last}"));
    let message = format!(
        "it counts reports up to {}, but {ends}: the newest reports were deleted or rolled back",
        newest.through
    );
    Some(Problem::new(Kind::RolledBack, stored.key(), message))
}
