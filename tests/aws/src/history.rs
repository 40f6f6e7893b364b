//! CloudTrail's event history through the Rust SDK.

use aws_credential_types::Credentials;
use aws_sdk_cloudtrail::{
    Client,
    config::{BehaviorVersion, Config, Region, retry::RetryConfig},
    operation::lookup_events::LookupEventsError,
    primitives::DateTime,
    types::{LookupAttribute, LookupAttributeKey},
};
use serde_json::{Value, json};

use crate::rust_sdk::seen;

/// What one page tells: the records that were taken, the errors of the others, and whether there is another page.
pub(crate) async fn look_up(endpoint: &str, credentials: Credentials, wanted: &Value) -> Value {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled())
        .credentials_provider(credentials);
    let name = LookupAttribute::builder()
        .attribute_key(LookupAttributeKey::EventName)
        .attribute_value("MeterUsage")
        .build()
        .unwrap();
    let time = |name: &str| wanted[name].as_i64().map(DateTime::from_secs);
    let call = Client::from_conf(config.build())
        .lookup_events()
        .lookup_attributes(name)
        .set_start_time(time("StartTime"))
        .set_end_time(time("EndTime"))
        .set_max_results(wanted["MaxResults"].as_i64().map(|most| i32::try_from(most).unwrap()))
        .set_next_token(wanted["NextToken"].as_str().map(str::to_owned));
    let page = match call.send().await {
        Ok(page) => page,
        Err(error) => return seen(&error, error.as_service_error().and_then(model)),
    };
    let listed = page.events.unwrap_or_default();
    let events: Vec<Value> = listed
        .iter()
        .map(|event| serde_json::from_str(event.cloud_trail_event.as_deref().unwrap()).unwrap())
        .collect();
    let taken = events.iter().filter(|event| !event["responseElements"].is_null()).map(|event| {
        let asked = &event["requestParameters"];
        format!("{} {}", asked["usageDimension"].as_str().unwrap(), asked["usageQuantity"])
    });
    let refused = events.iter().filter_map(|event| event["errorCode"].as_str());
    json!({"taken": taken.collect::<Vec<_>>(), "refused": refused.collect::<Vec<_>>(), "more": page.next_token.is_some()})
}

fn model(error: &LookupEventsError) -> Option<&'static str> {
    Some(match error {
        LookupEventsError::InvalidLookupAttributesException(_) => "InvalidLookupAttributesException",
        LookupEventsError::InvalidMaxResultsException(_) => "InvalidMaxResultsException",
        LookupEventsError::InvalidNextTokenException(_) => "InvalidNextTokenException",
        LookupEventsError::InvalidTimeRangeException(_) => "InvalidTimeRangeException",
        _ => return None,
    })
}
