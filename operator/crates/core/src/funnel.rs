//! Where the units of usage are, from the seal on: what passed each stage in this process, and what has not ended yet.
//!
//! Every unit is counted once a stage, however often its report is read, so for each dimension this holds at every moment:
//!
//! ```text
//! Sealed + Found = Accepted + Rejected + CarriedForward + WrittenOff + HandedOver + what is open
//! ```
//! and, with rounding `Carry`, `Measured = Sealed + Remainder`. Derived from the ledger; nothing that is billed depends on it.

use std::collections::{BTreeMap, btree_map};

use jiff::{SignedDuration, Timestamp};

use crate::{
    hour::BillingHour,
    identity::{DimensionName, ObjectKey},
    ledger::Entry,
    quantity::Quantity,
    settlement::{RecordState, RecordStatus},
};

/// How long a report that has ended is remembered, in usage time: a stale read, or an older backup that was restored, must not
/// let its units in a second time.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What units of usage can pass.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// In an hour that this process sealed: before rounding, with everything that was carried into it.
    Measured,
    /// Left by rounding for the next hour.
    Remainder,
    /// In a record that this process sealed.
    Sealed,
    /// In a record that another process sealed and that had not ended when this one saw it first.
    Found,
    /// Claimed for sending, for the first time.
    Claimed,
    /// AWS took them.
    Accepted,
    /// AWS will never take them.
    Rejected,
    /// In a later hour's record, where they are measured and sealed again.
    CarriedForward,
    /// Given up.
    WrittenOff,
    /// Not ended when this process stopped leading: the next leader finds them.
    HandedOver,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Measured,
        Self::Remainder,
        Self::Sealed,
        Self::Found,
        Self::Claimed,
        Self::Accepted,
        Self::Rejected,
        Self::CarriedForward,
        Self::WrittenOff,
        Self::HandedOver,
    ];

    /// As the label of a metric.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Remainder => "remainder",
            Self::Sealed => "sealed",
            Self::Found => "found",
            Self::Claimed => "claimed",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::CarriedForward => "carried_forward",
            Self::WrittenOff => "written_off",
            Self::HandedOver => "handed_over",
        }
    }

    /// The stage that a record ends in; `None` while it has not ended.
    const fn end(state: RecordState) -> Option<Self> {
        match state {
            RecordState::Accepted => Some(Self::Accepted),
            RecordState::Rejected => Some(Self::Rejected),
            RecordState::CarriedForward => Some(Self::CarriedForward),
            RecordState::WrittenOff => Some(Self::WrittenOff),
            RecordState::Sealed
            | RecordState::Sending
            | RecordState::Ambiguous
            | RecordState::Expired
            | RecordState::Held => None,
        }
    }
}

/// What one dimension of one product has come to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Flow {
    /// Units that passed each stage.
    pub passed: BTreeMap<Stage, Quantity>,
    /// Units of records that have not ended, by state.
    pub open: BTreeMap<RecordState, Quantity>,
    /// Records that became `Ambiguous`, each counted once.
    pub ambiguous: u64,
}

impl Flow {
    fn pass(&mut self, stage: Stage, quantity: Quantity) {
        *self.passed.entry(stage).or_default() += quantity;
    }
}

/// A record that has not ended, as it was seen last.
#[derive(Debug)]
struct Followed {
    quantity: Quantity,
    state: RecordState,
    was_claimed: bool,
    was_ambiguous: bool,
}

#[derive(Debug)]
struct Report {
    product: ObjectKey,
    hour: BillingHour,
    deadline: Timestamp,
    /// Its records that have not ended; none once it has.
    records: BTreeMap<DimensionName, Followed>,
}

/// Follows every report that has not ended through its states.
#[derive(Debug, Default)]
pub struct Funnel {
    flows: BTreeMap<(ObjectKey, DimensionName), Flow>,
    reports: BTreeMap<ObjectKey, Report>,
}

impl Funnel {
    /// Notes a report that this process has just sealed.
    pub fn sealed(&mut self, entry: &Entry) {
        self.forget(entry.report.body.hour);
        if self.reports.contains_key(&entry.key()) {
            return;
        }
        for record in &entry.report.body.records {
            let flow = self.flow(entry, &record.dimension);
            flow.pass(Stage::Measured, record.measured);
            flow.pass(Stage::Remainder, record.remainder);
        }
        self.follow(entry, Stage::Sealed, |_| true);
        self.seen(entry);
    }

