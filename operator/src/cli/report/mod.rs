//! `tollkeeper report`: reads the ledger. Nothing here writes to it.

mod list;

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
}

impl Report {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.verb {
            Verb::List(list) => list.run(),
        }
    }
}
