//! The one engine of a host: which WebAssembly it takes, and how it stops it.

use wasmtime::{Config, Engine, Result};

use crate::limits::WASM_STACK;

/// An engine for deterministic, interruptible plugins.
///
/// Off is what a meter does not need and what makes outcomes depend on the machine or has had security holes: relaxed SIMD,
/// memory64, tail calls, wide arithmetic, custom page sizes. Threads and GC are not even compiled in. Multi-memory stays on:
/// without it this wasmtime panics on components whose parts have a memory each.
pub(crate) fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK);
    Engine::new(&config)
}
