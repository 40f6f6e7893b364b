//! CloudTrail's event history: every `MeterUsage` call that AWS has judged, in the form of AWS's documentation, some minutes late.
//!
//! A call that a fault swallowed before AWS saw it is not in it. Like AWS's examples, events do not name the client token.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    caller::Caller,
    error::ApiError,
    request::{Amount, MeterUsageRequest},
};

/// Events kept: enough for any test, and a bound for a server that is called for days.
const KEPT_EVENTS: usize = 10_000;

/// The most events on one page, and how many there are if nobody asks for fewer (API model: `MaxResults` is 1 to 50).
const PAGE_SIZE: u32 = 50;

/// Namespace of the event ids, so that the same run gives the same ids.
const EVENT_IDS: Uuid = Uuid::from_u128(0x3f1c_9a52_6d07_5c1e_8b64_20d9_7a3e_51f8);

/// Where the calls went, as events name it.
const SOURCE: &str = "metering-marketplace.amazonaws.com";

/// The operation of all events.
const NAME: &str = "MeterUsage";

/// One `LookupEvents` call.
#[derive(Clone, PartialEq, Default, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LookupEventsRequest {
    /// At most one.
    pub lookup_attributes: Vec<LookupAttribute>,
    /// Seconds since the epoch.
    pub start_time: Option<f64>,
    /// Seconds since the epoch.
    pub end_time: Option<f64>,
    /// 1 to 50.
    pub max_results: Option<u32>,
    /// Where the page before ended.
    pub next_token: Option<String>,
}

/// What events are chosen by.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LookupAttribute {
    /// `EventName`, `EventSource` or `EventId`; AWS has more.
    pub attribute_key: String,
    /// The wanted value.
    pub attribute_value: String,
}

impl LookupEventsRequest {
    /// Reads the JSON 1.1 body.
    pub fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map_err(|error| {
            ApiError::serialization(format!("The body is no LookupEvents request: {error}."))
        })
    }

    /// The rules of the API reference, in its words.
    fn check(&self) -> Result<(), ApiError> {
        if self.lookup_attributes.len() > 1 {
            let message = "The list of lookup attributes can contain only one item.";
            return Err(ApiError::client("InvalidLookupAttributesException", message));
        }
        let known = ["EventName", "EventSource", "EventId"];
        if self.lookup_attributes.iter().any(|one| !known.contains(&one.attribute_key.as_str())) {
            let message = format!("The simulator looks events up by {} only.", known.join(", "));
            return Err(ApiError::client("InvalidLookupAttributesException", message));
        }
        if matches!((self.start_time, self.end_time), (Some(start), Some(end)) if start > end) {
            let message = "The start time occurs after the end time.";
            return Err(ApiError::client("InvalidTimeRangeException", message));
        }
        if self.max_results.is_some_and(|most| !(1..=PAGE_SIZE).contains(&most)) {
            let message = "MaxResults must be between 1 and 50, inclusive.";
            return Err(ApiError::client("InvalidMaxResultsException", message));
        }
        Ok(())
    }

    fn wants(&self, event: &Event) -> bool {
        let second = event.at.as_second() as f64;
        let named = self.lookup_attributes.iter().all(|one| {
            let value = match one.attribute_key.as_str() {
                "EventName" => NAME.to_owned(),
                "EventSource" => SOURCE.to_owned(),
                _ => event.id(),
            };
            value == one.attribute_value
        });
        named
            && self.start_time.is_none_or(|start| second >= start.floor())
            && self.end_time.is_none_or(|end| second <= end)
    }
}

/// A call and what AWS said to it.
#[derive(Debug)]
struct Event {
    /// Counted from 1: what pages go on by.
    number: u64,
    at: Timestamp,
    caller: Caller,
    request: MeterUsageRequest,
    outcome: Result<String, ApiError>,
}

/// The events of all accounts and regions, oldest first.
#[derive(Default, Debug)]
pub(crate) struct Trail {
    events: VecDeque<Event>,
    last: u64,
}

impl Trail {
    pub(crate) fn note(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: &MeterUsageRequest,
        outcome: &Result<String, ApiError>,
    ) {
        if self.events.len() >= KEPT_EVENTS {
            self.events.pop_front();
        }
        self.last = self.last.saturating_add(1);
        let (caller, request, outcome) = (caller.clone(), request.clone(), outcome.clone());
        self.events.push_back(Event { number: self.last, at: now, caller, request, outcome });
    }

