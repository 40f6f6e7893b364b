//! The input of `MeterUsage`, as any client may send it: not yet checked against the rules.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tollkeeper_core::{hour::BillingHour, metering::MeterUsage, quantity::Quantity};

use crate::error::ApiError;

/// One `MeterUsage` call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeterUsageRequest {
    /// `ProductCode`.
    pub product_code: String,
    /// `UsageDimension`.
    pub dimension: String,
    /// `Timestamp`, as sent.
    pub timestamp: Timestamp,
    /// `UsageQuantity` or `UsageQuantityAsDecimal`; compared by value, so 17 and 17.00 are the same. 0 where both are left out.
    pub quantity: Quantity,
    /// `UsageAllocations`; none where the member is left out.
    pub allocations: Option<Vec<RequestedAllocation>>,
    /// `ClientToken`.
    pub client_token: Option<String>,
    /// `DryRun`.
    pub dry_run: bool,
}

/// One member of `UsageAllocations`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestedAllocation {
    /// `AllocatedUsageQuantity` or `AllocatedUsageQuantityAsDecimal`.
    pub quantity: Quantity,
    /// `Tags` in the order sent; none where the member is left out.
    pub tags: Option<Vec<(String, String)>>,
}

/// A quantity in the JSON view: a number where it is whole (always, for the integer members), else a decimal text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Amount(pub Quantity);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = self.0.micros();
        match u64::try_from(micros / 1_000_000) {
            Ok(units) if micros.is_multiple_of(1_000_000) => serializer.serialize_u64(units),
            _ => serializer.collect_str(&self.0),
        }
    }
}

/// A part of an accepted record, its tags in key order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RecordedAllocation {
    /// How much.
    pub quantity: Amount,
    /// Under which tags; empty for untagged usage.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl MeterUsageRequest {
    /// The hour that the timestamp is rounded down to.
    pub fn hour(&self) -> BillingHour {
        BillingHour::of(self.timestamp)
    }

    /// The allocations in an order that does not depend on the sender's.
    pub(crate) fn canonical_allocations(&self) -> Vec<RecordedAllocation> {
        let mut parts: Vec<_> = self
            .allocations
            .iter()
            .flatten()
            .map(|part| RecordedAllocation {
                quantity: Amount(part.quantity),
                tags: part.tags.iter().flatten().cloned().collect(),
            })
            .collect();
        parts.sort_by(|a, b| a.tags.cmp(&b.tags));
        parts
    }

    /// Reads the JSON 1.1 body. Members of the wrong type are `SerializationException`, missing ones `ValidationException`.
    pub fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| ApiError::serialization(format!("The body is not JSON: {error}.")))?;
        let Value::Object(members) = value else {
            return Err(ApiError::serialization("The body is not a JSON object."));
        };
        let allocations = match present(&members, "UsageAllocations") {
            None => None,
            Some(Value::Array(parts)) => Some(parts.iter().map(allocation).collect::<Result<_, _>>()?),
            Some(_) => return Err(wrong_type("UsageAllocations", "a list")),
        };
        Ok(Self {
            product_code: required(text(&members, "ProductCode")?, "productCode")?,
            dimension: required(text(&members, "UsageDimension")?, "usageDimension")?,
            timestamp: required(timestamp(&members)?, "timestamp")?,
            quantity: quantity(&members, "UsageQuantity")?.unwrap_or_default(),
            allocations,
            client_token: text(&members, "ClientToken")?,
            dry_run: match present(&members, "DryRun") {
                None => false,
                Some(Value::Bool(dry_run)) => *dry_run,
                Some(_) => return Err(wrong_type("DryRun", "a boolean")),
            },
        })
    }
}

