//! A trace as a product's plugin sees it: what a file says, reduced to what the product declares.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tollkeeper_controller::collect::object_from_json;
use tollkeeper_core::{
    input::{Collected, Input, InputData, InputDeclaration, InputSource, Inputs},
    trace::{Contents, InvalidTrace, Trace},
};

use crate::cli::Failure;

/// Reads a trace. `inputs` are the names that the products declare; without them every name will do.
pub(crate) fn read(path: &Path, inputs: Option<&BTreeSet<String>>) -> Result<Trace, Failure> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{file}: the trace cannot be read: {error}")))?;
    Trace::parse(&file, &text, inputs).map_err(Failure::new)
}

/// A product's inputs, read from a trace.
pub(crate) struct TraceInputs {
    by_input: BTreeMap<String, Vec<(Timestamp, InputData)>>,
}

impl TraceInputs {
    /// The trace as one product sees it.
    pub(crate) fn new(trace: &Trace, declared: &[InputDeclaration]) -> Result<Self, InvalidTrace> {
        let mut by_input: BTreeMap<String, Vec<(Timestamp, InputData)>> = BTreeMap::new();
        for declaration in declared {
            for state in trace.states().iter().filter(|state| state.input == declaration.name) {
                let data =
                    reduced(declaration, &state.contents).map_err(|reason| trace.refused(state, &reason))?;
                by_input.entry(declaration.name.clone()).or_default().push((state.at, data));
            }
        }
        Ok(Self { by_input })
    }

    fn at(&self, name: &str, at: Timestamp) -> InputData {
        let Some(states) = self.by_input.get(name) else {
            return InputData::Unavailable("the trace never says anything about it".to_owned());
        };
        let place = states.partition_point(|(from, _)| *from <= at);
        match place.checked_sub(1).and_then(|current| states.get(current)) {
            Some((_, data)) => data.clone(),
            None => InputData::Unavailable(format!("the trace says nothing about it before {at}")),
        }
    }
}

fn reduced(declaration: &InputDeclaration, contents: &Contents) -> Result<InputData, String> {
    match (contents, &declaration.source) {
        (Contents::Objects(objects), InputSource::Objects { selector, fields, .. }) => {
            let objects = objects
                .iter()
                .map(|object| object_from_json(object, fields).map(Arc::new))
                .filter(|object| object.as_ref().map_or(true, |object| selector.matches(&object.labels)))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(InputData::Objects(objects))
        }
        (Contents::Objects(_), _) => {
            Err(format!("the input `{}` does not hold Kubernetes objects", declaration.name))
        }
        (Contents::Ready(data), _) => Ok(data.clone()),
    }
}

#[async_trait]
impl Inputs for TraceInputs {
    async fn collect(&self, declared: &[InputDeclaration], _: &[String], at: Timestamp) -> Collected {
        let inputs = declared
            .iter()
            .map(|declaration| Input { name: declaration.name.clone(), data: self.at(&declaration.name, at) })
            .collect();
        Collected { inputs, problems: vec![] }
    }
}
