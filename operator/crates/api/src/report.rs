//! `UsageReport`: the ledger. One report a billing scope and hour.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    schema,
    shared::{Buyer, Condition, LocalRef},
};

/// What is billed for one hour. Frozen when the report is created.
///
/// The hash chain is computed over the JSON of this struct: a field that is not there is left out, never written as
/// null or as an empty list.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[kube(
    group = "tollkeeper.dev",
    version = "v1alpha1",
    kind = "UsageReport",
    doc = "What is billed for one hour: for container products all usage of a product in this cluster, for SaaS products the usage of one buyer. Written by Tollkeeper; everybody may read it. It has no status subresource on purpose: a record's claim and outcome, the phase label and the version that fences other writers must change in one compare-and-swap write. The spec is immutable, and its hash chains the reports of a product.",
    namespaced,
    status = "UsageReportStatus",
    derive = "PartialEq",
    shortname = "usage",
    category = "tollkeeper",
    printcolumn(
        name = "PRODUCT",
        type_ = "string",
        json_path = ".spec.productRef.name",
        description = "The product"
    ),
    printcolumn(
        name = "HOUR",
        type_ = "string",
        json_path = ".spec.hour",
        description = "Start of the hour, UTC"
    ),
    printcolumn(
        name = "PHASE",
        type_ = "string",
        json_path = ".status.phase",
        description = "How far the report is"
    ),
    printcolumn(
        name = "ACCEPTED",
        type_ = "integer",
        json_path = ".status.accepted",
        description = "Records that AWS took"
    ),
    printcolumn(
        name = "UNSETTLED",
        type_ = "integer",
        json_path = ".status.unsettled",
        description = "Records that have no outcome yet"
    ),
    printcolumn(
        name = "PLUGIN",
        type_ = "string",
        json_path = ".spec.evidence.plugin",
        description = "Digest of the plugin that measured"
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the report exists"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("a sealed report cannot be changed"),
    validation = Rule::new("has(self.bindingRef) == has(self.buyer)").message("bindingRef and buyer belong to SaaS products, both or neither")
)]
pub struct UsageReportSpec {
    /// The product, in the same namespace.
    pub product_ref: LocalRef,
    /// The binding, in the same namespace. SaaS only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding_ref: Option<LocalRef>,
    /// Product code that the usage is billed under.
    #[schemars(length(min = 1, max = 255))]
    pub product_code: String,
    /// The buyer who is billed. SaaS only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<Buyer>,
    /// Start of the hour, UTC. The hour ends before the next one starts.
    #[schemars(regex(pattern = schema::HOUR), length(max = 20))]
    pub hour: String,
    /// The time of usage that AWS is told, RFC 3339 in UTC. Inside the hour; never before the start of the software.
    #[schemars(length(max = 40), extend("format" = "date-time"))]
    pub timestamp: String,
    /// What is billed, one record a dimension: at most 200.
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["dimension"]))]
    pub records: Vec<UsageRecord>,
    /// What dimensions without a record here carry on to the next hour: at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["dimension"]))]
    pub remainders: Vec<CarriedRemainder>,
    /// What the measurement can be repeated from.
    pub evidence: Evidence,
    /// The report of the scope before this one. Left out in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousReport>,
    /// SHA-256 over the canonical JSON of the rest of the spec, chained by `previous`.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub hash: String,
}

/// What is billed for one dimension.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct UsageRecord {
    /// The dimension.
    #[schemars(regex(pattern = schema::DIMENSION), length(min = 1, max = 255))]
    pub dimension: String,
    /// What AWS is told: whole units, 0 to 2147483647.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub quantity: u32,
    /// What was measured, before rounding, with everything that was carried to this hour. Six decimal places.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub measured: String,
    /// What is carried to the next hour. Six decimal places.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub remainder: String,
    /// Late usage of earlier hours that is billed here: at most 1000 hours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub carried_from: Vec<CarriedUsage>,
    /// Idempotency token of the request: at most 64 characters, derived from what is billed, the same at every attempt.
    #[schemars(length(min = 1, max = 64))]
    pub client_token: String,
    /// How the quantity is split over tag sets: at most 2500. Left out if no usage is tagged. The parts add up to the quantity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2500))]
    pub allocations: Vec<AllocationRecord>,
}

/// What is left of a dimension that has no record in the hour.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct CarriedRemainder {
    /// The dimension.
    #[schemars(regex(pattern = schema::DIMENSION), length(min = 1, max = 255))]
    pub dimension: String,
    /// How much. Six decimal places.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub quantity: String,
}

/// Usage of an earlier hour.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct CarriedUsage {
    /// Start of the hour that it was measured in, UTC.
    #[schemars(regex(pattern = schema::HOUR), length(max = 20))]
    pub hour: String,
    /// How much of it. Six decimal places.
    #[schemars(regex(pattern = schema::QUANTITY), length(max = 37))]
    pub quantity: String,
}

/// A part of a record's quantity.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct AllocationRecord {
    /// Whole units.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub quantity: u32,
    /// Tags of this part. Left out for untagged usage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tags")]
    pub tags: BTreeMap<String, String>,
}

