//! The ledger and the checkpoints in the API server of the buyer's cluster.
//!
//! A report's deterministic name makes a second seal fail; `resourceVersion` in every patch makes a second claim
//! fail. Specification, phase label and status change in one write, because `UsageReport` has no status subresource.

mod checkpoint;
mod report;

use std::time::Duration;

use kube::{
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};

pub use self::{
    checkpoint::KubernetesCheckpoints,
    report::{Found, KubernetesLedger},
};

/// kube has no read time-out of its own. A healthy API server answers in milliseconds; after ten seconds the
/// connection is as good as lost.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Who writes, in `managedFields`.
const FIELD_MANAGER: &str = "tollkeeper";

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("tollkeeper.dev", "v1alpha1", kind), plural)
}

type Object = DynamicObject;

/// The namespaces in care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Cluster,
    /// These only.
    Namespaces(Vec<String>),
}