impl From<&MeterUsage> for MeterUsageRequest {
    fn from(request: &MeterUsage) -> Self {
        let part = |part: &tollkeeper_core::metering::Allocation| RequestedAllocation {
            quantity: Quantity::from_units(part.quantity),
            tags: (!part.tags.is_empty())
                .then(|| part.tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
        };
        Self {
            product_code: request.product_code.as_str().to_owned(),
            dimension: request.dimension.as_str().to_owned(),
            timestamp: request.timestamp,
            quantity: Quantity::from_units(request.quantity),
            allocations: (!request.allocations.is_empty())
                .then(|| request.allocations.iter().map(part).collect()),
            client_token: Some(request.client_token.as_str().to_owned()),
            dry_run: false,
        }
    }
}

fn allocation(value: &Value) -> Result<RequestedAllocation, ApiError> {
    let Value::Object(members) = value else {
        return Err(wrong_type("UsageAllocations", "a list of structures"));
    };
    let tags = match present(members, "Tags") {
        None => None,
        Some(Value::Array(tags)) => Some(tags.iter().map(tag).collect::<Result<_, _>>()?),
        Some(_) => return Err(wrong_type("Tags", "a list")),
    };
    let quantity = required(quantity(members, "AllocatedUsageQuantity")?, "allocatedUsageQuantity")?;
    Ok(RequestedAllocation { quantity, tags })
}

/// A value may be left out: it is then empty, and the rules refuse it.
fn tag(value: &Value) -> Result<(String, String), ApiError> {
    let Value::Object(members) = value else {
        return Err(wrong_type("Tags", "a list of structures"));
    };
    Ok((required(text(members, "Key")?, "key")?, text(members, "Value")?.unwrap_or_default()))
}

/// `name` is an integer, `name` + `AsDecimal` a decimal text; a request uses one of them.
fn quantity(members: &Map<String, Value>, name: &str) -> Result<Option<Quantity>, ApiError> {
    let decimal = text(members, &format!("{name}AsDecimal"))?;
    let Some(integer) = present(members, name) else {
        return decimal.map(|text| decimal_quantity(&text, name)).transpose();
    };
    if decimal.is_some() {
        return Err(ApiError::validation(name, format!("Member must not be given with {name}AsDecimal")));
    }
    let Some(units) = integer.as_i64() else {
        return Err(wrong_type(name, "an integer"));
    };
    match u32::try_from(units) {
        Ok(units) if units <= tollkeeper_core::quantity::MAX_BILLABLE => {
            Ok(Some(Quantity::from_units(units)))
        }
        _ => Err(ApiError::validation(name, "Member must be between 0 and 2147483647, inclusive")),
    }
}

/// API model: `^(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?$`.
fn decimal_quantity(text: &str, name: &str) -> Result<Quantity, ApiError> {
    let whole = text.split('.').next().unwrap_or(text);
    let fits = whole.len() <= 10 && (whole == "0" || !whole.starts_with('0'));
    match text.parse() {
        Ok(quantity) if fits => Ok(quantity),
        _ => Err(ApiError::validation(
            &format!("{name}AsDecimal"),
            r"Member must satisfy regular expression pattern: ^(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?$",
        )),
    }
}

/// Seconds since the epoch, whole or not.
fn timestamp(members: &Map<String, Value>) -> Result<Option<Timestamp>, ApiError> {
    let Some(value) = present(members, "Timestamp") else { return Ok(None) };
    let moment = match (value.as_i64(), value.as_f64()) {
        (Some(seconds), _) => Timestamp::from_second(seconds).ok(),
        // A float to i64 cast saturates, and jiff refuses what is out of its range.
        (None, Some(seconds)) => Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok(),
        (None, None) => None,
    };
    moment.map(Some).ok_or_else(|| wrong_type("Timestamp", "a number of seconds since the epoch"))
}

fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    match present(members, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong_type(name, "a string")),
    }
}

/// AWS JSON treats `null` as a member that is left out.
fn present<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

fn required<T>(value: Option<T>, member: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::validation(member, "Member must not be null"))
}

fn wrong_type(member: &str, wanted: &str) -> ApiError {
    ApiError::serialization(format!("{member} is not {wanted}."))
}
