//! The engine of a host: which WebAssembly it takes, how it stops it, where instances get their memory.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result};

use crate::limits::{MAX_INSTANCES, MAX_MEMORIES, MAX_MEMORY, MAX_TABLE, MAX_TABLES, WASM_STACK};

/// Bytes of each memory and table that stay with the pool between calls: a small meter never asks the kernel for pages.
const RESIDENT_MEMORY: usize = 1 << 20;
const RESIDENT_TABLE: usize = 64 << 10;

/// Bytes of wasmtime's own data of an instance; Python's, the largest known, has a tenth of it.
const INSTANCE_DATA: usize = 16 << 20;

/// An engine that compiles plugins and runs them.
pub(crate) fn compile_and_run() -> Result<Engine> {
    running(&compiling(settings()))
}

/// An engine for the compiling process, which has no memory to spare for instances.
pub(crate) fn only_compile() -> Result<Engine> {
    Engine::new(&compiling(settings()))
}

/// An engine that runs what another process has compiled and cannot compile anything.
pub(crate) fn only_run() -> Result<Engine> {
    let mut config = settings();
    config.enable_compiler(false);
    running(&config)
}

fn running(config: &Config) -> Result<Engine> {
    pooled(config).map_or_else(|| Engine::new(config), Ok)
}

/// What only the compiler needs to know: a NaN has the same bits on every machine.
pub(crate) fn compiling(mut config: Config) -> Config {
    config.cranelift_nan_canonicalization(true);
    config
}

/// Off is what a meter does not need and what makes outcomes depend on the machine or has had security holes: relaxed SIMD,
/// memory64, tail calls, wide arithmetic, custom page sizes. Threads and GC are not even compiled in. Multi-memory stays on:
/// without it this wasmtime panics on components whose parts have a memory each.
pub(crate) fn settings() -> Config {
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
        .consume_fuel(true)
        .epoch_interruption(true)
        // For native debuggers only. Handing it to the system at every load reads all of it, from pages that nothing else needs.
        .native_unwind_info(false)
        .max_wasm_stack(WASM_STACK);
    config
}

/// The same engine with a pool of memory for one instance at a time.
///
/// The pool only pays where the kernel finds the pages that a call has touched (Linux 6.7); it also reserves 4 GiB of address
/// space for every memory, which a process may be denied. Without it, memory is mapped for each call.
fn pooled(config: &Config) -> Option<Engine> {
    if !PoolingAllocationConfig::is_pagemap_scan_available() {
        return None;
    }
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1)
        .total_core_instances(count(MAX_INSTANCES))
        .total_memories(count(MAX_MEMORIES))
        .total_tables(count(MAX_TABLES))
        .max_memories_per_module(count(MAX_MEMORIES))
        .max_tables_per_module(count(MAX_TABLES))
        .max_component_instance_size(INSTANCE_DATA)
        .max_core_instance_size(INSTANCE_DATA)
        .max_memory_size(usize::try_from(MAX_MEMORY).unwrap_or(usize::MAX))
        .table_elements(MAX_TABLE)
        .pagemap_scan(Enabled::Yes)
        .linear_memory_keep_resident(RESIDENT_MEMORY)
        .table_keep_resident(RESIDENT_TABLE);
    let mut config = config.clone();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).ok()
}

fn count(parts: usize) -> u32 {
    u32::try_from(parts).unwrap_or(u32::MAX)
}
