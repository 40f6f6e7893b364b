//! Lists objects of the API server page by page and prunes each page before the next one is read.
//!
//! The text of a page is pruned as it is, not by way of `Api<DynamicObject>`: whole objects are then never
//! built, a page has a size limit, and kube does not log a page that it cannot parse.

use std::{pin::pin, sync::Arc};

use futures::AsyncReadExt as _;
use kube::{
    Client,
    api::{DynamicObject, ListParams},
    core::{Request, Resource as _},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tollkeeper_core::{
    input::InputObject,
    workload::{Labels, Operator, Selector},
};

use super::{
    fields::Fields,
    kinds::Listable,
    limits::{Budget, Limits, Share, bytes},
    trouble,
};

/// What is listed, and what of it is kept.
pub(super) struct Query {
    pub(super) listable: Listable,
    pub(super) labels: String,
    pub(super) only: Option<&'static str>,
    pub(super) fields: Fields,
}

/// Why a list could not be read.
#[derive(Debug)]
pub(super) enum ListError {
    /// The API server does not serve this resource (any more).
    NotServed(String),
    /// Anything else.
    Other(String),
}

enum PageError {
    /// The continue token is too old.
    Expired,
    /// The page has more bytes than the limit.
    TooLarge,
    List(ListError),
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
struct PageMetadata {
    #[serde(rename = "continue")]
    token: Option<String>,
}

#[derive(Deserialize)]
struct Head {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: Option<String>,
    // Objects of aggregated APIs such as metrics.k8s.io have none.
    #[serde(default)]
    uid: String,
    labels: Option<Labels>,
}

/// All objects of a query: in the given namespaces, or once if they are cluster-scoped; ordered by namespace
/// and name.
pub(super) async fn list(
    client: &Client,
    query: &Query,
    namespaces: &[&str],
    limits: &Limits,
    budget: &Budget,
) -> Result<Vec<Arc<InputObject>>, ListError> {
    let mut objects = Vec::new();
    if query.listable.namespaced {
        for namespace in namespaces {
            objects.extend(list_one(client, query, Some(namespace), limits, budget).await?);
        }
    } else {
        objects = list_one(client, query, None, limits, budget).await?;
    }
    objects.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(objects)
}

async fn list_one(
    client: &Client,
    query: &Query,
    namespace: Option<&str>,
    limits: &Limits,
    budget: &Budget,
) -> Result<Vec<Arc<InputObject>>, ListError> {
    let mut may_restart = true;
    let mut size = limits.page.max(1);
    let mut token = None;
    let mut objects = Vec::new();
    let mut share = budget.share();
    loop {
        let page = match page(client, query, namespace, size, token.as_deref(), limits).await {
            Ok(page) => page,
            Err(PageError::Expired) if may_restart => {
                // The objects of the pages so far are of a state that the API server has forgotten.
                (may_restart, token) = (false, None);
                objects.clear();
                share = budget.share();
                continue;
            }
            Err(PageError::TooLarge) if size > 1 => {
                size = (size / 10).max(1);
                continue;
            }
            Err(PageError::Expired) => {
                return Err(query.other(namespace, "the list expired twice while it was read (410)"));
            }
            Err(PageError::TooLarge) => {
                let limit = bytes(limits.page_bytes);
                return Err(query.other(namespace, &format!("one page of it exceeds {limit}")));
            }
            Err(PageError::List(error)) => return Err(error),
        };
        token = query
            .prune(&page, &mut objects, &mut share, limits)
            .map_err(|reason| query.other(namespace, &reason))?;
        if token.is_none() {
            share.keep();
            return Ok(objects);
        }
    }
}

async fn page(
    client: &Client,
    query: &Query,
    namespace: Option<&str>,
    size: u32,
    token: Option<&str>,
    limits: &Limits,
) -> Result<Vec<u8>, PageError> {
    let broken = |reason: &str| PageError::List(query.other(namespace, reason));
    let mut parameters = ListParams::default().limit(size);
    if !query.labels.is_empty() {
        parameters = parameters.labels(&query.labels);
    }
    if let Some(only) = query.only {
        parameters = parameters.fields(only);
    }
    if let Some(token) = token {
        parameters = parameters.continue_token(token);
    }
    let request = Request::new(DynamicObject::url_path(&query.listable.resource, namespace))
        .list(&parameters)
        .map_err(|error| broken(&trouble::cause(&error)))?;
    let body = client.request_stream(request).await.map_err(|error| match &error {
        kube::Error::Api(status) if status.code == 410 => PageError::Expired,
        error => PageError::List(query.failed(namespace, error)),
    })?;
    let mut text = Vec::new();
    pin!(body)
        .take(u64::try_from(limits.page_bytes).unwrap_or(u64::MAX).saturating_add(1))
        .read_to_end(&mut text)
        .await
        .map_err(|error| broken(&format!("the API server's answer broke off: {}", trouble::cause(&error))))?;
    if text.len() > limits.page_bytes { Err(PageError::TooLarge) } else { Ok(text) }
}

impl Query {
    /// Adds the pruned objects of a page and returns the token of the next one.
    fn prune(
        &self,
        text: &[u8],
        objects: &mut Vec<Arc<InputObject>>,
        share: &mut Share<'_>,
        limits: &Limits,
    ) -> Result<Option<String>, String> {
        let page: Page<'_> =
            serde_json::from_slice(text).map_err(|_| "the API server's answer is no list".to_owned())?;
        for item in page.items.unwrap_or_default() {
            let object = self
                .object(item.get())
                .map_err(|error| format!("an object in it cannot be read: {}", trouble::cause(&error)))?;
            if !share.take(size(&object)) {
                return Err(format!("its contents exceed {}", bytes(limits.input_bytes)));
            }
            objects.push(Arc::new(object));
        }
        Ok(page.metadata.token.filter(|token| !token.is_empty()))
    }

    fn object(&self, text: &str) -> serde_json::Result<InputObject> {
        let head: Head = serde_json::from_str(text)?;
        Ok(InputObject {
            api_version: self.listable.resource.api_version.clone(),
            kind: self.listable.resource.kind.clone(),
            namespace: head.metadata.namespace.filter(|namespace| !namespace.is_empty()),
            name: head.metadata.name,
            uid: head.metadata.uid,
            labels: head.metadata.labels.unwrap_or_default(),
            body: self.fields.prune(text)?,
        })
    }

    fn failed(&self, namespace: Option<&str>, error: &kube::Error) -> ListError {
        let resource = &self.listable.resource;
        match error {
            kube::Error::Api(status) if status.code == 403 => {
                let group = match resource.group.as_str() {
                    "" => "the core API group".to_owned(),
                    group => format!("the API group `{group}`"),
                };
                let role = match namespace {
                    Some(namespace) => format!("a Role in namespace {namespace}"),
                    None => "a ClusterRole".to_owned(),
                };
                let rule = format!(
                    "the API server forbids it: Tollkeeper's ServiceAccount needs {role} with the verb `list` \
                     on `{}` in {group}",
                    resource.plural
                );
                self.other(namespace, &rule)
            }
            kube::Error::Api(status) if status.code == 404 => {
                ListError::NotServed(self.sentence(namespace, "the API server does not serve it (404)"))
            }
            error => self.other(namespace, &trouble::api(error)),
        }
    }

    fn other(&self, namespace: Option<&str>, reason: &str) -> ListError {
        ListError::Other(self.sentence(namespace, reason))
    }

    fn sentence(&self, namespace: Option<&str>, reason: &str) -> String {
        let resource = &self.listable.resource;
        let place = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
        format!("listing {} ({}){place} failed: {reason}", resource.plural, resource.api_version)
    }
}

/// The bytes that an object hands to a plugin.
fn size(object: &InputObject) -> usize {
    let labels: usize = object.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    let namespace = object.namespace.as_ref().map_or(0, String::len);
    [&object.api_version, &object.kind, &object.name, &object.uid, &object.body]
        .iter()
        .map(|text| text.len())
        .sum::<usize>()
        + namespace
        + labels
}

/// A label selector as the API server reads it.
pub(super) fn label_selector(selector: &Selector) -> String {
    let mut terms: Vec<String> =
        selector.match_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    for requirement in &selector.match_expressions {
        let (key, values) = (&requirement.key, requirement.values.join(","));
        terms.push(match requirement.operator {
            Operator::In => format!("{key} in ({values})"),
            Operator::NotIn => format!("{key} notin ({values})"),
            Operator::Exists => key.clone(),
            Operator::DoesNotExist => format!("!{key}"),
        });
    }
    terms.join(",")
}
