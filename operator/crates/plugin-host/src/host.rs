//! The host: one engine, one evaluator, and every component compiled once.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tollkeeper_core::{
    identity::Digest,
    plugin::{Plugin, PluginFailure, PluginHost, PluginLimits},
};
use wasmtime::Engine;

use crate::{
    compile::{Compilation, Compiler, admit},
    epoch::Ticker,
    evaluator::Evaluator,
    library::Library,
    limits::{Limits, MAXIMA},
    plugin::{Linked, Prepared, WasmPlugin},
    shelf::{ROOM, Shelf},
    usage::{CompilerUsage, PluginInUse},
};

/// Where calls run. Either way one at a time, and with the same outcomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Evaluation {
    /// On a thread of the host's own: what a server wants, whose other work a slow plugin must not hold up.
    #[default]
    Thread,
    /// On the caller's thread, which waits: what a simulation wants, which has nothing else to do and saves the two
    /// changes of thread.
    Inline,
}

/// Why there is no host.
#[derive(Debug)]
pub struct HostError(String);

impl HostError {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plugin host cannot start: {}", self.0)
    }
}

impl std::error::Error for HostError {}

/// How a host works.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Where calls run.
    pub evaluation: Evaluation,
    /// Where components are compiled.
    pub compilation: Compilation,
    /// The most that a product may ask for; within [`MAXIMA`].
    pub maxima: PluginLimits,
}

/// What all plugins of a host share.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) ticker: Ticker,
    pub(crate) evaluator: Evaluator,
    pub(crate) shelf: Shelf<Linked>,
    pub(crate) compiler: Compiler,
    /// Held while a component is compiled: each may take 25 times its size in memory.
    pub(crate) compiling: tokio::sync::Mutex<()>,
    library: Mutex<Library>,
    maxima: PluginLimits,
}

/// Runs WebAssembly plugins. One a process is enough: clones share everything.
#[derive(Clone)]
pub struct WasmHost {
    house: Arc<House>,
    /// Changes what its plugins draw.
    chance: u64,
}

impl WasmHost {
    /// A host that compiles in this process: for simulations, benches and tests.
    pub fn new(evaluation: Evaluation) -> Result<Self, HostError> {
        Self::with(HostSettings { evaluation, compilation: Compilation::Here, maxima: MAXIMA })
    }

    /// Starts the host's threads; they end with it and its plugins.
    pub fn with(settings: HostSettings) -> Result<Self, HostError> {
        let (compiler, engine) = Compiler::start(settings.compilation)?;
        Self::assemble(engine, compiler, settings.evaluation, settings.maxima)
    }

    fn assemble(
        engine: Engine,
        compiler: Compiler,
        evaluation: Evaluation,
        asked: PluginLimits,
    ) -> Result<Self, HostError> {
        let ticker = Ticker::start(&engine).map_err(|error| HostError(error.to_string()))?;
        let evaluator = match evaluation {
            Evaluation::Thread => Evaluator::thread().map_err(|error| HostError(error.to_string()))?,
            Evaluation::Inline => Evaluator::inline(),
        };
        let maxima = PluginLimits {
            memory: asked.memory.min(MAXIMA.memory),
            time: asked.time.min(MAXIMA.time),
            component: asked.component.min(MAXIMA.component),
        };
        let (compiling, library) = Default::default();
        let shelf = Shelf::new(ROOM);
        let house = House { engine, ticker, evaluator, shelf, compiler, compiling, library, maxima };
        Ok(Self { house: Arc::new(house), chance: 0 })
    }

    /// This host, but what looks random to its plugins comes out otherwise: what they report must not depend on it.
    #[must_use]
    pub fn with_chance(&self, chance: u64) -> Self {
        Self { house: Arc::clone(&self.house), chance }
    }

    /// The plugins in use, and what each has cost since it was loaded.
    pub fn plugins(&self) -> Vec<PluginInUse> {
        self.library().in_use()
    }

