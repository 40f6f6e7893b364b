//! The seam to the plugin host: load a vendor's component, ask it for readings.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{identity::Digest, input::Input, reading::Measurement};

/// What a plugin says about itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The dimensions that it reports.
    pub dimensions: Vec<String>,
    /// The inputs that it needs.
    pub inputs: Vec<String>,
    /// JSON schema of its configuration.
    pub config_schema: String,
}

/// A plugin and its configuration: what turns inputs into readings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConfiguredPlugin {
    /// Digest of the component.
    pub plugin: Digest,
    /// Digest of the configuration.
    pub config: Digest,
}

/// What one call of a plugin may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PluginLimits {
    /// Linear memory in bytes.
    pub memory: u64,
    /// Wall-clock time.
    pub time: Duration,
    /// Bytes of the component itself.
    pub component: u64,
}

impl Default for PluginLimits {
    /// As `contract.md` of the design: 64 MiB and 500 ms; and 4 MiB of component.
    fn default() -> Self {
        Self { memory: 64 << 20, time: Duration::from_millis(500), component: 4 << 20 }
    }
}

/// What a plugin is told about a tick (`tick` in `plugins/wit/meter.wit`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tick {
    /// The moment of the tick.
    pub at: Timestamp,
    /// Seconds to the next tick.
    pub seconds: u32,
    /// The product's name.
    pub product: String,
    /// The product's configuration as JSON.
    pub config: Arc<str>,
    /// The state of the previous successful tick; empty at first.
    pub state: Arc<[u8]>,
}

/// Why a plugin could not be loaded or gave no readings.
///
/// Each is a condition of the product; none changes what has been measured.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PluginFailure {
    /// The bytes are not those that the product names.
    #[error("the component has the digest {found}, but the product names {named}")]
    DigestMismatch {
        /// What the product names.
        named: Digest,
        /// What was found.
        found: Digest,
    },
    /// Not a component, or not a valid one.
    #[error("not a usable WebAssembly component: {0}")]
    InvalidComponent(String),
    /// It asks for something that the host does not give.
    #[error("the component imports `{0}`, which no plugin is given")]
    ForbiddenImport(String),
    /// It lacks a function of the interface, or was built for another version.
    #[error("the component does not implement tollkeeper:meter@0.1.0: {0}")]
    UnsupportedInterface(String),
    /// It refused its configuration.
    #[error("the plugin refuses its configuration: {0}")]
    InvalidConfig(String),
    /// It cannot measure without an input.
    #[error("the plugin lacks an input: {0}")]
    MissingInput(String),
    /// It reported an error of its own.
    #[error("the plugin failed: {0}")]
    Internal(String),
    /// It trapped.
    #[error("the plugin trapped: {0}")]
    Trapped(String),
    /// It did not end in time.
    #[error("the plugin was stopped after {0:?}, its limit")]
    TimedOut(Duration),
    /// It computed more than its time is worth: the same verdict at the same instruction on every machine.
    #[error("the plugin was stopped after {fuel} units of fuel, its limit for a time of {time:?}")]
    OutOfFuel {
        /// The fuel of a call.
        fuel: u64,
        /// The time that it is for.
        time: Duration,
    },
    /// It wanted more memory than its limit.
    #[error("the plugin was stopped at its memory limit of {0} bytes")]
    OutOfMemory(u64),
    /// What it returned is not a valid outcome.
    #[error("the plugin returned something invalid: {0}")]
    InvalidOutput(String),
    /// The product asks for more than this operator grants any plugin.
    #[error(
        "the product's limits are refused: {0} is granted here; ask for less, or have the operator's --max-plugin-* raised"
    )]
    LimitsRefused(String),
    /// Its component, inputs, output or state are larger than the host allows.
    #[error("a limit of the plugin host was passed: {0}")]
    TooLarge(String),
}

impl PluginFailure {
    /// The reason that conditions, events, metrics and log lines share.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::DigestMismatch { .. } => "DigestMismatch",
            Self::InvalidComponent(_) => "InvalidComponent",
            Self::ForbiddenImport(_) => "ForbiddenImport",
            Self::UnsupportedInterface(_) => "UnsupportedInterface",
            Self::InvalidConfig(_) => "InvalidConfig",
            Self::MissingInput(_) => "MissingInput",
            Self::Internal(_) => "PluginFailed",
            Self::Trapped(_) => "PluginTrapped",
            Self::TimedOut(_) | Self::OutOfFuel { .. } => "PluginTimedOut",
            Self::OutOfMemory(_) => "PluginOutOfMemory",
            Self::InvalidOutput(_) => "InvalidOutput",
            Self::LimitsRefused(_) => "PluginLimitsRefused",
            Self::TooLarge(_) => "PluginLimitPassed",
        }
    }

    /// Whether the plugin did what none may do, rather than say that it cannot measure.
    pub const fn is_misbehaviour(&self) -> bool {
        matches!(
            self,
            Self::Trapped(_)
                | Self::TimedOut(_)
                | Self::OutOfFuel { .. }
                | Self::OutOfMemory(_)
                | Self::InvalidOutput(_)
                | Self::TooLarge(_)
                | Self::ForbiddenImport(_)
        )
    }
}

/// A loaded plugin. Every call runs in a fresh instance: nothing is kept between calls.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// What it says about itself.
    fn manifest(&self) -> &Manifest;

    /// Asks it whether a configuration is usable.
    async fn validate_config(&self, config: &str) -> Result<(), PluginFailure>;

    /// Runs one tick.
    async fn measure(&self, tick: Tick, inputs: Vec<Input>) -> Result<Measurement, PluginFailure>;
}

/// Loads plugins.
#[async_trait]
pub trait PluginHost: Send + Sync {
    /// Checks the digest, compiles and links the component, and asks it for its manifest.
    async fn load(
        &self,
        component: &[u8],
        digest: &Digest,
        limits: PluginLimits,
    ) -> Result<Arc<dyn Plugin>, PluginFailure>;
}
