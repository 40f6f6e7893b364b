//! The host: one engine, one evaluator, and every component compiled once.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use async_trait::async_trait;
use tollkeeper_core::{
    identity::Digest,
    plugin::{Plugin, PluginFailure, PluginHost, PluginLimits},
};
use wasmtime::Engine;

use crate::{
    compile,
    engine::engine,
    epoch::Ticker,
    evaluator::Evaluator,
    limits::Limits,
    plugin::{Prepared, WasmPlugin},
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

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plugin host cannot start: {}", self.0)
    }
}

impl std::error::Error for HostError {}

/// What all plugins of a host share.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) ticker: Ticker,
    pub(crate) evaluator: Evaluator,
}

/// Runs WebAssembly plugins. One a process is enough: clones share everything.
#[derive(Clone)]
pub struct WasmHost {
    house: Arc<House>,
    /// Compiled components that a plugin still uses.
    prepared: Arc<Mutex<BTreeMap<Digest, Weak<Prepared>>>>,
}

impl WasmHost {
    /// Starts the host's threads; they end with it and its plugins.
    pub fn new(evaluation: Evaluation) -> Result<Self, HostError> {
        Self::with(engine().map_err(|error| HostError(format!("{error:#}")))?, evaluation)
    }

    fn with(engine: Engine, evaluation: Evaluation) -> Result<Self, HostError> {
        let ticker = Ticker::start(&engine).map_err(|error| HostError(error.to_string()))?;
        let evaluator = match evaluation {
            Evaluation::Thread => Evaluator::thread().map_err(|error| HostError(error.to_string()))?,
            Evaluation::Inline => Evaluator::inline(),
        };
        let house = House { engine, ticker, evaluator };
        Ok(Self { house: Arc::new(house), prepared: Arc::default() })
    }

    fn known(&self, digest: &Digest) -> Option<Arc<Prepared>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(digest).and_then(Weak::upgrade)
    }

    fn remember(&self, digest: &Digest, prepared: &Arc<Prepared>) {
        let mut all = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, old| old.strong_count() > 0);
        all.insert(digest.clone(), Arc::downgrade(prepared));
    }

    async fn prepare(&self, component: &[u8], digest: &Digest) -> Result<Arc<Prepared>, PluginFailure> {
        compile::admit(component, digest)?;
        if let Some(known) = self.known(digest) {
            return Ok(known);
        }
        let (house, bytes, known_as) = (Arc::clone(&self.house), component.to_vec(), digest.clone());
        let prepared = compile::apart(move || Prepared::new(&house, &bytes, &known_as)).await?;
        let prepared = Arc::new(prepared);
        self.remember(digest, &prepared);
        Ok(prepared)
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
        let prepared = self.prepare(component, digest).await?;
        Ok(Arc::new(WasmPlugin::new(Arc::clone(&self.house), prepared, Limits::from(limits)).await?))
    }
}

#[cfg(test)]
mod tests {
    use tollkeeper_core::plugin::Tick;

    use super::*;
    use crate::engine::settings;

    const HOSTILE: &[u8] = include_bytes!("../../../../plugins/fixtures/hostile/hostile.wasm");

    #[tokio::test]
    async fn an_outcome_does_not_depend_on_where_instances_get_their_memory() {
        let mut seen = Vec::new();
        for engine in [engine().unwrap(), Engine::new(&settings()).unwrap()] {
            let host = WasmHost::with(engine, Evaluation::Inline).unwrap();
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