    /// What compiling apart has come to; `None` where it is done here.
    pub fn compiler(&self) -> Option<CompilerUsage> {
        self.house.compiler.usage()
    }

    fn library(&self) -> MutexGuard<'_, Library> {
        self.house.library.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn prepare(&self, component: &[u8], digest: &Digest) -> Result<Arc<Prepared>, PluginFailure> {
        if let Some(known) = self.library().find(digest) {
            return known;
        }
        let _turn = self.house.compiling.lock().await;
        // Somebody may have had it compiled while this one waited.
        if let Some(known) = self.library().find(digest) {
            return known;
        }
        let compiled = self.house.compiler.compile(&self.house.engine, component, digest).await;
        let prepared = compiled
            .and_then(|(code, component)| Prepared::new(&self.house, code, &component, digest))
            .map(Arc::new);
        self.library().note(digest, &prepared);
        prepared
    }
}

#[async_trait]
impl PluginHost for WasmHost {
    async fn load(
        &self,
        component: &[u8],
        digest: &Digest,
        limits: PluginLimits,
    ) -> Result<Arc<dyn Plugin>, PluginFailure> {
        let granted = Limits::granted(limits, self.house.maxima)?;
        admit(component, digest, limits.component)?;
        let prepared = self.prepare(component, digest).await?;
        Ok(Arc::new(WasmPlugin::new(Arc::clone(&self.house), prepared, granted, self.chance).await?))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write as _,
        path::{Path, PathBuf},
        time::SystemTime,
    };

    use tollkeeper_core::plugin::Tick;

    use super::*;
    use crate::{
        compile::Apart,
        engine::{compile_and_run, compiling, only_compile, settings},
    };

    const HOSTILE: &[u8] = include_bytes!("../../../../plugins/fixtures/hostile/hostile.wasm");

    fn tick(config: &str) -> Tick {
        Tick {
            at: "2026-11-21T14:58:00Z".parse().unwrap(),
            seconds: 60,
            product: "vecdb".into(),
            config: config.into(),
            state: Arc::from([]),
        }
    }

    /// A host whose compiling process hands out what was compiled before.
    fn apart(folder: &Path) -> WasmHost {
        let machine_code = folder.join("machine-code");
        fs::write(&machine_code, only_compile().unwrap().precompile_component(HOSTILE).unwrap()).unwrap();
        let arguments = ["-c", "cat > /dev/null; cat \"$0\"", machine_code.to_str().unwrap()];
        let compilation = Compilation::Apart(Apart {
            program: "/bin/sh".into(),
            arguments: arguments.map(str::to_owned).to_vec(),
            memory: 1 << 20,
            cache: folder.to_owned(),
            cache_size: 64 << 20,
        });
        WasmHost::with(HostSettings { evaluation: Evaluation::Inline, compilation, maxima: MAXIMA }).unwrap()
    }

    /// The one file of machine code in the cache.
    fn machine_code(folder: &Path) -> PathBuf {
        let files = fs::read_dir(folder.join("compiled-plugins")).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.into_iter().next().unwrap()
    }

    fn compiled(host: &WasmHost) -> u64 {
        host.compiler().unwrap().compiled
    }

    #[tokio::test]
    async fn a_plugin_that_left_the_shelf_is_mapped_again() {
        let folder = tempfile::tempdir().unwrap();
        let (host, digest) = (apart(folder.path()), Digest::of(HOSTILE));
        let plugin = host.load(HOSTILE, &digest, PluginLimits::default()).await.unwrap();
        let before = plugin.measure(tick("gauge 1"), vec![]).await;
        assert!(before.is_ok(), "{before:?}");
        // Others took its place in the cache, too.
        fs::remove_file(machine_code(folder.path())).unwrap();
        host.house.shelf.clear(&digest);
        assert_eq!(plugin.measure(tick("gauge 1"), vec![]).await, before);
        assert_eq!(compiled(&host), 1);
    }

