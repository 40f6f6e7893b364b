use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use tollkeeper_core::{
    checkpoint::{Checkpoint, Checkpoints},
    clock::Clock,
    hour::BillingHour,
    input::{Collected, Input, InputData, InputDeclaration, Inputs},
    plugin::{Manifest, Plugin, PluginFailure, Tick},
    product::Fold,
    quantity::Quantity,
    reading::{Measurement, Reading, Value},
    report::SealedReport,
    tags::TagSet,
};
use tollkeeper_ledger::{
    marks::KeptMarks,
    memory::{MemoryCheckpoints, MemoryLedger},
    recording::{Bounds, FileRecorder, read},
};

use super::*;
use crate::meter::{
    House,
    tests::{binding, product},
};

/// Time and inputs as the test sets them.
struct World {
    now: Mutex<Timestamp>,
    total: Mutex<f64>,
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

#[async_trait]
impl Inputs for World {
    async fn collect(&self, _: &[InputDeclaration], _: &[String], _: Timestamp) -> Collected {
        let data = InputData::Scalar(*self.total.lock().unwrap());
        Collected { inputs: vec![Input { name: "total".into(), data }], problems: vec![] }
    }
}

/// Counts what its input says, holds a gauge of it, and remembers how often it was asked. Out of order, it fails.
struct Reader {
    manifest: Manifest,
    is_out_of_order: AtomicBool,
}

#[async_trait]
impl Plugin for Reader {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn validate_config(&self, _: &str) -> Result<(), PluginFailure> {
        Ok(())
    }

    async fn measure(&self, tick: Tick, inputs: Vec<Input>) -> Result<Measurement, PluginFailure> {
        if self.is_out_of_order.load(Ordering::Relaxed) {
            return Err(PluginFailure::Internal("out of order".into()));
        }
        let InputData::Scalar(total) = inputs[0].data else { panic!("no scalar") };
        let amount = Quantity::from_reported(&format!("{total:.6}")).unwrap();
        let asked = tick.state.first().copied().unwrap_or_default();
        let reading = |value| Reading { dimension: "scans".parse().unwrap(), value, tags: TagSet::default() };
        let readings = vec![
            reading(Value::Counter { total: amount, source: "pod".into() }),
            reading(Value::Gauge(Quantity::from_units(asked.into()))),
        ];
        Ok(Measurement { readings, state: vec![asked.wrapping_add(1)], ..Measurement::default() })
    }
}

struct Bench {
    world: Arc<World>,
    house: House,
    /// The checkpoints as another process sees them.
    rival: MemoryCheckpoints,
    plugin: Arc<Reader>,
    recorder: Option<Arc<FileRecorder>>,
    folder: tempfile::TempDir,
    meter: Meter,
}

impl Bench {
    fn new() -> Self {
        let world = Arc::new(World {
            now: Mutex::new("2026-11-21T14:00:00Z".parse().unwrap()),
            total: Mutex::new(100.0),
        });
        let plugin = Arc::new(Reader {
            manifest: Manifest {
                name: "reader".into(),
                version: "1".into(),
                dimensions: vec!["scans".into()],
                inputs: vec!["total".into()],
                config_schema: "{}".into(),
            },
            is_out_of_order: AtomicBool::new(false),
        });
        let checkpoints = MemoryCheckpoints::default();
        let rival = checkpoints.of_another_process();
        let house = House {
            cluster: "cluster".into(),
            clock: world.clone(),
            inputs: world.clone(),
            ledger: Arc::new(MemoryLedger::default()),
            marks: Arc::new(KeptMarks::in_memory()),
            checkpoints: Arc::new(checkpoints),
        };
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Self {
            meter: Meter::new(measured(), loaded(&plugin)),
            recorder: None,
            world,
            house,
            rival,
            plugin,
            folder,
        };
        bench.start();
        bench
    }

    /// A process begins: with a recorder and a meter of its own, and what the last one has stored.
    fn start(&mut self) {
        let bounds = Bounds { hours: 100, bytes: 1 << 20 };
        let recorder = Arc::new(FileRecorder::open(self.folder.path(), bounds).unwrap());
        self.meter = Meter::new(measured(), loaded(&self.plugin));
        self.meter.record(recorder.clone());
        self.meter.set_bindings(vec![(binding(), false)], self.world.now());
        self.recorder = Some(recorder);
    }

