//! What a tick has come to.

use serde::Serialize;

use crate::{
    Amount,
    bindings::{exports::tollkeeper::meter::meter, tollkeeper::meter::types},
};

/// Why there are no readings. The tick counts as missed: counters heal at the next one, gauges are held for five intervals.
pub use crate::bindings::tollkeeper::meter::types::Failure;

/// The readings of a tick, and what the next one is to know.
#[derive(Clone, Default, Debug)]
pub struct Outcome {
    readings: Vec<types::Reading>,
    state: Vec<u8>,
}

impl Outcome {
    /// No readings: all usage has ended. An input that is missing is a [`Failure`] instead.
    pub fn new() -> Self {
        Self::default()
    }

    /// An amount that holds until the next tick, such as a number of pods.
    pub fn gauge<'t>(
        &mut self,
        dimension: &str,
        amount: Amount,
        tags: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) {
        self.push(dimension, types::Value::Gauge(amount.to_string()), tags);
    }

    /// A total that only grows, of one `source`, such as the bytes that a pod has scanned. The host bills its increase and notices
    /// when it starts again. Dimension, tags and source name a counter: report each at every tick at which it exists.
    pub fn counter<'t>(
        &mut self,
        dimension: &str,
        total: Amount,
        source: &str,
        tags: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) {
        let counter = types::Counter { total: total.to_string(), source: source.into() };
        self.push(dimension, types::Value::Counter(counter), tags);
    }

    fn push<'t>(
        &mut self,
        dimension: &str,
        value: types::Value,
        tags: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) {
        let tags = tags
            .into_iter()
            .map(|(key, value)| types::Tag { key: key.into(), value: value.into() })
            .collect();
        self.readings.push(types::Reading { dimension: dimension.into(), value, tags });
    }

    /// Bytes for the next tick, at most 64 KiB. They replace those of this one.
    pub fn state(&mut self, state: Vec<u8>) {
        self.state = state;
    }

    /// A value for the next tick, as JSON; [`Tick::recall`](crate::Tick::recall) reads it.
    pub fn remember(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.state = serde_json::to_vec(value)
            .map_err(|error| Failure::Internal(format!("the state cannot be written: {error}")))?;
        Ok(())
    }

    /// The readings, a line each, such as `gb 1.500000 of pod-0 {Namespace=red}`: for tests.
    pub fn lines(&self) -> Vec<String> {
        let line = |reading: &types::Reading| {
            let value = match &reading.value {
                types::Value::Gauge(amount) => amount.clone(),
                types::Value::Counter(counter) => format!("{} of {}", counter.total, counter.source),
            };
            let tags: Vec<_> = reading.tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect();
            let tags = if tags.is_empty() { String::new() } else { format!(" {{{}}}", tags.join(",")) };
            format!("{} {value}{tags}", reading.dimension)
        };
        self.readings.iter().map(line).collect()
    }

    /// What the next tick is handed.
    pub fn into_state(self) -> Vec<u8> {
        self.state
    }
}

impl From<Outcome> for meter::Outcome {
    fn from(outcome: Outcome) -> Self {
        Self { readings: outcome.readings, state: outcome.state }
    }
}
