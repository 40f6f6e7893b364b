//! Late usage: what one report carries, another one has given up, and only once.

use std::collections::BTreeMap;

use super::{Kind, Problem, chain};
use crate::{
    hour::BillingHour,
    identity::DimensionName,
    ledger::Entry,
    quantity::Quantity,
    report::{CarriedUsage, SealedRecord},
    settlement::{RecordState, RecordStatus},
};

const CARRIED_FROM: &str = "spec.records[].carriedFrom";
const STATE: &str = "status.records[].state";

/// The hour and the dimension of late usage.
type Slot<'a> = (BillingHour, &'a DimensionName);

/// A report that bills usage of an earlier hour.
struct Carrier<'a> {
    entry: &'a Entry,
    quantity: Quantity,
}

/// What is wrong with the late usage of one product's reports.
pub(super) fn problems(history: &[Entry]) -> Vec<Problem> {
    let carriers = carriers(history);
    let of_hour: BTreeMap<BillingHour, &Entry> =
        history.iter().map(|entry| (entry.report.body.hour, entry)).collect();
    let mut found = Vec::new();
    for (slot, carriers) in &carriers {
        let Some((first, others)) = carriers.split_first() else { continue };
        found.extend(others.iter().map(|other| billed_twice(*slot, first, other)));
        // An hour whose report is not there was pruned, or the chain tells.
        found.extend(of_hour.get(&slot.0).and_then(|source| disagreement(*slot, source, first)));
    }
    found.extend(history.iter().flat_map(not_before));
    found.extend(lost(history, &carriers));
    found
}

fn carriers(history: &[Entry]) -> BTreeMap<Slot<'_>, Vec<Carrier<'_>>> {
    let mut carriers: BTreeMap<Slot<'_>, Vec<Carrier<'_>>> = BTreeMap::new();
    for (entry, record, from) in history.iter().flat_map(carried_by) {
        let carrier = Carrier { entry, quantity: from.quantity };
        carriers.entry((from.hour, &record.dimension)).or_default().push(carrier);
    }
    carriers
}

fn carried_by(entry: &Entry) -> impl Iterator<Item = (&Entry, &SealedRecord, &CarriedUsage)> {
    let records = entry.report.body.records.iter();
    records.flat_map(move |record| record.carried_from.iter().map(move |from| (entry, record, from)))
}

fn billed_twice((hour, dimension): Slot<'_>, first: &Carrier<'_>, other: &Carrier<'_>) -> Problem {
    let message =
        format!("it carries the usage of {hour}, and so does {}: it is billed twice", first.entry.key());
    Problem::new(Kind::Broken, other.entry.key(), message).of_record(dimension).in_field(CARRIED_FROM)
}

/// What the report of the hour says against its usage being carried.
fn disagreement((hour, dimension): Slot<'_>, source: &Entry, carrier: &Carrier<'_>) -> Option<Problem> {
    let carrier_key = carrier.entry.key();
    let broken = |message: String| {
        Problem::new(Kind::Broken, &carrier_key, message).of_record(dimension).in_field(CARRIED_FROM)
    };
    let Some((record, status)) = records(source).find(|(record, _)| record.dimension == *dimension) else {
        return Some(broken(format!("it carries usage of {hour}, whose report has no such record")));
    };
    if carrier.quantity != Quantity::from_units(record.quantity) {
        let (carried, sealed) = (carrier.quantity, record.quantity);
        return Some(broken(format!("it carries {carried} of {hour}, whose report says {sealed}")));
    }
    match status.state {
        // The mark follows the report that carries it.
        RecordState::CarriedForward | RecordState::Expired => None,
        state => {
            let message = format!("it is {state:?}, but {carrier_key} carries its usage");
            Some(
                Problem::new(Kind::Contradiction, source.key(), message).of_record(dimension).in_field(STATE),
            )
        }
    }
}

fn not_before(entry: &Entry) -> impl Iterator<Item = Problem> {
    let own = entry.report.body.hour;
    carried_by(entry).filter(move |(_, _, from)| from.hour >= own).map(|(entry, record, from)| {
        let message = format!("it carries usage of {}, which is not before its own hour", from.hour);
        Problem::new(Kind::Broken, entry.key(), message).of_record(&record.dimension).in_field(CARRIED_FROM)
    })
}

