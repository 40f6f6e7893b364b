//! `UsageStatement`: a month of a product, kept when its reports are gone.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{report::PreviousReport, schema, shared::LocalRef};

/// A month of a product.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[kube(
    group = "tollkeeper.dev",
    version = "v1alpha1",
    kind = "UsageStatement",
    doc = "A month of a product: the totals of its usage reports and, for every day, the root of their hash chain. Written by Tollkeeper before it prunes old reports; everybody may read it. It grows until the month has ended.",
    namespaced,
    derive = "PartialEq",
    category = "tollkeeper",
    printcolumn(
        name = "PRODUCT",
        type_ = "string",
        json_path = ".spec.productRef.name",
        description = "The product"
    ),
    printcolumn(name = "MONTH", type_ = "string", json_path = ".spec.month", description = "The month, UTC"),
    printcolumn(
        name = "REPORTS",
        type_ = "integer",
        json_path = ".spec.reports",
        description = "Reports that it sums up"
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the statement exists"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct UsageStatementSpec {
    /// The product, in the same namespace.
    #[x_kube(validation = Rule::new("self.name == oldSelf.name").message("a statement stays with its product"))]
    pub product_ref: LocalRef,
    /// Product code that the usage was billed under.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("a statement stays with its product code"))]
    pub product_code: String,
    /// The month in UTC, such as 2026-11.
    #[schemars(regex(pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$"), length(max = 7))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("a statement stays with its month"))]
    pub month: String,
    /// How many reports it sums up.
    pub reports: u32,
    /// Start of the last hour that it sums up, UTC.
    #[schemars(regex(pattern = schema::HOUR), length(max = 20))]
    pub through: String,
    /// Reports up to this hour may have been pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = schema::HOUR), length(max = 20))]
    pub pruned_through: Option<String>,
    /// The report before the month's first one. Left out in a product's first month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousReport>,
    /// Totals of the month, one a dimension: at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["dimension"]))]
    pub totals: Vec<DimensionTotal>,
    /// The days that have reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 31), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["day"]))]
    pub days: Vec<DayRoot>,
    /// Reports with records that have not ended; these records count as held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 744), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["hour"]))]
    pub open: Vec<OpenReport>,
    /// SHA-256 over the canonical JSON of the rest of the spec.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub hash: String,
}

/// A dimension's month. All amounts have six decimal places.
///
/// With rounding Carry, the remainder of the month before + measured + carriedIn = billed + rejected + writtenOff + held +
/// carriedForward + remainder.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct DimensionTotal {
    /// The dimension.
    #[schemars(regex(pattern = schema::DIMENSION), length(min = 1, max = 255))]
    pub dimension: String,
    /// How many records AWS accepted.
    pub records: u32,
    /// What was measured in the month's hours, without what was carried into them.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub measured: String,
    /// Late usage of earlier hours that these hours' records include.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub carried_in: String,
    /// What AWS accepted.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub billed: String,
    /// What AWS refused for good.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub rejected: String,
    /// What was given up.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub written_off: String,
    /// What has not ended: a person must still decide about it, or a later hour carries it.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub held: String,
    /// What a later hour's record includes.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub carried_forward: String,
    /// What the last hour leaves to the next.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub remainder: String,
}

/// A report with records that have not ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct OpenReport {
    /// Start of its hour, UTC.
    #[schemars(regex(pattern = schema::HOUR), length(max = 20))]
    pub hour: String,
    /// Its hash.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub hash: String,
    /// The dimensions whose records have not ended.
    #[schemars(length(max = 200), inner(length(max = 255)))]
    pub dimensions: Vec<String>,
}

/// One day of the hash chain.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct DayRoot {
    /// The day in UTC, such as 2026-11-21.
    #[schemars(regex(pattern = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"), length(max = 10))]
    pub day: String,
    /// How many reports the day has.
    pub reports: u32,
    /// The hash of the day's last report: by the hash chain it fixes all reports of the day and before.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub root: String,
}
