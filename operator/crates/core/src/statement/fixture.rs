//! A product's reports, hour after hour, for the tests of statements and proofs.

use crate::{
    hour::BillingHour,
    identity::{Digest, ObjectKey},
    ledger::Entry,
    metering::{Allocation, Outcome},
    product::{LatePolicy, Mode},
    quantity::Quantity,
    report::{
        CarriedUsage, Evidence, LocalReference, Remainder, ReportBody, SealedRecord, SealedReport,
        client_token,
    },
    settlement::{Attempt, Claim, RecordState, RecordStatus, Settlement},
};

/// Every hour measures this much of `gb_hours`.
pub(crate) const MEASURED: &str = "1.400000";

/// The report after `previous`; `late` is usage of earlier hours.
pub(crate) fn sealed(
    hour: BillingHour,
    previous: Option<&SealedReport>,
    late: &[(BillingHour, u32)],
) -> SealedReport {
    let dimension: crate::identity::DimensionName = "gb_hours".parse().unwrap();
    let rest = previous.and_then(|report| report.remainders().get(&dimension).copied()).unwrap_or_default();
    let carried_from: Vec<CarriedUsage> = late
        .iter()
        .map(|(hour, units)| CarriedUsage { hour: *hour, quantity: Quantity::from_units(*units) })
        .collect();
    let carried: Quantity = carried_from.iter().map(|from| from.quantity).sum();
    let measured = MEASURED.parse::<Quantity>().unwrap() + rest + carried;
    let quantity = measured.billable_floor();
    let code = "code".parse().unwrap();
    ReportBody {
        product_ref: LocalReference { name: "vecdb".into() },
        product_code: "code".parse().unwrap(),
        hour,
        timestamp: hour.start(),
        records: vec![SealedRecord {
            quantity,
            measured,
            remainder: measured.saturating_sub(Quantity::from_units(quantity)),
            carried_from,
            client_token: client_token("c", &ObjectKey::new("vecdb", "vecdb"), &code, &dimension, hour),
            allocations: vec![Allocation { quantity, tags: Default::default() }],
            dimension,
        }],
        remainders: vec![Remainder { dimension: "idle".parse().unwrap(), quantity: "0.5".parse().unwrap() }],
        evidence: Evidence {
            plugin: Digest::of(b"plugin"),
            inputs: Digest::of(hour.to_string().as_bytes()),
            config: Digest::of(b"config"),
            ticks: 60,
            missed: 0,
            earlier: vec![],
        },
        previous: previous.map(SealedReport::link),
    }
    .sealed()
}

/// A record that has come to this state.
pub(crate) fn status(state: RecordState) -> RecordStatus {
    let claim = Claim { pod: "pod".into(), epoch: 1, at: "2026-11-21T15:05:00Z".parse().unwrap() };
    let sealed = RecordStatus::sealed("gb_hours".parse().unwrap());
    match state {
        RecordState::Accepted => sealed
            .claimed(claim)
            .answered(&Outcome::Accepted { metering_record_id: "record".into() }, Attempt::First),
        RecordState::Held => sealed.expired().under(LatePolicy::Hold),
        state => RecordStatus { state, ..sealed },
    }
}

/// An entry whose record has come to this state.
pub(crate) fn entry(report: SealedReport, state: RecordState) -> Entry {
    let settlement = Settlement::of(&report, Mode::Live).with(status(state));
    Entry { namespace: "vecdb".into(), report, settlement, version: "1".into() }
}

/// Accepted reports of this many hours.
pub(crate) fn history(first: &str, hours: usize) -> Vec<Entry> {
    let mut hour: BillingHour = first.parse().unwrap();
    let mut history: Vec<Entry> = Vec::new();
    for _ in 0..hours {
        let report = sealed(hour, history.last().map(|entry| &entry.report), &[]);
        history.push(entry(report, RecordState::Accepted));
        hour = hour.next();
    }
    history
}
