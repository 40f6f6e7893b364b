//! The production code of metering and settling in a world of faults: one thread, a virtual clock, a seeded schedule.
//!
//! A [`schedule::Schedule`] says everything that will go wrong; [`run::run`] plays it and returns every broken invariant.
//! The same schedule gives the same run. Nothing here knows how the production code does its work: all faults come through the
//! seams of the core (ledger, checkpoints, AWS, plugin, inputs, clock), and the death of a process is the end of its future.

mod backup;
pub mod cell;
pub mod mutant;
mod oracle;
mod process;
mod random;
pub mod run;
pub mod schedule;
mod seams;
pub mod shrink;
pub mod table;
mod tenant;
mod workload;
mod world;

/// A run is many small values that live for a moment: with the default allocator they take half of its time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
