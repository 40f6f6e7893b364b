//! What to do with a report that is not settled, decided from its records, the deadline and who asks.
//!
//! The pod that claimed a record may send the identical request again; no other pod may, because AWS would bill it
//! a second time. An outcome that nobody knows becomes `Ambiguous`, and only the product's policy moves it on.

use jiff::{SignedDuration, Timestamp};

use crate::{
    ledger::Entry,
    mark::LEDGER_ROLLED_BACK,
    product::{AmbiguousPolicy, Policy},
    settlement::{Attempt, Claim, RecordState, RecordStatus, Settlement},
};

/// Under `NeverUnderBill` an ambiguous record is sent again half an hour before its deadline: late enough for
/// evidence to come first, early enough for retries. Once: what was claimed in this last half hour is not sent by a third
/// pod, so the policy costs a second charge at most.
pub const RESEND_BEFORE_DEADLINE: SignedDuration = SignedDuration::from_mins(30);

/// The reason of a record that this policy sends again.
pub(crate) const NEVER_UNDER_BILL: &str = "NeverUnderBill";

/// Who is sending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender {
    /// UID of the pod that AWS sees.
    pub pod: String,
    /// Transitions of the leader lease.
    pub epoch: u64,
}

/// One record to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Send {
    /// Its place in the report.
    pub index: usize,
    /// Whether it may have been sent before.
    pub attempt: Attempt,
}

/// The next step for one report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What to write before anything is sent; `None` if it is what the ledger says already.
    pub write: Option<Settlement>,
    /// What to send once that is durable, in the report's order.
    pub send: Vec<Send>,
}

/// Plans the next step.
pub fn plan(entry: &Entry, sender: &Sender, policy: Policy, now: Timestamp) -> Plan {
    let deadline = entry.report.deadline();
    let (mut write, mut send) = (None, Vec::new());
    for (index, record) in entry.settlement.records.iter().enumerate() {
        let next = advance(record, sender, policy, deadline, now);
        if next.as_ref().unwrap_or(record).state == RecordState::Sending {
            let attempt =
                if record.state == RecordState::Sending { Attempt::Repeated } else { Attempt::First };
            send.push(Send { index, attempt });
        }
        if let Some(next) = next.filter(|next| next != record) {
            let settlement = write.get_or_insert_with(|| entry.settlement.clone());
            if let Some(record) = settlement.records.get_mut(index) {
                *record = next;
            }
        }
    }
    Plan { write, send }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.write.is_none() && self.send.is_empty()
    }
}

/// What becomes of a record; `None` if it stays as it is, which most do at most times.
fn advance(
    record: &RecordStatus,
    sender: &Sender,
    policy: Policy,
    deadline: Timestamp,
    now: Timestamp,
) -> Option<RecordStatus> {
    let is_late = now >= deadline;
    let claim = || Claim { pod: sender.pod.clone(), epoch: sender.epoch, at: now };
    match record.state {
        RecordState::Sealed if is_late => Some(record.clone().expired().under(policy.late)),
        RecordState::Sealed => Some(record.clone().claimed(claim())),
        RecordState::Sending if record.claim.as_ref().is_none_or(|claim| claim.pod != sender.pod) => {
            Some(record.clone().ambiguous(
                "SenderReplaced",
                "another pod claimed this record and did not write down what became of it",
            ))
        }
        RecordState::Sending if is_late => Some(
            record
                .clone()
                .ambiguous("OutcomeUnknown", "no attempt of this record got an answer before its deadline"),
        ),
        RecordState::Ambiguous => resolve(record, policy, deadline, now),
        RecordState::Expired => Some(record.clone().under(policy.late)),
        RecordState::Sending
        | RecordState::Accepted
        | RecordState::Rejected
        | RecordState::CarriedForward
        | RecordState::WrittenOff
        | RecordState::Held => None,
    }
}

