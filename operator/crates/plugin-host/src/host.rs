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
    plugin::{Prepared, WasmPlugin},
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
    compiler: Compiler,
    /// Held while a component is compiled: each may take 25 times its size in memory.
    compiling: tokio::sync::Mutex<()>,
    library: Mutex<Library>,
    maxima: PluginLimits,
}

/// Runs WebAssembly plugins. One a process is enough: clones share everything.
#[derive(Clone)]
pub struct WasmHost {
    house: Arc<House>,
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
        let house = House { engine, ticker, evaluator, compiler, compiling, library, maxima };
        Ok(Self { house: Arc::new(house) })
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
        let House { engine, compiler, .. } = self.house.as_ref();
        let compiled = compiler.compile(engine, component, digest).await;
        let prepared = compiled.and_then(|component| Prepared::new(engine, &component, digest)).map(Arc::new);
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
        Ok(Arc::new(WasmPlugin::new(Arc::clone(&self.house), prepared, granted).await?))
    }
}

#[cfg(test)]
mod tests {
    use tollkeeper_core::plugin::Tick;

    use super::*;
    use crate::engine::{compile_and_run, compiling, settings};

    const HOSTILE: &[u8] = include_bytes!("../../../../plugins/fixtures/hostile/hostile.wasm");

    #[tokio::test]
    async fn an_outcome_does_not_depend_on_where_instances_get_their_memory() {
        let mut seen = Vec::new();
        for engine in [compile_and_run().unwrap(), Engine::new(&compiling(settings())).unwrap()] {
            let host = WasmHost::assemble(engine, Compiler::Here, Evaluation::Inline, MAXIMA).unwrap();
            let plugin = host.load(HOSTILE, &Digest::of(HOSTILE), PluginLimits::default()).await.unwrap();
            let mut outcomes = Vec::new();
            for config in ["gauge 1", "state 60000", "log 9999", "allocate", "recurse", "panic", "nonsense"] {
                let tick = Tick {
                    at: "2026-11-21T14:58:00Z".parse().unwrap(),
                    seconds: 60,
                    product: "vecdb".into(),
                    config: config.into(),
                    state: Arc::from([]),
                };
                outcomes.push(plugin.measure(tick, vec![]).await);
            }
            seen.push(outcomes);
        }
        assert_eq!(seen.first(), seen.last());
    }
}
