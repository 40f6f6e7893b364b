use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use tollkeeper_core::{
    clock::Clock,
    metering::{MeterUsage, Metering, Outcome},
    tags::TagSet,
};

use super::*;
use crate::{FaultScript, SharedSimulator, SimulatedMetering};

/// Jumps to whatever moment is waited for.
struct Jumping(Mutex<Timestamp>);

#[async_trait]
impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep_until(&self, moment: Timestamp) {
        let mut now = self.0.lock().unwrap();
        *now = moment.max(*now);
    }
}

fn usage() -> MeterUsage {
    MeterUsage {
        product_code: "vecdb".parse().unwrap(),
        dimension: "gb_hours".parse().unwrap(),
        timestamp: "2026-11-21T14:00:00Z".parse().unwrap(),
        quantity: 812,
        allocations: vec![],
        client_token: "t-1".parse().unwrap(),
    }
}

struct World {
    aws: SharedSimulator,
    clock: Arc<Jumping>,
    metering: SimulatedMetering,
}

fn world(script: &str) -> World {
    let aws = SharedSimulator::default();
    aws.lock().set_faults(FaultScript::parse(script).unwrap());
    let clock = Arc::new(Jumping(Mutex::new(now())));
    let metering = SimulatedMetering::new(aws.clone(), clock.clone(), Caller::pod("a"))
        .with_patience(Duration::from_secs(10));
    World { aws, clock, metering }
}

/// The kind of outcome, its reason, and whether the record is in the books.
async fn outcome(effect: &str) -> (&'static str, String, bool) {
    let world = world(&format!("faults: [{{effect: {effect}}}]"));
    let (kind, reason) = match world.metering.meter_usage(&usage()).await {
        Outcome::Accepted { .. } => ("accepted", String::new()),
        Outcome::NotAccepted(refusal) => ("not accepted", refusal.reason),
        Outcome::Rejected(refusal) => ("rejected", refusal.reason),
        Outcome::OutOfWindow(refusal) => ("out of window", refusal.reason),
        Outcome::Unknown(refusal) => ("unknown", refusal.reason),
    };
    (kind, reason, !world.aws.lock().view().accepted.is_empty())
}

#[tokio::test]
async fn a_fault_is_what_a_network_client_would_make_of_it() {
    for (effect, kind, reason, billed) in [
        ("acceptThenDrop", "unknown", "ReplyLost", true),
        ("error500Before", "unknown", "InternalServiceErrorException", false),
        ("error500After", "unknown", "InternalServiceErrorException", true),
        ("throttle", "not accepted", "ThrottlingException", false),
        ("{delay: 9}", "accepted", "", true),
        ("{delay: 10}", "unknown", "ReplyLost", true),
        ("reset", "unknown", "ReplyLost", false),
        ("html502", "unknown", "Http502", false),
        ("truncatedJson", "unknown", "ReplyLost", true),
        ("{error: {code: InvalidTagException}}", "rejected", "InvalidTagException", false),
        (
            "{error: {code: TimestampOutOfBoundsException}}",
            "out of window",
            "TimestampOutOfBoundsException",
            false,
        ),
        (
            "{error: {code: ExpiredTokenException, status: 403}}",
            "not accepted",
            "ExpiredTokenException",
            false,
        ),
    ] {
        assert_eq!(outcome(effect).await, (kind, reason.to_owned(), billed), "{effect}");
    }
}

#[tokio::test]
async fn waiting_takes_time_on_the_clock_and_not_more_than_the_caller_is_willing_to_wait() {
    let world =
        world("faults: [{when: {nth: 1}, effect: {delay: 4}}, {when: {nth: 2}, effect: {delay: 60}}]");
    world.metering.meter_usage(&usage()).await;
    assert_eq!(world.clock.now(), at(SignedDuration::from_secs(4)));
    world.metering.meter_usage(&usage()).await;
    assert_eq!(world.clock.now(), at(SignedDuration::from_secs(14)));
}

#[tokio::test]
async fn a_lost_reply_is_healed_by_the_same_pod_and_doubled_by_another() {
    let world = world("faults: [{when: {nth: 1}, effect: acceptThenDrop}]");
    assert!(matches!(world.metering.meter_usage(&usage()).await, Outcome::Unknown(_)));
    let again = world.metering.meter_usage(&usage()).await;
    let record = world.aws.lock().view().accepted[0].metering_record_id.clone();
    assert_eq!(again, Outcome::Accepted { metering_record_id: record });
    assert!(world.aws.lock().view().double_bills.is_empty());

    let successor = SimulatedMetering::new(world.aws.clone(), world.clock.clone(), Caller::pod("b"));
    assert!(matches!(successor.meter_usage(&usage()).await, Outcome::Accepted { .. }));
    assert_eq!(world.aws.lock().view().double_bills.len(), 1);
}

#[tokio::test]
async fn the_tags_of_a_sealed_record_reach_the_books() {
    let world = world("");
    let tags = TagSet::new([("team".to_owned(), "blue".to_owned())]).unwrap();
    let part = |quantity, tags| tollkeeper_core::metering::Allocation { quantity, tags };
    let request = MeterUsage { allocations: vec![part(800, tags), part(12, TagSet::default())], ..usage() };
    assert!(matches!(world.metering.meter_usage(&request).await, Outcome::Accepted { .. }));
    let view = serde_json::to_value(world.aws.lock().view()).unwrap();
    assert_eq!(
        view["accepted"][0]["allocations"],
        json!([{"quantity": 12}, {"quantity": 800, "tags": {"team": "blue"}}])
    );
}
