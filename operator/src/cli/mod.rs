//! The verbs, one file each. Every verb ends with 0, with 1 and one sentence on standard error, or with 2 for wrong usage.

mod aws;
mod cluster;
mod compile_plugin;
mod crds;
mod log;
mod money;
mod plugin;
mod print;
mod progress;
mod recorded;
mod registry;
mod render;
mod report;
mod run;
mod simulate;
mod workshop;

use std::{fmt, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

/// Meters what runs in a Kubernetes cluster and bills it on AWS Marketplace, every hour exactly once.
#[derive(Debug, Parser)]
#[command(name = "tollkeeper", version, max_term_width = 120)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Run),
    Simulate(simulate::Simulate),
    Aws(aws::Aws),
    Plugin(plugin::Plugin),
    Report(report::Report),
    Crds(crds::Crds),
    CompilePlugin(compile_plugin::CompilePlugin),
}

/// How a verb prints what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table for people.
    Text,
    /// One JSON document.
    Json,
}

/// Why a verb did not do what it was asked: one clear sentence.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs one verb.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let ended = match arguments.verb {
        Verb::Run(run) => run.run(),
        Verb::Simulate(simulate) => simulate.run(),
        Verb::Aws(aws) => aws.run(),
        Verb::Plugin(plugin) => plugin.run(),
        Verb::Report(report) => report.run(),
        Verb::Crds(crds) => crds.run(),
        Verb::CompilePlugin(compile) => return compile.run(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::error(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Ends when the process is asked to end: SIGTERM or SIGINT.
pub(crate) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).ok();
    let mut interrupt = signal(SignalKind::interrupt()).ok();
    let terminated = async {
        match terminate.as_mut() {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        }
    };
    let interrupted = async {
        match interrupt.as_mut() {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminated => {}
        _ = interrupted => {}
    }
}
