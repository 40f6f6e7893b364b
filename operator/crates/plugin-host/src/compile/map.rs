//! Machine code from a file into this process: the one place where this crate's own code is unsafe.

use wasmtime::{Engine, Result, component::Component};

use super::cache::Whole;

/// Maps an artefact of the cache. Fails if another version or configuration of wasmtime made it, or
/// if it was changed.
#[allow(
    unsafe_code,
    reason = "wasmtime cannot check machine code; mapping it is what keeps the compiler out of the operator"
)]
pub(super) fn map(engine: &Engine, artefact: &Whole) -> Result<Component> {
    let path = artefact.path()?;
    // SAFETY: the file must be what wasmtime's compiler wrote and must stay so while it is mapped. A `Whole` is a regular
    // file of ours in a folder of ours that nobody else may enter (mode 0700, both checked when it was opened). Its name
    // carries the SHA-256 of what the compiling process, this very program, wrote; it was compared when the file was found
    // or made. A `Whole` was opened when length, inode and time of change were those of that moment, and holds the file open;
    // its length and time of writing were compared again just now. Files of the cache are made by renaming, removed by
    // unlinking, and never written again, so no mapping changes under a plugin.
    unsafe { Component::deserialize_file(engine, path) }
}
