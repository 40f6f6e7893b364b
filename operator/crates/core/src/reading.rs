//! What a plugin reports at one tick.

use serde::{Deserialize, Serialize};

use crate::{identity::DimensionName, quantity::Quantity, tags::TagSet};

/// One measured value of a dimension.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The dimension.
    pub dimension: DimensionName,
    /// The value.
    pub value: Value,
    /// Whom to allocate it to; empty for untagged usage.
    pub tags: TagSet,
}

/// A counter or a gauge (`value` in `plugins/wit/meter.wit`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A total that only grows, of one source; the host settles its increase and handles resets.
    Counter {
        /// The total so far.
        total: Quantity,
        /// What is counted, such as a pod's UID.
        source: String,
    },
    /// An amount that holds until the next tick.
    Gauge(Quantity),
}

/// How urgent a line of a plugin's log is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For the vendor.
    Debug,
    /// Ordinary.
    Info,
    /// Something is odd.
    Warn,
    /// Something is wrong.
    Error,
}

/// A line that a plugin wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// Its level.
    pub level: LogLevel,
    /// Its text.
    pub message: String,
}

/// The outcome of one successful call of a plugin.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Measurement {
    /// What was read.
    pub readings: Vec<Reading>,
    /// Handed to the next call.
    pub state: Vec<u8>,
    /// What the plugin wrote.
    pub log: Vec<LogLine>,
    /// Fuel that the call burnt, in wasmtime's units.
    pub fuel: u64,
    /// Bytes of memory that the call had at its end; a plugin's memory never shrinks.
    pub memory: u64,
}