    #[tokio::test]
    async fn machine_code_that_somebody_has_written_to_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let (host, digest) = (apart(folder.path()), Digest::of(HOSTILE));
        let load = async || host.load(HOSTILE, &digest, PluginLimits::default()).await.unwrap();
        let (plugin, other) = (load().await, load().await);
        let before = plugin.measure(tick("gauge 1"), vec![]).await;
        assert!(before.is_ok(), "{before:?}");
        let (file, whole) = (machine_code(folder.path()), fs::read(machine_code(folder.path())).unwrap());
        for (is_there, times) in [(true, 2), (false, 3)] {
            // In place and of the same length, while it is mapped and after it has lost its name.
            let mut writer = fs::OpenOptions::new().write(true).open(&file).unwrap();
            if !is_there {
                fs::remove_file(&file).unwrap();
            }
            writer.write_all(b"evil").unwrap();
            assert_eq!(plugin.measure(tick("gauge 1"), vec![]).await, before);
            assert_eq!(other.measure(tick("gauge 1"), vec![]).await, before);
            assert_eq!(compiled(&host), times, "once for all who use it");
            assert_eq!(fs::read(machine_code(folder.path())).unwrap(), whole);
            host.house.shelf.clear(&digest);
            assert_eq!(plugin.measure(tick("gauge 1"), vec![]).await, before);
        }
        assert_eq!(compiled(&host), 3);
    }

    #[tokio::test]
    async fn machine_code_that_was_only_touched_is_not_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let (host, digest) = (apart(folder.path()), Digest::of(HOSTILE));
        let plugin = host.load(HOSTILE, &digest, PluginLimits::default()).await.unwrap();
        let before = plugin.measure(tick("gauge 1"), vec![]).await;
        let file = fs::OpenOptions::new().write(true).open(machine_code(folder.path())).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(plugin.measure(tick("gauge 1"), vec![]).await, before);
        assert_eq!(compiled(&host), 1);
    }

    #[tokio::test]
    async fn machine_code_that_cannot_be_compiled_again_is_not_tried_at_every_call() {
        let folder = tempfile::tempdir().unwrap();
        let (host, digest) = (apart(folder.path()), Digest::of(HOSTILE));
        let plugin = host.load(HOSTILE, &digest, PluginLimits::default()).await.unwrap();
        fs::remove_file(folder.path().join("machine-code")).unwrap();
        fs::write(machine_code(folder.path()), "evil").unwrap();
        let failure = plugin.measure(tick("gauge 1"), vec![]).await.unwrap_err();
        assert_eq!(failure.reason(), "PluginFailed", "{failure}");
        assert_eq!(plugin.measure(tick("gauge 1"), vec![]).await, Err(failure));
        assert_eq!(compiled(&host), 2);
        let usage = host.plugins().into_iter().next().unwrap().usage;
        assert_eq!(usage.failures.get("PluginFailed"), Some(&2));
    }

    #[tokio::test]
    async fn the_shelf_keeps_nothing_of_a_plugin_that_is_not_used_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let (host, digest) = (apart(folder.path()), Digest::of(HOSTILE));
        let plugin = host.load(HOSTILE, &digest, PluginLimits::default()).await.unwrap();
        assert!(host.house.shelf.find(&digest).is_some());
        drop(plugin);
        assert!(host.house.shelf.find(&digest).is_none());
    }

    #[tokio::test]
    async fn an_outcome_does_not_depend_on_where_instances_get_their_memory() {
        let mut seen = Vec::new();
        for engine in [compile_and_run().unwrap(), Engine::new(&compiling(settings())).unwrap()] {
            let host = WasmHost::assemble(engine, Compiler::Here, Evaluation::Inline, MAXIMA).unwrap();
            let plugin = host.load(HOSTILE, &Digest::of(HOSTILE), PluginLimits::default()).await.unwrap();
            let mut outcomes = Vec::new();
            for config in ["gauge 1", "state 60000", "log 9999", "allocate", "recurse", "panic", "nonsense"] {
                outcomes.push(plugin.measure(tick(config), vec![]).await);
            }
            seen.push(outcomes);
        }
        assert_eq!(seen.first(), seen.last());
    }
}
