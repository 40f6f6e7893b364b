//! Inputs as the guest sees them, borrowed from the core's: nothing is copied but references.

use tollkeeper_core::{
    input::{Input, InputData},
    plugin::{PluginFailure, Tick},
    workload::Labels,
};

use crate::{
    bindings::tollkeeper::meter::types::{self, TagParam},
    limits::MAX_INPUTS,
};

/// Refuses more than [`MAX_INPUTS`] bytes before anything is handed over.
pub(crate) fn check_size(tick: &Tick, inputs: &[Input]) -> Result<(), PluginFailure> {
    let bytes = tick.config.len() + tick.state.len() + inputs.iter().map(size).sum::<usize>();
    if bytes <= MAX_INPUTS {
        return Ok(());
    }
    let largest = inputs.iter().max_by_key(|input| size(input)).map_or("", |input| input.name.as_str());
    Err(PluginFailure::TooLarge(format!(
        "the inputs have {bytes} bytes, more than {MAX_INPUTS}; `{largest}` has the most"
    )))
}

/// Texts, and the guest's records around them (24 bytes a sample, 64 an object, 16 a label).
fn size(input: &Input) -> usize {
    let labels =
        |labels: &Labels| labels.iter().map(|(key, value)| key.len() + value.len() + 16).sum::<usize>();
    input.name.len()
        + match &input.data {
            InputData::Objects(objects) => objects
                .iter()
                .map(|object| {
                    let namespace = object.namespace.as_deref().unwrap_or_default();
                    [&object.api_version, &object.kind, &object.name, &object.uid, &object.body]
                        .map(String::len)
                        .iter()
                        .sum::<usize>()
                        + namespace.len()
                        + labels(&object.labels)
                        + 64
                })
                .sum(),
            InputData::Samples(groups) => groups
                .iter()
                .flat_map(|group| &group.samples)
                .map(|sample| sample.name.len() + labels(&sample.labels) + 24)
                .sum(),
            InputData::Scalar(_) => 8,
            InputData::Json(text) => text.len(),
            InputData::Unavailable(why) => why.len(),
        }
}

/// Everything that the guest's view of the inputs points to.
pub(crate) struct View<'a> {
    inputs: &'a [Input],
    /// Labels of every sample and object, in the order of the inputs.
    labels: Vec<Vec<TagParam<'a>>>,
}

enum Rows<'v> {
    Samples(Vec<types::Sample<'v>>),
    Objects(Vec<types::Object<'v>>),
    None,
}

impl<'a> View<'a> {
    pub(crate) fn of(inputs: &'a [Input]) -> Self {
        let mut all = Vec::new();
        for input in inputs {
            match &input.data {
                InputData::Objects(objects) => all.extend(objects.iter().map(|object| tags(&object.labels))),
                InputData::Samples(groups) => {
                    let samples = groups.iter().flat_map(|group| &group.samples);
                    all.extend(samples.map(|sample| tags(&sample.labels)));
                }
                InputData::Scalar(_) | InputData::Json(_) | InputData::Unavailable(_) => {}
            }
        }
        Self { inputs, labels: all }
    }

    /// Hands the view to `body`.
    pub(crate) fn with<R>(&self, body: impl FnOnce(&[types::Input<'_>]) -> R) -> R {
        let mut labels = self.labels.iter().map(Vec::as_slice);
        let mut next = move || labels.next().unwrap_or_default();
        let rows: Vec<Rows<'_>> = self.inputs.iter().map(|input| rows(input, &mut next)).collect();
        let inputs: Vec<types::Input<'_>> = self
            .inputs
            .iter()
            .zip(&rows)
            .map(|(input, rows)| types::Input { name: &input.name, data: data(input, rows) })
            .collect();
        body(&inputs)
    }
}

fn tags(labels: &Labels) -> Vec<TagParam<'_>> {
    labels.iter().map(|(key, value)| TagParam { key, value }).collect()
}

fn rows<'v>(input: &'v Input, labels: &mut impl FnMut() -> &'v [TagParam<'v>]) -> Rows<'v> {
    match &input.data {
        InputData::Objects(objects) => Rows::Objects(
            objects
                .iter()
                .map(|object| types::Object {
                    api_version: &object.api_version,
                    kind: &object.kind,
                    namespace: object.namespace.as_deref().unwrap_or_default(),
                    name: &object.name,
                    uid: &object.uid,
                    labels: labels(),
                    body: &object.body,
                })
                .collect(),
        ),
        InputData::Samples(groups) => Rows::Samples(
            groups
                .iter()
                .flat_map(|group| &group.samples)
                .map(|sample| types::Sample {
                    name: &sample.name,
                    labels: labels(),
                    value: one_nan(sample.value),
                })
                .collect(),
        ),
        InputData::Scalar(_) | InputData::Json(_) | InputData::Unavailable(_) => Rows::None,
    }
}

fn data<'v>(input: &'v Input, rows: &'v Rows<'_>) -> types::Data<'v> {
    match (&input.data, rows) {
        (_, Rows::Samples(samples)) => types::Data::Samples(samples),
        (_, Rows::Objects(objects)) => types::Data::Objects(objects),
        (InputData::Scalar(value), Rows::None) => types::Data::Scalar(one_nan(*value)),
        (InputData::Json(text), Rows::None) => types::Data::Json(text),
        (InputData::Unavailable(why), Rows::None) => types::Data::Unavailable(why),
        // `rows` gives rows for these.
        (InputData::Objects(_), Rows::None) => types::Data::Objects(&[]),
        (InputData::Samples(_), Rows::None) => types::Data::Samples(&[]),
    }
}

/// Every NaN has the same bits: a guest could tell machines apart by them.
fn one_nan(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}
