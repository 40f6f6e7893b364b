use super::*;
use crate::{
    metering::Outcome,
    plan::fixture::{self, hour},
    product::Mode,
    settlement::{Attempt, Claim},
    tags::TagSet,
};

fn now() -> Timestamp {
    hour().end() + SignedDuration::from_mins(5)
}

fn sender(pod: &str, epoch: u64) -> Sender {
    Sender { pod: pod.to_owned(), epoch }
}

fn entry() -> Entry {
    fixture::entry(&[("7.5", TagSet::default())], Mode::Live)
}

/// The entry after a change to its one record.
fn with(entry: &Entry, change: impl FnOnce(RecordStatus) -> RecordStatus) -> Entry {
    let status = change(entry.settlement.records[0].clone());
    let version = format!("{}+", entry.version);
    Entry { settlement: Settlement { records: vec![status] }, version, ..entry.clone() }
}

fn claimed(entry: &Entry, pod: &str, epoch: u64) -> Entry {
    with(entry, |status| status.claimed(Claim { pod: pod.to_owned(), epoch, at: now() }))
}

fn accepted(entry: &Entry) -> Entry {
    let outcome = Outcome::Accepted { metering_record_id: "id".to_owned() };
    with(&claimed(entry, "a", 1), |status| status.answered(&outcome, Attempt::First))
}

fn broken(entry: &Entry) -> Option<&'static str> {
    Guard::default().inspect(entry, now()).err().map(|violation| violation.invariant)
}

#[test]
fn the_life_of_a_record_breaks_nothing() {
    let mut guard = Guard::default();
    let sealed = entry();
    let record = &sealed.report.body.records[0];
    guard.inspect(&sealed, now()).unwrap();
    let claimed = claimed(&sealed, "a", 1);
    guard.permit(&claimed, record, &sender("a", 1)).unwrap();
    guard.permit(&claimed, record, &sender("a", 2)).unwrap();
    guard.inspect(&claimed, now()).unwrap();
    guard.inspect(&accepted(&sealed), now()).unwrap();
    assert_eq!(guard.breach(&sealed.product()), None);
}

#[test]
fn what_a_hand_has_edited_is_not_sent() {
    let sealed = entry();
    let edited = |change: fn(&mut Entry)| {
        let mut entry = sealed.clone();
        change(&mut entry);
        broken(&entry)
    };
    assert_eq!(edited(|entry| entry.report.body.records[0].quantity = 8), Some("Chain"));
    assert_eq!(edited(|entry| entry.settlement.records.clear()), Some("I4"));
    assert_eq!(edited(|entry| entry.settlement.records[0].state = RecordState::Sending), Some("I3"));
    assert_eq!(edited(|entry| entry.settlement.records[0].state = RecordState::Accepted), Some("I1"));
    assert_eq!(broken(&with(&accepted(&sealed), |one| one.released("By", "hand"))), Some("I5"));
    assert_eq!(Guard::default().inspect(&sealed, hour().start()).unwrap_err().invariant, "Closed");
    let resealed = |change: fn(&mut SealedRecord)| {
        let mut body = sealed.report.body.clone();
        change(&mut body.records[0]);
        broken(&Entry { report: body.sealed(), ..sealed.clone() })
    };
    assert_eq!(resealed(|record| record.quantity = 9), Some("I4"));
    assert_eq!(resealed(|record| record.quantity = 3), Some("I4"));
    assert_eq!(resealed(|_| ()), None);
}

#[test]
fn nothing_is_sent_without_a_claim_of_ones_own_or_against_a_later_epoch() {
    let sealed = entry();
    let record = &sealed.report.body.records[0];
    let permit = |entry: &Entry, sender: &Sender| {
        Guard::default().permit(entry, record, sender).err().map(|violation| violation.invariant)
    };
    assert_eq!(permit(&sealed, &sender("a", 1)), Some("I3"));
    assert_eq!(permit(&claimed(&sealed, "b", 1), &sender("a", 1)), Some("I3"));
    assert_eq!(permit(&claimed(&sealed, "a", 2), &sender("a", 1)), Some("I8"));
    assert_eq!(permit(&claimed(&sealed, "a", 1), &sender("a", 1)), None);
}

#[test]
fn a_breach_halts_its_product_for_good() {
    let mut guard = Guard::default();
    let sealed = entry();
    guard.inspect(&accepted(&sealed), now()).unwrap();
    let mut revived = accepted(&sealed);
    revived.version.push('+');
    revived.settlement.records[0].state = RecordState::Sealed;
    revived.settlement.records[0].metering_record_id = None;
    assert_eq!(guard.inspect(&revived, now()).unwrap_err().invariant, "I5");
    assert_eq!(guard.inspect(&sealed, now()).unwrap_err().invariant, "I5");
    assert!(guard.breach(&sealed.product()).is_some());
}

#[test]
fn a_damaged_report_halts_its_product_and_no_other() {
    let mut guard = Guard::default();
    let sealed = entry();
    let other = ObjectKey::new("vecdb", "other");
    let damaged = |product: ObjectKey| Damage { report: sealed.key(), product, problem: "edited".to_owned() };
    assert!(guard.condemn(&damaged(other.clone())));
    guard.inspect(&sealed, now()).unwrap();
    assert!(guard.condemn(&damaged(sealed.product())));
    assert!(!guard.condemn(&damaged(sealed.product())));
    assert_eq!(guard.inspect(&sealed, now()).unwrap_err().message, "edited");
    assert_eq!(guard.breach(&other).map(|breach| breach.invariant), Some("Chain"));
}

#[test]
fn a_clock_that_is_set_back_halts_nothing_for_good() {
    let mut guard = Guard::default();
    let sealed = entry();
    assert_eq!(guard.inspect(&sealed, hour().start()).unwrap_err().invariant, "Closed");
    assert_eq!(guard.breach(&sealed.product()), None);
    guard.inspect(&sealed, now()).unwrap();
}

#[test]
fn a_claim_that_a_backup_has_undone_is_not_made_again() {
    let mut guard = Guard::default();
    let sealed = entry();
    guard.inspect(&claimed(&sealed, "a", 1), now()).unwrap();
    assert_eq!(guard.inspect(&sealed, now()).unwrap_err().invariant, "I5");
}

#[test]
fn other_content_under_the_same_token_is_not_sent() {
    let mut guard = Guard::default();
    let sealed = claimed(&entry(), "a", 1);
    guard.permit(&sealed, &sealed.report.body.records[0], &sender("a", 1)).unwrap();
    let mut body = sealed.report.body.clone();
    body.records[0].quantity = 6;
    let other = Entry { report: body.sealed(), ..sealed };
    let violation = guard.permit(&other, &other.report.body.records[0], &sender("a", 1)).unwrap_err();
    assert_eq!(violation.invariant, "I2");
}

#[test]
fn what_is_past_its_deadline_is_forgotten() {
    let mut guard = Guard::default();
    let sealed = entry();
    guard.inspect(&sealed, now()).unwrap();
    guard.forget(sealed.report.deadline() + SignedDuration::from_hours(2));
    assert!(guard.seen.is_empty());
}
