use super::*;
use crate::{
    decision::{Author, Wish},
    metering::{Outcome, Refusal},
    plan::{
        fixture::{self, hour, policy},
        submission::{self, Sender},
    },
    product::{AmbiguousPolicy, Mode, Policy},
    tags::TagSet,
};

fn entry_of(quantity: &str) -> Entry {
    fixture::entry(&[(quantity, TagSet::default())], Mode::Live)
}

fn entry() -> Entry {
    entry_of("5")
}

fn at(text: &str) -> Timestamp {
    format!("2026-11-21T{text}:00Z").parse().unwrap()
}

fn claimed_at(entry: Entry, time: &str) -> Entry {
    let sender = Sender { pod: "a".into(), epoch: 1 };
    let plan = submission::plan(&entry, &sender, policy(), at(time));
    Entry { settlement: plan.write.unwrap_or(entry.settlement), ..entry }
}

fn answered(mut entry: Entry, outcome: &Outcome) -> Entry {
    let record = entry.settlement.records.remove(0);
    entry.settlement.records.insert(0, record.answered(outcome, crate::settlement::Attempt::First));
    entry
}

fn not_accepted() -> Outcome {
    Outcome::NotAccepted(Refusal { reason: "Throttled".into(), message: "later".into() })
}

/// A mark that knows of these sends.
fn mark_of(entries: &[&Entry]) -> Mark {
    let mut mark = Mark::default();
    for entry in entries {
        let note = Note::of_sending(&mark, entry, 0..entry.settlement.records.len()).unwrap();
        mark.raise(note);
    }
    mark
}

fn is_doubted(mark: &Mark, entry: &Entry) -> bool {
    mark.doubted(entry).is_some()
}

#[test]
fn a_send_is_noted_once() {
    let sending = claimed_at(entry(), "15:05");
    let mark = mark_of(&[&sending]);
    assert_eq!(Note::of_sending(&mark, &sending, 0..1), None);
    assert_eq!(Note::of_seen(&mark, &sending), None);
    assert!(Note::of_sending(&mark, &claimed_at(entry(), "15:06"), 0..1).is_some());
    assert_eq!(Note::of_seen(&Mark::default(), &entry()), None);
    assert!(Note::of_seen(&Mark::default(), &sending).is_some());
}

#[test]
fn a_ledger_that_moves_on_is_never_doubted() {
    let sending = claimed_at(entry(), "15:05");
    let mark = mark_of(&[&sending]);
    let refused = answered(sending.clone(), &not_accepted());
    let accepted = answered(sending.clone(), &Outcome::Accepted { metering_record_id: "r".into() });
    let again = claimed_at(refused.clone(), "15:06");
    for entry in [&sending, &refused, &accepted, &again] {
        assert!(!is_doubted(&mark, entry), "{:?}", entry.settlement);
        assert_eq!(mark.compare(Some(&entry.report), at("15:10")), None);
    }
}

#[test]
fn a_claim_that_was_undone_is_doubted_at_every_age_of_the_backup() {
    let first = claimed_at(entry(), "15:05");
    let refused = answered(first.clone(), &not_accepted());
    let second = claimed_at(refused.clone(), "15:06");
    let mark = mark_of(&[&first, &second]);
    for older in [entry(), refused] {
        let settlement = mark.doubted(&older).unwrap();
        assert_eq!(settlement.records[0].state, RecordState::Ambiguous);
        assert_eq!(settlement.records[0].reason.as_deref(), Some(LEDGER_ROLLED_BACK));
    }
    assert!(!is_doubted(&mark, &second));
}

#[test]
fn a_resend_that_was_undone_is_not_made_a_third_time() {
    let policy = Policy { ambiguous: AmbiguousPolicy::NeverUnderBill, ..policy() };
    let plan = |entry: &Entry, pod: &str, time: &str| {
        let sender = Sender { pod: pod.into(), epoch: 1 };
        let write = submission::plan(entry, &sender, policy, at(time)).write.unwrap();
        Entry { settlement: write, ..entry.clone() }
    };
    let first = claimed_at(entry(), "15:05");
    let ambiguous = plan(&first, "b", "15:06");
    let released = plan(&ambiguous, "b", "19:20");
    let resent = plan(&released, "b", "19:21");
    let before = mark_of(&[&first]);
    assert!(!is_doubted(&before, &ambiguous) && !is_doubted(&before, &released));
    let after = mark_of(&[&first, &resent]);
    for older in [&ambiguous, &released] {
        let doubted = Entry { settlement: after.doubted(older).unwrap(), ..older.clone() };
        let sender = Sender { pod: "c".into(), epoch: 2 };
        assert_eq!(submission::plan(&doubted, &sender, policy, at("19:22")).write, None);
    }
}

#[test]
fn a_head_that_is_missing_or_other_is_a_rollback_unless_it_may_have_been_pruned() {
    let mark = mark_of(&[&claimed_at(entry(), "15:05")]);
    let rollback = Some(Rollback { through: hour(), at: at("16:00") });
    assert_eq!(mark.compare(None, at("16:00")), rollback);
    assert_eq!(mark.compare(Some(&entry_of("6").report), at("16:00")), rollback);
    assert_eq!(mark.compare(None, "2026-11-23T15:00:01Z".parse().unwrap()), None);
    assert_eq!(Mark::default().compare(None, at("16:00")), None);
}

#[test]
fn after_a_rollback_nothing_open_is_sent_or_carried_unless_a_person_says_so() {
    let mut mark = mark_of(&[&claimed_at(entry(), "15:05")]);
    mark.raise(Note::RolledBack(mark.compare(None, at("16:00")).unwrap()));
    assert!(mark.covers(hour()) && mark.covers(hour().previous()) && !mark.covers(hour().next()));
    assert_eq!((mark.head(), mark.compare(None, at("16:01"))), (None, None));
    let mut older = entry_of("6");
    for state in [RecordState::Sealed, RecordState::Expired, RecordState::Held] {
        older.settlement.records[0].state = state;
        assert!(is_doubted(&mark, &older), "{state:?}");
    }
    let doubted = Entry { settlement: mark.doubted(&older).unwrap(), ..older };
    let author = |time| Author { name: "alice".into(), is_verified: true, reason: "r".into(), at: at(time) };
    let wish = Wish::Release { accepts_second_charge: true };
    for (time, is_in_doubt) in [("15:59", true), ("16:01", false)] {
        let released = doubted.settlement.records[0].clone().decided(&wish, &author(time)).unwrap();
        assert_eq!(mark.doubts(&doubted.report, &released), is_in_doubt, "{time}");
    }
}

#[test]
fn a_report_that_was_lost_is_sealed_in_doubt() {
    let settlement = in_doubt(entry().settlement);
    assert_eq!(settlement.records[0].state, RecordState::Ambiguous);
    let shadow = Settlement::of(&entry().report, Mode::Shadow);
    assert_eq!(in_doubt(shadow.clone()), shadow);
}

#[test]
fn single_records_are_forgotten_and_the_mark_is_not() {
    let mut mark = mark_of(&[&claimed_at(entry(), "15:05")]);
    let later = Head { hour: "2026-11-22T14:00:00Z".parse().unwrap(), hash: Digest::of(b"later") };
    mark.raise(Note::Sent { report: later, records: BTreeMap::new() });
    assert!(mark.sent.is_empty() && mark.covers(hour()));
    let json = serde_json::to_string(&mark).unwrap();
    assert_eq!(serde_json::from_str::<Mark>(&json).unwrap(), mark);
}
