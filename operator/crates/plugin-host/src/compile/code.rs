//! Machine code that a plugin can be called with whenever it is wanted.

use tollkeeper_core::{plugin::PluginFailure, quote::clip};
use wasmtime::{Engine, component::Component};

use super::{cache::Whole, map::map};
use crate::limits::MAX_MESSAGE;

/// Where the machine code of a component is.
pub(crate) enum Code {
    /// On the heap of the process that compiled it: it cannot be had again.
    Here(Component),
    /// In a file of the cache.
    File(Whole),
}

impl Code {
    /// What can be linked and called; of a file, a new mapping.
    pub(crate) fn component(&self, engine: &Engine) -> Result<Component, PluginFailure> {
        match self {
            Self::Here(component) => Ok(component.clone()),
            Self::File(whole) => map(engine, whole).map_err(|error| {
                let why = format!("its machine code cannot be mapped again: {error:#}; restart the operator");
                PluginFailure::Internal(clip(&why, MAX_MESSAGE))
            }),
        }
    }

    /// Bytes that a mapping takes at most.
    pub(crate) fn mapped(&self) -> u64 {
        match self {
            Self::Here(_) => 0,
            Self::File(whole) => whole.length(),
        }
    }
}
