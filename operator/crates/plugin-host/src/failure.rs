//! From what wasmtime says to a [`PluginFailure`].

use tollkeeper_core::{
    plugin::PluginFailure,
    quote::{clip, clip_middle},
};
use wasmtime::{Error, Trap};

use crate::{
    bindings::exports::tollkeeper::meter::meter::Failure,
    call::CallState,
    limits::{Limits, MAX_MESSAGE},
    wasi::Stopped,
};

/// How wasmtime words that a call hands over too much at once; its error type is private.
const HOSTCALL_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// How wasmtime words that a component has too many memories, tables or instances.
const TOO_MANY_PARTS: &str = "resource limit exceeded";

/// Why a call ended without a result.
pub(crate) fn of_call(error: &Error, state: &CallState, limits: Limits) -> PluginFailure {
    if state.memory.refused {
        return PluginFailure::OutOfMemory(limits.memory);
    }
    match error.downcast_ref::<Stopped>() {
        Some(Stopped::NotGiven(function)) => return PluginFailure::ForbiddenImport(function.clone()),
        Some(exited) => return PluginFailure::Trapped(with_complaints(&exited.to_string(), state)),
        None => {}
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => PluginFailure::OutOfFuel { fuel: limits.fuel(), time: limits.time },
        Some(Trap::Interrupt) => PluginFailure::TimedOut(limits.time),
        Some(trap) => PluginFailure::Trapped(with_complaints(&trap.to_string(), state)),
        None if says(error, HOSTCALL_FUEL) => {
            PluginFailure::TooLarge("it handed the host more at once than any valid result has".into())
        }
        None if says(error, TOO_MANY_PARTS) => {
            PluginFailure::TooLarge(clip(&error.root_cause().to_string(), MAX_MESSAGE))
        }
        None if state.memory.starved => PluginFailure::Internal(clip(
            &format!("the machine has no memory for it: {error:#}"),
            MAX_MESSAGE,
        )),
        None => PluginFailure::InvalidOutput(clip(&error.root_cause().to_string(), MAX_MESSAGE)),
    }
}

fn says(error: &Error, words: &str) -> bool {
    error.chain().any(|cause| cause.to_string().contains(words))
}

/// What the plugin itself says went wrong.
pub(crate) fn of_guest(failure: Failure) -> PluginFailure {
    match failure {
        Failure::InvalidConfig(message) => PluginFailure::InvalidConfig(clip(&message, MAX_MESSAGE)),
        Failure::MissingInput(message) => PluginFailure::MissingInput(clip(&message, MAX_MESSAGE)),
        Failure::Internal(message) => PluginFailure::Internal(clip(&message, MAX_MESSAGE)),
    }
}

/// A guest's panic hook writes to the log before it traps, and its text says more than `unreachable`. Of a long one either end
/// may say what happened: Go begins with it, Python ends with it.
fn with_complaints(trap: &str, state: &CallState) -> String {
    match state.log.complaints() {
        Some(complaints) => clip_middle(&format!("{trap}; it logged: {complaints}"), MAX_MESSAGE),
        None => trap.to_owned(),
    }
}
