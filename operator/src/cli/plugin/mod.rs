//! `tollkeeper plugin`: the vendor's bench, one file a verb.

mod component;
mod inspect;
mod keygen;
mod progress;
mod pull;
mod push;
mod registry;
mod sign;
mod signer;
mod verify;

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
    Push(push::Push),
    Pull(pull::Pull),
    Keygen(keygen::Keygen),
    Sign(sign::Sign),
    Verify(verify::Verify),
}

impl Plugin {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.verb {
            Verb::Inspect(inspect) => inspect.run(),
            Verb::Push(push) => push.run(),
            Verb::Pull(pull) => pull.run(),
            Verb::Keygen(keygen) => keygen.run(),
            Verb::Sign(sign) => sign.run(),
            Verb::Verify(verify) => verify.run(),
        }
    }
}
