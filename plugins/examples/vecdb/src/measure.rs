//! From inputs to readings.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{
    amount::Amount,
    bindings::tollkeeper::meter::types::{
        Counter, Data, Failure, Input, Object, Reading, Sample, Tag, Value,
    },
    config::{Config, Dimension},
};

/// The inputs, as a product must name them.
pub const INPUTS: [&str; 3] = ["nodes", "pods", "engine"];

/// Bytes that a pod's engine has scanned since it started.
const BYTES_SCANNED: &str = "vecdb_bytes_scanned_total";

/// Readings, and remarks for the log.
type Measured = (Vec<Reading>, Vec<String>);

/// Measures what the configuration asks for.
pub fn measure(config: &Config, inputs: &[Input]) -> Result<Measured, Failure> {
    let (mut readings, mut remarks) = (Vec::new(), Vec::new());
    let wants = |dimension| config.measures(dimension);
    if wants(Dimension::Instances) || wants(Dimension::CpuHours) {
        for (namespace, (instances, cores)) in workload(config, inputs, &mut remarks)? {
            let mut gauge = |dimension, amount: Amount| {
                let value = Value::Gauge(amount.to_string());
                readings.push(reading(config, dimension, value, namespace));
            };
            if wants(Dimension::Instances) {
                gauge(Dimension::Instances, Amount::units(instances));
            }
            if wants(Dimension::CpuHours) {
                gauge(Dimension::CpuHours, cores);
            }
        }
    }
    if wants(Dimension::GbScanned) {
        scanned(config, samples(inputs, "engine")?, &mut readings, &mut remarks);
    }
    Ok((readings, remarks))
}

fn reading(config: &Config, dimension: Dimension, value: Value, namespace: &str) -> Reading {
    let tag = || Tag { key: config.namespace_tag.clone(), value: namespace.into() };
    let is_tagged = !config.namespace_tag.is_empty() && !namespace.is_empty();
    Reading { dimension: dimension.name().into(), value, tags: is_tagged.then(tag).into_iter().collect() }
}

/// The running pods of each namespace, and the cores that they ask for.
fn workload<'a>(
    config: &Config,
    inputs: &'a [Input],
    remarks: &mut Vec<String>,
) -> Result<BTreeMap<&'a str, (u32, Amount)>, Failure> {
    let pods = objects(inputs, "pods")?;
    let capacities = config.check_nodes.then(|| capacities(inputs)).transpose()?;
    let mut totals: BTreeMap<&str, (u32, Amount)> = BTreeMap::new();
    for object in pods {
        let pod: Pod = body(object)?;
        if pod.status.phase != "Running" {
            continue;
        }
        let asked = pod.spec.cores(object)?;
        let granted = match &capacities {
            None => asked,
            Some(capacities) => match capacities.get(pod.spec.node_name.as_str()) {
                Some(capacity) => asked.min(*capacity),
                None => {
                    remarks.push(format!(
                        "pod {}/{} is not counted: its node `{}` does not exist",
                        object.namespace, object.name, pod.spec.node_name
                    ));
                    continue;
                }
            },
        };
        let (instances, cores) = totals.entry(object.namespace.as_str()).or_default();
        *instances += 1;
        *cores = *cores + granted;
    }
    Ok(totals)
}

/// CPU cores of every node. No nodes at all is a wrong declaration, not a cluster without usage.
fn capacities(inputs: &[Input]) -> Result<BTreeMap<&str, Amount>, Failure> {
    let nodes = objects(inputs, "nodes")?;
    if nodes.is_empty() {
        return Err(Failure::MissingInput("`nodes` is empty, but every cluster has nodes".into()));
    }
    let mut capacities = BTreeMap::new();
    for object in nodes {
        let node: Node = body(object)?;
        let cores = quantity(object, "status.capacity.cpu", &node.status.capacity.cpu)?;
        capacities.insert(object.name.as_str(), cores);
    }
    Ok(capacities)
}

