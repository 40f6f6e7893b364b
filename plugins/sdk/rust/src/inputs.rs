//! What a product declares and the host has read.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Failure, bindings::tollkeeper::meter::types};

pub use crate::bindings::tollkeeper::meter::types::{Data, Object, Sample, Tag};

/// All inputs of a tick, by the names that the product gives them.
///
/// An input that could not be read, is not declared or holds something else is a [`Failure::MissingInput`], so that `?` is
/// right: fewer readings would say that the usage has ended.
#[derive(Clone, Default, Debug)]
pub struct Inputs(Vec<types::Input>);

impl Inputs {
    /// Adds an input: for tests.
    #[must_use]
    pub fn with(mut self, name: &str, data: Data) -> Self {
        self.0.push(types::Input { name: name.into(), data });
        self
    }

    /// Kubernetes objects.
    pub fn objects(&self, name: &str) -> Result<&[Object], Failure> {
        match self.find(name)? {
            Data::Objects(objects) => Ok(objects),
            _ => Err(other(name, "Kubernetes objects")),
        }
    }

    /// Samples of metrics.
    pub fn samples(&self, name: &str) -> Result<&[Sample], Failure> {
        match self.find(name)? {
            Data::Samples(samples) => Ok(samples),
            _ => Err(other(name, "samples of metrics")),
        }
    }

    /// The one number of a query.
    pub fn scalar(&self, name: &str) -> Result<f64, Failure> {
        match self.find(name)? {
            Data::Scalar(value) => Ok(*value),
            _ => Err(other(name, "one number")),
        }
    }

    /// A JSON document.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        match self.find(name)? {
            Data::Json(text) => serde_json::from_str(text)
                .map_err(|error| Failure::MissingInput(format!("`{name}` is not as expected: {error}"))),
            _ => Err(other(name, "a JSON document")),
        }
    }

    fn find(&self, name: &str) -> Result<&Data, Failure> {
        match self.0.iter().find(|input| input.name == name).map(|input| &input.data) {
            Some(Data::Unavailable(why)) => Err(Failure::MissingInput(format!("`{name}`: {why}"))),
            Some(data) => Ok(data),
            None => Err(Failure::MissingInput(format!("the product declares no input `{name}`"))),
        }
    }
}

fn other(name: &str, expected: &str) -> Failure {
    Failure::MissingInput(format!("`{name}` does not hold {expected}"))
}

impl From<Vec<types::Input>> for Inputs {
    fn from(inputs: Vec<types::Input>) -> Self {
        Self(inputs)
    }
}

impl Object {
    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.labels, key)
    }

    /// The declared fields, as a type of one's own.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.body).map_err(|error| {
            Failure::Internal(format!("{} {}/{}: {error}", self.kind, self.namespace, self.name))
        })
    }
}

impl Sample {
    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.labels, key)
    }
}

fn find<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
}

fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
    pairs.iter().map(|(key, value)| Tag { key: (*key).into(), value: (*value).into() }).collect()
}

/// A Kubernetes object: for tests. An empty namespace is that of a cluster-scoped one.
pub fn object(kind: &str, namespace: &str, name: &str, labels: &[(&str, &str)], body: &Value) -> Object {
    Object {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: namespace.into(),
        name: name.into(),
        uid: format!("uid-of-{name}"),
        labels: tags(labels),
        body: body.to_string(),
    }
}

/// A sample of a metric: for tests.
pub fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> Sample {
    Sample { name: name.into(), labels: tags(labels), value }
}
