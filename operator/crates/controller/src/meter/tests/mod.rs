mod faults;
mod plugins;

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
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
    /// What the store's clock shows, if it tells.
    time: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl Checkpoints for Switched {
    async fn load(&self, binding: &Binding) -> Result<Option<Tally>, CheckpointError> {
        self.checkpoints.load(binding).await
    }

    async fn save(&self, binding: &Binding, checkpoint: &Checkpoint) -> Result<Saved, CheckpointError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(CheckpointError::Unavailable("scripted".to_owned()));
        }
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

#[tokio::test]
async fn expired_usage_is_carried_by_the_next_seal_and_by_no_other() {
    let mut bench = Bench::new();
    for (time, total) in [("14:00", 100), ("14:10", 104), ("15:00", 104), ("15:05", 104)] {
        bench.at(time, total).await;
    }
    let first = bench.reports().await.remove(0);
    let expired = first.settlement.records[0].clone().expired();
    let settlement = first.settlement.clone().with(expired);
    bench.house.ledger.compare_and_swap(&first, &settlement).await.unwrap();
    for (time, total) in [("15:10", 105), ("16:00", 105), ("16:05", 105), ("16:10", 106), ("17:00", 106)] {
        bench.at(time, total).await;
    }
    bench.at("17:05", 106).await;
    let reports = bench.reports().await;
    let quantities: Vec<u32> = reports.iter().map(|entry| entry.report.body.records[0].quantity).collect();
    assert_eq!(quantities, [4, 5, 1]);
    assert_eq!(reports[0].settlement.records[0].state, RecordState::CarriedForward);
}

#[tokio::test]
async fn held_usage_that_a_person_releases_is_carried_whatever_the_policy_says_and_however_late() {
    let mut bench = Bench::new();
    bench.meter.product.policy.late = LatePolicy::Hold;
    for (time, total) in [("14:00", 100), ("14:10", 104), ("15:00", 104), ("15:05", 104)] {
        bench.at(time, total).await;
    }
    let first = bench.reports().await.remove(0);
    let held = first.settlement.records[0].clone().expired().under(LatePolicy::Hold);
    assert_eq!(held.state, RecordState::Held);
    let author = Author {
        name: "alice".into(),
        is_verified: true,
        reason: "the buyer agrees".into(),
        at: bench.clock.now(),
    };
    let released = held.decided(&Wish::Release { accepts_second_charge: false }, &author).unwrap();
    let settlement = first.settlement.clone().with(released);
    bench.house.ledger.compare_and_swap(&first, &settlement).await.unwrap();
    // Four days later: far beyond the hours in which usage becomes late by itself.
    *bench.clock.0.lock().unwrap() = "2026-11-25T15:50:00Z".parse().unwrap();
    bench.meter.turn(&bench.house).await;
    *bench.clock.0.lock().unwrap() = "2026-11-25T17:06:00Z".parse().unwrap();
    bench.meter.turn(&bench.house).await;
    let reports = bench.reports().await;
    let carried: Vec<_> =
        reports.iter().flat_map(|entry| &entry.report.body.records[0].carried_from).collect();
    assert_eq!(carried.len(), 1);
    assert_eq!((carried[0].hour, carried[0].quantity), (first.report.body.hour, Quantity::from_units(4)));
    assert_eq!(reports[0].settlement.records[0].state, RecordState::CarriedForward);
    assert_eq!(reports[0].settlement.records[0].decisions.len(), 1);
}

#[tokio::test]
async fn a_binding_that_is_deleted_has_no_further_ticks_and_its_hour_is_still_sealed() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    bench.at("14:10", 104).await;
    bench.meter.set_bindings(vec![(binding(), true)], bench.clock.now());
    bench.at("14:20", 150).await;
    bench.at("15:05", 150).await;
    assert_eq!(bench.sealed().await, 4);
    assert!(!bench.meter.all_progress()[&binding().key].has_open_hours);
}
