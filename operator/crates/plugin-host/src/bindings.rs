//! Host side of `plugins/wit`, generated: arguments are borrowed from the inputs, results are owned.
//!
//! Unsafe because the generated accessors skip a type check that loading the export has already done; the only other place is
//! `compile/map.rs`.
#![allow(missing_docs, unreachable_pub, unsafe_code, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../../plugins/wit",
    world: "plugin",
    ownership: Borrowing { duplicate_if_necessary: true },
});
