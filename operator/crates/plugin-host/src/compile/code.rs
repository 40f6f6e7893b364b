//! Machine code that a plugin can be called with whenever it is wanted.

use std::path::Path;

use tollkeeper_core::{plugin::PluginFailure, quote::clip};
use wasmtime::{Engine, component::Component};

use super::{cache::Whole, map::map, original::Original};
use crate::limits::MAX_MESSAGE;

/// Where the machine code of a component is.
pub(crate) enum Code {
    /// On the heap of the process that compiled it: it cannot be had again.
    Here(Component),
    /// In a file of the cache, and what it was made of, if there was room to keep that.
    File(Whole, Option<Original>),
}

impl Code {
    /// What can be linked and called; of a file, a new mapping.
    pub(crate) fn component(&self, engine: &Engine) -> Result<Component, PluginFailure> {
        match self {
            Self::Here(component) => Ok(component.clone()),
            Self::File(whole, _) => map(engine, whole).map_err(|error| {
                let why = format!("its machine code cannot be mapped again: {error:#}");
                PluginFailure::Internal(clip(&why, MAX_MESSAGE))
            }),
        }
    }

    /// Bytes that a mapping takes at most.
    pub(crate) fn mapped(&self) -> u64 {
        match self {
            Self::Here(_) => 0,
            Self::File(whole, _) => whole.length(),
        }
    }

    /// The file that it was in, if somebody has written to that.
    pub(crate) fn damaged(&self) -> Option<&Path> {
        match self {
            Self::Here(_) => None,
            Self::File(whole, _) => whole.check().is_err().then(|| whole.name()),
        }
    }

    /// The component that it was made of.
    pub(crate) fn original(&self) -> Result<Vec<u8>, PluginFailure> {
        let lost = |why: &str| {
            PluginFailure::Internal(format!(
                "its machine code was written to and cannot be made again: {why}; restart the operator"
            ))
        };
        match self {
            Self::File(_, Some(original)) => original.read().map_err(|error| lost(&error.to_string())),
            _ => Err(lost("its component was not kept")),
        }
    }
}
