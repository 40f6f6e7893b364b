//! The seams of the core as one process sees them: each effect passes through the schedule of faults and the oracle.

mod aws;
mod checkpoints;
mod clock;
mod hand;
mod ledger;
mod marks;
mod plugin;
mod recorder;
mod statements;

pub(crate) use self::{
    aws::ChaosMetering,
    checkpoints::ChaosCheckpoints,
    clock::ProcessClock,
    hand::Hand,
    ledger::ChaosLedger,
    marks::ChaosMarks,
    plugin::{ChaosInputs, ChaosPlugin, PlainPlugin},
    recorder::ChaosRecorder,
    statements::ChaosStatements,
};
