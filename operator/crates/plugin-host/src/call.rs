//! One call: a fresh store, a fresh instance, the limits, the log. The store is thrown away whatever happens.

use std::{collections::VecDeque, time::Instant};

use tollkeeper_core::{
    plugin::PluginFailure,
    quote::clip,
    reading::{LogLevel, LogLine},
};
use wasmtime::{Error, ResourceLimiter, Store, component::InstancePre};

use crate::{
    bindings::tollkeeper::meter::{log, types},
    failure,
    limits::{HOSTCALL_BYTES, Limits, MAX_INSTANCES, MAX_LOG, MAX_MEMORIES, MAX_TABLE, MAX_TABLES},
    usage::Cost,
    wasi::{Moment, World},
};

/// What the host keeps beside an instance.
pub(crate) struct CallState {
    pub(crate) memory: Memory,
    pub(crate) log: Log,
    pub(crate) world: World,
}

/// What a call gave, what it said, and what it cost.
pub(crate) struct Done<R> {
    pub(crate) outcome: Result<R, PluginFailure>,
    pub(crate) log: Vec<LogLine>,
    pub(crate) cost: Cost,
}

impl<R> Done<R> {
    /// A call that could not even begin.
    pub(crate) fn never(failure: PluginFailure) -> Self {
        Self { outcome: Err(failure), log: vec![], cost: Cost::default() }
    }
}

/// Runs `body` against a fresh instance.
#[allow(clippy::disallowed_methods, reason = "what a call costs is real time, whatever the clock says")]
pub(crate) fn call<R>(
    pre: &InstancePre<CallState>,
    limits: Limits,
    moment: Moment,
    body: impl FnOnce(&mut Store<CallState>, wasmtime::component::Instance) -> wasmtime::Result<R>,
) -> Done<R> {
    let begun = Instant::now();
    let state =
        CallState { memory: Memory::new(limits.memory), log: Log::default(), world: World::new(moment) };
    let mut store = Store::new(pre.engine(), state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(HOSTCALL_BYTES);
    store.set_epoch_deadline(limits.epochs());
    let outcome = store
        .set_fuel(limits.fuel())
        .and_then(|()| pre.instantiate(&mut store))
        .and_then(|instance| body(&mut store, instance));
    let left = store.get_fuel().unwrap_or_default();
    let state = store.data_mut();
    state.world.flush(&mut state.log);
    let outcome = outcome.map_err(|error| failure::of_call(&error, store.data(), limits));
    let CallState { memory, log, .. } = store.into_data();
    let cost = Cost {
        fuel: limits.fuel().saturating_sub(left),
        time: begun.elapsed(),
        memory: memory.used(),
        lines: log.count(),
    };
    Done { outcome, log: log.finish(), cost }
}

/// Bounds the linear memories and tables of an instance together.
pub(crate) struct Memory {
    limit: usize,
    left: usize,
    /// Whether the instance wanted more than it may have.
    pub(crate) refused: bool,
    /// Whether the machine had none to give.
    pub(crate) starved: bool,
}

impl Memory {
    fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, left: limit, refused: false, starved: false }
    }

    /// Bytes that were granted.
    fn used(&self) -> u64 {
        u64::try_from(self.limit.saturating_sub(self.left)).unwrap_or(u64::MAX)
    }

    /// A trap rather than a failed `memory.grow`: guests abort on that with nothing but `unreachable`.
    fn grow(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
        unit: usize,
    ) -> wasmtime::Result<bool> {
        let bytes = desired.saturating_sub(current).saturating_mul(unit);
        let Some(left) = self.left.checked_sub(bytes) else {
            self.refused = true;
            return Err(Error::msg("the memory limit"));
        };
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.left = left;
        Ok(true)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current, desired, maximum, 1)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > MAX_TABLE {
            self.refused = true;
            return Err(Error::msg("the limit of a table"));
        }
        self.grow(current, desired, maximum, size_of::<usize>())
    }

    /// The machine has no memory: ending the call keeps the guest from measuring something else than elsewhere.
    fn memory_grow_failed(&mut self, error: Error) -> wasmtime::Result<()> {
        self.starved = true;
        Err(error)
    }

    fn table_grow_failed(&mut self, error: Error) -> wasmtime::Result<()> {
        self.starved = true;
        Err(error)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

/// The last lines that a plugin wrote, up to [`MAX_LOG`] bytes: what it said before it trapped is worth more than the flood
/// before. A flood costs the lines, not the hour's usage.
#[derive(Default)]
pub(crate) struct Log {
    lines: VecDeque<LogLine>,
    /// Of `lines`, with what each costs.
    bytes: usize,
    /// Lines that had to go, and the bytes of their texts.
    gone: (u64, usize),
}

/// What a line costs beside its text, so that empty lines are bounded too.
const LINE: usize = 16;

/// Bytes that a line keeps.
const MAX_LINE: usize = 4 << 10;

impl Log {
    pub(crate) fn push(&mut self, level: LogLevel, message: &str) {
        let line = LogLine { level, message: clip(message, MAX_LINE) };
        self.bytes += LINE + line.message.len();
        self.lines.push_back(line);
        while self.bytes > MAX_LOG
            && let Some(LogLine { message, .. }) = self.lines.pop_front()
        {
            self.bytes -= LINE + message.len();
            self.gone = (self.gone.0 + 1, self.gone.1 + message.len());
        }
    }

    /// The warnings and errors, one after the other.
    pub(crate) fn complaints(&self) -> Option<String> {
        let is_bad = |line: &&LogLine| matches!(line.level, LogLevel::Warn | LogLevel::Error);
        let words = self.lines.iter().filter(is_bad).map(|line| line.message.trim());
        let bad: Vec<&str> = words.filter(|words| !words.is_empty()).collect();
        if bad.is_empty() { None } else { Some(bad.join("; ")) }
    }

    fn count(&self) -> u64 {
        u64::try_from(self.lines.len()).unwrap_or(u64::MAX).saturating_add(self.gone.0)
    }

    /// The lines; before them, if they are not all, one that says so.
    pub(crate) fn finish(mut self) -> Vec<LogLine> {
        let (lines, bytes) = self.gone;
        if lines > 0 {
            let message = format!(
                "lines left out before this one: {lines} ({bytes} bytes); of a call's log the last {} KiB are kept",
                MAX_LOG >> 10
            );
            self.lines.push_front(LogLine { level: LogLevel::Warn, message });
        }
        self.lines.into()
    }
}

impl log::Host for CallState {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.log.push(level, &message);
    }
}