    /// Another process writes what it has read, so that the next checkpoint is refused and what is stored is read again.
    async fn be_superseded(&self) {
        let Some(tally) = self.rival.load(&binding()).await.unwrap() else { return };
        self.rival.save(&binding(), &Checkpoint { tally, current: None }).await.unwrap();
    }

    async fn at(&mut self, time: &str, total: f64) {
        *self.world.now.lock().unwrap() = format!("2026-11-21T{time}:00Z").parse().unwrap();
        *self.world.total.lock().unwrap() = total;
        self.meter.turn(&self.house).await;
    }

    /// Every sealed report, and what its recording comes to; `None` if there is no recording.
    async fn replayed(&mut self) -> Vec<(SealedReport, Option<SealedReport>)> {
        // The writer is done when its recorder is gone.
        self.meter = Meter::new(measured(), loaded(&self.plugin));
        self.recorder = None;
        let key = product().key;
        let history = self.house.ledger.history(&key, BillingHour::of(Timestamp::UNIX_EPOCH)).await.unwrap();
        let plugins = BTreeMap::from([(Digest::of(b"one"), loaded(&self.plugin))]);
        let mut all = Vec::new();
        for entry in history {
            let hour = entry.report.body.hour;
            let file = self.folder.path().join(format!("vecdb_vecdb_{}.jsonl.gz", hour.compact()));
            let again = match read(&file) {
                Ok(recording) => {
                    assert_eq!(recording.seal().unwrap().report.as_ref(), Some(&entry.report));
                    replay(&recording, &plugins).await.unwrap()
                }
                Err(_) => None,
            };
            all.push((entry.report, again));
        }
        all
    }
}

fn measured() -> tollkeeper_core::product::Product {
    let mut product = product();
    product.dimensions[0].fold = Fold::TimeWeighted;
    product
}

fn loaded(plugin: &Arc<Reader>) -> LoadedPlugin {
    LoadedPlugin { digest: Digest::of(b"one"), plugin: plugin.clone() }
}

const TIMES: [&str; 17] = [
    "14:00", "14:10", "14:20", "14:30", "14:40", "14:50", "15:00", "15:05", "15:10", "15:20", "15:30",
    "15:40", "15:50", "16:00", "16:05", "16:10", "16:20",
];

#[tokio::test]
async fn a_recorded_hour_comes_to_the_same_report_bit_for_bit() {
    let mut bench = Bench::new();
    for (index, time) in TIMES.iter().enumerate() {
        bench.at(time, 100.1 + 0.3 * index as f64).await;
    }
    let replayed = bench.replayed().await;
    assert_eq!(replayed.len(), 2);
    for (sealed, again) in replayed {
        assert_eq!(again, Some(sealed));
    }
}

#[tokio::test]
async fn an_hour_in_which_the_product_has_changed_comes_to_the_same_report() {
    let mut bench = Bench::new();
    for (index, time) in TIMES.iter().enumerate() {
        if index == 3 {
            let mut changed = measured();
            changed.dimensions[0].fold = Fold::Max;
            bench.meter.update(changed, loaded(&bench.plugin));
        }
        bench.at(time, 100.1 + 0.3 * index as f64).await;
    }
    let replayed = bench.replayed().await;
    assert_eq!(replayed.len(), 2);
    for (sealed, again) in replayed {
        assert_eq!(again, Some(sealed));
    }
}

#[tokio::test]
async fn a_crash_at_any_moment_leaves_recordings_that_are_right_or_none() {
    for (crash_after, crash) in TIMES.iter().enumerate() {
        let mut bench = Bench::new();
        for (index, time) in TIMES.iter().enumerate() {
            bench.at(time, 100.1 + 0.3 * index as f64).await;
            if index == crash_after {
                bench.start();
            }
        }
        assert_right_or_none(&bench.replayed().await, &format!("after a crash at {crash}"));
    }
}

/// An hour whose last tick had run before a checkpoint was read was sealed from the checkpoint alone: it has no recording.
fn assert_right_or_none(replayed: &[(SealedReport, Option<SealedReport>)], when: &str) {
    assert_eq!(replayed.len(), 2, "{when}");
    for (sealed, again) in replayed {
        assert!(again.as_ref().is_none_or(|again| again == sealed), "{} {when}", sealed.body.hour);
    }
    assert!(replayed.iter().any(|(_, again)| again.is_some()), "{when}");
}

#[tokio::test]
async fn what_was_recorded_before_a_checkpoint_was_read_again_counts_no_more() {
    for (superseded_after, moment) in TIMES.iter().enumerate() {
        let mut bench = Bench::new();
        for (index, time) in TIMES.iter().enumerate() {
            bench.at(time, 100.1 + 0.3 * index as f64).await;
            if index == superseded_after {
                bench.be_superseded().await;
            }
        }
        assert_right_or_none(&bench.replayed().await, &format!("superseded at {moment}"));
    }
}

#[tokio::test]
async fn an_hour_that_a_binding_was_sealed_without_is_not_computed_again_for_it() {
    let mut bench = Bench::new();
    for (time, total) in [("14:00", 100.0), ("14:10", 101.5), ("14:50", 102.25)] {
        bench.at(time, total).await;
    }
    bench.meter.set_bindings(vec![(binding(), true)], bench.world.now());
    bench.at("15:05", 109.0).await;
    // Its next tick is that of 15:00: no tick was missed, and what it counts belongs to the hour that is open.
    bench.meter.set_bindings(vec![(binding(), false)], bench.world.now());
    for time in ["15:06", "15:10", "15:20", "16:00", "16:05"] {
        bench.at(time, 110.0).await;
    }
    assert_right_or_none(&bench.replayed().await, "for a binding that came back");
}

#[tokio::test]
async fn ticks_that_were_missed_are_missed_again() {
    let mut bench = Bench::new();
    for (index, time) in TIMES.iter().enumerate() {
        // The plugin fails for a while, then nobody is there.
        bench.plugin.is_out_of_order.store((2..4).contains(&index), Ordering::Relaxed);
        if !(9..12).contains(&index) {
            bench.at(time, 100.0 + index as f64).await;
        }
    }
    let replayed = bench.replayed().await;
    assert_eq!(replayed[0].0.body.evidence.missed, 2);
    for (sealed, again) in replayed {
        assert_eq!(again, Some(sealed));
    }
}

#[tokio::test]
async fn other_inputs_come_to_another_report() {
    let mut bench = Bench::new();
    for (index, time) in TIMES.iter().enumerate() {
        bench.at(time, 100.0 + index as f64).await;
    }
    let (sealed, _) = bench.replayed().await.remove(0);
    let file = bench.folder.path().join("vecdb_vecdb_2026112114.jsonl.gz");
    let mut recording = read(&file).unwrap();
    for entry in &mut recording.entries {
        if let Entry::Tick(tick) = entry {
            tick.inputs = tick.inputs.iter().map(|input| shifted(&input.input())).collect();
        }
    }
    let plugins = BTreeMap::from([(Digest::of(b"one"), loaded(&bench.plugin))]);
    let again = replay(&recording, &plugins).await.unwrap().unwrap();
    assert_ne!(again.body.evidence.inputs, sealed.body.evidence.inputs);
}

fn shifted(input: &Input) -> tollkeeper_core::recording::RecordedInput {
    let InputData::Scalar(total) = input.data else { panic!("no scalar") };
    let data = InputData::Scalar(total + 0.000001);
    (&Input { name: input.name.clone(), data }).into()
}

#[tokio::test]
async fn a_replay_says_what_it_lacks() {
    let mut bench = Bench::new();
    for time in &TIMES[..8] {
        bench.at(time, 100.0).await;
    }
    bench.replayed().await;
    let recording = read(&bench.folder.path().join("vecdb_vecdb_2026112114.jsonl.gz")).unwrap();
    let none = BTreeMap::new();
    assert!(matches!(replay(&recording, &none).await, Err(ReplayError::NoPlugin { .. })));
    let plugins = BTreeMap::from([(Digest::of(b"one"), loaded(&bench.plugin))]);
    let mut open = recording.clone();
    open.entries.pop();
    assert!(matches!(replay(&open, &plugins).await, Err(ReplayError::NotSealed)));
    let mut headless = recording.clone();
    headless.entries.remove(0);
    assert!(matches!(replay(&headless, &plugins).await, Err(ReplayError::NoTerms)));
    bench.plugin.is_out_of_order.store(true, Ordering::Relaxed);
    assert!(matches!(replay(&recording, &plugins).await, Err(ReplayError::Missed { .. })));
}
