//! The ledger and the checkpoints in the API server of the buyer's cluster.
//!
//! A report's deterministic name makes a second seal fail; `resourceVersion` in every patch makes a second claim
//! fail. Specification, phase label and status change in one write, because `UsageReport` has no status subresource.

mod checkpoint;
mod report;
mod statement;

use std::{collections::BTreeMap, error::Error as _, time::Duration};

use futures::future::join_all;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Preconditions},
    core::GroupVersionKind,
};
use serde_json::Value;
use tokio::time::timeout;
use tollkeeper_core::{identity::ObjectKey, ledger::LedgerError, proof::Problem};

pub use self::{
    checkpoint::KubernetesCheckpoints,
    report::{Found, KubernetesLedger},
    statement::KubernetesStatements,
};

/// kube has no read time-out of its own. A healthy API server answers in milliseconds; after ten seconds the
/// connection is as good as lost.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Who writes, in `managedFields`.
const FIELD_MANAGER: &str = "tollkeeper";

const PRODUCT_LABEL: &str = "tollkeeper.dev/product";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Reports a page when listing: a page of full reports stays well below a megabyte.
const PAGE: u32 = 100;

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

impl Scope {
    /// The namespace of each of [`Scope::apis`]; `None` for all of them at once.
    fn namespaces(&self) -> Vec<Option<&str>> {
        match self {
            Self::Cluster => vec![None],
            Self::Namespaces(namespaces) => namespaces.iter().map(|name| Some(name.as_str())).collect(),
        }
    }

    fn apis(&self, client: &Client, resource: &ApiResource) -> Vec<Api<Object>> {
        match self {
            Self::Cluster => vec![Api::all_with(client.clone(), resource)],
            Self::Namespaces(namespaces) => namespaces
                .iter()
                .map(|namespace| Api::namespaced_with(client.clone(), namespace, resource))
                .collect(),
        }
    }

    /// What all namespaces in care hold. One that cannot be read hides no other; if none can, that is the answer.
    async fn look(
        &self,
        client: &Client,
        resource: &ApiResource,
        selector: &str,
    ) -> Result<Listing, LedgerError> {
        let apis = self.apis(client, resource);
        let lists = join_all(apis.iter().map(|api| list(api, selector))).await;
        let (mut listing, mut is_any_read) = (Listing::default(), false);
        for (namespace, listed) in self.namespaces().into_iter().zip(lists) {
            match (listed, namespace) {
                (Ok(objects), _) => {
                    is_any_read = true;
                    listing.objects.extend(objects);
                }
                (Err(error), Some(namespace)) => {
                    listing.unread.insert(namespace.to_owned(), error);
                }
                (Err(error), None) => return Err(error),
            }
        }
        match listing.unread.values().next() {
            Some(error) if !is_any_read => Err(error.clone()),
            _ => Ok(listing),
        }
    }
}

/// Objects of several namespaces, and those that could not be read.
#[derive(Default)]
struct Listing {
    objects: Vec<Object>,
    unread: BTreeMap<String, LedgerError>,
}

async fn list(api: &Api<Object>, selector: &str) -> Result<Vec<Object>, LedgerError> {
    let mut objects = Vec::new();
    let mut params = ListParams::default().labels(selector).limit(PAGE);
    loop {
        let page = call(api.list(&params)).await?.map_err(unavailable)?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

/// Reads an object, and says which one it is that cannot be trusted.
fn read<T>(object: &Object, as_what: fn(&Value) -> Result<T, Problem>) -> Result<T, LedgerError> {
    let damaged = |problem: String| {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let key = ObjectKey::new(namespace, object.metadata.name.clone().unwrap_or_default());
        LedgerError::Damaged { key, problem }
    };
    let json = serde_json::to_value(object).map_err(|error| damaged(error.to_string()))?;
    as_what(&json).map_err(|problem| damaged(problem.message))
}

/// An object as people read and export it.
fn document(mut object: Object) -> Result<Value, LedgerError> {
    // Who wrote which field is twice as long as the report, and says nothing about usage.
    object.metadata.managed_fields = None;
    serde_json::to_value(object).map_err(|error| LedgerError::Unavailable(error.to_string()))
}

/// Deletes an object in this version only.
fn only_version(version: &str) -> DeleteParams {
    let preconditions =
        Preconditions { resource_version: Some(version.to_owned()), ..Preconditions::default() };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
}

async fn call<T>(
    request: impl Future<Output = Result<T, kube::Error>> + Send,
) -> Result<Result<T, kube::Error>, LedgerError> {
    timeout(CALL_TIMEOUT, request)
        .await
        .map_err(|_| LedgerError::Unavailable(format!("the API server did not answer in {CALL_TIMEOUT:?}")))
}

/// With the cause at the bottom: the sentence on top may only say that something went wrong.
fn unavailable(error: kube::Error) -> LedgerError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    if let Some(root) = cause.map(ToString::to_string).filter(|root| !text.contains(root.as_str())) {
        text = format!("{text}: {root}");
    }
    LedgerError::Unavailable(text)
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// Whether a report or statement belongs to a product, by what it says or by what it is labelled.
fn is_of(object: &Object, product: &str) -> bool {
    let labelled = object.metadata.labels.as_ref().and_then(|labels| labels.get(PRODUCT_LABEL));
    let said = object.data.pointer("/spec/productRef/name").and_then(Value::as_str);
    labelled.is_some_and(|name| name == product) || said == Some(product)
}
