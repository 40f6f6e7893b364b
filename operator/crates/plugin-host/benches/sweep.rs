//! What many plugins and many bindings cost: `cargo bench -p tollkeeper-plugin-host --bench sweep`.
//!
//! A table of figures with their bars, because a benchmark of single calls shows neither a sweep nor memory.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first thing that is wrong"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{
    fs,
    future::Future,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tollkeeper_core::{
    identity::Digest,
    input::{Input, InputData, InputObject, Sample, SampleGroup},
    plugin::{Plugin, PluginHost, PluginLimits, Tick},
    workload::Labels,
};
use tollkeeper_plugin_host::{Apart, Compilation, Evaluation, HostSettings, MAXIMA, WasmHost};

const VECDB: &[u8] = include_bytes!("../../../../plugins/examples/vecdb/vecdb.wasm");
const HOSTILE: &[u8] = include_bytes!("../../../../plugins/fixtures/hostile/hostile.wasm");

const BINDINGS: usize = 10_000;
const PLUGINS: u32 = 100;
const RUNAWAYS: usize = 20;

fn main() {
    let cache = tempfile::tempdir().unwrap();
    let host = host(cache.path());
    row("10,000 bindings, one tick of 20 series each", "1 s", seconds(sweep(&host)));
    let (loading, memory) = many(&host);
    row("loading a cached plugin of 184 KiB (median of 100)", "100 µs for 100 KB", micros(loading));
    row("100 cached plugins in use, resident memory", "15 MB", format!("{:.1} MB", bytes(memory) / 1e6));
    let late = runaways(&host);
    row("an endless loop is cut after its budget of 100 ms (worst of 20)", "115 ms", millis(late));
}

fn row(what: &str, bar: &str, measured: String) {
    println!("| {what} | {bar} | {measured} |");
}

fn host(cache: &Path) -> WasmHost {
    WasmHost::with(HostSettings {
        evaluation: Evaluation::Thread,
        compilation: Compilation::Apart(Apart {
            program: env!("CARGO_BIN_EXE_compile-plugin").into(),
            arguments: vec![],
            memory: 600 << 20,
            cache: cache.to_owned(),
            cache_size: 512 << 20,
        }),
        maxima: MAXIMA,
    })
    .unwrap()
}

fn block_on<R>(future: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn load(host: &WasmHost, bytes: &[u8], limits: PluginLimits) -> Arc<dyn Plugin> {
    block_on(host.load(bytes, &Digest::of(bytes), limits)).unwrap()
}

fn tick(config: &str) -> Tick {
    Tick {
        at: "2026-11-21T14:58:00Z".parse().unwrap(),
        seconds: 60,
        product: "vecdb".into(),
        config: config.into(),
        state: Arc::from([]),
    }
}

/// Twenty series of one metric, a node, and no pods.
fn inputs() -> Vec<Input> {
    let series = (0..20_u32).map(|n| Sample {
        name: "vecdb_bytes_scanned_total".into(),
        labels: Labels::from([("namespace".into(), "vecdb".into()), ("pod".into(), format!("vecdb-{n}"))]),
        value: f64::from(n) * 1_234_567_890.0,
    });
    let series = Arc::new(SampleGroup { origin: None, samples: series.collect() });
    let node = InputObject {
        api_version: "v1".into(),
        kind: "Node".into(),
        namespace: None,
        name: "n1".into(),
        uid: "8d2f5a70".into(),
        labels: Labels::new(),
        body: r#"{"status":{"capacity":{"cpu":"16"}}}"#.into(),
    };
    let input = |name: &str, data| Input { name: name.into(), data };
    vec![
        input("nodes", InputData::Objects(vec![Arc::new(node)])),
        input("pods", InputData::Objects(vec![])),
        input("engine", InputData::Samples(vec![series])),
    ]
}

/// Collecting is not part of it: inputs are shared by reference count.
fn sweep(host: &WasmHost) -> Duration {
    let plugin = load(host, VECDB, PluginLimits::default());
    let inputs = inputs();
    block_on(async {
        let begun = Instant::now();
        for _ in 0..BINDINGS {
            let measured = plugin.measure(tick("{}"), inputs.clone()).await.unwrap();
            assert_eq!(measured.readings.len(), 20);
        }
        begun.elapsed()
    })
}

/// A hundred plugins, each a component of its own: how long the cached one takes to load again, and what all hold.
fn many(host: &WasmHost) -> (Duration, u64) {
    let components: Vec<_> = (0..PLUGINS).map(another).collect();
    for component in &components {
        drop(load(host, component, PluginLimits::default()));
    }
    let before = resident();
    let mut times = Vec::new();
    let mut plugins = Vec::new();
    for component in &components {
        let digest = Digest::of(component);
        block_on(async {
            let begun = Instant::now();
            plugins.push(host.load(component, &digest, PluginLimits::default()).await.unwrap());
            times.push(begun.elapsed());
        });
    }
    for plugin in &plugins {
        block_on(plugin.measure(tick("{}"), inputs())).unwrap();
    }
    times.sort();
    (times.get(times.len() / 2).copied().unwrap_or_default(), resident().saturating_sub(before))
}

/// The same plugin with a number in a custom section: other bytes, other digest, code of its own.
fn another(number: u32) -> Vec<u8> {
    let mut bytes = VECDB.to_vec();
    bytes.extend([0, 6, 1, b'n']);
    bytes.extend(number.to_le_bytes());
    bytes
}

fn runaways(host: &WasmHost) -> Duration {
    let limits = PluginLimits { time: Duration::from_millis(100), ..PluginLimits::default() };
    let plugin = load(host, HOSTILE, limits);
    let cut = |_| {
        block_on(async {
            let begun = Instant::now();
            plugin.measure(tick("loop"), vec![]).await.unwrap_err();
            begun.elapsed()
        })
    };
    (0..RUNAWAYS).map(cut).max().unwrap_or_default()
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn micros(time: Duration) -> String {
    format!("{:.0} µs", time.as_secs_f64() * 1e6)
}

#[allow(clippy::cast_precision_loss, reason = "megabytes with one decimal")]
fn bytes(count: u64) -> f64 {
    count as f64
}
