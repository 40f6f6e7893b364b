//! Ticks: collect the inputs once, run the plugin once for every binding, commit or miss.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tollkeeper_core::{
    hour::BillingHour,
    identity::Digest,
    input::{Collected, Input, InputData, InputObject, SampleGroup},
    plugin::{ConfiguredPlugin, PluginFailure, Tick},
    product::{Binding, Product, Rules},
    reading::{LogLevel, LogLine, Measurement},
    recording::{RecordedInput, RecordedProblem, RecordedTick},
    usage::TickOrigin,
    workload::Labels,
};

use super::{Duty, Finding, House, Identity, LoadedPlugin, Meter, Metered};

impl Meter {
    /// Runs the tick that is due, if one is, after counting those that nobody ran.
    pub(super) async fn run_ticks(&mut self, house: &House, now: Timestamp) {
        let interval = self.product.meter.interval;
        let mut tick = interval.tick_at_or_before(now);
        if let Some(until) = self.until {
            tick = tick.min(until);
        }
        let is_open = self.sealing.is_none_or(|hour| tick > hour.end());
        let is_due = |metered: &Metered| {
            is_open
                && metered.restored
                && metered.duty == Duty::Ticks
                && tick >= metered.first_tick
                && metered.tally.last_tick().is_none_or(|last| last < tick)
        };
        let due: Vec<_> =
            self.bindings.iter().filter(|(_, metered)| is_due(metered)).map(|(key, _)| key.clone()).collect();
        if due.is_empty() {
            return;
        }
        self.plugin_hour = Some(BillingHour::of(tick));
        self.findings.plugin = Some(self.plugin.digest.clone());
        let namespaces = self.namespaces();
        let collected = house.inputs.collect(&self.product.meter.inputs, &namespaces, tick).await;
        self.note_inputs(&collected);
        self.record_before(tick);
        let mut missed = BTreeMap::new();
        for key in due {
            let finding = self.tick(&key, tick, &collected).await;
            missed.insert(key.0.name.clone(), finding.as_ref().map(|finding| finding.reason.to_owned()));
            self.note_tick(&key.0.name, finding);
        }
        self.record_after(tick, missed, &collected);
    }

    /// Runs a tick for one binding; why it was missed, if it was.
    pub(super) async fn tick(
        &mut self,
        binding: &Identity,
        tick: Timestamp,
        collected: &Collected,
    ) -> Option<Finding> {
        let closed = self.closed();
        let metered = self.bindings.get_mut(binding)?;
        metered.miss_until(tick, self.product.rules(), closed);
        metered.run(&self.product, &self.plugin, tick, collected).await.err()
    }

    fn record_before(&self, tick: Timestamp) {
        let Some(recorder) = &self.recorder else { return };
        let restored = self.bindings.values().filter(|metered| metered.restored);
        let bindings: Vec<_> = restored.map(|metered| (&metered.binding, &metered.tally)).collect();
        recorder.before(&self.product, tick, &bindings);
    }

    fn record_after(&self, at: Timestamp, bindings: BTreeMap<String, Option<String>>, collected: &Collected) {
        let Some(recorder) = &self.recorder else { return };
        let tick = RecordedTick {
            at,
            plugin: self.plugin.digest.clone(),
            bindings,
            inputs: RecordedInput::all(collected),
            problems: RecordedProblem::all(collected),
        };
        recorder.after(&self.product.key, tick);
    }

    /// Namespaces of all workloads.
    pub(super) fn namespaces(&self) -> Vec<String> {
        let mut namespaces: Vec<String> =
            self.bindings.values().flat_map(|metered| metered.binding.workload.namespaces.clone()).collect();
        namespaces.sort();
        namespaces.dedup();
        namespaces
    }

    fn note_inputs(&mut self, collected: &Collected) {
        self.findings.unavailable_inputs = collected
            .inputs
            .iter()
            .filter_map(|input| match &input.data {
                InputData::Unavailable(why) => Some((input.name.clone(), why.clone())),
                _ => None,
            })
            .collect();
        self.findings.partial_inputs = collected
            .problems
            .iter()
            .map(|problem| (problem.input.clone(), problem.message.clone()))
            .collect();
    }

    fn note_tick(&mut self, binding: &str, finding: Option<Finding>) {
        self.findings.has_ticked = true;
        match finding {
            Some(finding) => {
                tracing::warn!(
                    product = %self.product.key, binding, reason = finding.reason, message = finding.message, "tick missed"
                );
                self.findings.missed.insert(binding.to_owned(), finding);
            }
            None => {
                self.findings.missed.remove(binding);
            }
        }
    }
}

impl Metered {
    /// Counts the ticks between the last one and `tick`: nobody was there to run them. Those of hours that have been closed
    /// meanwhile, without this binding, are over.
    pub(super) fn miss_until(&mut self, tick: Timestamp, rules: Rules<'_>, closed: Option<BillingHour>) {
        let interval = rules.interval;
        let Some(last) = self.tally.last_tick() else { return };
        let mut missed = interval.after(interval.tick_at_or_before(last));
        missed = closed.map_or(missed, |hour| missed.max(hour.end()));
        while missed < tick {
            self.tally.miss(missed, rules);
            missed = interval.after(missed);
        }
    }

