//! `UsageStatement`: a month of a product, kept when its reports are gone.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{schema, shared::LocalRef};

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
    /// Totals of the month, one a dimension: at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["dimension"]))]
    pub totals: Vec<DimensionTotal>,
    /// The days that have reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 31), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["day"]))]
    pub days: Vec<DayRoot>,
}

/// A dimension's month. All amounts have six decimal places.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct DimensionTotal {
    /// The dimension.
    #[schemars(regex(pattern = schema::DIMENSION), length(min = 1, max = 255))]
    pub dimension: String,
    /// What was measured in the month's hours, without what was carried into them.
    #[schemars(regex(pattern = schema::QUANTITY))]
    pub measured: String,
    /// What AWS accepted.
    #[schemars(regex(pattern = schema::QUANTITY))]
    pub billed: String,
    /// What was given up.
    #[schemars(regex(pattern = schema::QUANTITY))]
    pub written_off: String,
    /// What a person must still decide about.
    #[schemars(regex(pattern = schema::QUANTITY))]
    pub held: String,
}

/// One day of the hash chain.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct DayRoot {
    /// The day in UTC, such as 2026-11-21.
    #[schemars(regex(pattern = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"), length(max = 10))]
    pub day: String,
    /// How many reports the day has.
    pub reports: u32,
    /// The root of the day: it fixes the hashes of all of its reports.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub root: String,
}
