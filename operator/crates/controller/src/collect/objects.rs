//! The source `objects`: Kubernetes objects of one kind, reduced to their declared fields.

use kube::Client;
use tollkeeper_core::{input::InputData, workload::Selector};

use super::{
    fields::Fields,
    kinds::Kinds,
    limits::{Budget, Limits},
    list::{ListError, Query, label_selector, list},
};

/// What an input of this source declares.
pub(super) struct Declared<'a> {
    pub(super) api_version: &'a str,
    pub(super) kind: &'a str,
    pub(super) selector: &'a Selector,
    pub(super) fields: &'a [String],
}

/// Lists the objects.
pub(super) async fn read(
    client: &Client,
    kinds: &Kinds,
    declared: Declared<'_>,
    namespaces: &[&str],
    limits: &Limits,
    budget: &Budget,
) -> Result<InputData, String> {
    let query = Query {
        listable: kinds.resolve(client, declared.api_version, declared.kind).await?,
        labels: label_selector(declared.selector),
        only: None,
        fields: Fields::new(declared.fields.iter().map(String::as_str)),
    };
    match list(client, &query, namespaces, limits, budget).await {
        Ok(objects) => Ok(InputData::Objects(objects)),
        Err(ListError::NotServed(reason)) => {
            // Its CustomResourceDefinition was removed or has changed its scope: resolve it anew next time.
            kinds.forget(declared.api_version, declared.kind);
            Err(reason)
        }
        Err(ListError::Other(reason)) => Err(reason),
    }
}
