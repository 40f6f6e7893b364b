//! Inputs and a plugin that report what the workload does, unless the schedule has other plans.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{
    hour::BillingHour,
    input::{Collected, Input, InputData, InputDeclaration, InputObject, Inputs, Problem},
    plugin::{Manifest, Plugin, PluginFailure, Tick},
    quantity::Quantity,
    reading::{Measurement, Reading, Value},
    tags::TagSet,
};

use super::hand::Hand;
use crate::{
    cell::{Deed, InputFault, PluginFault, Step},
    mutant::Mutant,
    tenant::Tenant,
    workload::{COUNTER, GAUGE},
};

const INPUT: &str = "workload";

/// Reads the workload.
pub(crate) struct ChaosInputs {
    pub(crate) hand: Hand,
    pub(crate) tenant: Tenant,
}

impl ChaosInputs {
    fn objects(&self, at: Timestamp) -> Vec<Arc<InputObject>> {
        let mut state = self.hand.world.state();
        let object = |namespace: &str, kind: &str, name: &str, body: Quantity| {
            Arc::new(InputObject {
                api_version: "v1".to_owned(),
                kind: kind.to_owned(),
                namespace: Some(namespace.to_owned()),
                name: name.to_owned(),
                uid: name.to_owned(),
                labels: [].into(),
                body: body.to_string(),
            })
        };
        let workload = &state.of(self.tenant).workload;
        self.tenant
            .namespaces()
            .iter()
            .flat_map(|namespace| {
                let counters = workload.counters(namespace, at).into_iter();
                let counters = counters.map(|(name, total)| object(namespace, "Counter", &name, total));
                let gauge = workload.gauge(namespace, at);
                counters.chain(gauge.map(|value| object(namespace, "Gauge", "gauge", value)))
            })
            .collect()
    }
}

#[async_trait]
impl Inputs for ChaosInputs {
    async fn collect(&self, _: &[InputDeclaration], _: &[String], at: Timestamp) -> Collected {
        let world = &self.hand.world;
        let deed = self.hand.begin(self.tenant, Step::Collect).await;
        let interval = SignedDuration::from_secs(i64::from(world.schedule.setting.interval));
        // Nobody sees the future, however far ahead a clock is. Sources count by the second.
        let now = world.now();
        let seen = at.min(Timestamp::from_second(now.as_second()).unwrap_or(now));
        world.state().oracle(self.tenant).note_collection(at, seen);
        let mut problems = Vec::new();
        let mut objects = match deed {
            Some(Deed::Input(InputFault::Late)) => {
                let before = world.state().oracle(self.tenant).moment_of(at - interval);
                self.objects(before.min(seen))
            }
            _ => self.objects(seen),
        };
        match deed {
            Some(Deed::Input(InputFault::Partial)) => {
                objects.retain(|object| object.name != "source-0");
                world
                    .state()
                    .oracle(self.tenant)
                    .note_absence(&format!("{0}/{0}", self.tenant.namespaces()[0]));
                problems
                    .push(Problem { input: INPUT.to_owned(), message: "source-0 did not answer".to_owned() });
            }
            Some(Deed::Input(InputFault::Reordered)) => objects.reverse(),
            _ => {}
        }
        let data = match deed {
            Some(Deed::Input(InputFault::Missing)) => InputData::Unavailable("chaos".to_owned()),
            _ => InputData::Objects(objects),
        };
        self.hand.end(Step::Collect, deed).await;
        Collected { inputs: vec![Input { name: INPUT.to_owned(), data }], problems }
    }
}

/// Reports what it is shown.
pub(crate) struct ChaosPlugin {
    pub(crate) hand: Hand,
    pub(crate) tenant: Tenant,
    pub(crate) manifest: Manifest,
}

#[async_trait]
impl Plugin for ChaosPlugin {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn validate_config(&self, _: &str) -> Result<(), PluginFailure> {
        Ok(())
    }

    async fn measure(&self, tick: Tick, inputs: Vec<Input>) -> Result<Measurement, PluginFailure> {
        let deed = self.hand.begin(self.tenant, Step::Measure).await;
        self.hand.end(Step::Measure, deed).await;
        if let Some(Deed::Plugin(fault)) = deed
            && let Some(failure) = failure(fault)
        {
            self.hand.world.state().failed_in = Some(BillingHour::of(tick.at));
            return Err(failure);
        }
        if let Some(failure) = Mutant::shared_failure(&self.hand.world, self.tenant, tick.at) {
            return Err(failure);
        }
        let mut measurement = read(&inputs)?;
        if deed == Some(Deed::Plugin(PluginFault::UnknownDimension)) {
            measurement.readings.push(reading("unheard_of", Value::Gauge(Quantity::from_units(1)))?);
        }
        self.hand.world.state().oracle(self.tenant).note_tick(tick.at);
        Ok(measurement)
    }
}

/// The same plugin on a desk: it reports what it is shown, and nothing goes wrong.
pub(crate) struct PlainPlugin(pub(crate) Manifest);

#[async_trait]
impl Plugin for PlainPlugin {
    fn manifest(&self) -> &Manifest {
        &self.0
    }

    async fn validate_config(&self, _: &str) -> Result<(), PluginFailure> {
        Ok(())
    }

    async fn measure(&self, _: Tick, inputs: Vec<Input>) -> Result<Measurement, PluginFailure> {
        read(&inputs)
    }
}

fn failure(fault: PluginFault) -> Option<PluginFailure> {
    let why = || "chaos".to_owned();
    Some(match fault {
        PluginFault::Trap => PluginFailure::Trapped(why()),
        PluginFault::TimeLimit => PluginFailure::TimedOut(Duration::from_millis(500)),
        PluginFault::MemoryLimit => PluginFailure::OutOfMemory(64 << 20),
        PluginFault::InvalidOutput => PluginFailure::InvalidOutput(why()),
        PluginFault::Failure => PluginFailure::Internal(why()),
        PluginFault::UnknownDimension => return None,
    })
}

fn read(inputs: &[Input]) -> Result<Measurement, PluginFailure> {
    let mut readings = Vec::new();
    for input in inputs {
        let objects = match &input.data {
            InputData::Objects(objects) => objects,
            _ => return Err(PluginFailure::MissingInput(input.name.clone())),
        };
        for object in objects {
            let amount: Quantity =
                object.body.parse().map_err(|_| PluginFailure::Internal("not a number".to_owned()))?;
            readings.push(match object.kind.as_str() {
                "Gauge" => reading(GAUGE, Value::Gauge(amount))?,
                _ => reading(COUNTER, Value::Counter { total: amount, source: object.name.clone() })?,
            });
        }
    }
    Ok(Measurement { readings, ..Measurement::default() })
}

fn reading(dimension: &str, value: Value) -> Result<Reading, PluginFailure> {
    let dimension = dimension.parse().map_err(|_| PluginFailure::Internal("not a dimension".to_owned()))?;
    Ok(Reading { dimension, value, tags: TagSet::default() })
}
