//! What the calls of a plugin have cost since it was loaded: raw material of metrics.

use std::{collections::BTreeMap, time::Duration};

use tollkeeper_core::identity::Digest;

/// What one call cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) fuel: u64,
    pub(crate) time: Duration,
    /// Bytes of memories and tables.
    pub(crate) memory: u64,
    /// Lines of log, kept or dropped.
    pub(crate) lines: u64,
}

/// What all calls of a plugin have cost so far, whichever product they were for.
#[derive(Clone, Debug, Default)]
pub struct PluginUsage {
    /// Calls, of whatever function.
    pub calls: u64,
    /// Ticks that gave no readings, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// Fuel, in wasmtime's units. A loop that the clock ends has not written down what it burnt since the last function call.
    pub fuel: u64,
    /// Time inside of calls.
    pub time: Duration,
    /// The longest call.
    pub longest: Duration,
    /// The most memory that a call had, in bytes.
    pub most_memory: u64,
    /// Lines of log, kept or dropped.
    pub log_lines: u64,
}

impl PluginUsage {
    pub(crate) fn note(&mut self, cost: Cost) {
        self.calls += 1;
        self.fuel = self.fuel.saturating_add(cost.fuel);
        self.time = self.time.saturating_add(cost.time);
        self.longest = self.longest.max(cost.time);
        self.most_memory = self.most_memory.max(cost.memory);
        self.log_lines += cost.lines;
    }
}

/// A plugin that is in use, and what it has cost.
#[derive(Clone, Debug)]
pub struct PluginInUse {
    /// Its digest.
    pub digest: Digest,
    /// What it has cost.
    pub usage: PluginUsage,
}

/// What compiling has come to since the host started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CompilerUsage {
    /// Components that were compiled, or that the compiler refused.
    pub compiled: u64,
    /// Components whose machine code was in the cache.
    pub found: u64,
    /// Bytes of machine code in the cache.
    pub cached: u64,
}
