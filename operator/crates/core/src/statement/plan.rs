//! What to roll up and what to prune: once a day, so that the books cost a write a day and product.
//!
//! Nothing is pruned that is not counted in a statement which says so, and the statement is written first. So wherever
//! the process dies, the next plan finds the same things left to do.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Statement, StatementBody, StoredStatement, rolled_up};
use crate::{hour::BillingHour, ledger::Entry, month::Month};

/// An hour has ended for good when it is over by this: the six hours in which AWS takes it, and time to seal it.
const SETTLING: SignedDuration = SignedDuration::from_hours(7);

/// How long things are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Reports, after their hour.
    pub reports: SignedDuration,
    /// Statements, in months before the present one.
    pub statements: u32,
}

/// What to do for one product, in this order: write, and only if every write succeeded prune and forget.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// Statements to create, or to put in the place of the ones that were read.
    pub write: Vec<(Option<StoredStatement>, Statement)>,
    /// Reports to delete, in the versions that were read.
    pub prune: Vec<Entry>,
    /// Statements to delete.
    pub forget: Vec<StoredStatement>,
}

/// Reports of hours before this one are rolled up: the last midnight that is over by seven hours.
pub fn horizon(now: Timestamp) -> BillingHour {
    const DAY: i64 = 24 * 3600;
    let midnight = (now - SETTLING).as_second().div_euclid(DAY) * DAY;
    BillingHour::of(Timestamp::from_second(midnight).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Plans the bookkeeping of one product from all of its reports and statements, both oldest first.
pub fn plan(history: &[Entry], statements: &[StoredStatement], retention: Retention, now: Timestamp) -> Plan {
    let horizon = horizon(now);
    let months: BTreeSet<Month> = history.iter().map(|entry| Month::of(entry.report.body.hour)).collect();
    let mut plan = Plan::default();
    let mut before: Option<Statement> = None;
    for month in months {
        let stored = statements.iter().find(|stored| stored.statement.body.month == month);
        let earlier = statements.iter().rev().find(|stored| stored.statement.body.month < month);
        let before_it = before.as_ref().or(earlier.map(|stored| &stored.statement));
        let old = stored.map(|stored| &stored.statement);
        let Some(mut body) = rolled_up(old, before_it, history, month, horizon) else { continue };
        let prune = prunable(history, &body, horizon.start() - retention.reports);
        let last = prune.iter().map(|entry| entry.report.body.hour).max();
        body.pruned_through = body.pruned_through.max(last);
        let statement = body.sealed();
        if old != Some(&statement) {
            plan.write.push((stored.cloned(), statement.clone()));
        }
        plan.prune.extend(prune.into_iter().cloned());
        before = Some(statement);
    }
    let oldest = Month::of(BillingHour::of(now)).before(retention.statements);
    plan.forget = statements
        .iter()
        .filter(|stored| {
            let month = stored.statement.body.month;
            month < oldest && history.iter().all(|entry| Month::of(entry.report.body.hour) != month)
        })
        .cloned()
        .collect();
    plan
}

/// The reports of a month that nothing needs any more.
fn prunable<'a>(history: &'a [Entry], statement: &StatementBody, before: Timestamp) -> Vec<&'a Entry> {
    // The newest report stays for ever: the next one follows it, and takes over its remainders.
    let newest = history.last().map(|entry| entry.report.body.hour);
    history
        .iter()
        .filter(|entry| {
            let hour = entry.report.body.hour;
            Month::of(hour) == statement.month
                && hour.end() <= before
                && statement.has_counted(hour)
                && entry.settlement.is_terminal()
                && Some(hour) != newest
                && !is_proof_of_carrying(entry, history)
        })
        .collect()
}

/// Whether a report carries usage of another one that does not say so yet: without it that usage would be carried twice.
fn is_proof_of_carrying(entry: &Entry, history: &[Entry]) -> bool {
    entry.report.body.records.iter().any(|record| {
        record.carried_from.iter().any(|from| {
            history
                .iter()
                .filter(|source| source.report.body.hour == from.hour)
                .filter_map(|source| source.settlement.record(&record.dimension))
                .any(|status| !status.state.is_terminal())
        })
    })
}
