//! What a month comes to, from its statement so far and from the reports in the ledger.

use std::collections::BTreeMap;

use super::{DayRoot, MonthTotal, OpenReport, Statement, StatementBody};
use crate::{
    hour::BillingHour,
    identity::DimensionName,
    ledger::Entry,
    month::{Month, day_of},
    quantity::Quantity,
    settlement::RecordState,
};

type Totals = BTreeMap<DimensionName, MonthTotal>;
type Remainders = BTreeMap<DimensionName, Quantity>;

/// The statement of a month with all reports of hours before `horizon`; `None` if there are none.
///
/// `history` holds a product's reports, oldest first; `before` is the statement of an earlier month, if there is one: its
/// remainders stand in for the report before the month's first one, should that be gone.
pub fn rolled_up(
    statement: Option<&Statement>,
    before: Option<&Statement>,
    history: &[Entry],
    month: Month,
    horizon: BillingHour,
) -> Option<StatementBody> {
    let through = statement.map(|statement| statement.body.through);
    let is_new = |entry: &&Entry| {
        let hour = entry.report.body.hour;
        Month::of(hour) == month && hour < horizon && through.is_none_or(|through| hour > through)
    };
    let fresh: Vec<&Entry> = history.iter().filter(is_new).collect();
    let mut body = match (statement, fresh.first()) {
        (Some(statement), _) => statement.body.clone(),
        (None, Some(first)) => empty(first, month),
        (None, None) => return None,
    };
    let mut totals: Totals = body.totals.drain(..).map(|total| (total.dimension.clone(), total)).collect();
    settle_open(&mut body.open, &mut totals, history);
    let mut remainders = remainders_before(fresh.first().copied(), statement.or(before), history);
    for entry in fresh {
        remainders = count(entry, &remainders, &mut totals);
        note(entry, &mut body);
    }
    for total in totals.values_mut() {
        total.remainder = remainders.get(&total.dimension).copied().unwrap_or(Quantity::ZERO);
    }
    body.totals = totals.into_values().collect();
    Some(body)
}

fn empty(first: &Entry, month: Month) -> StatementBody {
    let report = &first.report.body;
    StatementBody {
        product_ref: report.product_ref.clone(),
        product_code: report.product_code.clone(),
        month,
        reports: 0,
        through: report.hour,
        pruned_through: None,
        previous: report.previous.clone(),
        totals: vec![],
        days: vec![],
        open: vec![],
    }
}

/// What the first report was handed: by the report before it, or else by the last statement.
fn remainders_before(first: Option<&Entry>, last: Option<&Statement>, history: &[Entry]) -> Remainders {
    let of_statement = || {
        let totals = last.map(|last| last.body.totals.as_slice()).unwrap_or_default();
        totals.iter().map(|total| (total.dimension.clone(), total.remainder)).collect()
    };
    let Some(first) = first else { return of_statement() };
    let Some(previous) = &first.report.body.previous else { return Remainders::new() };
    let predecessor = history.iter().find(|entry| entry.report.hash == previous.hash);
    predecessor.map_or_else(of_statement, |entry| entry.report.remainders())
}

fn total_of<'a>(totals: &'a mut Totals, dimension: &DimensionName) -> &'a mut MonthTotal {
    totals.entry(dimension.clone()).or_insert_with(|| MonthTotal {
        dimension: dimension.clone(),
        records: 0,
        measured: Quantity::ZERO,
        carried_in: Quantity::ZERO,
        billed: Quantity::ZERO,
        rejected: Quantity::ZERO,
        written_off: Quantity::ZERO,
        held: Quantity::ZERO,
        carried_forward: Quantity::ZERO,
        remainder: Quantity::ZERO,
    })
}

/// Adds a report to the totals and returns what it leaves to the next one.
fn count(entry: &Entry, remainders: &Remainders, totals: &mut Totals) -> Remainders {
    for (record, status) in entry.report.body.records.iter().zip(&entry.settlement.records) {
        let total = total_of(totals, &record.dimension);
        let late: Quantity = record.carried_from.iter().map(|from| from.quantity).sum();
        let rest = remainders.get(&record.dimension).copied().unwrap_or_default();
        total.measured += record.measured.saturating_sub(late + rest);
        total.carried_in += late;
        total.place(status.state, Quantity::from_units(record.quantity));
    }
    let after = entry.report.remainders();
    for dimension in after.keys() {
        total_of(totals, dimension);
    }
    after
}

/// Adds a report to the chain of its day, and to the open ones if it is.
fn note(entry: &Entry, body: &mut StatementBody) {
    let hour = entry.report.body.hour;
    let day = day_of(hour);
    match body.days.last_mut().filter(|last| last.day == day) {
        Some(last) => {
            last.reports += 1;
            last.root = entry.report.hash.clone();
        }
        None => body.days.push(DayRoot { day, reports: 1, root: entry.report.hash.clone() }),
    }
    body.reports += 1;
    body.through = hour;
    let dimensions: Vec<DimensionName> = entry
        .settlement
        .records
        .iter()
        .filter(|status| !status.state.is_terminal())
        .map(|status| status.dimension.clone())
        .collect();
    if !dimensions.is_empty() {
        body.open.push(OpenReport { hour, hash: entry.report.hash.clone(), dimensions });
    }
}

/// Moves what was held to where it has ended.
fn settle_open(open: &mut Vec<OpenReport>, totals: &mut Totals, history: &[Entry]) {
    for report in open.iter_mut() {
        let Some(entry) = history.iter().find(|entry| entry.report.hash == report.hash) else { continue };
        report.dimensions.retain(|dimension| {
            let ended = entry.settlement.record(dimension).filter(|status| status.state.is_terminal());
            let (Some(status), Some(record)) = (ended, entry.report.record(dimension)) else { return true };
            let units = Quantity::from_units(record.quantity);
            let total = total_of(totals, dimension);
            total.held = total.held.saturating_sub(units);
            total.place(status.state, units);
            false
        });
    }
    open.retain(|report| !report.dimensions.is_empty());
}

impl MonthTotal {
    fn place(&mut self, state: RecordState, units: Quantity) {
        match state {
            RecordState::Accepted => {
                self.billed += units;
                self.records += 1;
            }
            RecordState::Rejected => self.rejected += units,
            RecordState::WrittenOff => self.written_off += units,
            RecordState::CarriedForward => self.carried_forward += units,
            RecordState::Sealed
            | RecordState::Sending
            | RecordState::Ambiguous
            | RecordState::Expired
            | RecordState::Held => self.held += units,
        }
    }
}
