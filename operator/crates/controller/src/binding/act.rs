//! The writes: the binding's own metadata first, then its objects, then its release.
//!
//! Every write names the version that was judged, so that what somebody made or changed in between stays.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{Secret, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, Preconditions},
};
use serde_json::{Map, Value, json};
use tollkeeper_api::{FIELD_MANAGER, LicenseBinding, MANAGED_BY_LABEL, SETTLE_FINALIZER};

use super::{
    House,
    objects::{Content, Found, Hidden, Kind, ObjectId, ROLE_ANNOTATION},
    observe::Subject,
    plan::{Mark, Plan, Step},
};
use crate::calls::{CallError, call, patch_params, post_params};

/// A write that was not done.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ActError {
    /// Of the binding itself.
    #[error("the binding cannot be written")]
    Mark(#[source] CallError),
    /// Of an object.
    #[error("{id} cannot be written")]
    Step {
        /// Which.
        id: ObjectId,
        /// Why not.
        #[source]
        source: CallError,
    },
}

/// What came of the writes.
#[derive(Clone, PartialEq, Debug)]
pub struct Acted {
    /// The version of the binding now.
    pub version: String,
    /// Writes that were not done.
    pub failures: Vec<ActError>,
    /// Whether the binding has been let go.
    pub is_released: bool,
}

impl ActError {
    /// Why the API server did not do it.
    pub const fn cause(&self) -> &CallError {
        match self {
            Self::Mark(cause) | Self::Step { source: cause, .. } => cause,
        }
    }

    /// The reason that conditions, metrics and log lines show.
    pub const fn reason(&self) -> &'static str {
        self.cause().reason()
    }
}

/// Does what is planned.
pub(super) async fn act(house: &House, subject: &Subject, plan: &Plan) -> Acted {
    let mut acted = Acted { version: subject.version.clone(), failures: vec![], is_released: false };
    if let Some(mark) = &plan.mark {
        match write_mark(house, subject, &acted.version, mark).await {
            Ok(version) => acted.version = version,
            Err(error) => {
                acted.failures.push(ActError::Mark(error));
                // Nothing may exist that the mark does not know.
                return acted;
            }
        }
    }
    for step in &plan.steps {
        match take(house, subject, step).await {
            Ok(()) => {
                tracing::info!(binding = %subject.key, object = %step.id(), did = step.name(), "provisioning")
            }
            Err(source) => acted.failures.push(ActError::Step { id: step.id().clone(), source }),
        }
    }
    // What cannot be deleted goes by its owner reference; what failed by chance is tried again first.
    let is_done = acted.failures.iter().all(|failure| !failure.cause().passes_by_itself());
    if plan.is_release && is_done {
        let finalizers = subject.finalizers.iter().filter(|one| *one != SETTLE_FINALIZER).cloned().collect();
        let mark = Mark { finalizers, annotations: BTreeMap::new() };
        match write_mark(house, subject, &acted.version, &mark).await {
            Ok(_) | Err(CallError::Absent) => acted.is_released = true,
            Err(error) => acted.failures.push(ActError::Mark(error)),
        }
    }
    acted
}

impl Step {
    /// What it is about.
    pub fn id(&self) -> &ObjectId {
        match self {
            Self::Create { id, .. } | Self::Repair { id, .. } | Self::Delete { id, .. } => id,
        }
    }

    /// For log lines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Repair { .. } => "repair",
            Self::Delete { .. } => "delete",
        }
    }
}

async fn write_mark(
    house: &House,
    subject: &Subject,
    version: &str,
    mark: &Mark,
) -> Result<String, CallError> {
    let api = Api::<LicenseBinding>::namespaced(house.client.clone(), &subject.key.namespace);
    let patch = json!({"metadata": {
        "resourceVersion": version,
        "finalizers": mark.finalizers,
        "annotations": mark.annotations,
    }});
    // The answer's metadata only: a binding that cannot be decoded can be let go all the same.
    let (params, patch) = (patch_params(), Patch::Merge(&patch));
    let written = call(api.patch_metadata(&subject.key.name, &params, &patch)).await?;
    Ok(written.metadata.resource_version.unwrap_or_default())
}

async fn take(house: &House, subject: &Subject, step: &Step) -> Result<(), CallError> {
    let namespace = &subject.key.namespace;
    match step.id().kind {
        Kind::ServiceAccount => {
            write(&Api::<ServiceAccount>::namespaced(house.client.clone(), namespace), subject, step).await
        }
        Kind::Secret => {
            write(&Api::<Secret>::namespaced(house.client.clone(), namespace), subject, step).await
        }
    }
}

async fn write<K>(api: &Api<K>, subject: &Subject, step: &Step) -> Result<(), CallError>
where
    K: kube::Resource + serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    match step {
        Step::Create { id, content } => {
            let object = serde_json::from_value(created(id, content, &subject.owner))
                .map_err(|error| CallError::Refused(error.to_string()))?;
            call(api.create(&post_params(), &object)).await.map(drop)
        }
        Step::Repair { id, content, found } => {
            let patch = repaired(content, found, &subject.owner);
            call(api.patch(&id.name, &patch_params(), &Patch::Merge(&patch))).await.map(drop)
        }
        Step::Delete { id, uid, version } => {
            let preconditions =
                Preconditions { uid: Some(uid.clone()), resource_version: Some(version.clone()) };
            let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            match call(api.delete(&id.name, &params)).await {
                Ok(_) | Err(CallError::Absent) => Ok(()),
                Err(error) => Err(error),
            }
        }
    }
}

/// An object that is not there.
fn created(id: &ObjectId, content: &Content, owner: &OwnerReference) -> Value {
    let metadata = |annotations: Option<Value>| {
        json!({
            "name": id.name,
            "labels": { MANAGED_BY_LABEL: FIELD_MANAGER },
            "annotations": annotations,
            "ownerReferences": [owner],
        })
    };
    match content {
        Content::ServiceAccount { role_arn } => {
            let role = role_arn.as_ref().map(|role| json!({ ROLE_ANNOTATION: role }));
            json!({ "metadata": metadata(role) })
        }
        Content::Secret { data, .. } => {
            json!({ "metadata": metadata(None), "type": "Opaque", "data": entries(data) })
        }
    }
}

/// A merge patch that leaves alone what is not ours to say.
fn repaired(content: &Content, found: &Found, owner: &OwnerReference) -> Value {
    let others = found.owners.iter().filter(|one| one.uid != owner.uid);
    let owners: Vec<&OwnerReference> = others.chain([owner]).collect();
    let metadata = |annotations: Value| {
        json!({
            "resourceVersion": found.version,
            "labels": { MANAGED_BY_LABEL: FIELD_MANAGER },
            "annotations": annotations,
            "ownerReferences": owners,
        })
    };
    match content {
        Content::ServiceAccount { role_arn } => {
            json!({ "metadata": metadata(json!({ ROLE_ANNOTATION: role_arn })) })
        }
        Content::Secret { data, .. } => {
            let mut all = Map::new();
            if let Content::Secret { data: surplus, .. } = &found.content {
                all.extend(surplus.keys().map(|key| (key.clone(), Value::Null)));
            }
            all.extend(entries(data));
            json!({ "metadata": metadata(json!({})), "data": all })
        }
    }
}

fn entries(data: &BTreeMap<String, Hidden>) -> Map<String, Value> {
    data.iter().map(|(key, value)| (key.clone(), json!(ByteString(value.0.clone())))).collect()
}