/// Records that are said to be carried, and no report carries them. Between two runs the one that does may have been pruned.
fn lost(history: &[Entry], carriers: &BTreeMap<Slot<'_>, Vec<Carrier<'_>>>) -> Vec<Problem> {
    let whole = chain::runs(history).last().unwrap_or_default();
    let given_up = whole.iter().flat_map(|entry| {
        let given_up = records(entry).filter(|(_, status)| status.state == RecordState::CarriedForward);
        given_up.map(move |(record, _)| (entry, &record.dimension))
    });
    let lost = given_up
        .filter(|(entry, dimension)| !carriers.contains_key(&(entry.report.body.hour, *dimension)))
        .map(|(entry, dimension)| {
            let message = "it is CarriedForward, but no report carries its usage: it is billed nowhere";
            Problem::new(Kind::Contradiction, entry.key(), message).of_record(dimension).in_field(STATE)
        });
    lost.collect()
}

fn records(entry: &Entry) -> impl Iterator<Item = (&SealedRecord, &RecordStatus)> {
    entry
        .report
        .body
        .records
        .iter()
        .filter_map(|record| entry.settlement.record(&record.dimension).map(|status| (record, status)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::fixture::{entry, history, sealed};

    /// Six hours; the last one carries these, counted from the first, whose records have come to a state.
    fn carrying(late: &[usize], state: RecordState) -> Vec<Entry> {
        let mut all = history("2026-11-08T00:00:00Z", 5);
        let mut from = Vec::new();
        for index in late {
            let report = all[*index].report.clone();
            from.push((report.body.hour, report.body.records[0].quantity));
            all[*index] = entry(report, state);
        }
        let last = all[4].report.clone();
        all.push(entry(sealed(last.body.hour.next(), Some(&last), &from), RecordState::Accepted));
        all
    }

    fn said(history: &[Entry]) -> Vec<String> {
        problems(history).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn usage_that_is_carried_once_is_well_before_and_after_the_mark() {
        for state in [RecordState::Expired, RecordState::CarriedForward] {
            assert_eq!(said(&carrying(&[1, 2], state)), [""; 0]);
        }
    }

    #[test]
    fn usage_that_was_billed_or_given_up_must_not_be_carried() {
        for state in [RecordState::Accepted, RecordState::WrittenOff, RecordState::Sending] {
            let expected = format!(
                "Contradiction vecdb/vecdb-2026110801 gb_hours {STATE}: it is {state:?}, but vecdb/vecdb-2026110805 carries \
                 its usage"
            );
            assert_eq!(said(&carrying(&[1], state)), [expected]);
        }
    }

    #[test]
    fn usage_that_two_reports_carry_is_billed_twice() {
        let mut all = carrying(&[1], RecordState::CarriedForward);
        let (hour, last) = (all[1].report.body.hour, all[5].report.clone());
        let again = sealed(last.body.hour.next(), Some(&last), &[(hour, 1)]);
        all.push(entry(again, RecordState::Sealed));
        let expected = format!(
            "Broken vecdb/vecdb-2026110806 gb_hours {CARRIED_FROM}: it carries the usage of 2026-11-08T01:00:00Z, and so does \
             vecdb/vecdb-2026110805: it is billed twice"
        );
        assert_eq!(said(&all), [expected]);
    }

    #[test]
    fn usage_that_is_said_to_be_carried_must_be() {
        let mut all = history("2026-11-08T00:00:00Z", 5);
        all[3] = entry(all[3].report.clone(), RecordState::CarriedForward);
        let expected = format!(
            "Contradiction vecdb/vecdb-2026110803 gb_hours {STATE}: it is CarriedForward, but no report carries its usage: it \
             is billed nowhere"
        );
        assert_eq!(said(&all), [expected]);
        let pruned: Vec<Entry> =
            [all[3].clone()].into_iter().chain(history("2026-11-09T00:00:00Z", 3)).collect();
        assert_eq!(said(&pruned), [""; 0], "what carried it may have been pruned");
    }

    #[test]
    fn what_is_carried_is_what_the_hour_came_to() {
        let said_of = |late: fn(BillingHour) -> (BillingHour, u32)| {
            let mut all = history("2026-11-08T00:00:00Z", 3);
            all[1] = entry(all[1].report.clone(), RecordState::CarriedForward);
            let last = all[2].report.clone();
            let hour = last.body.hour.next();
            all.push(entry(sealed(hour, Some(&last), &[late(hour)]), RecordState::Accepted));
            said(&all).join("; ")
        };
        let too_much = said_of(|own| (own.previous().previous(), 7));
        assert!(
            too_much.contains("it carries 7.000000 of 2026-11-08T01:00:00Z, whose report says 1"),
            "{too_much}"
        );
        let too_late = said_of(|own| (own.next(), 1));
        assert!(too_late.contains("2026-11-08T04:00:00Z, which is not before its own hour"), "{too_late}");
    }
}
