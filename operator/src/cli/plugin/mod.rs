//! `tollkeeper plugin`: the vendor's bench, one file a verb.

mod component;
mod inspect;

use clap::{Args, Subcommand};

use super::Failure;

/// Make, check, publish and look at meters.
#[derive(Debug, Args)]
pub(crate) struct Plugin {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Inspect(inspect::Inspect),
}

impl Plugin {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.verb {
            Verb::Inspect(inspect) => inspect.run(),
        }
    }
}