/// What a measurement can be repeated from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// Digest of the plugin that measured; of the last one if it has changed in the middle of the hour.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub plugin: String,
    /// Digest of the inputs of all ticks.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub inputs: String,
    /// Digest of the plugin's configuration.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub config: String,
    /// Ticks that were due in the hour, over all bindings.
    pub ticks: u32,
    /// Those of them that were missed.
    pub missed: u32,
    /// What measured earlier parts of the hour, in order: the plugin or its configuration has changed in the middle of it,
    /// as after a restart of the operator while a new plugin waited for its hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 360))]
    pub earlier: Vec<ConfiguredPlugin>,
}

/// A plugin and its configuration.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct ConfiguredPlugin {
    /// Digest of the plugin.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub plugin: String,
    /// Digest of its configuration.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub config: String,
}

/// The report before this one.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct PreviousReport {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its hash.
    #[schemars(regex(pattern = schema::DIGEST), length(max = 71))]
    pub hash: String,
}

/// What became of the records.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Default, Debug)]
pub struct UsageReportStatus {
    /// Sealed: nothing was sent yet. Sending: some record is being sent. Settled: every record has its outcome.
    /// NeedsAttention: a person must decide about a record.
    pub phase: Phase,
    /// How many records AWS took.
    #[serde(default)]
    pub accepted: u32,
    /// How many records have no outcome yet.
    #[serde(default)]
    pub unsettled: u32,
    /// The state of each record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["dimension"]))]
    pub records: Vec<RecordStatus>,
    /// Settled is True when every record has its outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl UsageReportStatus {
    /// Counts the records that were accepted, and those without an outcome, into the fields that the columns show.
    pub fn count(&mut self) {
        let number = |wanted: fn(RecordState) -> bool| {
            let count = self.records.iter().filter(|record| wanted(record.state)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let (accepted, unsettled) =
            (number(|state| state == RecordState::Accepted), number(|state| !state.has_outcome()));
        (self.accepted, self.unsettled) = (accepted, unsettled);
    }
}

/// How far a report is. Also the value of the label [`crate::PHASE_LABEL`].
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
#[allow(missing_docs)] // The field says what they mean.
pub enum Phase {
    #[default]
    Sealed,
    Sending,
    Settled,
    NeedsAttention,
}

impl Phase {
    /// As in JSON and in the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "Sealed",
            Self::Sending => "Sending",
            Self::Settled => "Settled",
            Self::NeedsAttention => "NeedsAttention",
        }
    }
}

/// What became of one record.
#[derive(KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("oldSelf.state != 'Accepted' || self.state == 'Accepted'").message("what AWS has accepted stays accepted"),
    validation = Rule::new("!has(oldSelf.decisions) || (has(self.decisions) && self.decisions.size() >= oldSelf.decisions.size())").message("a decision is never taken away")
)]
pub struct RecordStatus {
    /// The dimension.
    #[schemars(regex(pattern = schema::DIMENSION), length(min = 1, max = 255))]
    pub dimension: String,
    /// Sealed: to be sent. Sending: claimed, the outcome is not known yet. Accepted: AWS took it. Rejected: AWS never will.
    /// Ambiguous: nobody knows whether AWS took it. Expired: its time has passed. CarriedForward: billed in a later hour.
    /// WrittenOff: given up. Held: a person must decide.
    pub state: RecordState,
    /// The id that AWS gave the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub metering_record_id: Option<String>,
    /// How often it was sent.
    #[serde(default)]
    pub attempts: u32,
    /// Who sends it. Written before the first byte is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Why it is in this state: the AWS error name, or a word of Tollkeeper's, in PascalCase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub reason: Option<String>,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
    /// What people have decided about it with `tollkeeper report`, and what the operator (as `tollkeeper`) has found proof of,
    /// oldest first: at most 16. Only ever added to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub decisions: Vec<Decision>,
}

/// A person's decision about a record.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Resolve: AWS has taken it, as the person has seen. WriteOff: given up. Release: to be billed after all.
    /// Acknowledge: the rejection has been seen.
    pub kind: DecisionKind,
    /// The state that the record was in.
    pub from: RecordState,
    /// Who decided.
    #[schemars(length(max = 1024))]
    pub by: String,
    /// Whether the API server has confirmed who it was. If not, `by` is the name in the person's kubeconfig.
    pub verified: bool,
    /// When.
    #[schemars(schema_with = "schema::moment")]
    pub at: Timestamp,
    /// Why, in the person's own words.
    #[schemars(length(min = 1, max = 4096))]
    pub reason: String,
}

/// What was decided.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The field says what they mean.
pub enum DecisionKind {
    Resolve,
    WriteOff,
    Release,
    Acknowledge,
}

/// The state of a record.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)] // The field says what they mean.
pub enum RecordState {
    Sealed,
    Sending,
    Accepted,
    Rejected,
    Ambiguous,
    Expired,
    CarriedForward,
    WrittenOff,
    Held,
}

impl RecordState {
    /// Whether nothing more is going to happen to the record by itself.
    pub const fn has_outcome(self) -> bool {
        !matches!(self, Self::Sealed | Self::Sending | Self::Ambiguous | Self::Expired)
    }
}

/// Who sends a record.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// UID of the operator's pod. AWS deduplicates by pod: only the same pod may send the record again.
    #[schemars(length(min = 1, max = 255))]
    pub pod: String,
    /// Epoch of the lease that the pod held.
    pub epoch: u64,
    /// When it was claimed.
    #[schemars(schema_with = "schema::moment")]
    pub at: Timestamp,
}
