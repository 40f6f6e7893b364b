//! The dimensions of a product.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

pub use tollkeeper_core::product::{Fold, Rounding};

/// Something that is counted and billed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct DimensionSpec {
    /// Its API name at AWS Marketplace: 1-255 characters of `[a-zA-Z0-9_-]` that start with a letter; unique in the
    /// product. Cannot be changed once a report names it.
    #[schemars(regex(pattern = schema::DIMENSION), length(min = 1, max = 255))]
    pub name: String,
    /// What buyers read: at most 70 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 70))]
    pub description: Option<String>,
    /// How the gauges of an hour become its usage. Sum: all values added. Max: the largest. Mean: the mean over the ticks
    /// that have a value. Last: the last. TimeWeighted: value times hours. Counters always add their increase, whatever is
    /// said here. Default: TimeWeighted.
    #[serde(default = "time_weighted")]
    #[schemars(schema_with = "fold")]
    pub fold: Fold,
    /// How an hour's usage becomes the whole number that AWS takes. Carry: down, the rest goes to the next hour. Up:
    /// to the next whole number. Nearest: to the nearest, a half up. Default: Carry.
    #[serde(default = "carry")]
    #[schemars(schema_with = "rounding")]
    pub rounding: Rounding,
    /// Whether an hour without usage is reported as 0. Default: true for SaaS, false for Container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_records: Option<bool>,
    /// What the buyer's license says about this dimension. For the pricing Contract and ContractWithConsumption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<LicenseSpec>,
    /// Price of a unit in USD, such as "0.025". For previews only; never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{1,12}(\\.[0-9]{1,6})?$"), length(max = 19))]
    pub price: Option<String>,
}

fn time_weighted() -> Fold {
    Fold::TimeWeighted
}

fn carry() -> Rounding {
    Rounding::Carry
}

fn fold(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::one_of(&["Sum", "Max", "Mean", "Last", "TimeWeighted"])
}

fn rounding(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::one_of(&["Carry", "Up", "Nearest"])
}

/// A dimension as License Manager knows it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[x_kube(validation = Rule::new("self.kind == 'Tier' || has(self.unit)").message("unit is required for Drawdown and Floating, such as Count or Gigabytes"))]
pub struct LicenseSpec {
    /// Tier: a feature that is bought or not. Drawdown: an amount that is used up. Floating: a number of concurrent uses
    /// that are given back.
    pub kind: LicenseKind,
    /// Unit of the entitlement in License Manager, such as Count or Gigabytes. Required for Drawdown and Floating; a Tier
    /// has None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "unit")]
    pub unit: Option<String>,
}

/// How a dimension is licensed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The field says what they mean.
pub enum LicenseKind {
    Tier,
    Drawdown,
    Floating,
}

/// The units of License Manager (API model: `EntitlementDataUnit`).
pub(crate) const UNITS: [&str; 27] = [
    "Count",
    "None",
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
];

fn unit(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::one_of(&UNITS)
}
