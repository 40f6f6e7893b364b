//! How often each fault and each change of state was met in a number of runs.

use std::{collections::BTreeMap, fmt};

use tollkeeper_core::settlement::RecordState;

use crate::{cell::Cell, run::Verdict};

/// Sums over runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// Runs.
    pub runs: u64,
    /// Simulated hours.
    pub hours: u64,
    /// Hours that were computed again.
    pub replayed: u64,
    /// Hours of neighbours that were judged.
    pub neighbours: u64,
    /// Those of them that were compared with what they are without the first product's troubles.
    pub compared: u64,
    /// By cell of the matrix.
    pub fired: BTreeMap<Cell, u64>,
    /// By state before and after.
    pub transitions: BTreeMap<(RecordState, RecordState), u64>,
}

impl Table {
    /// Adds a run.
    pub fn add(&mut self, verdict: &Verdict) {
        self.runs += 1;
        self.hours += verdict.hours;
        self.replayed += verdict.replayed;
        let neighbour = verdict.neighbour.as_ref().map_or(0, |neighbour| neighbour.reports.len());
        let neighbour = u64::try_from(neighbour).unwrap_or_default();
        self.neighbours += neighbour;
        self.compared += if verdict.is_compared { neighbour } else { 0 };
        for cell in &verdict.fired {
            *self.fired.entry(*cell).or_default() += 1;
        }
        for (transition, count) in &verdict.transitions {
            *self.transitions.entry(*transition).or_default() += count;
        }
    }

    /// Adds another table.
    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.hours += other.hours;
        self.replayed += other.replayed;
        self.neighbours += other.neighbours;
        self.compared += other.compared;
        for (cell, count) in &other.fired {
            *self.fired.entry(*cell).or_default() += count;
        }
        for (transition, count) in &other.transitions {
            *self.transitions.entry(*transition).or_default() += count;
        }
    }

    /// Cells that no run has met.
    pub fn missing(&self) -> Vec<Cell> {
        Cell::all().into_iter().filter(|cell| !self.fired.contains_key(cell)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10}  fault", "times")?;
        for cell in Cell::all() {
            writeln!(f, "{:>10}  {cell}", self.fired.get(&cell).copied().unwrap_or_default())?;
        }
        writeln!(f, "{:>10}  change of a record's state", "times")?;
        for ((from, to), count) in &self.transitions {
            writeln!(f, "{count:>10}  {from:?} -> {to:?}")?;
        }
        writeln!(f, "{:>10}  hours computed again", self.replayed)?;
        writeln!(f, "{:>10}  hours of a neighbour", self.neighbours)?;
        writeln!(f, "{:>10}  of them compared with what they are without troubles", self.compared)?;
        write!(f, "{} runs, {} simulated hours", self.runs, self.hours)
    }
}
