//! What a plugin may see: the inputs that a product declares, and their contents at one tick.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::workload::{Labels, Selector, Workload};

/// One declared input of a product.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputDeclaration {
    /// Unique within the product; the plugin knows the input by it.
    pub name: String,
    /// Where its contents come from.
    pub source: InputSource,
}

/// Where an input comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InputSource {
    /// Kubernetes objects of one kind.
    Objects {
        /// Such as `v1` or `apps/v1`.
        api_version: String,
        /// Such as `Node`.
        kind: String,
        /// Narrows the objects.
        selector: Selector,
        /// Dotted paths that the plugin sees; nothing else leaves the object.
        fields: Vec<String>,
    },
    /// A metrics endpoint of every selected pod.
    Scrape {
        /// The pods.
        pod_selector: Selector,
        /// The port.
        port: u16,
        /// The path, `/metrics` by default.
        path: String,
        /// The metrics that the plugin sees; all if empty.
        metrics: Vec<String>,
    },
    /// An instant query to a Prometheus server.
    Promql {
        /// Base address of the server.
        url: String,
        /// The query.
        query: String,
    },
    /// A JSON document.
    Http {
        /// Its address.
        url: String,
    },
}

/// An input at one tick.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    /// As declared.
    pub name: String,
    /// What was found.
    pub data: InputData,
}

/// Contents of an input.
#[derive(Clone, PartialEq, Debug)]
pub enum InputData {
    /// Kubernetes objects, reduced to their declared fields.
    Objects(Vec<Arc<InputObject>>),
    /// Samples, grouped by the pod that they were scraped from.
    Samples(Vec<Arc<SampleGroup>>),
    /// A scalar result of a query.
    Scalar(f64),
    /// A JSON document as text.
    Json(Arc<str>),
    /// It could not be read; why.
    Unavailable(String),
}

/// A Kubernetes object as a plugin sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputObject {
    /// Its API version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// `None` for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its labels.
    pub labels: Labels,
    /// JSON of the declared fields.
    pub body: String,
}

/// Samples from one place.
#[derive(Clone, PartialEq, Debug)]
pub struct SampleGroup {
    /// The pod that was scraped; `None` for samples that belong to no pod, which every binding sees.
    pub origin: Option<Origin>,
    /// The samples.
    pub samples: Vec<Sample>,
}

/// A scraped pod, as far as narrowing needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: Labels,
}

/// One sample of a metric.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// Metric name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

impl Input {
    /// This input as one binding sees it: objects and scraped samples outside its workload are left out;
    /// cluster-scoped objects, query results and documents stay.
    pub fn narrowed(&self, workload: &Workload) -> Self {
        let data = match &self.data {
            InputData::Objects(objects) => InputData::Objects(
                objects
                    .iter()
                    .filter(|object| {
                        object
                            .namespace
                            .as_ref()
                            .is_none_or(|namespace| workload.holds(namespace, &object.labels))
                    })
                    .cloned()
                    .collect(),
            ),
            InputData::Samples(groups) => InputData::Samples(
                groups
                    .iter()
                    .filter(|group| {
                        group.origin.as_ref().is_none_or(|pod| workload.holds(&pod.namespace, &pod.labels))
                    })
                    .cloned()
                    .collect(),
            ),
            other => other.clone(),
        };
        Self { name: self.name.clone(), data }
    }
}

/// Inputs, and what was wrong with those that could be read in part.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Collected {
    /// In the order of declaration.
    pub inputs: Vec<Input>,
    /// In the order of declaration, at most one an input.
    pub problems: Vec<Problem>,
}

/// Something that is missing from an input, although it is available.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The input.
    pub input: String,
    /// What is missing and why, such as the pods that could not be scraped. The same as long as nothing changes.
    pub message: String,
}

/// Reads a product's inputs. An input that cannot be read is [`InputData::Unavailable`], never an error.
#[async_trait]
pub trait Inputs: Send + Sync {
    /// The contents of every declared input, in the order of declaration. `namespaces` are those of the
    /// product's bindings: namespaced objects and pods are only looked for there.
    async fn collect(&self, declared: &[InputDeclaration], namespaces: &[String], at: Timestamp)
    -> Collected;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(namespace: Option<&str>, app: &str) -> Arc<InputObject> {
        Arc::new(InputObject {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespace: namespace.map(Into::into),
            name: "a".into(),
            uid: "u".into(),
            labels: Labels::from([("app".to_owned(), app.to_owned())]),
            body: "{}".into(),
        })
    }

    #[test]
    fn a_binding_sees_its_own_workload_and_what_belongs_to_nobody() {
        let workload = Workload {
            namespaces: vec!["blue".into()],
            selector: Selector {
                match_labels: Labels::from([("app".to_owned(), "db".to_owned())]),
                ..Selector::default()
            },
        };
        let (own, cluster) = (object(Some("blue"), "db"), object(None, "node"));
        let input = Input {
            name: "pods".into(),
            data: InputData::Objects(vec![
                own.clone(),
                object(Some("blue"), "web"),
                object(Some("red"), "db"),
                cluster.clone(),
            ]),
        };
        assert_eq!(input.narrowed(&workload).data, InputData::Objects(vec![own, cluster]));
    }
}
