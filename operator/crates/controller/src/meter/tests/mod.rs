mod changes;
mod departures;
mod faults;
mod late;
mod plugins;
mod seals;

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use tollkeeper_core::{
    checkpoint::{Checkpoint, CheckpointError, Saved},
    decision::{Author, Wish},
    input::{Collected, Input, InputDeclaration},
    ledger::Entry,
    mark::Note,
    plan::submission::{self, Sender},
    plugin::{Manifest, PluginFailure, PluginLimits, Tick},
    product::{AmbiguousPolicy, Dimension, Fold, LatePolicy, Meter as MeterSpec, Mode, Policy, Rounding},
    reading::{Measurement, Reading, Value},
    settlement::RecordState,
    tags::TagSet,
    workload::{Selector, Workload},
};
use tollkeeper_ledger::{
    marks::KeptMarks,
    memory::{MemoryCheckpoints, MemoryLedger},
};

use super::*;

struct Manual(Mutex<Timestamp>);

#[async_trait]
impl Clock for Manual {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

struct NoInputs;

#[async_trait]
impl Inputs for NoInputs {
    async fn collect(&self, _: &[InputDeclaration], _: &[String], _: Timestamp) -> Collected {
        Collected::default()
    }
}

/// Reports one counter of the dimension that the test names; its total is what the test sets.
struct Counting {
    manifest: Manifest,
    dimension: Mutex<String>,
    total: Mutex<u32>,
}

#[async_trait]
impl Plugin for Counting {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn validate_config(&self, _: &str) -> Result<(), PluginFailure> {
        Ok(())
    }

    async fn measure(&self, _: Tick, _: Vec<Input>) -> Result<Measurement, PluginFailure> {
        let reading = Reading {
            dimension: self.dimension.lock().unwrap().parse().unwrap(),
            value: Value::Counter {
                total: Quantity::from_units(*self.total.lock().unwrap()),
                source: "pod".to_owned(),
            },
            tags: TagSet::default(),
        };
        Ok(Measurement { readings: vec![reading], ..Measurement::default() })
    }
}

/// Checkpoints that can be switched off.
#[derive(Default)]
struct Switched {
    checkpoints: MemoryCheckpoints,
    is_down: AtomicBool,
    /// Bindings that do not exist any more, by UID.
    gone: Mutex<BTreeSet<String>>,
    /// What the store's clock shows, if it tells.
    time: Mutex<Option<Timestamp>>,
}

impl Switched {
    fn find(&self, binding: &Binding) -> Result<(), CheckpointError> {
        let is_gone = self.gone.lock().unwrap().contains(&binding.uid);
        if is_gone { Err(CheckpointError::Gone(binding.key.clone())) } else { Ok(()) }
    }
}

#[async_trait]
impl Checkpoints for Switched {
    async fn load(&self, binding: &Binding) -> Result<Option<Tally>, CheckpointError> {
        self.find(binding)?;
        self.checkpoints.load(binding).await
    }

    async fn save(&self, binding: &Binding, checkpoint: &Checkpoint) -> Result<Saved, CheckpointError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(CheckpointError::Unavailable("scripted".to_owned()));
        }
        self.find(binding)?;
        self.checkpoints.save(binding, checkpoint).await?;
        Ok(Saved { at: *self.time.lock().unwrap() })
    }
}

pub(super) fn product() -> Product {
    let dimension = |name: &str| Dimension {
        name: name.parse().unwrap(),
        fold: Fold::Sum,
        rounding: Rounding::Carry,
        zero_records: false,
    };
    Product {
        key: ObjectKey::new("vecdb", "vecdb"),
        code: "code".parse().unwrap(),
        dimensions: vec![dimension("scans")],
        meter: MeterSpec {
            interval: Interval::from_seconds(600).unwrap(),
            plugin: Digest::of(b"one"),
            limits: PluginLimits::default(),
            config: "{}".into(),
            inputs: vec![],
        },
        policy: Policy { ambiguous: AmbiguousPolicy::NeverDoubleBill, late: LatePolicy::CarryForward },
        mode: Mode::Live,
    }
}

