//! Compiling in a process of its own, and keeping what it made.

#![allow(clippy::unwrap_used, reason = "the whole file is tests")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use tollkeeper_core::{
    identity::Digest,
    plugin::{Plugin, PluginFailure, PluginHost, PluginLimits, Tick},
};
use tollkeeper_plugin_host::{Apart, Compilation, Evaluation, HostSettings, MAXIMA, WasmHost};

const VECDB: &[u8] = include_bytes!("../../../../plugins/examples/vecdb/vecdb.wasm");
const HOSTILE: &[u8] = include_bytes!("../../../../plugins/fixtures/hostile/hostile.wasm");
const COMPILER: &str = env!("CARGO_BIN_EXE_compile-plugin");

fn apart(cache: &Path, program: &str, arguments: &[&str]) -> Apart {
    Apart {
        program: program.into(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        memory: 512 << 20,
        cache: cache.to_owned(),
        cache_size: 64 << 20,
    }
}

fn host(apart: Apart) -> WasmHost {
    let compilation = Compilation::Apart(apart);
    WasmHost::with(HostSettings { evaluation: Evaluation::Inline, compilation, maxima: MAXIMA }).unwrap()
}

async fn load(host: &WasmHost, bytes: &[u8]) -> Result<Arc<dyn Plugin>, PluginFailure> {
    host.load(bytes, &Digest::of(bytes), PluginLimits::default()).await
}

async fn failure(apart: Apart, bytes: &[u8]) -> PluginFailure {
    load(&host(apart), bytes).await.err().unwrap()
}

#[tokio::test]
async fn a_plugin_that_was_compiled_apart_does_what_it_does_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let apart = host(apart(folder.path(), COMPILER, &[]));
    let here = WasmHost::new(Evaluation::Inline).unwrap();
    let (apart, here) = (load(&apart, HOSTILE).await.unwrap(), load(&here, HOSTILE).await.unwrap());
    for config in ["gauge 1", "nan", "state 60000", "log 9999", "allocate", "recurse", "panic", "nonsense"] {
        let tick = || Tick {
            at: "2026-11-21T14:58:00Z".parse().unwrap(),
            seconds: 60,
            product: "vecdb".into(),
            config: config.into(),
            state: Arc::from([]),
        };
        // To the last unit of fuel.
        assert_eq!(apart.measure(tick(), vec![]).await, here.measure(tick(), vec![]).await, "{config}");
    }
}

#[tokio::test]
async fn nothing_is_compiled_twice_even_by_another_operator() {
    let folder = tempfile::tempdir().unwrap();
    let one = host(apart(folder.path(), COMPILER, &[]));
    load(&one, VECDB).await.unwrap();
    drop(one);
    let two = host(apart(folder.path(), "/there/is/no/compiler", &[]));
    assert_eq!(load(&two, VECDB).await.unwrap().manifest().name, "vecdb");
    let refused = load(&two, HOSTILE).await.err().unwrap();
    assert!(refused.to_string().contains("no process to compile it in"), "{refused}");
}

#[tokio::test]
async fn twenty_loads_at_once_compile_a_component_once() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(apart(folder.path(), COMPILER, &[]));
    let mut loads = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let host = host.clone();
        loads.spawn(async move { load(&host, VECDB).await });
    }
    let plugins: Result<Vec<_>, _> = loads.join_all().await.into_iter().collect();
    let usage = host.compiler().unwrap();
    assert_eq!((plugins.unwrap().len(), usage.compiled, usage.found), (20, 1, 0));
}

#[tokio::test]
async fn damaged_machine_code_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    load(&host(apart(folder.path(), COMPILER, &[])), VECDB).await.unwrap();
    let file = fs::read_dir(folder.path().join("compiled-plugins")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&file, damaged).unwrap();
    load(&host(apart(folder.path(), COMPILER, &[])), VECDB).await.unwrap();
    assert_eq!(fs::read(&file).unwrap(), whole);
}

#[tokio::test]
async fn a_component_that_does_not_compile_is_refused_once_and_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let broken = VECDB.get(..VECDB.len() - 3).unwrap();
    let host = host(apart(folder.path(), COMPILER, &[]));
    let here = WasmHost::new(Evaluation::Inline).unwrap();
    let refused = load(&host, broken).await.err().unwrap();
    assert_eq!(Some(&refused), load(&here, broken).await.err().as_ref());
    assert_eq!(Some(&refused), load(&host, broken).await.err().as_ref());
    assert_eq!(fs::read_dir(folder.path().join("compiled-plugins")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_compiler_that_wants_too_much_memory_ends_alone() {
    let folder = tempfile::tempdir().unwrap();
    let little = Apart { memory: 24 << 20, ..apart(folder.path(), COMPILER, &[]) };
    let failure = failure(little, VECDB).await;
    assert!(failure.to_string().contains("takes more than 25165824 bytes of memory"), "{failure}");
}

#[tokio::test]
async fn machine_code_that_the_cache_cannot_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let small = Apart { cache_size: 1000, ..apart(folder.path(), COMPILER, &[]) };
    assert_eq!(failure(small, VECDB).await.reason(), "PluginLimitPassed");
}

#[tokio::test]
async fn a_compiler_that_crashes_or_leaves_is_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    for (script, reason, named) in [
        ("kill -SEGV $$", "InvalidComponent", "crashed"),
        ("kill -KILL $$", "PluginFailed", "killed from outside"),
        ("exit 7", "PluginFailed", "did not start"),
        // It says that all is well and has written nothing.
        ("cat > /dev/null", "PluginFailed", "cannot be mapped"),
        ("cat > /dev/null; echo nonsense", "PluginFailed", "cannot be mapped"),
    ] {
        let failure = failure(apart(folder.path(), "/bin/sh", &["-c", script]), VECDB).await;
        assert_eq!(failure.reason(), reason, "{script}: {failure}");
        assert!(failure.to_string().contains(named), "{script}: {failure}");
    }
    assert_eq!(fs::read_dir(folder.path().join("compiled-plugins")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_compiler_sees_nothing_of_the_operator_s_environment() {
    let folder = tempfile::tempdir().unwrap();
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let failure = failure(apart(folder.path(), "/bin/sh", &["-c", "env >&2; exit 3"]), VECDB).await;
    assert!(failure.to_string().contains("PWD="), "{failure}");
    assert!(!failure.to_string().contains("CARGO"), "{failure}");
}

#[tokio::test]
async fn a_load_that_is_given_up_kills_the_compiler() {
    let folder = tempfile::tempdir().unwrap();
    let (pid, script) =
        (folder.path().join("pid"), "echo $$ > \"$0\".new; mv \"$0\".new \"$0\"; exec sleep 600");
    let host = host(apart(folder.path(), "/bin/sh", &["-c", script, pid.to_str().unwrap()]));
    let written = async {
        while !pid.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = load(&host, VECDB) => panic!("a compiler that sleeps has compiled"),
        () = written => {}
    }
    let process = format!("/proc/{}/stat", fs::read_to_string(pid).unwrap().trim());
    let gone = async {
        // A zombie is gone; who reaps it is the runtime's business.
        while fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
}
