//! What needs a person: the records of a product, by reason, for its conditions and metrics; and one by one, for its events.
//!
//! Nothing hides anything else: of each reason the first is told with the number of the others, and there are few reasons.

use tollkeeper_core::{
    classification::refusal_named,
    ledger::Entry,
    mark::LEDGER_ROLLED_BACK,
    settlement::{RecordState, RecordStatus},
};

use crate::meter::Finding;

/// The reason of a product whose sending is halted.
pub(crate) const INVARIANT_BROKEN: &str = "InvariantBroken";

/// The reason of a record of which nobody knows whether AWS took it.
pub(crate) const RECORD_AMBIGUOUS: &str = "RecordAmbiguous";

/// The reason of a record that needs a person for something else than what the reasons name.
pub(crate) const RECORD_NEEDS_ATTENTION: &str = "RecordNeedsAttention";

/// The records of these reports that need a person: a finding a reason, in the order of the reports.
pub(crate) fn of_records<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Finding> {
    let records = entries.into_iter().flat_map(|entry| {
        let needy = entry.settlement.records.iter().filter(|record| record.needs_attention());
        needy.map(move |record| of_record(entry, record))
    });
    by_reason(records)
}

/// One record that needs a person.
pub(crate) fn of_record(entry: &Entry, record: &RecordStatus) -> Finding {
    let why = record.message.as_deref().unwrap_or("no further detail");
    let message = format!("{} of {} is {:?}: {why}", record.dimension, entry.report.name(), record.state);
    Finding { reason: reason(record), message }
}

/// The first finding of each reason, with the number of those that it stands for.
pub(crate) fn by_reason(findings: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let mut firsts: Vec<(Finding, usize)> = Vec::new();
    for finding in findings {
        match firsts.iter_mut().find(|(first, _)| first.reason == finding.reason) {
            Some((_, others)) => *others += 1,
            None => firsts.push((finding, 0)),
        }
    }
    let told = firsts.into_iter().map(|(first, others)| match others {
        0 => first,
        _ => Finding { message: format!("{} (and {others} more)", first.message), ..first },
    });
    told.collect()
}

/// All findings as one: the reason of the first, and what all of them say. `None` if there are none.
pub(crate) fn joined(findings: Vec<Finding>) -> Option<Finding> {
    let reason = findings.first()?.reason;
    let message = match findings.as_slice() {
        [only] => only.message.clone(),
        all => {
            all.iter().map(|one| format!("{}: {}", one.reason, one.message)).collect::<Vec<_>>().join("; ")
        }
    };
    Some(Finding { reason, message })
}

/// Reasons of conditions are bounded: AWS's documented refusals and a rollback by their names, all else by the record's state.
fn reason(record: &RecordStatus) -> &'static str {
    let known = record
        .reason
        .as_deref()
        .and_then(|name| refusal_named(name).or((name == LEDGER_ROLLED_BACK).then_some(LEDGER_ROLLED_BACK)));
    known.unwrap_or(match record.state {
        RecordState::Rejected => "RecordRejected",
        RecordState::Ambiguous => RECORD_AMBIGUOUS,
        RecordState::Expired => "RecordExpired",
        RecordState::Held => "RecordHeld",
        _ => RECORD_NEEDS_ATTENTION,
    })
}

#[cfg(test)]
mod tests {
    use tollkeeper_core::{
        metering::{Outcome, Refusal},
        product::{LatePolicy, Mode},
        settlement::{Attempt, Settlement},
    };
    use tollkeeper_ledger::conformance::report;

    use super::*;

    fn entry(hour: &str, change: impl FnOnce(RecordStatus) -> RecordStatus) -> Entry {
        let report = report("vecdb", hour.parse().unwrap(), 5);
        let settlement = Settlement::of(&report, Mode::Live);
        let record = change(settlement.records[0].clone());
        let settlement = settlement.with(record);
        Entry { namespace: "vecdb".into(), report, settlement, version: "1".into() }
    }

    fn held(hour: &str) -> Entry {
        entry(hour, |record| record.expired().under(LatePolicy::Hold))
    }

    #[test]
    fn what_was_refused_today_is_told_beside_what_was_held_last_week() {
        let refusal = Refusal { reason: "InvalidTagException".into(), message: "no such tag".into() };
        let rejected = entry("2026-11-21T14:00:00Z", |record| {
            record.answered(&Outcome::Rejected(refusal), Attempt::First)
        });
        let sealed = entry("2026-11-21T15:00:00Z", |record| record);
        let entries = [held("2026-11-14T09:00:00Z"), held("2026-11-14T10:00:00Z"), rejected, sealed];
        let findings = of_records(&entries);
        assert_eq!(
            findings.iter().map(|one| one.reason).collect::<Vec<_>>(),
            ["RecordHeld", "InvalidTagException"]
        );
        assert!(
            findings[0].message.contains("vecdb-2026111409") && findings[0].message.ends_with("(and 1 more)")
        );
        let all = joined(findings).unwrap();
        assert_eq!(all.reason, "RecordHeld");
        assert!(
            all.message.contains("; InvalidTagException: units of vecdb-2026112114 is Rejected: no such tag"),
            "{}",
            all.message
        );
    }

    #[test]
    fn a_finding_alone_is_told_as_it_is() {
        let findings = of_records(&[held("2026-11-14T09:00:00Z")]);
        assert_eq!(joined(findings.clone()), Some(findings[0].clone()));
        assert_eq!(joined(vec![]), None);
    }
}