fn resolve(
    record: &RecordStatus,
    policy: Policy,
    deadline: Timestamp,
    now: Timestamp,
) -> Option<RecordStatus> {
    match policy.ambiguous {
        AmbiguousPolicy::NeverUnderBill
            if record.reason.as_deref() != Some(LEDGER_ROLLED_BACK)
                && now < deadline
                && now >= deadline - RESEND_BEFORE_DEADLINE
                && record.claim.as_ref().is_none_or(|claim| claim.at < deadline - RESEND_BEFORE_DEADLINE) =>
        {
            Some(record.clone().released(
                NEVER_UNDER_BILL,
                "sent again although it may have been taken: the product's policy",
            ))
        }
        _ if now >= deadline => Some(record.clone().written_off(
            "NeverDoubleBill",
            "it may have been taken and cannot be sent again without risking a second charge",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metering::{Outcome, Refusal},
        plan::fixture::{self, policy},
        product::{LatePolicy, Mode},
        tags::TagSet,
    };

    const FIRST: Send = Send { index: 0, attempt: Attempt::First };
    const AGAIN: Send = Send { index: 0, attempt: Attempt::Repeated };

    fn entry() -> Entry {
        fixture::entry(&[("5", TagSet::default())], Mode::Live)
    }

    fn pod(name: &str) -> Sender {
        Sender { pod: name.into(), epoch: 1 }
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}:00Z").parse().unwrap()
    }

    fn refusal() -> Refusal {
        Refusal { reason: "Reason".into(), message: "why".into() }
    }

    /// The entry after the plan's write, and after `outcome` if given.
    fn step(mut entry: Entry, plan: &Plan, outcome: Option<&Outcome>) -> Entry {
        if let Some(settlement) = &plan.write {
            entry.settlement = settlement.clone();
        }
        if let Some(outcome) = outcome {
            entry.settlement.records[0] =
                entry.settlement.records[0].clone().answered(outcome, plan.send[0].attempt);
        }
        entry
    }

    fn state(entry: &Entry) -> RecordState {
        entry.settlement.records[0].state
    }

    #[test]
    fn a_sealed_record_is_claimed_before_it_is_sent() {
        let plan = plan(&entry(), &pod("a"), policy(), at("15:05"));
        assert_eq!(plan.send, [FIRST]);
        let claimed = step(entry(), &plan, None);
        assert_eq!(state(&claimed), RecordState::Sending);
        assert_eq!(claimed.settlement.records[0].claim.as_ref().unwrap().pod, "a");
    }

    #[test]
    fn the_same_pod_sends_again_without_another_write() {
        let first = plan(&entry(), &pod("a"), policy(), at("15:05"));
        let unknown = step(entry(), &first, Some(&Outcome::Unknown(refusal())));
        let again = plan(&unknown, &pod("a"), policy(), at("15:06"));
        assert_eq!(again, Plan { write: None, send: vec![AGAIN] });
    }

    #[test]
    fn another_pod_never_sends_what_was_claimed() {
        let first = plan(&entry(), &pod("a"), policy(), at("15:05"));
        let claimed = step(entry(), &first, None);
        let other = plan(&claimed, &pod("b"), policy(), at("15:06"));
        assert!(other.send.is_empty());
        assert_eq!(state(&step(claimed, &other, None)), RecordState::Ambiguous);
    }

    #[test]
    fn another_pod_sends_what_was_certainly_not_taken() {
        let first = plan(&entry(), &pod("a"), policy(), at("15:05"));
        let refused = step(entry(), &first, Some(&Outcome::NotAccepted(refusal())));
        assert_eq!(plan(&refused, &pod("b"), policy(), at("15:06")).send, [FIRST]);
    }

    #[test]
    fn a_refusal_proves_nothing_about_an_earlier_attempt_that_got_lost() {
        let first = plan(&entry(), &pod("a"), policy(), at("15:05"));
        let unknown = step(entry(), &first, Some(&Outcome::Unknown(refusal())));
        let again = plan(&unknown, &pod("a"), policy(), at("15:06"));
        let throttled = step(unknown.clone(), &again, Some(&Outcome::NotAccepted(refusal())));
        assert_eq!(state(&throttled), RecordState::Sending);
        assert!(plan(&throttled, &pod("b"), policy(), at("15:07")).send.is_empty());
        let late = step(unknown, &again, Some(&Outcome::OutOfWindow(refusal())));
        assert_eq!(state(&late), RecordState::Ambiguous);
    }

    #[test]
    fn an_ambiguous_record_is_written_off_at_its_deadline_by_default() {
        let first = plan(&entry(), &pod("a"), policy(), at("15:05"));
        let claimed = step(entry(), &first, None);
        let other = plan(&claimed, &pod("b"), policy(), at("15:06"));
        let ambiguous = step(claimed, &other, None);
        assert_eq!(plan(&ambiguous, &pod("b"), policy(), at("19:49")), Plan { write: None, send: vec![] });
        let last = plan(&ambiguous, &pod("b"), policy(), at("19:50"));
        assert_eq!(state(&step(ambiguous, &last, None)), RecordState::WrittenOff);
    }

    #[test]
    fn an_ambiguous_record_is_sent_again_in_time_if_the_product_wants_that() {
        let policy = Policy { ambiguous: AmbiguousPolicy::NeverUnderBill, ..policy() };
        let first = plan(&entry(), &pod("a"), policy, at("15:05"));
        let claimed = step(entry(), &first, None);
        let ambiguous = step(claimed.clone(), &plan(&claimed, &pod("b"), policy, at("15:06")), None);
        assert_eq!(plan(&ambiguous, &pod("b"), policy, at("19:19")).write, None);
        let released = step(ambiguous.clone(), &plan(&ambiguous, &pod("b"), policy, at("19:20")), None);
        assert_eq!(state(&released), RecordState::Sealed);
        assert_eq!(plan(&released, &pod("b"), policy, at("19:21")).send, [FIRST]);
        // Once: a third charge is nobody's policy.
        let again = step(released.clone(), &plan(&released, &pod("b"), policy, at("19:21")), None);
        let lost = step(again.clone(), &plan(&again, &pod("c"), policy, at("19:22")), None);
        assert_eq!(state(&lost), RecordState::Ambiguous);
        assert_eq!(plan(&lost, &pod("c"), policy, at("19:23")).write, None);
    }

    #[test]
    fn a_sealed_record_expires_at_its_deadline_under_the_late_policy() {
        for (late, expected) in [
            (LatePolicy::CarryForward, RecordState::Expired),
            (LatePolicy::WriteOff, RecordState::WrittenOff),
            (LatePolicy::Hold, RecordState::Held),
        ] {
            let policy = Policy { late, ..policy() };
            let plan = plan(&entry(), &pod("a"), policy, at("19:50"));
            assert!(plan.send.is_empty());
            assert_eq!(state(&step(entry(), &plan, None)), expected);
        }
    }

    #[test]
    fn an_unanswered_record_is_ambiguous_at_its_deadline_even_for_its_own_pod() {
        let first = plan(&entry(), &pod("a"), policy(), at("15:05"));
        let unknown = step(entry(), &first, Some(&Outcome::Unknown(refusal())));
        let last = plan(&unknown, &pod("a"), policy(), at("19:50"));
        assert!(last.send.is_empty());
        assert_eq!(state(&step(unknown, &last, None)), RecordState::Ambiguous);
    }

    #[test]
    fn terminal_records_never_change() {
        let first = plan(&entry(), &pod("a"), policy(), at("15:05"));
        for outcome in [Outcome::Accepted { metering_record_id: "r".into() }, Outcome::Rejected(refusal())] {
            let done = step(entry(), &first, Some(&outcome));
            for (who, when) in [("a", "15:06"), ("b", "15:06"), ("b", "23:00")] {
                assert_eq!(plan(&done, &pod(who), policy(), at(when)), Plan { write: None, send: vec![] });
            }
        }
    }
}