/// One counter for every series: the sum of several would seem to restart when one of them ends.
fn scanned(config: &Config, samples: &[Sample], readings: &mut Vec<Reading>, remarks: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for sample in samples.iter().filter(|sample| sample.name == BYTES_SCANNED) {
        let source = source(sample);
        let namespace = label(sample, "namespace");
        let Some(gigabytes) = Amount::gigabytes(sample.value) else {
            remarks.push(format!(
                "{BYTES_SCANNED} of {namespace}/{source} is ignored: it says {}",
                sample.value
            ));
            continue;
        };
        if !seen.insert((namespace, source.clone())) {
            remarks.push(format!("{BYTES_SCANNED} of {namespace}/{source} is there twice; the first holds"));
            continue;
        }
        let value = Value::Counter(Counter { total: gigabytes.to_string(), source });
        readings.push(reading(config, Dimension::GbScanned, value, namespace));
    }
}

/// The pod, and whatever other labels tell its series apart.
fn source(sample: &Sample) -> String {
    let others: Vec<String> = sample
        .labels
        .iter()
        .filter(|tag| tag.key != "pod" && tag.key != "namespace")
        .map(|tag| format!("{}={}", tag.key, tag.value))
        .collect();
    let pod = label(sample, "pod");
    if others.is_empty() { pod.into() } else { format!("{pod}{{{}}}", others.join(",")) }
}

fn label<'a>(sample: &'a Sample, key: &str) -> &'a str {
    sample.labels.iter().find(|tag| tag.key == key).map_or("", |tag| tag.value.as_str())
}

fn find<'a>(inputs: &'a [Input], name: &str) -> Result<&'a Data, Failure> {
    let input = inputs.iter().find(|input| input.name == name);
    match input.map(|input| &input.data) {
        Some(Data::Unavailable(why)) => Err(Failure::MissingInput(format!("`{name}`: {why}"))),
        Some(data) => Ok(data),
        None => Err(Failure::MissingInput(format!("the product declares no input `{name}`"))),
    }
}

fn objects<'a>(inputs: &'a [Input], name: &str) -> Result<&'a [Object], Failure> {
    match find(inputs, name)? {
        Data::Objects(objects) => Ok(objects),
        _ => Err(Failure::MissingInput(format!("`{name}` holds something else than objects"))),
    }
}

fn samples<'a>(inputs: &'a [Input], name: &str) -> Result<&'a [Sample], Failure> {
    match find(inputs, name)? {
        Data::Samples(samples) => Ok(samples),
        _ => Err(Failure::MissingInput(format!("`{name}` holds something else than samples"))),
    }
}

fn body<'a, T: Deserialize<'a>>(object: &'a Object) -> Result<T, Failure> {
    serde_json::from_str(&object.body).map_err(|error| {
        Failure::Internal(format!("{} {}/{}: {error}", object.kind, object.namespace, object.name))
    })
}

/// Guessing would bill wrongly, and the API server only stores valid quantities.
fn quantity(object: &Object, field: &str, value: &serde_json::Value) -> Result<Amount, Failure> {
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Amount::cores(&text).ok_or_else(|| {
        Failure::Internal(format!(
            "{} {}: `{field}` is {text}, not a number of cores",
            object.kind, object.name
        ))
    })
}

#[derive(Deserialize)]
struct Node {
    status: NodeStatus,
}

#[derive(Deserialize)]
struct NodeStatus {
    capacity: Capacity,
}

#[derive(Deserialize)]
struct Capacity {
    cpu: serde_json::Value,
}

#[derive(Deserialize)]
struct Pod {
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
    containers: Vec<Container>,
}

impl PodSpec {
    /// A container that asks for nothing adds nothing.
    fn cores(&self, object: &Object) -> Result<Amount, Failure> {
        let asked = self.containers.iter().filter_map(|container| container.resources.requests.cpu.as_ref());
        asked.map(|cpu| quantity(object, "spec.containers.resources.requests.cpu", cpu)).sum()
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodStatus {
    phase: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Container {
    resources: Resources,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resources {
    requests: Requests,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Requests {
    cpu: Option<serde_json::Value>,
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
