//! What many plugins and many bindings cost: `cargo bench -p tollkeeper-plugin-host --bench sweep -- FILE…`, where the files
//! are components of other languages, for the figure of many languages.
//!
//! A table of figures with their bars, because a benchmark of single calls shows neither a sweep nor memory.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first thing that is wrong"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{
    env, fs,
    future::Future,
    path::Path,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};
use tollkeeper_core::{
    identity::Digest,
    input::{Input, InputData, InputObject, Sample, SampleGroup},
    plugin::{Plugin, PluginHost, PluginLimits, Tick},
    workload::Labels,
};
use tollkeeper_plugin_host::{Apart, Compilation, Evaluation, HostSettings, MAXIMA, WasmHost};

const VECDB: &[u8] = include_bytes!("../../../../plugins/examples/vecdb/vecdb.wasm");
const WIDE: PluginLimits =
    PluginLimits { memory: 256 << 20, time: Duration::from_secs(5), component: 32 << 20 };
const HOSTILE: &[u8] = include_bytes!("../../../../plugins/fixtures/hostile/hostile.wasm");

const BINDINGS: usize = 10_000;
const PLUGINS: u32 = 100;
const RUNAWAYS: usize = 200;
/// Of each component of another language.
const OTHERS: u32 = 2;

fn main() {
    let cache = tempfile::tempdir().unwrap();
    let host = host(cache.path());
    let (wall, work) = sweep(&host);
    let figures = format!("{} ({} on the clock)", seconds(work), seconds(wall));
    row("10,000 bindings, one tick of 20 series each, processor time", "1 s", figures);
    let rust: Vec<_> = (0..PLUGINS).map(|number| another(VECDB, number)).collect();
    let alike = many(cache.path(), &rust);
    row("loading a cached plugin of 184 KiB for the first time", "", micros(alike.first));
    row("loading it again", "", micros(alike.later));
    row(
        "mapping it again, without digests and manifest",
        "100 µs for 100 KB",
        micros(part(alike.mapped, 50)),
    );
    row("100 cached plugins of 184 KiB in use, resident memory", "15 MB", alike.memory);
    many_languages(cache.path(), rust);
    let late = runaways(&host);
    row("an endless loop is cut after its budget of 100 ms (median, 99th, worst of 200)", "115 ms", late);
}

/// Some of the languages whose components are named, the rest in Rust.
fn many_languages(cache: &Path, rust: Vec<Vec<u8>>) {
    let files: Vec<_> = env::args().skip(1).filter(|file| !file.starts_with("--")).collect();
    let of_file = |file: &String| {
        let bytes = fs::read(file).unwrap();
        (0..OTHERS).map(move |number| another(&bytes, number)).collect::<Vec<_>>()
    };
    let others: Vec<_> = files.iter().flat_map(of_file).collect();
    if others.is_empty() {
        return;
    }
    let rest = rust.into_iter().skip(others.len());
    let found = many(cache, &others.into_iter().chain(rest).collect::<Vec<_>>());
    // The first that are called: all of them have left the shelf to those that were loaded last.
    for (file, times) in files.iter().zip(found.mapped.chunks(OTHERS as usize)) {
        row(&format!("mapping {file} again"), "2 ms", micros(part(times.to_vec(), 50)));
    }
    row("100 of many languages in use, resident memory", "60 MB", found.memory);
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

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());

fn block_on<R>(future: impl Future<Output = R>) -> R {
    RUNTIME.block_on(future)
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
fn sweep(host: &WasmHost) -> (Duration, Duration) {
    let plugin = load(host, VECDB, PluginLimits::default());
    let inputs = inputs();
    block_on(async {
        let (begun, idle) = (Instant::now(), worked());
        for _ in 0..BINDINGS {
            let measured = plugin.measure(tick("{}"), inputs.clone()).await.unwrap();
            assert_eq!(measured.readings.len(), 20);
        }
        (begun.elapsed(), worked().saturating_sub(idle))
    })
}

/// Time that the threads of this process have been on a processor.
fn worked() -> Duration {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let on_cpu = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok());
    on_cpu.map(|text| Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())).sum()
}

/// What it takes to have many plugins.
struct Many {
    /// Loading one of the cache for the first time: the digests of the component and of its machine code are taken.
    first: Duration,
    /// Loading it again: the digest of the component is.
    later: Duration,
    /// Mapping it again for a tick, when others were called meanwhile.
    mapped: Vec<Duration>,
    memory: String,
}

/// Many plugins, each a component of its own.
fn many(cache: &Path, components: &[Vec<u8>]) -> Many {
    compile_all(cache, components);
    let host = host(cache);
    let before = resident();
    let digests: Vec<_> = components.iter().map(|component| Digest::of(component)).collect();
    let load_all = || -> (Vec<Duration>, Vec<Arc<dyn Plugin>>) {
        let named = components.iter().zip(&digests);
        named.map(|(bytes, digest)| timed(|| block_on(host.load(bytes, digest, WIDE)).unwrap())).unzip()
    };
    let (first, _) = load_all();
    let (later, plugins) = load_all();
    let call = |plugin: &Arc<dyn Plugin>| timed(|| block_on(plugin.measure(tick("{}"), inputs()))).0;
    let pairs: Vec<_> = plugins.iter().map(|plugin| (call(plugin), call(plugin))).collect();
    let memory = used_since(before);
    let again = pairs.iter().map(|(cold, warm)| cold.saturating_sub(*warm));
    Many { first: part(first, 50), later: part(later, 50), mapped: again.collect(), memory }
}

/// With a host of its own, so that the one that is measured has everything still to load.
fn compile_all(cache: &Path, components: &[Vec<u8>]) {
    let host = host(cache);
    for component in components {
        drop(load(&host, component, WIDE));
    }
}

fn timed<R>(work: impl FnOnce() -> R) -> (Duration, R) {
    let begun = Instant::now();
    let result = work();
    (begun.elapsed(), result)
}

/// Of every hundred, so many are not longer.
fn part(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The same plugin with a number in a custom section: other bytes, other digest, code of its own.
fn another(component: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = component.to_vec();
    bytes.extend([0, 6, 1, b'n']);
    bytes.extend(number.to_le_bytes());
    bytes
}

fn runaways(host: &WasmHost) -> String {
    let limits = PluginLimits { time: Duration::from_millis(100), ..PluginLimits::default() };
    let plugin = load(host, HOSTILE, limits);
    let cut = |_| timed(|| block_on(plugin.measure(tick("loop"), vec![])).unwrap_err()).0;
    let times: Vec<_> = (0..RUNAWAYS).map(cut).collect();
    [50, 99, 100].map(|percent| millis(part(times.clone(), percent))).join(", ")
}

/// Resident bytes: written to, of files, and shared.
fn resident() -> [u64; 3] {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    ["RssAnon:", "RssFile:", "RssShmem:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    })
}

fn used_since(before: [u64; 3]) -> String {
    let [anon, file, shared] = resident();
    let [anon_before, file_before, shared_before] = before;
    let more = [(anon, anon_before), (file, file_before), (shared, shared_before)]
        .map(|(now, before)| bytes(now.saturating_sub(before)) / 1e6);
    let [anon, file, shared] = more;
    format!("{:.1} MB: {anon:.1} written, {file:.1} of files, {shared:.1} shared", anon + file + shared)
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