impl types::Host for CallState {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_of_lines_the_last_are_kept_and_the_others_counted() {
        let mut log = Log::default();
        for _ in 0..100_000 {
            log.push(LogLevel::Info, "");
        }
        assert_eq!(log.count(), 100_000);
        let lines = log.finish();
        assert_eq!(lines.len(), 1 + MAX_LOG / LINE);
        let left_out =
            "lines left out before this one: 95904 (0 bytes); of a call's log the last 64 KiB are kept";
        assert_eq!(lines[0], LogLine { level: LogLevel::Warn, message: left_out.into() });
    }

    #[test]
    fn as_many_lines_go_as_the_newest_needs_room() {
        let mut log = Log::default();
        for number in 0..16 {
            log.push(LogLevel::Error, &format!("{number:04}").repeat((4 << 10) / 4));
        }
        log.push(LogLevel::Info, "the last word");
        let lines = log.finish();
        assert!(lines[0].message.contains("before this one: 1 (4096 bytes)"), "{}", lines[0].message);
        assert!(lines[1].message.starts_with("0001"));
        assert_eq!(lines.last().unwrap().message, "the last word");
        assert!(lines.iter().skip(1).map(|line| LINE + line.message.len()).sum::<usize>() <= MAX_LOG);
    }

    #[test]
    fn all_memories_of_an_instance_share_one_limit() {
        let mut memory = Memory::new(1000);
        assert!(memory.memory_growing(0, 600, None).unwrap());
        assert!(!memory.memory_growing(0, 300, Some(200)).unwrap());
        assert!(!memory.refused);
        assert!(memory.memory_growing(0, 600, None).is_err());
        assert!(memory.refused);
    }
}
