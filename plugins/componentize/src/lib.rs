//! Turns the core module of a guest into a component, with the library that `wasm-tools component new` uses, at the version
//! of the workspace's lock file: everybody who builds a guest gets the same bytes.

use std::fmt;

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

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

/// A component of a module for `wasi_snapshot_preview1` that does not name its interface, as Go's do: the interface is the
/// world `plugin` of the given WIT, and an adapter turns the old WASI into the one that components have.
pub fn component_of_wasi(module: &[u8], wit: &str) -> Result<Vec<u8>, EncodeError> {
    encode_wasi(module, wit).map_err(|error| EncodeError(format!("{error:#}")))
}

fn encode_wasi(module: &[u8], wit: &str) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("meter.wit", wit)?;
    let world = resolve.select_world(&[package], Some("plugin"))?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .adapter("wasi_snapshot_preview1", WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
}
