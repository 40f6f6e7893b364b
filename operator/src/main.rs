//! Tollkeeper: meters what runs in a cluster and bills it on AWS Marketplace, every hour exactly once.

mod cli;
mod clock;
mod manifest;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;

/// The default allocator keeps what list and watch bursts took; jemalloc gives it back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
