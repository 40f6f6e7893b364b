use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use tollkeeper_core::{
    checkpoint::{Checkpoint, CheckpointError, Saved},
    input::{Collected, Input, InputDeclaration},
    ledger::Entry,
    plugin::{Manifest, PluginFailure, PluginLimits, Tick},
    product::{AmbiguousPolicy, Dimension, Fold, LatePolicy, Meter as MeterSpec, Mode, Policy, Rounding},
    reading::{Measurement, Reading, Value},
    settlement::RecordState,
    tags::TagSet,
    workload::{Selector, Workload},
};
use tollkeeper_ledger::memory::{MemoryCheckpoints, MemoryLedger};

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

fn product() -> Product {
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

fn binding() -> Binding {
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
async fn a_crash_at_any_moment_counts_every_increase_once() {
    let times = ["14:00", "14:10", "14:20", "14:30", "14:40", "14:50", "15:00", "15:05", "15:10", "15:20"];
    for crash_after in 0..times.len() {
        let mut bench = Bench::new();
        for (index, time) in times.iter().enumerate() {
            let total = 100 + u32::try_from(index).unwrap() * 10;
            bench.at(time, total).await;
            if index == crash_after {
                bench.crash();
            }
        }
        for time in ["15:30", "15:40", "15:50", "16:00", "16:05"] {
            bench.at(time, 200).await;
        }
        assert_eq!(bench.sealed().await, 100, "after a crash at {}", times[crash_after]);
    }
}

#[tokio::test]
async fn no_hour_is_sealed_from_what_has_not_been_checkpointed() {
    let mut bench = Bench::new();
    bench.at("14:50", 100).await;
    bench.checkpoints.is_down.store(true, Ordering::Relaxed);
    bench.at("15:00", 109).await;
    bench.at("15:05", 109).await;
    assert_eq!(bench.reports().await, []);
    assert_eq!(bench.meter.findings().storage.as_ref().unwrap().reason, "CheckpointUnavailable");
    bench.checkpoints.is_down.store(false, Ordering::Relaxed);
    bench.at("15:06", 109).await;
    assert_eq!(bench.sealed().await, 9);
    assert_eq!(bench.meter.findings().storage, None);
}

#[tokio::test]
async fn an_hour_is_over_only_when_the_store_says_so_too() {
    let mut bench = Bench::new();
    let store_shows = |bench: &Bench, time: &str| {
        *bench.checkpoints.time.lock().unwrap() = Some(format!("2026-11-21T{time}:00Z").parse().unwrap());
    };
    store_shows(&bench, "14:00");
    bench.at("14:00", 100).await;
    store_shows(&bench, "14:10");
    bench.at("14:10", 104).await;
    // The node's clock jumps ahead by an hour: nothing is measured in an hour that has not begun, nothing is sealed.
    bench.at("15:10", 106).await;
    assert_eq!(bench.reports().await, []);
    assert_eq!(bench.meter.findings().clock.as_ref().unwrap().reason, "ClockSkewed");
    // It is set right.
    for time in ["14:20", "14:30", "14:40", "14:50", "15:00", "15:05"] {
        store_shows(&bench, time);
        bench.at(time, 109).await;
    }
    assert_eq!(bench.meter.findings().clock, None);
    assert_eq!((bench.reports().await.len(), bench.sealed().await), (1, 9));
    assert_eq!(bench.reports().await[0].report.body.evidence.missed, 0);
}

#[tokio::test]
async fn a_process_that_takes_over_ends_the_checkpoints_of_the_one_before() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    let other = bench.checkpoints.checkpoints.of_another_process();
    let mut successor = Bench::meter(&bench.clock, &bench.plugin);
    let house = House {
        checkpoints: Arc::new(Switched { checkpoints: other, ..Switched::default() }),
        ..bench.house.clone()
    };
    successor.turn(&house).await;
    bench.at("14:10", 104).await;
    assert_eq!(bench.meter.findings().storage.as_ref().unwrap().reason, "CheckpointSuperseded");
}

#[tokio::test]
async fn a_reading_of_an_unknown_dimension_makes_the_tick_a_missed_one() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    *bench.plugin.dimension.lock().unwrap() = "scan".into();
    bench.at("14:10", 105).await;
    let finding = bench.meter.findings().missed["prod"].clone();
    assert_eq!(finding.reason, "InvalidOutput");
    assert!(finding.message.contains("`scan`"), "{}", finding.message);
    *bench.plugin.dimension.lock().unwrap() = "scans".into();
    for time in ["14:20", "14:30", "14:40", "14:50", "15:00", "15:05"] {
        bench.at(time, 107).await;
    }
    assert_eq!(bench.sealed().await, 7);
    assert_eq!(bench.reports().await[0].report.body.evidence.missed, 1);
    assert!(bench.meter.findings().missed.is_empty());
}