    /// A page of the caller's account and region, newest first, of what was delivered by now.
    pub(crate) fn page(
        &self,
        now: Timestamp,
        delay: SignedDuration,
        caller: &Caller,
        request: &LookupEventsRequest,
    ) -> Result<Value, ApiError> {
        request.check()?;
        let before = match &request.next_token {
            None => u64::MAX,
            Some(token) => token.parse().map_err(|_| {
                ApiError::client(
                    "InvalidNextTokenException",
                    "The token of the next page is invalid or has expired.",
                )
            })?,
        };
        let size = usize::try_from(request.max_results.unwrap_or(PAGE_SIZE)).unwrap_or(usize::MAX);
        let mut found = self
            .events
            .iter()
            .rev()
            .filter(|event| event.number < before && now.duration_since(event.at) >= delay)
            .filter(|event| event.is_of(caller) && request.wants(event))
            .take(size.saturating_add(1))
            .collect::<Vec<_>>();
        let has_more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| has_more).map(|last| last.number.to_string());
        let events: Vec<Value> = found.iter().map(|event| event.listed()).collect();
        // A null is a member that is left out.
        Ok(json!({"Events": events, "NextToken": next}))
    }
}

impl Event {
    fn id(&self) -> String {
        Uuid::new_v5(&EVENT_IDS, &self.number.to_be_bytes()).to_string()
    }

    fn is_of(&self, caller: &Caller) -> bool {
        self.caller.account == caller.account && self.caller.region == caller.region
    }

    /// As `LookupEvents` lists it: a summary, and the event itself as text.
    fn listed(&self) -> Value {
        json!({
            "EventId": self.id(), "EventName": NAME, "EventSource": SOURCE, "ReadOnly": "false",
            "EventTime": self.at.as_second(), "Username": self.session(), "Resources": [],
            "CloudTrailEvent": self.json().to_string(),
        })
    }

    fn session(&self) -> &str {
        self.caller.pod.as_ref().map_or("simulated", |pod| pod.name.as_str())
    }

    fn json(&self) -> Value {
        let Caller { account, role_arn, region, .. } = &self.caller;
        let role = role_arn.rsplit('/').next().unwrap_or_default();
        let response = self.outcome.as_ref().map_or(Value::Null, |id| json!({"meteringRecordId": id}));
        let mut event = json!({
            "eventVersion": "1.08",
            "userIdentity": {
                "type": "AssumedRole", "accountId": account,
                "arn": format!("arn:aws:sts::{account}:assumed-role/{role}/{}", self.session()),
                "sessionContext": {
                    "sessionIssuer": {"type": "Role", "arn": role_arn, "accountId": account, "userName": role},
                    "webIdFederationData": {},
                },
            },
            "eventTime": Timestamp::from_second(self.at.as_second()).unwrap_or(self.at).to_string(),
            "eventSource": SOURCE, "eventName": NAME, "awsRegion": region,
            "requestParameters": parameters(&self.request), "responseElements": response,
            "requestID": Uuid::new_v5(&EVENT_IDS, self.id().as_bytes()).to_string(), "eventID": self.id(),
            "readOnly": false, "eventType": "AwsApiCall", "recipientAccountId": account,
        });
        if let (Err(error), Some(members)) = (&self.outcome, event.as_object_mut()) {
            members.insert("errorCode".to_owned(), json!(error.code));
            members.insert("errorMessage".to_owned(), json!(error.message));
        }
        event
    }
}

/// The request's members in CloudTrail's spelling; what was left out is left out.
fn parameters(request: &MeterUsageRequest) -> Value {
    let mut members = Map::from_iter([
        ("productCode".to_owned(), json!(request.product_code)),
        ("usageDimension".to_owned(), json!(request.dimension)),
        ("timestamp".to_owned(), json!(request.timestamp.strftime("%b %-d, %Y %-I:%M:%S %p").to_string())),
        ("usageQuantity".to_owned(), json!(Amount(request.quantity))),
    ]);
    if request.dry_run {
        members.insert("dryRun".to_owned(), json!(true));
    }
    if let Some(parts) = &request.allocations {
        let parts = parts.iter().map(|part| {
            let mut members = BTreeMap::from([("allocatedUsageQuantity", json!(Amount(part.quantity)))]);
            if let Some(tags) = &part.tags {
                let tags: Vec<_> =
                    tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
                members.insert("tags", json!(tags));
            }
            json!(members)
        });
        members.insert("usageAllocations".to_owned(), parts.collect());
    }
    Value::Object(members)
}
