//! Runs vendors' meters: WebAssembly components in a sandbox without clock, randomness, network, files or environment.
//!
//! Every call gets a fresh store and instance, so nothing outlives a tick but what the plugin returns. The same component,
//! tick and inputs give the same outcome and burn the same fuel everywhere. Whatever a component does ends as a
//! [`PluginFailure`](tollkeeper_core::plugin::PluginFailure): never a panic, never a zero.

mod bindings;
mod call;
mod compile;
mod engine;
mod epoch;
mod evaluator;
mod failure;
mod host;
mod imports;
mod input;
mod library;
mod limits;
mod mending;
mod output;
mod plugin;
mod shelf;
mod usage;
mod wasi;

pub use compile::{Apart, Compilation, compile_standard_input};
pub use host::{Evaluation, HostError, HostSettings, WasmHost};
pub use limits::{
    MAX_COMPONENT, MAX_INPUTS, MAX_LOG, MAX_MEMORY, MAX_READINGS, MAX_SOURCE, MAX_STATE, MAX_TIME, MAXIMA,
    fuel_for,
};
pub use usage::{CompilerUsage, PluginInUse, PluginUsage};
