//! What a plugin costs: loading it, one tick of it, and the same tick on bare wasmtime.
//!
//! The tick is that of a small product: 2 nodes, 20 pods, 20 scraped samples.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first thing that is wrong")]

#[path = "../src/bindings.rs"]
mod bindings;
#[allow(dead_code, reason = "the host's own view of inputs, for bare wasmtime too")]
#[path = "../src/input.rs"]
mod input;
#[allow(dead_code, unreachable_pub, unused_imports, reason = "as `input`")]
#[path = "../src/limits.rs"]
mod limits;

use std::{future::Future, sync::Arc};

use bindings::{
    exports::tollkeeper::meter::meter,
    tollkeeper::meter::{log, types},
};
use divan::Bencher;
use tokio::runtime::{Builder, Runtime};
use tollkeeper_core::{
    identity::Digest,
    input::{Input, InputData, InputObject, Sample, SampleGroup},
    plugin::{Plugin, PluginHost, PluginLimits, Tick},
    workload::Labels,
};
use tollkeeper_plugin_host::{Evaluation, WasmHost};
use wasmtime::{
    Engine, Store,
    component::{Component, HasSelf, InstancePre, Linker},
};

const VECDB: &[u8] = include_bytes!("../../../../plugins/examples/vecdb/vecdb.wasm");

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn block_on<R>(future: impl Future<Output = R>) -> R {
    runtime().block_on(future)
}

fn load(evaluation: Evaluation) -> Arc<dyn Plugin> {
    let host = WasmHost::new(evaluation).unwrap();
    block_on(host.load(VECDB, &Digest::of(VECDB), PluginLimits::default())).unwrap()
}

fn tick() -> Tick {
    Tick {
        at: "2026-11-21T14:58:00Z".parse().unwrap(),
        seconds: 60,
        product: "vecdb".into(),
        config: "{}".into(),
        state: Arc::from([]),
    }
}

fn inputs() -> Vec<Input> {
    let object = |kind: &str, name: String, body: &str| {
        Arc::new(InputObject {
            api_version: "v1".into(),
            kind: kind.into(),
            namespace: (kind == "Pod").then(|| "vecdb".into()),
            uid: format!("8d2f5a70-0000-0000-0000-{name:>12}"),
            name,
            labels: Labels::from([("app".into(), "vecdb".into())]),
            body: body.into(),
        })
    };
    let nodes = (0..2).map(|n| object("Node", format!("n{n}"), r#"{"status":{"capacity":{"cpu":"16"}}}"#));
    let pod = r#"{"spec":{"nodeName":"n1","containers":[{"resources":{"requests":{"cpu":"500m"}}}]},"status":{"phase":"Running"}}"#;
    let pods = (0..20).map(|n| object("Pod", format!("vecdb-{n}"), pod));
    let groups = (0..20_u32).map(|n| {
        let labels =
            Labels::from([("namespace".into(), "vecdb".into()), ("pod".into(), format!("vecdb-{n}"))]);
        let sample = Sample {
            name: "vecdb_bytes_scanned_total".into(),
            labels,
            value: f64::from(n) * 1_234_567_890.0,
        };
        Arc::new(SampleGroup { origin: None, samples: vec![sample] })
    });
    vec![
        Input { name: "nodes".into(), data: InputData::Objects(nodes.collect()) },
        Input { name: "pods".into(), data: InputData::Objects(pods.collect()) },
        Input { name: "engine".into(), data: InputData::Samples(groups.collect()) },
    ]
}

/// Compile, link, ask for the manifest.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn load_a_plugin(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| load(Evaluation::Inline));
}

/// A second product with the same plugin: nothing is compiled.
#[divan::bench]
fn load_a_known_plugin(bencher: Bencher<'_, '_>) {
    let host = WasmHost::new(Evaluation::Inline).unwrap();
    let (runtime, digest) = (runtime(), Digest::of(VECDB));
    let load = || runtime.block_on(host.load(VECDB, &digest, PluginLimits::default())).unwrap();
    let _first = load();
    bencher.bench_local(load);
}

/// A tick as the operator (`Thread`) and the simulation (`Inline`) run it.
#[divan::bench(args = [Evaluation::Inline, Evaluation::Thread])]
fn a_tick(bencher: Bencher<'_, '_>, evaluation: Evaluation) {
    let (runtime, plugin, tick, inputs) = (runtime(), load(evaluation), tick(), inputs());
    bencher
        .with_inputs(|| (tick.clone(), inputs.clone()))
        .bench_local_values(|(tick, inputs)| runtime.block_on(plugin.measure(tick, inputs)).unwrap());
}

/// The smallest call: what a fresh store and instance cost, and with `Thread` the way there and back.
#[divan::bench(args = [Evaluation::Inline, Evaluation::Thread])]
fn an_empty_call(bencher: Bencher<'_, '_>, evaluation: Evaluation) {
    let (runtime, plugin) = (runtime(), load(evaluation));
    bencher.bench_local(|| runtime.block_on(plugin.validate_config("")).unwrap());
}

/// Bare wasmtime: default settings, no limits, arguments converted before.
struct Bare {
    pre: InstancePre<Silent>,
    meter: meter::GuestIndices,
}

#[derive(Default)]
struct Silent;

impl log::Host for Silent {
    fn write(&mut self, _: log::Level, _: String) {}
}

impl types::Host for Silent {}

impl Bare {
    fn new() -> Self {
        let engine = Engine::default();
        let mut linker = Linker::new(&engine);
        bindings::Plugin::add_to_linker::<_, HasSelf<Silent>>(&mut linker, |silent| silent).unwrap();
        let pre = linker.instantiate_pre(&Component::new(&engine, VECDB).unwrap()).unwrap();
        Self { meter: meter::GuestIndices::new(&pre).unwrap(), pre }
    }

    fn instance(&self) -> (Store<Silent>, meter::Guest) {
        let mut store = Store::new(self.pre.engine(), Silent);
        let instance = self.pre.instantiate(&mut store).unwrap();
        let guest = self.meter.load(&mut store, &instance).unwrap();
        (store, guest)
    }
}

const TICK: meter::Tick<'_> =
    meter::Tick { at: "2026-11-21T14:58:00Z", seconds: 60, product: "vecdb", config: "{}", state: &[] };

/// The same tick, again and again in one instance.
#[divan::bench]
fn a_tick_bare_warm(bencher: Bencher<'_, '_>) {
    let bare = Bare::new();
    input::View::of(&inputs()).with(|inputs| {
        let (mut store, guest) = bare.instance();
        bencher.bench_local(|| guest.call_measure(&mut store, TICK.clone(), inputs).unwrap().unwrap());
    });
}

/// The same tick in a fresh instance each.
#[divan::bench]
fn a_tick_bare_fresh(bencher: Bencher<'_, '_>) {
    let bare = Bare::new();
    input::View::of(&inputs()).with(|inputs| {
        bencher.bench_local(|| {
            let (mut store, guest) = bare.instance();
            guest.call_measure(&mut store, TICK.clone(), inputs).unwrap().unwrap()
        });
    });
}
