//! Inputs as a recording writes them. Numbers are texts: JSON has no NaN, and a reader that rounds the last bit of a
//! number would compute another hour.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::input::{Collected, Input, InputData, InputObject, Origin, Problem, Sample, SampleGroup};

/// An input at one tick.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordedInput {
    /// As declared.
    pub name: String,
    /// What was found.
    #[serde(flatten)]
    pub data: RecordedData,
}

/// Contents of an input.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordedData {
    /// Kubernetes objects, reduced to their declared fields.
    Objects(Vec<RecordedObject>),
    /// Samples, grouped by the pod that they were scraped from.
    Samples(Vec<RecordedSamples>),
    /// A scalar result of a query.
    Scalar(Number),
    /// A JSON document as text.
    Json(String),
    /// It could not be read; why.
    Unavailable(String),
}

/// A Kubernetes object as a plugin sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedObject {
    api_version: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    uid: String,
    labels: BTreeMap<String, String>,
    body: String,
}

/// Samples from one place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordedSamples {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<RecordedOrigin>,
    samples: Vec<RecordedSample>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct RecordedOrigin {
    namespace: String,
    labels: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct RecordedSample {
    name: String,
    labels: BTreeMap<String, String>,
    value: Number,
}

/// An input that was there in part only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordedProblem {
    /// The input.
    pub input: String,
    /// What was missing.
    pub message: String,
}

/// A number with all of its bits: the shortest decimal that reads back as the same number, else its bits.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let decimal = self.0.to_string();
        let is_exact = decimal.parse().is_ok_and(|read: f64| read.to_bits() == self.0.to_bits());
        if is_exact {
            serializer.serialize_str(&decimal)
        } else {
            serializer.serialize_str(&format!("0x{:016x}", self.0.to_bits()))
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = match text.strip_prefix("0x") {
            Some(bits) => u64::from_str_radix(bits, 16).map(f64::from_bits).ok(),
            None => text.parse().ok(),
        };
        number.map(Self).ok_or_else(|| serde::de::Error::custom(format_args!("`{text}` is not a number")))
    }
}

impl From<&Input> for RecordedInput {
    fn from(input: &Input) -> Self {
        let data = match &input.data {
            InputData::Objects(objects) => {
                RecordedData::Objects(objects.iter().map(|object| object.as_ref().into()).collect())
            }
            InputData::Samples(groups) => {
                RecordedData::Samples(groups.iter().map(|group| group.as_ref().into()).collect())
            }
            InputData::Scalar(value) => RecordedData::Scalar(Number(*value)),
            InputData::Json(document) => RecordedData::Json(document.to_string()),
            InputData::Unavailable(why) => RecordedData::Unavailable(why.clone()),
        };
        Self { name: input.name.clone(), data }
    }
}

impl RecordedInput {
    /// All inputs of a tick.
    pub fn all(collected: &Collected) -> Vec<Self> {
        collected.inputs.iter().map(Self::from).collect()
    }

    /// The input as it was collected.
    pub fn input(&self) -> Input {
        let data = match &self.data {
            RecordedData::Objects(objects) => {
                InputData::Objects(objects.iter().map(|object| Arc::new(object.object())).collect())
            }
            RecordedData::Samples(groups) => {
                InputData::Samples(groups.iter().map(|group| Arc::new(group.group())).collect())
            }
            RecordedData::Scalar(Number(value)) => InputData::Scalar(*value),
            RecordedData::Json(document) => InputData::Json(document.as_str().into()),
            RecordedData::Unavailable(why) => InputData::Unavailable(why.clone()),
        };
        Input { name: self.name.clone(), data }
    }
}

impl RecordedProblem {
    /// All problems of a tick.
    pub fn all(collected: &Collected) -> Vec<Self> {
        let problems = collected.problems.iter();
        problems.map(|one| Self { input: one.input.clone(), message: one.message.clone() }).collect()
    }

    /// The problem as it was found.
    pub fn problem(&self) -> Problem {
        Problem { input: self.input.clone(), message: self.message.clone() }
    }
}

impl From<&InputObject> for RecordedObject {
    fn from(object: &InputObject) -> Self {
        Self {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            labels: object.labels.clone(),
            body: object.body.clone(),
        }
    }
}

impl RecordedObject {
    fn object(&self) -> InputObject {
        InputObject {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            labels: self.labels.clone(),
            body: self.body.clone(),
        }
    }
}

impl From<&SampleGroup> for RecordedSamples {
    fn from(group: &SampleGroup) -> Self {
        let origin = group.origin.as_ref();
        Self {
            origin: origin
                .map(|pod| RecordedOrigin { namespace: pod.namespace.clone(), labels: pod.labels.clone() }),
            samples: group
                .samples
                .iter()
                .map(|one| RecordedSample {
                    name: one.name.clone(),
                    labels: one.labels.clone(),
                    value: Number(one.value),
                })
                .collect(),
        }
    }
}

impl RecordedSamples {
    fn group(&self) -> SampleGroup {
        let origin = self.origin.as_ref();
        SampleGroup {
            origin: origin.map(|pod| Origin { namespace: pod.namespace.clone(), labels: pod.labels.clone() }),
            samples: self
                .samples
                .iter()
                .map(|one| Sample { name: one.name.clone(), labels: one.labels.clone(), value: one.value.0 })
                .collect(),
        }
    }
}