    /// Notes a report as it was read or written. One that had ended before this process saw it is not counted.
    pub fn seen(&mut self, entry: &Entry) {
        let key = entry.key();
        if !self.reports.contains_key(&key) {
            if entry.settlement.is_terminal() {
                return;
            }
            self.follow(entry, Stage::Found, |status| !status.state.is_terminal());
        }
        let Some(report) = self.reports.get_mut(&key) else { return };
        for status in &entry.settlement.records {
            let btree_map::Entry::Occupied(mut followed) = report.records.entry(status.dimension.clone())
            else {
                continue;
            };
            let flow = self.flows.entry((report.product.clone(), status.dimension.clone())).or_default();
            advance(followed.get_mut(), status, flow);
            if status.state.is_terminal() {
                followed.remove();
            }
        }
    }

    /// Lets go of everything that has not ended: another process leads from now on.
    pub fn hand_over(&mut self) {
        for report in std::mem::take(&mut self.reports).into_values() {
            for (dimension, record) in report.records {
                let flow = self.flows.entry((report.product.clone(), dimension)).or_default();
                flow.pass(Stage::HandedOver, record.quantity);
            }
        }
    }

    /// What each dimension of each product has come to.
    pub fn flows(&self) -> BTreeMap<(ObjectKey, DimensionName), Flow> {
        let mut flows = self.flows.clone();
        for report in self.reports.values() {
            for (dimension, record) in &report.records {
                let flow = flows.entry((report.product.clone(), dimension.clone())).or_default();
                *flow.open.entry(record.state).or_default() += record.quantity;
            }
        }
        flows
    }

    /// By product, the first moment after which AWS takes something no more that it may not have yet.
    pub fn deadlines(&self) -> BTreeMap<ObjectKey, Timestamp> {
        let mut deadlines: BTreeMap<ObjectKey, Timestamp> = BTreeMap::new();
        let is_urgent = |record: &Followed| {
            matches!(record.state, RecordState::Sealed | RecordState::Sending | RecordState::Ambiguous)
        };
        for report in self.reports.values().filter(|report| report.records.values().any(is_urgent)) {
            let earliest = deadlines.entry(report.product.clone()).or_insert(report.deadline);
            *earliest = (*earliest).min(report.deadline);
        }
        deadlines
    }

    fn flow(&mut self, entry: &Entry, dimension: &DimensionName) -> &mut Flow {
        self.flows.entry((entry.product(), dimension.clone())).or_default()
    }

    /// Lets the records that `counts` in, by this stage. What they have been through by then was another process's.
    fn follow(&mut self, entry: &Entry, stage: Stage, counts: impl Fn(&RecordStatus) -> bool) {
        let mut records = BTreeMap::new();
        for (record, status) in entry.report.body.records.iter().zip(&entry.settlement.records) {
            if !counts(status) {
                continue;
            }
            let quantity = Quantity::from_units(record.quantity);
            self.flow(entry, &record.dimension).pass(stage, quantity);
            let followed = Followed {
                quantity,
                state: status.state,
                was_claimed: status.claim.is_some(),
                was_ambiguous: status.state == RecordState::Ambiguous,
            };
            records.insert(record.dimension.clone(), followed);
        }
        let (hour, deadline) = (entry.report.body.hour, entry.report.deadline());
        self.reports.insert(entry.key(), Report { product: entry.product(), hour, deadline, records });
    }

    fn forget(&mut self, newest: BillingHour) {
        self.reports.retain(|_, report| {
            !report.records.is_empty() || newest.start().duration_since(report.hour.start()) <= REMEMBERED
        });
    }
}

fn advance(followed: &mut Followed, status: &RecordStatus, flow: &mut Flow) {
    if status.claim.is_some() && !followed.was_claimed {
        followed.was_claimed = true;
        flow.pass(Stage::Claimed, followed.quantity);
    }
    if status.state == RecordState::Ambiguous && !followed.was_ambiguous {
        followed.was_ambiguous = true;
        flow.ambiguous = flow.ambiguous.saturating_add(1);
    }
    followed.state = status.state;
    if let Some(end) = Stage::end(status.state) {
        flow.pass(end, followed.quantity);
    }
}

#[cfg(test)]
#[path = "funnel_tests.rs"]
mod tests;
