//! The seam to AWS Marketplace Metering: one request, and everything that can become of it.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    identity::{ClientToken, DimensionName, ProductCode},
    tags::TagSet,
};

/// A part of a record's quantity, with the tags that it is allocated to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Allocation {
    /// Whole units.
    pub quantity: u32,
    /// Whom they belong to; left out for untagged usage.
    #[serde(default, skip_serializing_if = "TagSet::is_empty")]
    pub tags: TagSet,
}

/// One `MeterUsage` call, byte for byte the same at every attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeterUsage {
    /// The product.
    pub product_code: ProductCode,
    /// The dimension.
    pub dimension: DimensionName,
    /// The usage's time, never that of sending.
    pub timestamp: Timestamp,
    /// 0 to 2147483647.
    pub quantity: u32,
    /// Empty, or parts that sum to the quantity.
    pub allocations: Vec<Allocation>,
    /// Derived from the slot; never random.
    pub client_token: ClientToken,
}

/// What became of an attempt, as far as the caller can know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// AWS took the record and gave it this id.
    Accepted {
        /// The id of the record.
        metering_record_id: String,
    },
    /// AWS certainly did not take it; the same request may be sent again by anybody.
    NotAccepted(Refusal),
    /// AWS will never take it.
    Rejected(Refusal),
    /// AWS did not take it because its time has passed (or the clock is wrong).
    OutOfWindow(Refusal),
    /// Nobody knows; only the same pod may send the identical request again.
    Unknown(Refusal),
}

/// Why a record was not taken, or not surely.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// The AWS error name, or a PascalCase name of ours where AWS gave none.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// Sends usage to AWS. Never retries and never chooses: that is for the caller.
#[async_trait]
pub trait Metering: Send + Sync {
    /// One attempt.
    async fn meter_usage(&self, request: &MeterUsage) -> Outcome;
}
