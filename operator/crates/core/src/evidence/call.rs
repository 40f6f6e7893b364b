//! A call of `MeterUsage` as CloudTrail keeps it (AWS Marketplace user guide, "Logging API calls with CloudTrail").

use jiff::{Timestamp, civil::DateTime, tz::Offset};
use serde::Deserialize;
use serde_json::Value;

use crate::metering::{Allocation, MeterUsage};
use crate::tags::TagSet;

/// The service that the events must come from.
const SOURCE: &str = "metering-marketplace.amazonaws.com";

/// A call that AWS has answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeteredCall {
    /// CloudTrail's id of the event.
    pub event: String,
    /// When AWS was called.
    pub at: Timestamp,
    /// What AWS answered.
    pub result: CallResult,
    product_code: String,
    dimension: String,
    /// To the second: CloudTrail keeps no more.
    timestamp: Timestamp,
    quantity: u32,
    allocations: Option<Vec<Allocation>>,
    client_token: Option<String>,
    /// ARN of the OpenID provider that vouched for the caller.
    provider: Option<String>,
}

/// What AWS answered to a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallResult {
    /// It took the record.
    Taken {
        /// Its id of the record.
        record_id: String,
    },
    /// It refused the call.
    Refused {
        /// The AWS error name.
        code: String,
        /// What AWS said.
        message: String,
    },
}

impl MeteredCall {
    /// Reads an event. `None` if it is not a call that could prove anything: another operation, a dry run, or a form that
    /// nobody has described.
    pub fn read(json: &str) -> Option<Self> {
        let event: Event = serde_json::from_str(json).ok()?;
        let request = event.request_parameters?;
        if event.event_source != SOURCE || event.event_name != "MeterUsage" || request.dry_run {
            return None;
        }
        let result = match (event.error_code, event.response_elements) {
            (Some(code), _) => CallResult::Refused { code, message: event.error_message.unwrap_or_default() },
            (None, Some(Response { metering_record_id: Some(record_id) })) => CallResult::Taken { record_id },
            (None, _) => return None,
        };
        let allocations = match request.usage_allocations {
            None => None,
            Some(parts) => Some(parts.into_iter().map(Part::allocation).collect::<Option<Vec<_>>>()?),
        };
        Some(Self {
            event: event.event_id,
            at: event.event_time,
            result,
            product_code: request.product_code,
            dimension: request.usage_dimension,
            timestamp: moment(&request.timestamp)?,
            quantity: request.usage_quantity,
            allocations,
            client_token: request.client_token,
            provider: event.user_identity.and_then(Identity::provider),
        })
    }

    /// Whether this is an attempt of `request` by the cluster of `issuer`. What the event leaves out does not count against it.
    pub(super) fn is_of(&self, request: &MeterUsage, issuer: Option<&str>) -> bool {
        let is_the_token =
            self.client_token.as_ref().is_none_or(|token| token == request.client_token.as_str());
        let is_the_cluster = match (&self.provider, issuer) {
            (Some(provider), Some(issuer)) => provider.ends_with(&format!("/{}", bare(issuer))),
            _ => true,
        };
        is_the_token
            && is_the_cluster
            && self.product_code == request.product_code.as_str()
            && self.dimension == request.dimension.as_str()
            && self.timestamp.as_second() == request.timestamp.as_second()
            && self.quantity == request.quantity
            && self.allocations.as_ref().is_none_or(|parts| same(parts, &request.allocations))
    }
}

/// An issuer as IAM names its provider: without the scheme.
fn bare(issuer: &str) -> &str {
    issuer.strip_prefix("https://").unwrap_or(issuer).trim_end_matches('/')
}

/// The same parts in any order.
fn same(some: &[Allocation], others: &[Allocation]) -> bool {
    let sorted = |parts: &[Allocation]| {
        let mut parts: Vec<_> = parts.iter().map(|part| (part.tags.clone(), part.quantity)).collect();
        parts.sort();
        parts
    };
    sorted(some) == sorted(others)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "eventID")]
    event_id: String,
    event_time: Timestamp,
    event_source: String,
    event_name: String,
    error_code: Option<String>,
    error_message: Option<String>,
    user_identity: Option<Identity>,
    request_parameters: Option<Request>,
    response_elements: Option<Response>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    session_context: Option<Session>,
}

impl Identity {
    fn provider(self) -> Option<String> {
        self.session_context?.web_id_federation_data?.federated_provider
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    web_id_federation_data: Option<Federation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Federation {
    federated_provider: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    product_code: String,
    usage_dimension: String,
    timestamp: Value,
    /// AWS takes a quantity that is left out for 0.
    #[serde(default)]
    usage_quantity: u32,
    usage_allocations: Option<Vec<Part>>,
    client_token: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    allocated_usage_quantity: u32,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    value: String,
}

impl Part {
    fn allocation(self) -> Option<Allocation> {
        let tags = TagSet::new(self.tags.into_iter().map(|tag| (tag.key, tag.value))).ok()?;
        Some(Allocation { quantity: self.allocated_usage_quantity, tags })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    metering_record_id: Option<String>,
}

/// CloudTrail writes the time of usage as `Jul 23, 2020 1:35:44 AM`, in UTC; other services' events have RFC 3339 or seconds, and
/// newer writers put a narrow space before the half of the day.
fn moment(value: &Value) -> Option<Timestamp> {
    if let Some(seconds) = value.as_f64() {
        return Timestamp::from_second(seconds as i64).ok();
    }
    let text = value.as_str()?.replace('\u{202f}', " ");
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    let civil = DateTime::strptime("%b %d, %Y %I:%M:%S %p", &text).ok()?;
    Offset::UTC.to_timestamp(civil).ok()
}
