use serde_json::{Value, json};

use super::*;
use crate::{plan::fixture, product::Mode, settlement::Claim, tags::TagSet};

const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123";

/// A report whose one record was claimed at 15:05 and is ambiguous.
fn entry() -> Entry {
    let tags = TagSet::new([("team".to_owned(), "a".to_owned())]).unwrap();
    let mut entry = fixture::entry(&[("5", TagSet::default()), ("3", tags)], Mode::Live);
    let claim = Claim { pod: "a".into(), epoch: 1, at: at("15:05") };
    let sealed = entry.settlement.records.remove(0);
    entry.settlement.records.insert(0, sealed.claimed(claim).ambiguous("SenderReplaced", "m"));
    entry
}

fn at(text: &str) -> Timestamp {
    format!("2026-11-21T{text}:00Z").parse().unwrap()
}

fn request() -> MeterUsage {
    let entry = entry();
    entry.report.request(&entry.report.body.records[0])
}

/// The event of the record's request, in the form of AWS's documentation.
fn event() -> Value {
    let request = request();
    json!({
        "eventVersion": "1.05",
        "userIdentity": {"type": "AssumedRole", "sessionContext": {"webIdFederationData": {
            "federatedProvider": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/0123"}}},
        "eventTime": "2026-11-21T15:05:02Z",
        "eventSource": "metering-marketplace.amazonaws.com",
        "eventName": "MeterUsage",
        "requestParameters": {
            "timestamp": "Nov 21, 2026 2:00:00 PM", "usageQuantity": request.quantity,
            "usageDimension": request.dimension, "productCode": request.product_code,
        },
        "responseElements": {"meteringRecordId": "rec-1"},
        "eventID": "e-1",
    })
}

/// The event with other members; `null` takes one away.
fn with(pointer: &str, value: Value) -> Value {
    let mut event = event();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap()[member] = value;
    event
}

fn refused(code: &str) -> Value {
    let mut event = with("/responseElements", Value::Null);
    event["errorCode"] = json!(code);
    event["errorMessage"] = json!("said so");
    event
}

fn read(events: &[Value]) -> Vec<MeteredCall> {
    events.iter().filter_map(|event| MeteredCall::read(&event.to_string())).collect()
}

fn verdict(events: &[Value], now: &str) -> Verdict {
    judge(&request(), &read(events), Some(ISSUER), at("15:05"), at(now))
}

fn taken() -> Verdict {
    let at = "2026-11-21T15:05:02Z".parse().unwrap();
    Verdict::Taken { record_id: "rec-1".into(), event: "e-1".into(), at }
}

#[test]
fn a_call_that_aws_took_proves_the_record_at_once() {
    assert_eq!(verdict(&[event()], "15:06"), taken());
    // The same call again, refused because a hand-over came in between: the first one counts.
    assert_eq!(verdict(&[refused("CustomerNotEntitledException"), event()], "23:00"), taken());
}

#[test]
fn a_record_is_known_by_its_whole_content() {
    let request = request();
    let parts = |tag: &str| {
        json!([
            {"allocatedUsageQuantity": 3, "tags": [{"key": "team", "value": tag}]},
            {"allocatedUsageQuantity": 5}
        ])
    };
    for (pointer, other) in [
        ("/requestParameters/productCode", json!("other")),
        ("/requestParameters/usageDimension", json!("other")),
        ("/requestParameters/usageQuantity", json!(7)),
        ("/requestParameters/usageQuantity", json!("8")),
        ("/requestParameters/timestamp", json!("Nov 21, 2026 3:00:00 PM")),
        ("/requestParameters/timestamp", json!("21.11.2026 14:00")),
        ("/requestParameters/clientToken", json!("of-another-cluster")),
        ("/requestParameters/usageAllocations", parts("b")),
        ("/requestParameters/dryRun", json!(true)),
        ("/eventName", json!("BatchMeterUsage")),
        ("/eventSource", json!("metering.example.com")),
        ("/responseElements", Value::Null),
        (
            "/userIdentity/sessionContext/webIdFederationData/federatedProvider",
            json!("arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/4567"),
        ),
    ] {
        assert_eq!(verdict(&[with(pointer, other.clone())], "15:30"), Verdict::Silent, "{pointer} {other}");
    }
    for (pointer, same) in [
        ("/requestParameters/timestamp", json!("Nov 21, 2026 2:00:00\u{202f}PM")),
        ("/requestParameters/timestamp", json!("2026-11-21T14:00:00Z")),
        ("/requestParameters/timestamp", json!(1_795_269_600)),
        ("/requestParameters/clientToken", json!(request.client_token)),
        ("/requestParameters/usageAllocations", parts("a")),
        ("/requestParameters/dryRun", json!(false)),
        ("/userIdentity", Value::Null),
    ] {
        assert_eq!(verdict(&[with(pointer, same.clone())], "15:06"), taken(), "{pointer} {same}");
    }
}

#[test]
fn days_and_hours_of_one_digit_are_read() {
    let event = with("/requestParameters/timestamp", json!("Jul 3, 2020 1:35:44 AM"));
    let call = MeteredCall::read(&event.to_string());
    assert!(call.is_some());
}

#[test]
fn two_record_ids_prove_nothing_about_either() {
    let other = with("/responseElements/meteringRecordId", json!("rec-2"));
    let ids = ["rec-1".to_owned(), "rec-2".to_owned()].into();
    assert_eq!(verdict(&[event(), other], "15:06"), Verdict::Contradictory(ids));
    assert_eq!(verdict(&[event(), event()], "15:06"), taken());
}

#[test]
fn a_refusal_counts_once_a_call_before_it_would_have_been_delivered() {
    let events = [refused("CustomerNotEntitledException")];
    assert_eq!(
        verdict(&events, "15:25"),
        Verdict::Pending,
        "twenty minutes from the call on, not from the claim"
    );
    let refusal = Refusal { reason: "CustomerNotEntitledException".into(), message: "said so".into() };
    assert_eq!(verdict(&events, "15:26"), Verdict::Refused { refusal, event: "e-1".into() });
    for passes in ["ThrottlingException", "AccessDenied", "TimestampOutOfBoundsException", "InternalFailure"]
    {
        assert_eq!(verdict(&[refused(passes)], "15:26"), Verdict::Silent, "{passes}");
    }
}

#[test]
fn nothing_found_is_never_proof() {
    assert_eq!(verdict(&[], "15:24"), Verdict::Pending);
    assert_eq!(verdict(&[], "15:25"), Verdict::Silent);
    for now in ["15:24", "15:25", "19:00"] {
        assert_eq!(plan(&entry(), &[], None, at(now)).write, None);
    }
}

#[test]
fn a_proved_record_says_by_what() {
    let plan = plan(&entry(), &read(&[event()]), Some(ISSUER), at("15:10"));
    assert_eq!(plan.undecided, []);
    let record = plan.write.unwrap().records.remove(0);
    assert_eq!((record.state, record.metering_record_id.as_deref()), (RecordState::Accepted, Some("rec-1")));
    assert_eq!(record.reason.as_deref(), Some("Evidence"));
    let decision = &record.decisions[0];
    assert_eq!((decision.by.as_str(), decision.from), ("tollkeeper", RecordState::Ambiguous));
    assert_eq!(decision.reason, "evidence: CloudTrail event e-1 of 2026-11-21T15:05:02Z");
}

#[test]
fn a_refused_record_is_rejected_as_if_the_refusal_had_been_heard() {
    let calls = read(&[refused("CustomerNotEntitledException")]);
    let record = plan(&entry(), &calls, Some(ISSUER), at("16:00")).write.unwrap().records.remove(0);
    assert_eq!(
        (record.state, record.reason.as_deref()),
        (RecordState::Rejected, Some("CustomerNotEntitledException"))
    );
    assert_eq!(record.message.as_deref(), Some("said so; evidence: CloudTrail event e-1"));
}

#[test]
fn only_an_ambiguous_record_is_moved() {
    for state in [
        RecordState::Sealed,
        RecordState::Sending,
        RecordState::Accepted,
        RecordState::Rejected,
        RecordState::Expired,
        RecordState::CarriedForward,
        RecordState::WrittenOff,
        RecordState::Held,
    ] {
        let mut entry = entry();
        entry.settlement.records[0].state = state;
        assert_eq!(plan(&entry, &read(&[event()]), None, at("16:00")), Plan::default(), "{state:?}");
    }
}

#[test]
fn a_record_without_a_claim_waits_from_the_end_of_its_hour() {
    let mut entry = entry();
    entry.settlement.records[0].claim = None;
    let undecided = |now: &str| plan(&entry, &[], None, at(now)).undecided.remove(0).1;
    assert_eq!(undecided("15:19"), Verdict::Pending);
    assert_eq!(undecided("15:20"), Verdict::Silent);
}
