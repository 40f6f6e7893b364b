//! `tollkeeper plugin`: the vendor's bench, one file a verb.

mod bench;
mod build;
mod check;
pub(super) mod component;
mod deck;
mod inspect;
mod interfaces;
mod keygen;
mod language;
mod new;
mod outcome;
mod play;
mod pull;
mod push;
mod record;
mod registry;
mod replay;
mod run;
mod setting;
mod sign;
mod signer;
mod simulate;
mod subject;
mod verify;

use clap::{Args, Subcommand};

use super::{Failure, progress};

/// Make, check, publish and look at meters.
#[derive(Debug, Args)]
pub(crate) struct Plugin {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    New(new::New),
    Build(build::Build),
    Check(check::Check),
    Bench(bench::Bench),
    Simulate(simulate::Simulate),
    Inspect(inspect::Inspect),
    Run(run::Run),
    Record(record::Record),
    Replay(replay::Replay),
    Push(push::Push),
    Pull(pull::Pull),
    Keygen(keygen::Keygen),
    Sign(sign::Sign),
    Verify(verify::Verify),
}

impl Plugin {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.verb {
            Verb::New(new) => new.run(),
            Verb::Build(build) => build.run(),
            Verb::Check(check) => check.run(),
            Verb::Bench(bench) => bench.run(),
            Verb::Simulate(simulate) => simulate.run(),
            Verb::Inspect(inspect) => inspect.run(),
            Verb::Run(run) => run.run(),
            Verb::Record(record) => record.run(),
            Verb::Replay(replay) => replay.run(),
            Verb::Push(push) => push.run(),
            Verb::Pull(pull) => pull.run(),
            Verb::Keygen(keygen) => keygen.run(),
            Verb::Sign(sign) => sign.run(),
            Verb::Verify(verify) => verify.run(),
        }
    }
}