    async fn run(
        &mut self,
        product: &Product,
        plugin: &LoadedPlugin,
        tick: Timestamp,
        collected: &Collected,
    ) -> Result<(), Finding> {
        let rules = product.rules();
        self.unsaved = true;
        if let Some(finding) = self.quarantine.finding(tick) {
            self.tally.miss(tick, rules);
            return Err(finding);
        }
        let inputs = narrowed(collected, &self.binding);
        let origin = TickOrigin {
            measured_by: ConfiguredPlugin {
                plugin: plugin.digest.clone(),
                ..product.meter.configured_plugin()
            },
            inputs: digest(&inputs),
            is_complete: collected.problems.is_empty(),
        };
        let measured = match plugin.plugin.measure(self.told(product, tick), inputs).await {
            Ok(measurement) => known_dimensions(product, measurement),
            Err(failure) => Err(failure),
        };
        match measured {
            Ok(measurement) => {
                log(product, &self.binding.key.name, &measurement.log);
                self.tally.commit(tick, rules, &measurement, &origin);
                self.quarantine.end();
                Ok(())
            }
            Err(failure) => {
                self.tally.miss(tick, rules);
                if failure.is_misbehaviour() {
                    self.quarantine.failed(tick, &failure);
                }
                Err(self.quarantine.finding(tick).unwrap_or_else(|| Finding::new(failure.reason(), failure)))
            }
        }
    }

    /// What the plugin is told about a tick.
    pub(super) fn told(&self, product: &Product, tick: Timestamp) -> Tick {
        Tick {
            at: tick,
            seconds: product.meter.interval.seconds(),
            product: product.key.name.clone(),
            config: product.meter.config.clone(),
            state: self.tally.plugin_state(),
        }
    }
}

/// What was collected, as far as it is about the workload of a binding.
pub(super) fn narrowed(collected: &Collected, binding: &Binding) -> Vec<Input> {
    collected.inputs.iter().map(|input| input.narrowed(&binding.workload)).collect()
}

/// A reading of a dimension that the product does not have makes the whole outcome invalid: dropping it would lose usage.
pub(super) fn known_dimensions(
    product: &Product,
    measurement: Measurement,
) -> Result<Measurement, PluginFailure> {
    let unknown = measurement
        .readings
        .iter()
        .enumerate()
        .find(|(_, reading)| product.dimension(&reading.dimension).is_none());
    match unknown {
        Some((index, reading)) => Err(PluginFailure::InvalidOutput(format!(
            "reading {index} is of the dimension `{}`, which the product does not have",
            reading.dimension
        ))),
        None => Ok(measurement),
    }
}

fn log(product: &Product, binding: &str, lines: &[LogLine]) {
    for line in lines {
        let (product, message) = (&product.key, line.message.as_str());
        match line.level {
            LogLevel::Debug => tracing::debug!(%product, binding, message, "plugin"),
            LogLevel::Info => tracing::info!(%product, binding, message, "plugin"),
            LogLevel::Warn => tracing::warn!(%product, binding, message, "plugin"),
            LogLevel::Error => tracing::error!(%product, binding, message, "plugin"),
        }
    }
}

/// The digest of what a plugin saw: every text with its length before it, so that no two inputs read the same.
fn digest(inputs: &[Input]) -> Digest {
    let mut seen = Seen(Sha256::new());
    for input in inputs {
        seen.text(&input.name);
        match &input.data {
            InputData::Objects(objects) => objects.iter().for_each(|object| seen.object(object)),
            InputData::Samples(groups) => groups.iter().for_each(|group| seen.samples(group)),
            InputData::Scalar(value) => seen.number(*value),
            InputData::Json(document) => seen.text(document),
            InputData::Unavailable(why) => seen.text(why),
        }
    }
    Digest::from_sha256(seen.0)
}

struct Seen(Sha256);

impl Seen {
    fn text(&mut self, text: &str) {
        self.0.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(text);
    }

    fn number(&mut self, number: f64) {
        self.0.update(number.to_bits().to_be_bytes());
    }

    fn labels(&mut self, labels: &Labels) {
        for (key, value) in labels {
            self.text(key);
            self.text(value);
        }
    }

    fn object(&mut self, object: &InputObject) {
        for text in [&object.api_version, &object.kind, &object.name, &object.uid, &object.body] {
            self.text(text);
        }
        self.text(object.namespace.as_deref().unwrap_or_default());
        self.labels(&object.labels);
    }

    fn samples(&mut self, group: &SampleGroup) {
        for sample in &group.samples {
            self.text(&sample.name);
            self.labels(&sample.labels);
            self.number(sample.value);
        }
    }
}