pub(super) fn binding() -> Binding {
    Binding {
        key: ObjectKey::new("vecdb", "prod"),
        uid: "u".into(),
        workload: Workload { namespaces: vec!["vecdb".into()], selector: Selector::default() },
        tags: TagSet::default(),
    }
}

struct Bench {
    house: House,
    clock: Arc<Manual>,
    checkpoints: Arc<Switched>,
    plugin: Arc<Counting>,
    meter: Meter,
}

impl Bench {
    /// A meter that starts at 14:00.
    fn new() -> Self {
        let clock = Arc::new(Manual(Mutex::new("2026-11-21T14:00:00Z".parse().unwrap())));
        let checkpoints = Arc::new(Switched::default());
        let plugin = Arc::new(Counting {
            manifest: Manifest {
                name: "counting".into(),
                version: "1".into(),
                dimensions: vec![],
                inputs: vec![],
                config_schema: "{}".into(),
            },
            dimension: Mutex::new("scans".into()),
            total: Mutex::new(100),
        });
        let house = House {
            cluster: "cluster".into(),
            clock: clock.clone(),
            inputs: Arc::new(NoInputs),
            ledger: Arc::new(MemoryLedger::default()),
            marks: Arc::new(KeptMarks::in_memory()),
            checkpoints: checkpoints.clone(),
        };
        let meter = Self::meter(&clock, &plugin);
        Self { house, clock, checkpoints, plugin, meter }
    }

    fn meter(clock: &Manual, plugin: &Arc<Counting>) -> Meter {
        let loaded = LoadedPlugin { digest: Digest::of(b"one"), plugin: plugin.clone() };
        let mut meter = Meter::new(product(), loaded);
        meter.set_bindings(vec![(binding(), false)], clock.now());
        meter
    }

    /// The process dies and another one takes its place: all that was in memory is gone.
    fn crash(&mut self) {
        self.meter = Self::meter(&self.clock, &self.plugin);
    }

    async fn at(&mut self, time: &str, total: u32) {
        *self.clock.0.lock().unwrap() = format!("2026-11-21T{time}:00Z").parse().unwrap();
        *self.plugin.total.lock().unwrap() = total;
        self.meter.turn(&self.house).await;
    }

    async fn reports(&self) -> Vec<Entry> {
        self.house.ledger.history(&product().key, BillingHour::of(Timestamp::UNIX_EPOCH)).await.unwrap()
    }

    /// As if the records of a report were claimed and about to be sent.
    async fn send(&self, number: usize) {
        let entry = self.reports().await.remove(number);
        let sender = Sender { pod: "pod".into(), epoch: 1 };
        let plan = submission::plan(&entry, &sender, product().policy, self.clock.now());
        let claimed = self.house.ledger.compare_and_swap(&entry, &plan.write.unwrap()).await.unwrap();
        let (key, marks) = (product().key, &self.house.marks);
        let note = Note::of_sending(&marks.of(&key), &claimed, 0..1).unwrap();
        marks.raise(&key, note).await.unwrap();
    }

    /// Units sealed so far, over all hours.
    async fn sealed(&self) -> u32 {
        self.reports().await.iter().flat_map(|entry| &entry.report.body.records).map(|one| one.quantity).sum()
    }
}

#[tokio::test]
async fn an_hour_is_sealed_five_minutes_after_its_end_with_the_tick_at_its_end() {
    let mut bench = Bench::new();
    for (time, total) in [("14:00", 100), ("14:10", 103), ("14:20", 103), ("14:30", 103), ("14:40", 103)] {
        bench.at(time, total).await;
    }
    bench.at("14:50", 105).await;
    bench.at("15:00", 109).await;
    assert_eq!(bench.reports().await, []);
    bench.at("15:05", 109).await;
    let reports = bench.reports().await;
    assert_eq!((reports.len(), bench.sealed().await), (1, 9));
    assert_eq!((reports[0].report.body.evidence.ticks, reports[0].report.body.evidence.missed), (6, 0));
}
