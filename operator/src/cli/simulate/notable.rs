//! What a reader of a bill should look at first: missed ticks, and records that AWS did not simply take.

use std::collections::BTreeMap;

use tollkeeper_core::{hour::BillingHour, identity::ObjectKey, settlement::RecordState};

use super::result::Simulation;

/// Hours with missed ticks that are named one by one.
const NAMED: usize = 12;

/// Hours with missed ticks, in one sentence each; from a point on, their number.
pub(super) fn gaps(simulation: &Simulation) -> Vec<String> {
    let mut gaps: Vec<String> = simulation
        .entries
        .iter()
        .filter(|entry| entry.report.body.evidence.missed > 0)
        .map(|entry| {
            let (hour, evidence) = (entry.report.body.hour, &entry.report.body.evidence);
            let (missed, ticks) = (evidence.missed, evidence.ticks);
            format!("{} missed {missed} of {ticks} ticks in the hour {hour}", entry.product())
        })
        .collect();
    if gaps.len() > NAMED {
        let more = gaps.len() - NAMED;
        gaps.truncate(NAMED);
        gaps.push(format!("ticks were missed in {more} more hours"));
    }
    gaps
}

/// Records that have come to the same end for the same reason.
#[derive(Default)]
pub(super) struct Others {
    pub(super) records: u64,
    pub(super) units: u64,
    pub(super) hours: Vec<BillingHour>,
}

/// Records that AWS did not simply take, in one sentence for every dimension and cause.
pub(super) fn others(simulation: &Simulation) -> Vec<String> {
    let mut groups: BTreeMap<(ObjectKey, String, &str, String), Others> = BTreeMap::new();
    for entry in &simulation.entries {
        for (record, status) in entry.report.body.records.iter().zip(&entry.settlement.records) {
            let reason = status.reason.as_deref().unwrap_or("no reason given");
            let Some((what, why)) = fate(status.state, reason) else { continue };
            let group = (entry.product(), record.dimension.to_string(), what, why);
            let others = groups.entry(group).or_default();
            others.records += 1;
            others.units += u64::from(record.quantity);
            others.hours.push(entry.report.body.hour);
        }
    }
    groups
        .iter()
        .map(|((product, dimension, what, why), others)| others.say(product, dimension, what, why))
        .collect()
}

impl Others {
    fn say(&self, product: &ObjectKey, dimension: &str, what: &str, why: &str) -> String {
        let hours = match self.hours.as_slice() {
            [one] => format!("hour {one}"),
            [first, .., last] => format!("{} hours from {first} to {last}", self.hours.len()),
            [] => String::new(),
        };
        let units = if self.units == 1 { "unit" } else { "units" };
        format!("{} {dimension}: {} {units} {what}, {why} ({hours})", product.name, self.units)
    }
}

/// What became of a record that was not simply taken, and which policy or answer decided so.
fn fate(state: RecordState, reason: &str) -> Option<(&'static str, String)> {
    let why = match (state, reason) {
        (RecordState::CarriedForward, _) => "by the policy late: CarryForward".to_owned(),
        (RecordState::WrittenOff, "LatePolicy") => "by the policy late: WriteOff".to_owned(),
        (RecordState::Held, "LatePolicy") => "by the policy late: Hold".to_owned(),
        (RecordState::WrittenOff, "NeverDoubleBill") => "by the policy ambiguous: NeverDoubleBill".to_owned(),
        (RecordState::WrittenOff, "Shadow") => "by the mode Shadow".to_owned(),
        (RecordState::Rejected, reason) => format!("because AWS answered {reason}"),
        (_, reason) => format!("because of {reason}"),
    };
    let what = match state {
        RecordState::Accepted => return None,
        RecordState::Rejected => "rejected",
        RecordState::CarriedForward => "billed with a later hour",
        RecordState::WrittenOff => "written off",
        RecordState::Held => "held for a decision",
        RecordState::Sealed | RecordState::Sending => "not sent yet",
        RecordState::Ambiguous => "in doubt",
        RecordState::Expired => "too late for AWS and not carried yet",
    };
    Some((what, why))
}
