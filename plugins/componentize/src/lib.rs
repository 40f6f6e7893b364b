//! Turns the core module of a guest into a component, with the library that `wasm-tools component new` uses, at the version
//! of the workspace's lock file: everybody who builds a guest gets the same bytes.

use std::fmt;

use wit_component::ComponentEncoder;

/// Why a module is no component's.
#[derive(Debug)]
pub struct EncodeError(String);

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the module cannot be made a component: {}", self.0)
    }
}

impl std::error::Error for EncodeError {}

/// A component of a module that names its interface itself, as Rust's do.
pub fn component(module: &[u8]) -> Result<Vec<u8>, EncodeError> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| EncodeError(format!("{error:#}")))
}
