//! A sealed hour: everything that AWS will be told about it, frozen, and the evidence for it.
//!
//! Its JSON is the `spec` of a `UsageReport`. `hash` is over the canonical JSON of the rest, `previous` included,
//! so that the reports of a product form a chain: an edit, a deletion or a reordering breaks it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    hour::BillingHour,
    identity::{ClientToken, Digest, DimensionName, ObjectKey, ProductCode},
    metering::{Allocation, MeterUsage},
    plugin::ConfiguredPlugin,
    quantity::Quantity,
};

/// MeterUsage takes records for six hours after the usage (API model).
pub const SUBMISSION_WINDOW: SignedDuration = SignedDuration::from_hours(6);

/// Nothing is sent in the last ten minutes of the window: a clock may be a little off, and an attempt may take a while.
pub const DEADLINE_MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// The name of an object in the same namespace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocalReference {
    /// The name.
    pub name: String,
}

/// The report before this one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its hash.
    pub hash: Digest,
}

/// Late usage of an earlier hour that this record includes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CarriedUsage {
    /// The hour in which it was used.
    pub hour: BillingHour,
    /// How much.
    pub quantity: Quantity,
}

/// One dimension of a sealed hour.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedRecord {
    /// The dimension.
    pub dimension: DimensionName,
    /// What AWS is told.
    pub quantity: u32,
    /// Before rounding, with everything carried into the hour.
    pub measured: Quantity,
    /// Carried to the next hour.
    pub remainder: Quantity,
    /// Late usage in `measured`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried_from: Vec<CarriedUsage>,
    /// The idempotency token of the request.
    pub client_token: ClientToken,
    /// Parts that sum to the quantity; none if all usage is untagged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allocations: Vec<Allocation>,
}

/// What an hour's numbers rest on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// Digest of the component of the plugin that measured last.
    pub plugin: Digest,
    /// Digest over the inputs of every tick.
    pub inputs: Digest,
    /// Digest of the plugin's configuration.
    pub config: Digest,
    /// Ticks that were due, over all bindings.
    pub ticks: u32,
    /// Those of them that were missed.
    pub missed: u32,
    /// What measured earlier parts of the hour: the plugin or its configuration has changed in the middle of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<ConfiguredPlugin>,
}

impl Evidence {
    /// The plugins that measured, in order.
    pub fn plugins(&self) -> impl Iterator<Item = &Digest> {
        self.earlier.iter().map(|earlier| &earlier.plugin).chain([&self.plugin])
    }
}

/// What is left of a dimension that has no record in the hour, for the next one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Remainder {
    /// The dimension.
    pub dimension: DimensionName,
    /// How much.
    pub quantity: Quantity,
}

/// A sealed hour without its hash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportBody {
    /// The product.
    pub product_ref: LocalReference,
    /// What AWS knows it by.
    pub product_code: ProductCode,
    /// The hour.
    pub hour: BillingHour,
    /// What AWS is told: the hour's start, or the first tick of the first hour.
    pub timestamp: Timestamp,
    /// A record a dimension, in the product's order.
    pub records: Vec<SealedRecord>,
    /// Remainders of dimensions without a record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remainders: Vec<Remainder>,
    /// What the numbers rest on.
    pub evidence: Evidence,
    /// The report before; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Link>,
}

/// A sealed hour. Immutable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SealedReport {
    /// Everything but the hash.
    #[serde(flatten)]
    pub body: ReportBody,
    /// Over the canonical JSON of the body.
    pub hash: Digest,
}

/// The name of the report of a product's hour. Deterministic: creating it a second time fails.
pub fn report_name(product: &str, hour: BillingHour) -> String {
    [product, &hour.compact()].join("-")
}

/// The product that a report of this name is of; `None` if no report is named so.
pub fn product_of(report_name: &str) -> Option<&str> {
    let (product, hour) = report_name.rsplit_once('-')?;
    (hour.len() == 10 && hour.bytes().all(|byte| byte.is_ascii_digit())).then_some(product)
}

