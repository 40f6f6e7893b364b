//! The compiling process: takes its own powers away, compiles what it is fed, and ends.

use std::{
    io::{self, Read as _, Write as _},
    process::ExitCode,
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, nice, setrlimit};

use super::here::STACK;
use crate::{engine, limits::MAX_COMPONENT};

/// How the process ends when the component is at fault; its words on standard error say why.
pub(super) const REFUSED: u8 = 3;

/// Time on a processor. The slowest known component (StarlingMonkey, 12 MB) takes 8 s on a server of 2024.
pub(super) const LONGEST_WORK: Duration = Duration::from_secs(60);

/// Bytes of machine code. It has up to four times the bytes of a component, of which the largest has 32 MiB.
pub(super) const LARGEST_ARTEFACT: u64 = 4 * MAX_COMPONENT;

/// Behind everything that meters: compiling waits, a tick does not.
const NICE: i32 = 10;

/// Compiles the component on standard input into machine code on standard output, within `memory` bytes.
///
/// For a process that does nothing else: its limits are final.
pub fn compile_standard_input(memory: u64) -> ExitCode {
    let done = restrict(memory).map_err(|error| (ExitCode::FAILURE, error.to_string())).and_then(|()| {
        let thread = thread::Builder::new().stack_size(STACK).spawn(compile);
        let compiled = thread.map_err(|error| (ExitCode::FAILURE, error.to_string()))?.join();
        // The panic has been printed.
        compiled.unwrap_or_else(|_| Err((ExitCode::from(101), String::new())))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            let _ = io::stderr().write_all(why.as_bytes());
            code
        }
    }
}

/// Memory counts what is written to, as the limit of a container does: addresses that are only reserved cost nothing.
fn restrict(memory: u64) -> io::Result<()> {
    // A second more before the signal that says nothing.
    let work = Rlimit { current: Some(LONGEST_WORK.as_secs()), maximum: Some(LONGEST_WORK.as_secs() + 1) };
    setrlimit(Resource::Cpu, work)?;
    for (resource, most) in
        [(Resource::Data, memory), (Resource::Fsize, LARGEST_ARTEFACT), (Resource::Core, 0)]
    {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    nice(NICE)?;
    Ok(())
}

fn compile() -> Result<(), (ExitCode, String)> {
    let failed = |error: io::Error| (ExitCode::FAILURE, error.to_string());
    let refused = |error: wasmtime::Error| (ExitCode::from(REFUSED), format!("{error:#}"));
    let mut component = Vec::new();
    io::stdin().take(MAX_COMPONENT + 1).read_to_end(&mut component).map_err(failed)?;
    let engine = engine::only_compile().map_err(|error| (ExitCode::FAILURE, format!("{error:#}")))?;
    let artefact = engine.precompile_component(&component).map_err(refused)?;
    io::stdout().write_all(&artefact).and_then(|()| io::stdout().flush()).map_err(failed)
}