#[tokio::test]
async fn a_new_plugin_takes_over_at_the_next_hour() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    let new = Digest::of(b"two");
    let plugin = LoadedPlugin { digest: new.clone(), plugin: bench.plugin.clone() };
    bench.meter.update(product(), plugin);
    for (time, total) in [("14:10", 101), ("14:20", 101), ("14:30", 101), ("14:40", 101), ("14:50", 101)] {
        bench.at(time, total).await;
    }
    for (time, total) in [("15:00", 102), ("15:05", 102), ("15:10", 105), ("16:00", 105), ("16:05", 105)] {
        bench.at(time, total).await;
    }
    let plugins: Vec<Digest> =
        bench.reports().await.iter().map(|entry| entry.report.body.evidence.plugin.clone()).collect();
    assert_eq!(plugins, [Digest::of(b"one"), new]);
}

#[tokio::test]
async fn a_plugin_that_fails_its_dry_run_never_takes_over_and_is_tried_again_at_the_next_hour() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    let failing = Arc::new(Counting {
        manifest: bench.plugin.manifest.clone(),
        dimension: Mutex::new("scan".into()),
        total: Mutex::new(0),
    });
    let new = Digest::of(b"two");
    bench.meter.update(product(), LoadedPlugin { digest: new.clone(), plugin: failing.clone() });
    bench.at("14:10", 101).await;
    let successor = bench.meter.findings().successor.clone().unwrap();
    assert_eq!((successor.digest, successor.problem.unwrap().reason), (new.clone(), "InvalidOutput"));
    assert!(bench.meter.findings().missed.is_empty(), "the old plugin measures");
    for time in ["15:00", "15:05", "15:10"] {
        bench.at(time, 103).await;
    }
    assert_eq!(bench.meter.findings().plugin, Some(Digest::of(b"one")));
    // Between two hours it is left alone; at the edge it gets another chance.
    *failing.dimension.lock().unwrap() = "scans".into();
    bench.at("15:20", 104).await;
    assert!(bench.meter.findings().successor.clone().unwrap().problem.is_some());
    bench.at("16:00", 105).await;
    assert_eq!(bench.meter.findings().successor, None);
    bench.at("16:05", 105).await;
    assert_eq!(bench.meter.findings().plugin, Some(new));
}

#[tokio::test]
async fn until_its_hour_ends_the_old_plugin_measures_what_the_old_specification_says() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    let mut other = product();
    other.dimensions[0].name = "lookups".parse().unwrap();
    let plugin = Arc::new(Counting {
        manifest: bench.plugin.manifest.clone(),
        dimension: Mutex::new("lookups".into()),
        total: Mutex::new(7),
    });
    bench.meter.update(other, LoadedPlugin { digest: Digest::of(b"two"), plugin });
    bench.at("14:10", 101).await;
    assert!(bench.meter.findings().missed.is_empty());
    bench.at("15:00", 102).await;
    assert_eq!(bench.meter.product().dimensions[0].name.as_str(), "lookups");
}

#[tokio::test]
async fn a_plugin_that_keeps_misbehaving_is_left_alone_and_its_counters_heal() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    *bench.plugin.dimension.lock().unwrap() = "scan".into();
    for time in ["14:10", "14:20", "14:30", "14:40", "14:50", "15:00", "15:10"] {
        bench.at(time, 110).await;
    }
    let reason = |bench: &Bench| bench.meter.findings().missed["prod"].reason;
    assert_eq!(reason(&bench), QUARANTINED);
    *bench.plugin.dimension.lock().unwrap() = "scans".into();
    // Seven failures in a row: left alone for twenty minutes.
    bench.at("15:20", 120).await;
    assert_eq!(reason(&bench), QUARANTINED);
    bench.at("15:30", 120).await;
    assert!(bench.meter.findings().missed.is_empty());
    for time in ["15:40", "15:50", "16:00", "16:05"] {
        bench.at(time, 121).await;
    }
    assert_eq!(bench.sealed().await, 21);
}

#[tokio::test]
async fn a_changed_specification_ends_a_quarantine() {
    let mut bench = Bench::new();
    *bench.plugin.dimension.lock().unwrap() = "scan".into();
    for time in ["14:00", "14:10", "14:20", "14:30", "14:40", "14:50", "15:00"] {
        bench.at(time, 110).await;
    }
    *bench.plugin.dimension.lock().unwrap() = "scans".into();
    let plugin = LoadedPlugin { digest: Digest::of(b"one"), plugin: bench.plugin.clone() };
    bench.meter.update(product(), plugin);
    bench.at("15:10", 110).await;
    assert!(bench.meter.findings().missed.is_empty());
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