impl ReportBody {
    /// Freezes the body.
    pub fn sealed(self) -> SealedReport {
        let hash = self.hash();
        SealedReport { body: self, hash }
    }

    fn hash(&self) -> Digest {
        // A body is made of texts, numbers and lists; turning it into JSON cannot fail.
        let json = serde_json::to_value(self).unwrap_or_default();
        Digest::of(canonical(&json).as_bytes())
    }
}

impl SealedReport {
    /// Its name.
    pub fn name(&self) -> String {
        report_name(&self.body.product_ref.name, self.body.hour)
    }

    /// Whether the hash is that of the body.
    pub fn is_intact(&self) -> bool {
        self.body.hash() == self.hash
    }

    /// How the next report refers to this one.
    pub fn link(&self) -> Link {
        Link { name: self.name(), hash: self.hash.clone() }
    }

    /// The last moment at which its records may be sent.
    pub fn deadline(&self) -> Timestamp {
        self.body.timestamp + (SUBMISSION_WINDOW - DEADLINE_MARGIN)
    }

    /// The record of a dimension.
    pub fn record(&self, dimension: &DimensionName) -> Option<&SealedRecord> {
        self.body.records.iter().find(|record| &record.dimension == dimension)
    }

    /// What the next hour starts with.
    pub fn remainders(&self) -> BTreeMap<DimensionName, Quantity> {
        let of_records = self.body.records.iter().map(|record| (record.dimension.clone(), record.remainder));
        let of_others = self.body.remainders.iter().map(|rest| (rest.dimension.clone(), rest.quantity));
        of_records.chain(of_others).filter(|(_, rest)| !rest.is_zero()).collect()
    }

    /// The request for one record: the same at every attempt.
    pub fn request(&self, record: &SealedRecord) -> MeterUsage {
        MeterUsage {
            product_code: self.body.product_code.clone(),
            dimension: record.dimension.clone(),
            timestamp: self.body.timestamp,
            quantity: record.quantity,
            allocations: record.allocations.clone(),
            client_token: record.client_token.clone(),
        }
    }
}

/// The client token of a slot, derived from what names it, so that every process finds the same one.
pub fn client_token(
    cluster: &str,
    product: &ObjectKey,
    code: &ProductCode,
    dimension: &DimensionName,
    hour: BillingHour,
) -> ClientToken {
    ClientToken::of(&format!("{cluster}\n{product}\n{code}\n{dimension}\n{hour}"))
}

/// JSON with sorted keys and without white space (RFC 8785 for the texts and whole numbers that reports are made of).
pub fn canonical(json: &Value) -> String {
    let mut text = String::new();
    write_canonical(json, &mut text);
    text
}

fn write_canonical(json: &Value, text: &mut String) {
    match json {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_text(key, text);
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::String(value) => write_text(value, text),
        other => text.push_str(&other.to_string()),
    }
}

fn write_text(value: &str, text: &mut String) {
    // Nearly all texts are names and numbers; what has to be escaped is left to the library.
    if value.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\') {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        text.push_str(&Value::from(value).to_string());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn canonical_json_has_sorted_keys_and_no_white_space() {
        let json = json!({"b": [1, {"z": "ü\n", "a": null}], "a": true});
        assert_eq!(canonical(&json), "{\"a\":true,\"b\":[1,{\"a\":null,\"z\":\"ü\\n\"}]}");
    }

    #[test]
    fn a_slot_has_one_client_token() {
        let token = |cluster: &str, hour: &str| {
            client_token(
                cluster,
                &ObjectKey::new("vecdb", "vecdb"),
                &"code".parse().unwrap(),
                &"gb_hours".parse().unwrap(),
                hour.parse().unwrap(),
            )
        };
        let first = token("c1", "2026-11-21T14:00:00Z");
        assert_eq!(first, token("c1", "2026-11-21T14:00:00Z"));
        assert_ne!(first, token("c1", "2026-11-21T15:00:00Z"));
        assert_ne!(first, token("c2", "2026-11-21T14:00:00Z"));
        assert_eq!(first.as_str().len(), 36);
    }
}
