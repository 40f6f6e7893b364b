//! The plugin on the bench: loaded as the operator would load it, and called on this thread.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::runtime::Runtime;
use tollkeeper_core::{
    identity::Digest,
    input::Input,
    plugin::{Manifest, Plugin, PluginFailure, PluginHost as _, PluginLimits, Tick},
    reading::Measurement,
};
use tollkeeper_plugin_host::WasmHost;

use super::{component, progress, setting::Setting};
use crate::cli::{Failure, workshop};

/// A loaded plugin.
pub(super) struct Subject {
    runtime: Runtime,
    plugin: Arc<dyn Plugin>,
    pub(super) digest: Digest,
}

impl Subject {
    /// Loads the component of a file.
    pub(super) fn load(path: &Path, limits: PluginLimits) -> Result<Self, Failure> {
        let bytes = component::read(path)?;
        Self::of(&bytes, limits)?.map_err(|failure| {
            Failure::new(format!(
                "{} cannot be used: {}: {failure}; `tollkeeper plugin check {}` says more",
                path.display(),
                failure.reason(),
                path.display()
            ))
        })
    }

    /// Loads a component. The outer failure is this machine's, the inner one the component's.
    pub(super) fn of(bytes: &[u8], limits: PluginLimits) -> Result<Result<Self, PluginFailure>, Failure> {
        Self::by(workshop::host()?, bytes, limits)
    }

    /// Loads a component with a host.
    pub(super) fn by(
        host: WasmHost,
        bytes: &[u8],
        limits: PluginLimits,
    ) -> Result<Result<Self, PluginFailure>, Failure> {
        let _spinner = progress::spinner("compiling".to_owned());
        let runtime = runtime()?;
        let digest = Digest::of(bytes);
        let loaded = runtime.block_on(host.load(bytes, &digest, limits));
        Ok(loaded.map(|plugin| Self { runtime, plugin, digest }))
    }

    /// Loads the component with another host, which has it compiled by now. Says how long that took.
    #[expect(clippy::disallowed_methods, reason = "a bench measures the real time, whatever the clock says")]
    pub(super) fn load_again(
        &self,
        host: &WasmHost,
        bytes: &[u8],
        limits: PluginLimits,
    ) -> Result<Duration, Failure> {
        let began = Instant::now();
        let loaded = self.runtime.block_on(host.load(bytes, &self.digest, limits));
        let took = began.elapsed();
        loaded.map(|_| took).map_err(Failure::new)
    }

    pub(super) fn manifest(&self) -> &Manifest {
        self.plugin.manifest()
    }

    pub(super) fn validate(&self, config: &str) -> Result<(), PluginFailure> {
        self.runtime.block_on(self.plugin.validate_config(config))
    }

    pub(super) fn measure(&self, tick: Tick, inputs: Vec<Input>) -> Result<Measurement, PluginFailure> {
        self.runtime.block_on(self.plugin.measure(tick, inputs))
    }
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the runtime cannot start: {error}")))
}

/// The tick of a product at a moment.
pub(super) fn tick(setting: &Setting, at: Timestamp, state: &[u8]) -> Tick {
    Tick {
        at,
        seconds: setting.interval.seconds(),
        product: setting.product.clone(),
        config: setting.config.clone(),
        state: Arc::from(state),
    }
}
