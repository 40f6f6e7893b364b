use super::*;

const STATES: [RecordState; 9] = [
    RecordState::Sealed,
    RecordState::Sending,
    RecordState::Accepted,
    RecordState::Rejected,
    RecordState::Ambiguous,
    RecordState::Expired,
    RecordState::CarriedForward,
    RecordState::WrittenOff,
    RecordState::Held,
];

fn author() -> Author {
    Author {
        name: "alice".into(),
        is_verified: true,
        reason: " seen in CloudTrail ".into(),
        at: "2026-11-21T16:00:00Z".parse().unwrap(),
    }
}

fn record(state: RecordState) -> RecordStatus {
    RecordStatus { state, ..RecordStatus::sealed("gb_hours".parse().unwrap()) }
}

fn wishes() -> [Wish; 5] {
    [
        Wish::Resolve { record_id: "record-1".into() },
        Wish::WriteOff,
        Wish::Release { accepts_second_charge: false },
        Wish::Release { accepts_second_charge: true },
        Wish::Acknowledge,
    ]
}

#[test]
fn only_these_moves_are_legal() {
    use RecordState::{Accepted, Ambiguous, Expired, Held, Rejected, Sealed, WrittenOff};
    let mut legal = Vec::new();
    for state in STATES {
        for wish in wishes() {
            if let Ok(after) = record(state).decided(&wish, &author()) {
                legal.push((state, wish, after.state));
            }
        }
    }
    let [resolve, write_off, release, release_twice, acknowledge] = wishes();
    let expected = [
        (Rejected, acknowledge, Rejected),
        (Ambiguous, resolve, Accepted),
        (Ambiguous, write_off.clone(), WrittenOff),
        (Ambiguous, release_twice.clone(), Sealed),
        (Expired, write_off.clone(), WrittenOff),
        (Held, write_off, WrittenOff),
        (Held, release, Expired),
        (Held, release_twice, Expired),
    ];
    assert_eq!(legal, expected);
}

#[test]
fn a_state_that_has_ended_never_changes() {
    for state in STATES.into_iter().filter(|state| state.is_terminal()) {
        for wish in wishes() {
            let after = record(state).decided(&wish, &author());
            assert!(after.is_err() || after.unwrap().state == state, "{state:?} {wish:?}");
        }
    }
}

#[test]
fn every_illegal_move_is_one_sentence_that_names_the_record() {
    for state in STATES {
        for wish in wishes() {
            if let Err(error) = record(state).decided(&wish, &author()) {
                let text = error.to_string();
                assert!(text.contains("gb_hours") && !text.contains('\n'), "{text}");
            }
        }
    }
}

#[test]
fn a_decision_says_who_why_when_and_from_where_and_is_never_overwritten() {
    let resolved = record(RecordState::Ambiguous).decided(&wishes()[0], &author()).unwrap();
    assert_eq!(resolved.metering_record_id.as_deref(), Some("record-1"));
    let first = resolved.decisions[0].clone();
    assert_eq!(
        first.to_string(),
        "Resolve by alice at 2026-11-21T16:00:00Z, from Ambiguous: seen in CloudTrail"
    );
    let released = record(RecordState::Ambiguous).decided(&wishes()[3], &author()).unwrap();
    let again = RecordStatus { state: RecordState::Ambiguous, ..released.clone() };
    let written_off = again.decided(&Wish::WriteOff, &author()).unwrap();
    assert_eq!(written_off.decisions.len(), 2);
    assert_eq!(written_off.decisions[0], released.decisions[0]);
}

#[test]
fn a_released_record_has_no_claim_and_anybody_may_send_it() {
    let claim = crate::settlement::Claim { pod: "a".into(), epoch: 1, at: author().at };
    let claimed = record(RecordState::Sealed).claimed(claim).ambiguous("SenderReplaced", "why");
    assert_eq!(claimed.decided(&wishes()[3], &author()).unwrap().claim, None);
}

#[test]
fn an_acknowledged_rejection_needs_nobody_any_more() {
    let rejected =
        RecordStatus { reason: Some("InvalidTagException".into()), ..record(RecordState::Rejected) };
    assert!(rejected.needs_attention());
    let seen = rejected.decided(&Wish::Acknowledge, &author()).unwrap();
    assert!(!seen.needs_attention());
    assert_eq!((seen.state, seen.reason.as_deref()), (RecordState::Rejected, Some("InvalidTagException")));
    assert_eq!(
        seen.decided(&Wish::Acknowledge, &author()),
        Err(IllegalDecision::Acknowledged("gb_hours".into()))
    );
}

#[test]
fn a_decision_needs_a_reason_and_a_usable_record_id() {
    for reason in ["", "  ", &"x".repeat(1025)] {
        let author = Author { reason: reason.to_owned(), ..author() };
        let refused = record(RecordState::Held).decided(&Wish::WriteOff, &author);
        assert_eq!(refused, Err(IllegalDecision::Reason));
    }
    for record_id in ["", "two words", &"x".repeat(256)] {
        let wish = Wish::Resolve { record_id: record_id.to_owned() };
        let refused = record(RecordState::Ambiguous).decided(&wish, &author());
        assert_eq!(refused, Err(IllegalDecision::RecordId));
    }
}

#[test]
fn there_is_an_end_to_decisions() {
    let mut ambiguous = record(RecordState::Ambiguous);
    for _ in 0..MAX_DECISIONS {
        ambiguous = ambiguous.decided(&wishes()[3], &author()).unwrap();
        ambiguous.state = RecordState::Ambiguous;
    }
    let refused = ambiguous.decided(&Wish::WriteOff, &author());
    assert_eq!(refused, Err(IllegalDecision::TooMany("gb_hours".into())));
}
