use super::*;
use crate::{
    metering::{Outcome, Refusal},
    plan::fixture::{self, hour},
    product::{LatePolicy, Mode},
    settlement::{Attempt, Claim},
    tags::TagSet,
};

fn entry(mode: Mode) -> Entry {
    fixture::entry(&[("5.25", TagSet::default())], mode)
}

/// The entry after a change to its record.
fn then(entry: &Entry, change: impl FnOnce(RecordStatus) -> RecordStatus) -> Entry {
    let mut entry = entry.clone();
    entry.settlement.records[0] = change(entry.settlement.records[0].clone());
    entry
}

fn claimed(entry: &Entry) -> Entry {
    let claim = Claim { pod: "a".into(), epoch: 1, at: Timestamp::UNIX_EPOCH };
    then(entry, |record| record.claimed(claim))
}

fn answered(entry: &Entry, outcome: &Outcome) -> Entry {
    then(entry, |record| record.answered(outcome, Attempt::First))
}

fn accepted(entry: &Entry) -> Entry {
    answered(entry, &Outcome::Accepted { metering_record_id: "r".into() })
}

fn flow(funnel: &Funnel) -> Flow {
    funnel.flows().into_values().next().unwrap_or_default()
}

/// The units in each stage that has any, and in each open state.
fn told(funnel: &Funnel) -> String {
    let flow = flow(funnel);
    conserves(&flow);
    let passed = flow.passed.iter().filter(|(_, units)| !units.is_zero());
    let passed = passed.map(|(stage, units)| format!("{} {units}", stage.label()));
    let open = flow.open.iter().map(|(state, units)| format!("{state:?} {units}"));
    passed.chain(open).collect::<Vec<_>>().join(", ").replace(".000000", "")
}

fn conserves(flow: &Flow) {
    let sum = |stages: &[Stage]| -> Quantity {
        stages.iter().filter_map(|stage| flow.passed.get(stage)).copied().sum()
    };
    let open: Quantity = flow.open.values().copied().sum();
    let ends =
        [Stage::Accepted, Stage::Rejected, Stage::CarriedForward, Stage::WrittenOff, Stage::HandedOver];
    assert_eq!(sum(&[Stage::Sealed, Stage::Found]), sum(&ends) + open, "{flow:?}");
    assert_eq!(sum(&[Stage::Measured]), sum(&[Stage::Sealed, Stage::Remainder]), "{flow:?}");
}

#[test]
fn a_unit_is_counted_once_a_stage_however_often_its_report_is_read() {
    let mut funnel = Funnel::default();
    let sealed = entry(Mode::Live);
    funnel.sealed(&sealed);
    assert_eq!(told(&funnel), "measured 5.250000, remainder 0.250000, sealed 5, Sealed 5");
    let claimed = claimed(&sealed);
    let throttled =
        answered(&claimed, &Outcome::NotAccepted(Refusal { reason: "r".into(), message: "m".into() }));
    let again = self::claimed(&throttled);
    for entry in [&sealed, &sealed, &claimed, &claimed, &throttled, &again] {
        funnel.seen(entry);
    }
    assert_eq!(told(&funnel), "measured 5.250000, remainder 0.250000, sealed 5, claimed 5, Sending 5");
    let accepted = accepted(&again);
    // The last one is a read that was older than the write: it lets nothing in again.
    for entry in [&accepted, &accepted, &again] {
        funnel.seen(entry);
    }
    funnel.sealed(&sealed);
    assert_eq!(told(&funnel), "measured 5.250000, remainder 0.250000, sealed 5, claimed 5, accepted 5");
}

#[test]
fn every_end_has_its_stage() {
    let late = |record: RecordStatus| record.expired();
    let refusal = Refusal { reason: "CustomerNotEntitledException".into(), message: "m".into() };
    let sealed = entry(Mode::Live);
    let ends = [
        (answered(&claimed(&sealed), &Outcome::Rejected(refusal)), "claimed 5, rejected 5"),
        (then(&sealed, |record| late(record).carried_to(hour())), "carried_forward 5"),
        (then(&sealed, |record| late(record).under(LatePolicy::WriteOff)), "written_off 5"),
        (then(&sealed, |record| late(record).under(LatePolicy::Hold)), "Held 5"),
        (then(&sealed, late), "Expired 5"),
    ];
    for (end, expected) in ends {
        let mut funnel = Funnel::default();
        funnel.sealed(&sealed);
        funnel.seen(&end);
        assert_eq!(told(&funnel), format!("measured 5.250000, remainder 0.250000, sealed 5, {expected}"));
    }
}

#[test]
fn what_is_sealed_in_shadow_mode_is_written_off_at_once() {
    let mut funnel = Funnel::default();
    funnel.sealed(&entry(Mode::Shadow));
    assert_eq!(told(&funnel), "measured 5.250000, remainder 0.250000, sealed 5, written_off 5");
    assert!(funnel.deadlines().is_empty());
}

#[test]
fn a_process_that_starts_finds_what_is_open_and_counts_only_what_it_sees_happen() {
    let sealed = entry(Mode::Live);
    let claimed = claimed(&sealed);
    let mut funnel = Funnel::default();
    funnel.seen(&accepted(&claimed));
    assert_eq!(told(&funnel), "", "it had ended before");
    funnel.seen(&claimed);
    assert_eq!(told(&funnel), "found 5, Sending 5");
    let ambiguous = then(&claimed, |record| record.ambiguous("SenderReplaced", "m"));
    funnel.seen(&ambiguous);
    funnel.seen(&claimed);
    funnel.seen(&ambiguous);
    assert_eq!((told(&funnel).as_str(), flow(&funnel).ambiguous), ("found 5, Ambiguous 5", 1));
    funnel.seen(&then(&ambiguous, |record| record.written_off("NeverDoubleBill", "m")));
    assert_eq!(told(&funnel), "found 5, written_off 5");
}

#[test]
fn what_was_ambiguous_before_the_start_did_not_become_so_here() {
    let mut funnel = Funnel::default();
    funnel.seen(&then(&claimed(&entry(Mode::Live)), |record| record.ambiguous("SenderReplaced", "m")));
    assert_eq!((told(&funnel).as_str(), flow(&funnel).ambiguous), ("found 5, Ambiguous 5", 0));
}

#[test]
fn a_process_that_leads_no_more_hands_over_and_finds_again() {
    let mut funnel = Funnel::default();
    let sealed = entry(Mode::Live);
    funnel.sealed(&sealed);
    funnel.hand_over();
    assert_eq!(told(&funnel), "measured 5.250000, remainder 0.250000, sealed 5, handed_over 5");
    assert!(funnel.deadlines().is_empty());
    funnel.seen(&claimed(&sealed));
    funnel.seen(&accepted(&claimed(&sealed)));
    assert_eq!(
        told(&funnel),
        "measured 5.250000, remainder 0.250000, sealed 5, found 5, accepted 5, handed_over 5"
    );
}

#[test]
fn the_deadline_is_that_of_the_oldest_hour_that_aws_may_not_have() {
    let mut funnel = Funnel::default();
    let sealed = entry(Mode::Live);
    funnel.sealed(&sealed);
    assert_eq!(funnel.deadlines()[&sealed.product()], sealed.report.deadline());
    funnel.seen(&then(&sealed, RecordStatus::expired));
    assert!(funnel.deadlines().is_empty(), "nothing can be done in time any more");
}
