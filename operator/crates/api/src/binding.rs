//! `LicenseBinding`: a buyer's license, and the workload whose usage it pays for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    access::AccessSpec,
    schema,
    shared::{Buyer, Condition, LabelSelector, LocalRef},
};

/// A buyer's license for a product.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, PartialEq, Debug)]
#[kube(
    group = "tollkeeper.dev",
    version = "v1alpha1",
    kind = "LicenseBinding",
    doc = "A license for a product, and the workload whose usage it pays for. Written by the buyer (container products) or by the fulfilment page (SaaS products).",
    namespaced,
    status = "LicenseBindingStatus",
    derive = "PartialEq",
    shortname = "licb",
    category = "tollkeeper",
    validation = Rule::new("size(self.metadata.name) <= 242").message("the name of a binding has at most 242 characters: the names of its reports add the hour"),
    printcolumn(
        name = "PRODUCT",
        type_ = "string",
        json_path = ".spec.productRef.name",
        description = "The product"
    ),
    printcolumn(
        name = "ENTITLED",
        type_ = "string",
        json_path = ".status.entitlement.state",
        description = "Whether the license is valid"
    ),
    printcolumn(
        name = "EXPIRES",
        type_ = "string",
        json_path = ".status.entitlement.expires",
        description = "When the license expires"
    ),
    printcolumn(
        name = "LAST-SETTLED",
        type_ = "string",
        json_path = ".status.lastSettledHour",
        description = "The last hour whose every record has an outcome"
    ),
    printcolumn(
        name = "UNSETTLED",
        type_ = "integer",
        json_path = ".status.unsettled",
        description = "Records that have no outcome yet"
    ),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the binding is in force"
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is, or why not"
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the binding exists"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.buyer) == has(oldSelf.buyer)")
    .message("buyer cannot be added or removed; delete the binding and create a new one"))]
pub struct LicenseBindingSpec {
    /// The product, in the same namespace. Required; cannot be changed.
    #[x_kube(validation = Rule::new("self.name == oldSelf.name").message("productRef cannot be changed; delete the binding and create a new one"))]
    pub product_ref: LocalRef,
    /// Who bought a SaaS product: `accountId` with `licenseArn`, or `customerIdentifier` alone for older products. Left out
    /// for container products. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("buyer cannot be changed; delete the binding and create a new one"),
        validation = Rule::new("has(self.customerIdentifier) ? !has(self.accountId) && !has(self.licenseArn) : has(self.accountId) && has(self.licenseArn)")
            .message("buyer needs either accountId and licenseArn, or customerIdentifier alone")
    )]
    pub buyer: Option<Buyer>,
    /// Whose usage this is. Default: everything in the binding's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadSpec>,
    /// Tags on the usage of this binding; the buyer sees them in the cost report as `aws:marketplace:isv:<key>`. At most 5;
    /// keys of 1-100 and values of 1-256 characters of `[A-Za-z0-9 +\-=._:/@]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tags")]
    #[x_kube(validation = Rule::new("self.all(key, size(key) >= 1 && size(key) <= 100 && key.matches('^[A-Za-z0-9 +=._:/@-]+$'))")
        .message("a tag's key must be 1-100 characters of [A-Za-z0-9 +-=._:/@]"))]
    pub tags: BTreeMap<String, String>,
    /// How the workload's pods reach AWS: exactly one of `irsa` and `licenseToken`. Left out: Tollkeeper provisions nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessSpec>,
    /// What to check out from License Manager: at most 200 with unique names. Default: the product's license dimensions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub entitlements: Vec<EntitlementRequest>,
    /// Where Tollkeeper may look for proof of a record that AWS may or may not have taken. `CloudTrail`: in the event history of
    /// the operator's account and region, for which its role needs `cloudtrail:LookupEvents`. One binding of a product that
    /// allows it is enough. Default: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // An option would put `null` among the words, which the API server refuses.
    #[schemars(with = "EvidenceSource")]
    pub evidence: Option<EvidenceSource>,
    /// Whether the binding is out of force: its credentials are withdrawn, and pods that start get none. What runs all the
    /// same is still measured and settled. Default: false.
    #[serde(default)]
    pub suspended: bool,
}

/// Where proof of a record may be looked for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The field says what it means, where `kubectl explain` shows it.
pub enum EvidenceSource {
    CloudTrail,
}

/// Whose usage is meant. Narrows the inputs of the product.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Default, Debug)]
pub struct WorkloadSpec {
    /// Namespaces of the workload: at most 64. Default: the binding's own namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(regex(pattern = schema::NAMESPACE), length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// Which objects and pods in them. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Something to check out from License Manager.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct EntitlementRequest {
    /// Name of the entitlement, which is the API name of the dimension.
    #[schemars(regex(pattern = schema::DIMENSION), length(min = 1, max = 255))]
    pub name: String,
    /// How much of it, in whole units: 1 or more. Left out for a Tier, and for all that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub quantity: Option<u32>,
}

/// What Tollkeeper found out about a binding.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Default, Debug)]
#[serde(rename_all = "camelCase")]
pub struct LicenseBindingStatus {
    /// The metadata.generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What AWS says about the license.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entitlement: Option<EntitlementStatus>,
    /// Usage of the open hour at the last checkpoint. Not every measurement is written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_hour: Option<CurrentHour>,
    /// Start of the last hour (UTC) whose every record has its outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = schema::HOUR))]
    pub last_settled_hour: Option<String>,
    /// Number of sealed records that have no outcome yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<u32>,
    /// What a restarted operator resumes the open hour from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Ready is derived from AccessProvisioned, Entitled and Settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A license as AWS last described it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct EntitlementStatus {
    /// Entitled, NotEntitled, or Unknown while AWS cannot be asked.
    pub state: EntitlementState,
    /// When the license expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub expires: Option<Timestamp>,
    /// When AWS was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub checked: Option<Timestamp>,
    /// The license.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license_arn: Option<String>,
    /// What the license contains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub items: Vec<EntitlementItem>,
}

/// Whether a license is valid.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Default, Debug)]
#[allow(missing_docs)] // The field says what they mean.
pub enum EntitlementState {
    Entitled,
    NotEntitled,
    #[default]
    Unknown,
}

/// One entitlement of a license.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Default, Debug)]
pub struct EntitlementItem {
    /// Its name.
    pub name: String,
    /// Its unit, such as Count; None for a Tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What was bought: an amount, or the word that AWS gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// How much of it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
    /// When it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub expires: Option<Timestamp>,
}

/// Usage of the open hour.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct CurrentHour {
    /// Start of the hour, UTC.
    #[schemars(regex(pattern = schema::HOUR))]
    pub hour: String,
    /// What was measured in it so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub usage: Vec<DimensionUsage>,
}

/// Usage of one dimension.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct DimensionUsage {
    /// The dimension.
    pub dimension: String,
    /// Its usage, with six decimal places.
    #[schemars(regex(pattern = schema::QUANTITY))]
    pub quantity: String,
}

/// Where measuring goes on after a restart.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The tick after which it was taken.
    #[schemars(schema_with = "schema::moment")]
    pub at: Timestamp,
    /// Start of the open hour, UTC.
    #[schemars(regex(pattern = schema::HOUR))]
    pub hour: String,
    /// The state of the meter: compressed, meant for the operator alone. It may change its form with any version; an
    /// operator that cannot read it starts anew and sets baselines. Never edit it.
    #[schemars(length(max = 524_288))]
    pub data: String,
}
