//! The plugin host of commands that end: it compiles in a process of its own and keeps the machine code in the user's cache,
//! so that the next command finds it. Without a home there is no cache, and it compiles in this process.

use std::{
    env,
    path::{Path, PathBuf},
};

use tollkeeper_plugin_host::{Apart, Compilation, Evaluation, HostSettings, MAXIMA, WasmHost};

use super::Failure;

/// Bytes of machine code to keep: some dozen plugins, the largest of which has 32 MB.
const CACHE_SIZE: u64 = 512 << 20;

/// Memory that compiling may take. On a vendor's machine no pod's limit is near; the largest known plugin takes 450 MB.
const COMPILE_MEMORY: u64 = 2 << 30;

/// A host that remembers what it compiled.
pub(super) fn host() -> Result<WasmHost, Failure> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = || folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    match folder("TOLLKEEPER_CACHE_DIR").or_else(|| caches().map(|caches| caches.join("tollkeeper/compiled")))
    {
        Some(cache) => host_in(&cache),
        None => WasmHost::new(Evaluation::Inline).map_err(Failure::new),
    }
}

/// A host that keeps what it compiles in this folder.
pub(super) fn host_in(cache: &Path) -> Result<WasmHost, Failure> {
    std::fs::create_dir_all(cache)
        .map_err(|error| Failure::new(format!("{} cannot be made: {error}", cache.display())))?;
    let program = env::current_exe()
        .map_err(|error| Failure::new(format!("this program cannot find itself: {error}")))?;
    WasmHost::with(HostSettings {
        evaluation: Evaluation::Inline,
        compilation: Compilation::Apart(Apart {
            program,
            arguments: vec!["compile-plugin".to_owned()],
            memory: COMPILE_MEMORY,
            cache: cache.to_owned(),
            cache_size: CACHE_SIZE,
        }),
        maxima: MAXIMA,
    })
    .map_err(Failure::new)
}
