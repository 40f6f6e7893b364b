//! `MarketplaceProduct`: what the vendor sells and how its usage is measured.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{dimension::DimensionSpec, meter::MeterSpec, schema, shared::Condition};

pub use tollkeeper_core::product::{AmbiguousPolicy, LatePolicy, Mode};

/// What a vendor sells on AWS Marketplace, and how its usage is measured, rounded and settled.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, PartialEq, Debug)]
#[kube(
    group = "tollkeeper.dev",
    version = "v1alpha1",
    kind = "MarketplaceProduct",
    doc = "A product that is sold on AWS Marketplace: what it is, how its usage is measured, and what was decided in advance about usage that cannot be billed in the ordinary way. Written by the vendor.",
    namespaced,
    status = "MarketplaceProductStatus",
    derive = "PartialEq",
    shortname = "mpp",
    category = "tollkeeper",
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name of a product has at most 63 characters: it is a label of its reports"),
    printcolumn(
        name = "PRODUCT-CODE",
        type_ = "string",
        json_path = ".spec.productCode",
        description = "Product code at AWS Marketplace"
    ),
    printcolumn(
        name = "DELIVERY",
        type_ = "string",
        json_path = ".spec.delivery",
        description = "Container or SaaS"
    ),
    printcolumn(
        name = "PRICING",
        type_ = "string",
        json_path = ".spec.pricing",
        description = "Pricing model"
    ),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the product is metered"
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is, or why not"
    ),
    printcolumn(
        name = "PLUGIN",
        type_ = "string",
        json_path = ".status.plugin.name",
        description = "Name of the plugin that measures",
        priority = 1
    ),
    printcolumn(
        name = "DIMENSIONS",
        type_ = "string",
        json_path = ".status.plugin.dimensions",
        description = "Dimensions that the plugin reports",
        priority = 1
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the product exists"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.pricing in ['Contract', 'ContractWithConsumption']) || has(self.productId)")
        .message("productId is required with the pricing Contract and ContractWithConsumption"),
    validation = Rule::new("self.pricing != 'Hourly' || has(self.publicKey)")
        .message("publicKey is required with the pricing Hourly: it proves the answer of RegisterUsage"),
    validation = Rule::new("!(self.pricing in ['Usage', 'ContractWithConsumption']) || has(self.meter)")
        .message("meter is required with the pricing Usage and ContractWithConsumption"),
    validation = Rule::new("has(self.meter) || !self.dimensions.exists(d, has(d.license) && d.license.kind in ['Drawdown', 'Floating'])")
        .message("meter is required for dimensions whose license is Drawdown or Floating")
)]
pub struct MarketplaceProductSpec {
    /// The code under which AWS Marketplace bills the product: 1-255 characters of `[-a-zA-Z0-9/=:_.@]`. Required;
    /// cannot be changed.
    #[schemars(regex(pattern = "^[-a-zA-Z0-9/=:_.@]+$"), length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("productCode cannot be changed; delete the product and create a new one"))]
    pub product_code: String,
    /// The product ID, which is the product SKU in License Manager. Required with the pricing Contract and
    /// ContractWithConsumption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[-a-zA-Z0-9/=:_.@]+$"), length(min = 1, max = 255))]
    pub product_id: Option<String>,
    /// How buyers get the product: Container runs in the buyer's cluster, SaaS in the seller's. Required; cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("delivery cannot be changed; delete the product and create a new one"))]
    pub delivery: Delivery,
    /// How the product is paid for. Free: nothing is billed. Usage: by metered usage. Hourly: by AWS, per running pod,
    /// after one RegisterUsage call. Contract: in advance, with a license. ContractWithConsumption: in advance, and usage
    /// above the contract by metering. Required.
    pub pricing: Pricing,
    /// The product's public key from the seller portal, which proves the answer of RegisterUsage. Required with the
    /// pricing Hourly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKeySpec>,
    /// What is counted and billed: 1-200 dimensions with unique names. AWS's older limit is 24; above it the product says so.
    #[schemars(length(min = 1, max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub dimensions: Vec<DimensionSpec>,
    /// How usage is measured. Required with the pricing Usage and ContractWithConsumption, and for dimensions whose
    /// license is Drawdown or Floating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<MeterSpec>,
    /// What is decided in advance about usage that cannot be billed in the ordinary way.
    #[serde(default)]
    pub policy: PolicySpec,
    /// Live: usage is sent to AWS. Shadow: everything but sending; the reports say what would have been sent. Default: Live.
    #[serde(default = "live")]
    #[schemars(schema_with = "mode")]
    pub mode: Mode,
}

