//! CloudTrail's event history.

use tollkeeper_core::evidence::{CallResult, MeteredCall};

use super::*;
use crate::{Answer, FaultScript, LookupEventsRequest};

fn lookup(changes: &Value) -> LookupEventsRequest {
    let mut members =
        json!({"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "MeterUsage"}]});
    for (name, value) in changes.as_object().unwrap() {
        members[name] = value.clone();
    }
    LookupEventsRequest::from_json(members.to_string().as_bytes()).unwrap()
}

/// What pod `a` is told so many minutes after half past three.
fn found(aws: &mut Simulator, minutes: i64, changes: &Value) -> Result<Value, ApiError> {
    let exchange = aws.look_up(at(SignedDuration::from_mins(minutes)), &Caller::pod("a"), &lookup(changes));
    match exchange.answer {
        Answer::Reply(result) => result,
        other => panic!("{other:?}"),
    }
}

fn calls(page: &Value) -> Vec<MeteredCall> {
    let events = page["Events"].as_array().unwrap();
    let read = |event: &Value| MeteredCall::read(event["CloudTrailEvent"].as_str().unwrap()).unwrap();
    events.iter().map(read).collect()
}

#[test]
fn a_call_is_in_the_history_five_minutes_later_with_what_aws_said() {
    let mut aws = Simulator::default();
    let id = call(
        &mut aws,
        json!({"UsageAllocations": [{"AllocatedUsageQuantity": 812, "Tags": [{"Key": "k", "Value": "v"}]}]}),
    )
    .unwrap();
    call(&mut aws, json!({"UsageQuantity": 813})).unwrap_err();
    assert_eq!(found(&mut aws, 4, &json!({})).unwrap()["Events"], json!([]));
    let page = found(&mut aws, 5, &json!({})).unwrap();
    let results: Vec<_> = calls(&page).into_iter().map(|call| call.result).collect();
    assert!(
        matches!(&results[0], CallResult::Refused { code, .. } if code == "IdempotencyConflictException")
    );
    assert_eq!(results[1], CallResult::Taken { record_id: id });
    let event: Value = serde_json::from_str(page["Events"][1]["CloudTrailEvent"].as_str().unwrap()).unwrap();
    assert_eq!(
        event["requestParameters"],
        json!({"productCode": "vecdb", "usageDimension": "gb_hours", "timestamp": "Nov 21, 2026 2:00:00 PM",
            "usageQuantity": 812,
            "usageAllocations": [{"allocatedUsageQuantity": 812, "tags": [{"key": "k", "value": "v"}]}]})
    );
    assert_eq!(
        (&event["eventName"], &event["eventID"]),
        (&json!("MeterUsage"), &page["Events"][1]["EventId"])
    );
}

#[test]
fn a_call_that_never_reached_aws_is_not_in_the_history() {
    let mut aws = Simulator::new(Settings { trail_delay_seconds: 0, ..Settings::default() });
    for (effect, events) in [("reset", 0), ("error500Before", 0), ("acceptThenDrop", 1), ("error500After", 1)]
    {
        aws.reset();
        aws.set_faults(FaultScript::parse(&format!("faults: [{{effect: {effect}}}]")).unwrap());
        aws.exchange(now(), &Caller::pod("a"), &request(json!({})));
        assert_eq!(calls(&found(&mut aws, 0, &json!({})).unwrap()).len(), events, "{effect}");
    }
}

#[test]
fn the_history_comes_in_pages_newest_first() {
    let mut aws = Simulator::new(Settings { calls_a_second: 0, lookups_a_second: 0, ..Settings::default() });
    for number in 0..7 {
        call(&mut aws, json!({"UsageDimension": format!("d{number}"), "ClientToken": null})).unwrap();
    }
    let (mut seen, mut next) = (vec![], Value::Null);
    loop {
        let page = found(&mut aws, 10, &json!({"MaxResults": 3, "NextToken": next})).unwrap();
        seen.push(calls(&page).len());
        next = page["NextToken"].clone();
        if next.is_null() {
            break;
        }
    }
    assert_eq!(seen, [3, 3, 1]);
}

#[test]
fn an_account_sees_its_own_events_of_the_time_and_name_it_asks_for() {
    let mut aws = Simulator::new(Settings { lookups_a_second: 0, ..Settings::default() });
    call(&mut aws, json!({})).unwrap();
    let (moment, by) = (
        now().as_second(),
        |key: &str, value: &str| json!({"LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}]}),
    );
    for (changes, events) in [
        (json!({"StartTime": moment, "EndTime": moment}), 1),
        (json!({"StartTime": moment + 1}), 0),
        (json!({"EndTime": moment - 1}), 0),
        (by("EventSource", "metering-marketplace.amazonaws.com"), 1),
        (by("EventName", "BatchMeterUsage"), 0),
        (json!({"LookupAttributes": []}), 1),
    ] {
        assert_eq!(calls(&found(&mut aws, 10, &changes).unwrap()).len(), events, "{changes}");
    }
    let later = at(SignedDuration::from_mins(10));
    let elsewhere = Caller { region: "eu-west-1".into(), ..Caller::pod("a") };
    let stranger = Caller { account: "210987654321".into(), ..Caller::pod("a") };
    for caller in [elsewhere, stranger] {
        let Answer::Reply(Ok(page)) = aws.look_up(later, &caller, &lookup(&json!({}))).answer else {
            panic!("refused")
        };
        assert_eq!(page["Events"], json!([]));
    }
}

#[test]
fn every_refusal_has_its_name() {
    let two = json!({"AttributeKey": "EventName", "AttributeValue": "MeterUsage"});
    for (changes, code) in [
        (json!({"LookupAttributes": [two, two]}), "InvalidLookupAttributesException"),
        (
            json!({"LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": "a"}]}),
            "InvalidLookupAttributesException",
        ),
        (json!({"StartTime": 2, "EndTime": 1}), "InvalidTimeRangeException"),
        (json!({"MaxResults": 51}), "InvalidMaxResultsException"),
        (json!({"NextToken": "made up"}), "InvalidNextTokenException"),
    ] {
        assert_eq!(found(&mut Simulator::default(), 0, &changes).unwrap_err().code, code, "{changes}");
    }
    let role = Caller::pod("a").role_arn;
    let mut aws = Simulator::new(Settings { trail_denied_roles: [role].into(), ..Settings::default() });
    let refusals: Vec<_> =
        (0..3).map(|_| found(&mut aws, 0, &json!({})).unwrap_err().code.into_owned()).collect();
    assert_eq!(refusals, ["AccessDeniedException", "AccessDeniedException", "ThrottlingException"]);
}
