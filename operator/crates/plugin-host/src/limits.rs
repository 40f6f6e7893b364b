//! Every limit of the host, and why it is what it is.

use std::time::Duration;

use tollkeeper_core::plugin::{PluginFailure, PluginLimits};

/// Readings of one call. A product has at most 200 dimensions, and a record is allocated to at most 2,500 tag sets an hour;
/// 1,000 readings a tick and binding leave room for both and bound what folding a tick costs.
pub const MAX_READINGS: usize = 1_000;

/// Bytes of state. It is checkpointed in an object of the API server at every tick, for each binding.
pub const MAX_STATE: usize = 64 << 10;

/// Bytes of all that a call is given. A quarter of the default memory, so that the guest can hold it decoded.
pub const MAX_INPUTS: usize = 16 << 20;

/// Bytes of log of one call; the last lines that fit are kept, and a line before them says how much is left out.
pub const MAX_LOG: usize = 64 << 10;

/// The most bytes that a product may ask for its component, with `limits.component`. Rust and C meters have 3-150 KB,
/// JavaScript on QuickJS 1-2 MB, Go 2 MB, which the default of 4 MiB holds; Python has 18 MB, and compiling it takes 7 s
/// and 450 MB.
pub const MAX_COMPONENT: u64 = 32 << 20;

/// The most memory that a product may ask for.
pub const MAX_MEMORY: u64 = 1 << 30;

/// The most time that a product may ask for.
pub const MAX_TIME: Duration = Duration::from_secs(10);

/// What a host grants where nobody has told it to grant less.
pub const MAXIMA: PluginLimits =
    PluginLimits { memory: MAX_MEMORY, time: MAX_TIME, component: MAX_COMPONENT };

/// Bytes of a counter's source. A namespace, a pod's name and a container's name fit with room to spare.
pub const MAX_SOURCE: usize = 512;

/// Bytes that a message of a plugin keeps in a condition or log line (an event's message holds 1,024).
pub(crate) const MAX_MESSAGE: usize = 1_000;

/// Dimensions of a manifest, as of a product; inputs likewise.
pub(crate) const MAX_NAMES: usize = 200;

/// Bytes of the schema of a configuration.
pub(crate) const MAX_SCHEMA: usize = 64 << 10;

/// Bytes that one call may hand to the host at once. The largest valid outcome has less than 3 MiB: 1,000 readings of a
/// dimension (255), a total (19), a source (512) and five tags (356 each), and the state.
pub(crate) const HOSTCALL_BYTES: usize = 4 << 20;

/// Core instances of one component. Go's and JavaScript's have fewer than ten.
pub(crate) const MAX_INSTANCES: usize = 64;

/// Linear memories of one component: a composed one has one for each of its parts.
pub(crate) const MAX_MEMORIES: usize = 16;

/// Tables of one component.
pub(crate) const MAX_TABLES: usize = 64;

/// Elements of one table. A table has an element for each function that is called by address; Python, the largest guest
/// known, has some 10,000.
pub(crate) const MAX_TABLE: usize = 100_000;

/// Bytes of stack inside the sandbox, wasmtime's own default; an evaluator's thread has several times that.
pub(crate) const WASM_STACK: usize = 512 << 10;

/// How often time is looked at. A call ends at most this much after its limit, and as much later as the thread that looks
/// wakes late: a call must be cut within 15 ms, so two thirds of them are left for a busy machine. Two hundred wake-ups a
/// second, while calls run, cost a thousandth of a processor.
pub(crate) const EPOCH: Duration = Duration::from_millis(5);

/// Fuel for a nanosecond of the time limit. Guests that compute burn 6 to 15 a nanosecond on a server of 2024, so the fuel
/// ends at a third of the time or before: the verdict falls at the same instruction on every machine that is not three times
/// slower. Beyond that, and for a loop without a body (1 a nanosecond), which no honest guest has, the clock decides.
const FUEL_PER_NANOSECOND: u64 = 2;

/// Limits of one loaded plugin, within what the host allows at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) memory: u64,
    pub(crate) time: Duration,
}

impl Limits {
    /// What was asked, unless it is more than this host grants: a plugin that gets less than its vendor found necessary
    /// would only fail later.
    pub(crate) fn granted(asked: PluginLimits, most: PluginLimits) -> Result<Self, PluginFailure> {
        let refused = |what: &str, asked: String, most: String| {
            Err(PluginFailure::LimitsRefused(format!("{what} {asked}, but at most {most}")))
        };
        if asked.memory > most.memory {
            return refused("memory", format!("{} bytes", asked.memory), format!("{} bytes", most.memory));
        }
        if asked.time > most.time {
            return refused("time", format!("{:?}", asked.time), format!("{:?}", most.time));
        }
        if asked.component > most.component {
            return refused(
                "component",
                format!("{} bytes", asked.component),
                format!("{} bytes", most.component),
            );
        }
        Ok(Self { memory: asked.memory, time: asked.time })
    }

    /// The fuel of one call: the same verdict on every machine.
    pub(crate) fn fuel(self) -> u64 {
        fuel_for(self.time)
    }

    /// Epochs until a call is stopped. One more than fit, because the first may end right after the call has begun.
    pub(crate) fn epochs(self) -> u64 {
        u64::try_from(self.time.as_nanos().div_ceil(EPOCH.as_nanos())).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// The fuel that a call has whose time limit is this.
pub fn fuel_for(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(FUEL_PER_NANOSECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_the_host_grants_is_refused_and_named() {
        let most = PluginLimits { time: Duration::from_secs(1), ..MAXIMA };
        let granted = Limits::granted(most, most).unwrap();
        assert_eq!((granted.memory, granted.time), (MAX_MEMORY, Duration::from_secs(1)));
        for (asked, named) in [
            (
                PluginLimits { memory: MAX_MEMORY + 1, ..most },
                "memory 1073741825 bytes, but at most 1073741824 bytes",
            ),
            (PluginLimits { time: Duration::from_millis(1500), ..most }, "time 1.5s, but at most 1s"),
            (PluginLimits { component: u64::MAX, ..most }, "component"),
        ] {
            let failure = Limits::granted(asked, most).unwrap_err();
            assert!(failure.to_string().contains(named), "{failure}");
        }
    }

    #[test]
    fn the_clock_grants_at_least_the_limit() {
        let limits = Limits { memory: 0, time: Duration::from_millis(500) };
        assert_eq!(limits.epochs(), 101);
        assert_eq!(limits.fuel(), 1_000_000_000);
    }
}
