//! Host side of `plugins/wit`, generated: arguments are borrowed from the inputs, results are owned.
//!
//! The only place with unsafe code: the generated accessors skip a type check that loading the export has already done.
#![allow(missing_docs, unreachable_pub, unsafe_code, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../../plugins/wit",
    world: "plugin",
    ownership: Borrowing { duplicate_if_necessary: true },
});