fn live() -> Mode {
    Mode::Live
}

/// How buyers get a product.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The field says what they mean, where `kubectl explain` shows it.
pub enum Delivery {
    Container,
    SaaS,
}

/// How a product is paid for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The field says what they mean, where `kubectl explain` shows it.
pub enum Pricing {
    Free,
    Usage,
    Hourly,
    Contract,
    ContractWithConsumption,
}

impl Pricing {
    /// Whether buyers pay in advance and hold a license in License Manager.
    pub const fn is_contract(self) -> bool {
        matches!(self, Self::Contract | Self::ContractWithConsumption)
    }

    /// Whether hours of usage are sent to AWS.
    pub const fn is_metered(self) -> bool {
        matches!(self, Self::Usage | Self::ContractWithConsumption)
    }
}

/// A public key of the seller portal.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct PublicKeySpec {
    /// Version of the key as the seller portal shows it: 1 or more.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub version: u32,
    /// The key: SubjectPublicKeyInfo in PEM, with its line breaks.
    #[schemars(regex(pattern = "^\\s*-----BEGIN PUBLIC KEY-----"), length(min = 1, max = 8192))]
    pub pem: String,
}

/// What is decided in advance.
#[derive(KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct PolicySpec {
    /// What becomes of a record when nobody knows whether AWS took it, at its deadline. NeverDoubleBill: it stays
    /// unbilled. NeverUnderBill: it is sent again and may be billed twice. Default: NeverDoubleBill.
    #[serde(default = "never_double_bill")]
    #[schemars(schema_with = "ambiguous")]
    pub ambiguous: AmbiguousPolicy,
    /// What becomes of usage that AWS takes no more. CarryForward: added to the next hour; with free trials or prepaid
    /// hourly units that can over-charge. WriteOff: given up. Hold: kept until a person decides. Default: CarryForward.
    #[serde(default = "carry_forward")]
    #[schemars(schema_with = "late")]
    pub late: LatePolicy,
    /// What happens when a buyer is not entitled for longer than `tolerance`. Warn: conditions and events say so. Suspend:
    /// the credentials are withdrawn as well. Default: Warn.
    #[serde(default)]
    pub not_entitled: NotEntitledPolicy,
    /// How long failing checks or failing metering are borne before `notEntitled` acts, such as 2h or 2h30m. At least 2h,
    /// as AWS asks for. Default: 2h.
    #[serde(default = "two_hours")]
    #[schemars(regex(pattern = "^([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$"), length(min = 2, max = 24))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('2h')").message("tolerance must be 2h or more: AWS asks sellers to bear 2 hours of failed metering"))]
    pub tolerance: String,
}

impl Default for PolicySpec {
    fn default() -> Self {
        Self {
            ambiguous: never_double_bill(),
            late: carry_forward(),
            not_entitled: NotEntitledPolicy::default(),
            tolerance: two_hours(),
        }
    }
}

fn never_double_bill() -> AmbiguousPolicy {
    AmbiguousPolicy::NeverDoubleBill
}

fn carry_forward() -> LatePolicy {
    LatePolicy::CarryForward
}

fn two_hours() -> String {
    "2h".to_owned()
}

/// What happens when a buyer is not entitled.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Default, Debug)]
#[allow(missing_docs)]
pub enum NotEntitledPolicy {
    #[default]
    Warn,
    Suspend,
}

fn mode(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::one_of(&["Live", "Shadow"])
}

fn ambiguous(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::one_of(&["NeverDoubleBill", "NeverUnderBill"])
}

fn late(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::one_of(&["CarryForward", "WriteOff", "Hold"])
}

/// What Tollkeeper found out about a product.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Default, Debug)]
#[serde(rename_all = "camelCase")]
pub struct MarketplaceProductStatus {
    /// The metadata.generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The plugin that measures now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginStatus>,
    /// Ready is True while the product is metered; it is derived from PluginReady, InputsReady and Metering.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A loaded plugin.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Default, Debug)]
pub struct PluginStatus {
    /// SHA-256 digest of its component.
    pub digest: String,
    /// Its name, as it says itself.
    pub name: String,
    /// Its version, as it says itself.
    pub version: String,
    /// The dimensions that it reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<String>,
}
