//! Inputs that nobody would send, and that a plugin survives all the same.

use std::sync::Arc;

use tollkeeper_core::{
    input::{Input, InputData, InputObject, Sample, SampleGroup},
    workload::Labels,
};

/// Of what a huge input is made, in bytes; below the host's 16 MiB with all its overhead.
const HUGE: usize = 8 << 20;

/// Every input as it is when there is nothing: once as each kind.
pub(super) fn empty() -> Vec<InputData> {
    vec![
        InputData::Objects(vec![]),
        InputData::Samples(vec![]),
        InputData::Scalar(0.0),
        InputData::Json(Arc::from("{}")),
    ]
}

/// Numbers that a metric can have, and texts that an object or a document can.
pub(super) fn odd() -> Vec<InputData> {
    let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.0, 1e300, 5e-324, 0.1 + 0.2];
    let mut all: Vec<InputData> = numbers.iter().map(|value| InputData::Scalar(*value)).collect();
    all.push(samples(numbers.iter().map(|value| sample("", &[("", "\u{202e}\u{0}")], *value))));
    let texts = ["null", "[]", "\"\"", "{}", "0", "1e999", "{\"status\":null,\"spec\":[]}", &"[".repeat(200)];
    all.extend(texts.iter().map(|text| InputData::Json(Arc::from(*text))));
    all.extend(texts.iter().map(|text| InputData::Objects(vec![object("", text)])));
    all
}

/// As much of each kind as fits.
pub(super) fn huge() -> Vec<InputData> {
    let many = HUGE / 128;
    let names: Vec<String> = (0..many).map(|number| format!("name-{number}")).collect();
    let document = format!("[{}]", vec!["{\"name\":\"abcdefgh\",\"value\":[1.5,null]}"; HUGE / 36].join(","));
    vec![
        samples(
            names
                .iter()
                .map(|name| sample("requests_total", &[("namespace", "example"), ("pod", name)], 1.0)),
        ),
        InputData::Objects(
            names.iter().map(|name| object(name, "{\"status\":{\"phase\":\"Running\"}}")).collect(),
        ),
        InputData::Json(Arc::from(document)),
    ]
}

/// What a plugin knows, with the oddest values in place of its own.
pub(super) fn spoilt(inputs: &[Input], value: f64) -> Vec<Input> {
    let spoil = |data: &InputData| match data {
        InputData::Samples(groups) => InputData::Samples(
            groups
                .iter()
                .map(|group| {
                    let samples = group.samples.iter().map(|one| Sample { value, ..one.clone() }).collect();
                    Arc::new(SampleGroup { samples, ..group.as_ref().clone() })
                })
                .collect(),
        ),
        InputData::Objects(objects) => InputData::Objects(
            objects
                .iter()
                .map(|one| Arc::new(InputObject { body: "{}".to_owned(), ..one.as_ref().clone() }))
                .collect(),
        ),
        InputData::Scalar(_) => InputData::Scalar(value),
        other => other.clone(),
    };
    inputs.iter().map(|input| Input { name: input.name.clone(), data: spoil(&input.data) }).collect()
}

/// What a plugin knows, so many times that it fills the host's limit.
pub(super) fn multiplied(inputs: &[Input]) -> Vec<Input> {
    let share = HUGE / inputs.len().max(1);
    let multiply = |data: &InputData| match data {
        InputData::Samples(groups) => {
            let own: Vec<&Sample> = groups.iter().flat_map(|group| &group.samples).collect();
            let times = share / 200 / own.len().max(1);
            samples((0..times).flat_map(|time| {
                own.iter().map(move |one| {
                    let labels =
                        one.labels.iter().map(|(key, value)| (key.clone(), format!("{value}-{time}")));
                    Sample { labels: labels.collect(), ..(*one).clone() }
                })
            }))
        }
        InputData::Objects(objects) => {
            let size: usize = objects.iter().map(|one| one.body.len() + 300).sum();
            let times = share / size.max(1);
            let copies = (0..times).flat_map(|time| {
                objects.iter().map(move |one| {
                    let (name, uid) = (format!("{}-{time}", one.name), format!("{}-{time}", one.uid));
                    Arc::new(InputObject { name, uid, ..one.as_ref().clone() })
                })
            });
            InputData::Objects(copies.collect())
        }
        other => other.clone(),
    };
    inputs.iter().map(|input| Input { name: input.name.clone(), data: multiply(&input.data) }).collect()
}

fn object(name: &str, body: &str) -> Arc<InputObject> {
    Arc::new(InputObject {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: Some("example".to_owned()),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        labels: Labels::new(),
        body: body.to_owned(),
    })
}

fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> Sample {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Sample { name: name.to_owned(), labels, value }
}

fn samples(samples: impl Iterator<Item = Sample>) -> InputData {
    InputData::Samples(vec![Arc::new(SampleGroup { origin: None, samples: samples.collect() })])
}
