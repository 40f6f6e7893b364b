//! `tollkeeper report`: reads the ledger, proves it, and lets a person decide what nothing else can.

mod cost;
mod decide;
mod explain;
mod export;
mod list;
mod place;
mod readings;
mod replay;
mod verify;

use clap::{Args, Subcommand};

use super::Failure;

/// Read the ledger: what was measured, what was billed, and what became of every record.
#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Explain(explain::Explain),
    Verify(verify::Verify),
    Export(export::Export),
    Cost(cost::Cost),
    Replay(replay::Replay),
    Resolve(decide::Resolve),
    WriteOff(decide::WriteOff),
    Release(decide::Release),
    Acknowledge(decide::Acknowledge),
}

impl Report {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.verb {
            Verb::List(list) => list.run(),
            Verb::Explain(explain) => explain.run(),
            Verb::Verify(verify) => verify.run(),
            Verb::Export(export) => export.run(),
            Verb::Cost(cost) => cost.run(),
            Verb::Replay(replay) => replay.run(),
            Verb::Resolve(resolve) => resolve.run(),
            Verb::WriteOff(write_off) => write_off.run(),
            Verb::Release(release) => release.run(),
            Verb::Acknowledge(acknowledge) => acknowledge.run(),
        }
    }
}

/// Runs what a verb does: one thing after another, on one thread.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the runtime cannot start: {error}")))?
        .block_on(work)
}
