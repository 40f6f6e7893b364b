//! `tollkeeper compile-plugin`: the process in which `run` compiles. Not for people.

use std::process::ExitCode;

use clap::Args;

/// Compile the component on standard input to machine code on standard output.
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct CompilePlugin {
    /// Bytes of memory that this may take.
    #[arg(long)]
    memory: u64,
}

impl CompilePlugin {
    pub(crate) fn run(&self) -> ExitCode {
        tollkeeper_plugin_host::compile_standard_input(self.memory)
    }
}
