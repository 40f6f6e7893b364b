//! The rules, one test a sentence.

mod faults;
mod in_process;
mod request;
mod rules;
mod slots;
mod trail;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{ApiError, Caller, MeterUsageRequest, Settings, Simulator};

/// The moment of every test: half past three on the 21st.
fn now() -> Timestamp {
    "2026-11-21T15:30:00Z".parse().unwrap()
}

fn at(offset: SignedDuration) -> Timestamp {
    now() + offset
}

/// 812 gigabyte hours for 14:00, with the members of `changes` over it.
fn request(changes: Value) -> MeterUsageRequest {
    let mut members = json!({"ProductCode": "vecdb", "UsageDimension": "gb_hours", "Timestamp": 1_795_269_600,
        "UsageQuantity": 812, "ClientToken": "t-1"});
    for (name, value) in changes.as_object().unwrap() {
        members[name] = value.clone();
    }
    MeterUsageRequest::from_json(members.to_string().as_bytes()).unwrap()
}

/// One call of pod `a` now.
fn call(simulator: &mut Simulator, changes: Value) -> Result<String, ApiError> {
    simulator.meter_usage(now(), &Caller::pod("a"), &request(changes))
}

/// The error name of a first call in an AWS of these settings.
fn refused_by(settings: Settings, changes: Value) -> String {
    call(&mut Simulator::new(settings), changes).unwrap_err().code.into_owned()
}

fn refused(changes: Value) -> String {
    refused_by(Settings::default(), changes)
}
