//! The source `objects`: Kubernetes objects of one kind, reduced to their declared fields.

use kube::Client;
use serde_json::Value;
use tollkeeper_core::{
    input::{InputData, InputObject},
    workload::{Labels, Selector},
};

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

/// An object as an input shows it, from its JSON: what a trace of `tollkeeper simulate` holds.
pub fn from_json(json: &str, fields: &[String]) -> Result<InputObject, String> {
    let object: Value =
        serde_json::from_str(json).map_err(|error| format!("an object cannot be read: {error}"))?;
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let needed = |path: &str| {
        text(path)
            .ok_or_else(|| format!("an object lacks {}", path.trim_start_matches('/').replace('/', ".")))
    };
    let labels = match object.pointer("/metadata/labels") {
        None | Some(Value::Null) => Labels::new(),
        Some(labels) => {
            serde_json::from_value(labels.clone()).map_err(|error| format!("metadata.labels: {error}"))?
        }
    };
    let body =
        Fields::new(fields.iter().map(String::as_str)).prune(json).map_err(|error| error.to_string())?;
    Ok(InputObject {
        api_version: needed("/apiVersion")?,
        kind: needed("/kind")?,
        namespace: text("/metadata/namespace"),
        name: needed("/metadata/name")?,
        uid: text("/metadata/uid").unwrap_or_default(),
        labels,
        body,
    })
}
