//! What must hold when all faults are over and everything had its time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{
    audit,
    ledger::Entry,
    product::{LatePolicy, Rounding},
    quantity::Quantity,
    settlement::RecordState,
    statement::{StatementBody, StoredStatement, rolled_up},
};
use tollkeeper_simulator::BooksView;

use super::Oracle;
use crate::{
    cell::{AwsFault, Cell, Deed, Happening, InputFault, Successor, Takeover},
    schedule::Schedule,
    tenant::Tenant,
    workload::{COUNTER, GAUGE, HIGHEST_GAUGE, Workload},
};

/// The end of a run.
pub(crate) struct Ending<'a> {
    pub(crate) schedule: &'a Schedule,
    pub(crate) workload: &'a Workload,
    /// Oldest first, with those that were deleted.
    pub(crate) entries: &'a [Entry],
    pub(crate) statements: &'a [StoredStatement],
    pub(crate) books: &'a BooksView,
    pub(crate) now: Timestamp,
    /// Usage that sources lost with their totals: nobody could have known it.
    pub(crate) lost_in_resets: Quantity,
}

impl Oracle {
    pub(crate) fn note_end(&mut self, ending: &Ending<'_>) {
        for violation in audit::violations(ending.entries) {
            self.breach(violation.invariant, ending.now, &violation.to_string());
        }
        self.check_books(ending);
        self.check_conservation(ending);
        self.check_counters(ending);
        self.check_gauges(ending);
        self.check_settled(ending);
        self.check_bill(ending);
        self.check_statements(ending);
    }

    /// I4 for the books: what was counted a day at a time, whatever died in between, is what all reports come to.
    fn check_statements(&mut self, ending: &Ending<'_>) {
        for stored in ending.statements {
            let (statement, month) = (&stored.statement, stored.statement.body.month);
            let end = statement.body.through.next();
            let kept = rolled_up(Some(statement), None, ending.entries, month, end);
            let anew = rolled_up(None, None, ending.entries, month, end)
                .map(|body| StatementBody { pruned_through: statement.body.pruned_through, ..body });
            if !statement.is_intact() || kept != anew {
                self.breach(
                    "I4",
                    ending.now,
                    &format!("{} says {kept:?}, reports say {anew:?}", stored.key()),
                );
            }
        }
    }

    /// I1 for usage: AWS is not told more than there was, whatever the ledger says. A second charge that the policy allows, and
    /// rounding up, are apart.
    fn check_bill(&mut self, ending: &Ending<'_>) {
        let Some(first) = self.first_tick else { return };
        if !self.released.is_empty() || ending.schedule.setting.rounding != Rounding::Carry {
            return;
        }
        // Late inputs of the first tick are a baseline of the tick before.
        let first = first - SignedDuration::from_secs(i64::from(ending.schedule.setting.interval));
        let used = ending.workload.counted(first, ending.workload.end());
        let counted = ending.books.accepted.iter().filter(|record| record.dimension == COUNTER);
        let billed: Quantity = counted.map(|record| record.quantity.0).sum();
        if billed > used {
            self.breach(
                "I1",
                ending.now,
                &format!("AWS bills {billed} {COUNTER}, but only {used} were used"),
            );
        }
    }

    /// I1: the ledger and AWS's books tell one story.
    fn check_books(&mut self, ending: &Ending<'_>) {
        let mut taken: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        for record in &ending.books.accepted {
            let slot = (record.hour.to_string(), record.dimension.clone());
            taken.entry(slot).or_default().push(whole(record.quantity.0));
        }
        for entry in ending.entries {
            for (record, status) in entry.report.body.records.iter().zip(&entry.settlement.records) {
                let slot = (entry.report.body.hour.to_string(), record.dimension.to_string());
                let taken = taken.remove(&slot).unwrap_or_default();
                let name = (entry.key().name, record.dimension.to_string());
                let at_most = if self.released.contains(&name) { 2 } else { 1 };
                let (key, dimension) = (entry.key(), &record.dimension);
                if taken.len() > at_most {
                    self.breach(
                        "I1",
                        ending.now,
                        &format!("{key} {dimension} is billed {} times", taken.len()),
                    );
                }
                // It was billed before the backup was put back; what was sealed in its place is not sent.
                let is_in_doubt = matches!(status.state, RecordState::Ambiguous | RecordState::WrittenOff)
                    && self.may_be_forgotten(entry.report.body.hour);
                if !is_in_doubt && taken.iter().any(|units| *units != u64::from(record.quantity)) {
                    self.breach("I2", ending.now, &format!("{key} {dimension} is billed with {taken:?}"));
                }
                let is_known = match status.state {
                    // Sent again on purpose, by another pod: its refusal says nothing about the first attempt.
                    _ if self.released.contains(&name) => true,
                    RecordState::Accepted => !taken.is_empty(),
                    // It may have been taken: that is what these states say.
                    RecordState::Ambiguous | RecordState::WrittenOff | RecordState::Sending => true,
                    _ => taken.is_empty(),
                };
                if !is_known {
                    let state = status.state;
                    self.breach(
                        "I1",
                        ending.now,
                        &format!("{key} {dimension} is {state:?}, AWS has {taken:?}"),
                    );
                }
            }
        }
        let is_forgotten = |hour: &str| hour.parse().is_ok_and(|hour| self.may_be_forgotten(hour));
        let unknown: Vec<_> = taken.into_keys().filter(|(hour, _)| !is_forgotten(hour)).collect();
        for (hour, dimension) in unknown {
            self.breach("I1", ending.now, &format!("AWS has {dimension} of {hour} and no report does"));
        }
    }

    /// I4: what was measured is in exactly one place.
    fn check_conservation(&mut self, ending: &Ending<'_>) {
        let rounds = ending.schedule.setting.rounding != Rounding::Carry;
        for ((_, dimension), total) in audit::totals(ending.entries) {
            let units = total.billed + total.written_off + total.rejected + total.held + total.unsettled;
            let placed = Quantity::from_micros(u128::from(units) * 1_000_000) + total.remainder;
            // Rounding up or to the nearest unit changes each record by less than one.
            let slack = if rounds { ending.entries.len() } else { 0 };
            let slack = Quantity::from_units(u32::try_from(slack).unwrap_or_default());
            let is_conserved = placed.saturating_sub(total.measured) <= slack
                && total.measured.saturating_sub(placed) <= slack;
            if !is_conserved {
                let measured = total.measured;
                self.breach("I4", ending.now, &format!("{dimension}: measured {measured}, placed {placed}"));
            }
        }
    }

    /// I4: each increase of a counter is in exactly one hour, whatever died in between.
    fn check_counters(&mut self, ending: &Ending<'_>) {
        let Some(first) = self.first_tick else { return };
        let measured = self.measured(ending, COUNTER);
        let end = ending.workload.end();
        // Until a checkpoint is durable, a new process starts with a new baseline.
        let durable = self.tenant.namespaces().iter().map(|name| format!("{name}/{name}"));
        let durable =
            durable.filter_map(|binding| self.checkpoints.get(&binding)).map(|(first, _)| *first).max();
        let is_late = self.tenant == Tenant::First
            && ending.schedule.has(|cell| matches!(cell, Cell::At(_, Deed::Input(InputFault::Late))));
        let baseline = if is_late {
            // Late inputs of the first tick are a baseline of the tick before.
            first - SignedDuration::from_secs(i64::from(ending.schedule.setting.interval))
        } else {
            first
        };
        let most = ending.workload.counted(baseline, end);
        let least = durable.map_or(Quantity::ZERO, |durable| ending.workload.counted(durable, end));
        if measured > most {
            self.breach("I4", ending.now, &format!("counted {measured}, but only {most} were used"));
        }
        // A source that appears while ticks are missed, or that the first ticks do not see, has a baseline above zero, as
        // the contract says. One that is away when a backup is put back has its increase in an hour that is sealed by then.
        let is_exact =
            self.forgotten.is_none() && !ending.workload.has_new_sources() && !self.has_hidden_source;
        if is_exact && measured + ending.lost_in_resets < least {
            self.breach("I4", ending.now, &format!("counted {measured}, but {least} were used"));
        }
    }

    fn check_gauges(&mut self, ending: &Ending<'_>) {
        let measured = self.measured(ending, GAUGE);
        let hours = u128::from(ending.schedule.setting.hours) + 3;
        let most = Quantity::from_micros(HIGHEST_GAUGE.micros() * 2 * hours);
        if measured > most {
            self.breach("I4", ending.now, &format!("gauges come to {measured}, above {most}"));
        }
    }

    fn measured(&self, ending: &Ending<'_>, dimension: &str) -> Quantity {
        let totals = audit::totals(ending.entries);
        let own = totals.iter().filter(|((_, name), _)| name.as_str() == dimension);
        own.map(|(_, total)| total.measured).sum()
    }

    /// I6: everything is settled, and as well as its faults allow.
    fn check_settled(&mut self, ending: &Ending<'_>) {
        let excuses = Excuses::of(ending.schedule, self.tenant);
        for entry in ending.entries {
            for (record, status) in entry.report.body.records.iter().zip(&entry.settlement.records) {
                let is_excused = match status.state {
                    RecordState::Accepted => true,
                    RecordState::Rejected => excuses.refusals,
                    RecordState::WrittenOff => excuses.doubt || excuses.lateness,
                    RecordState::CarriedForward => excuses.lateness,
                    RecordState::Held => excuses.lateness && ending.schedule.setting.late == LatePolicy::Hold,
                    // Only the last hours may still wait for a later hour to carry them.
                    RecordState::Expired => {
                        excuses.lateness && ending.schedule.setting.late == LatePolicy::CarryForward
                    }
                    RecordState::Sealed | RecordState::Sending | RecordState::Ambiguous => false,
                };
                let is_recent =
                    ending.now.duration_since(entry.report.body.hour.end()) < SignedDuration::from_hours(1);
                if !is_excused && !is_recent {
                    let (key, dimension, state) = (entry.key(), &record.dimension, status.state);
                    let reason = status.reason.as_deref().unwrap_or("none");
                    self.breach(
                        "I6",
                        ending.now,
                        &format!("{key} {dimension} is {state:?} ({reason}) without a cause"),
                    );
                }
            }
        }
    }
}

fn whole(quantity: Quantity) -> u64 {
    u64::try_from(quantity.micros() / 1_000_000).unwrap_or(u64::MAX)
}

/// What the faults of a schedule can be blamed for.
struct Excuses {
    /// AWS said no for good.
    refusals: bool,
    /// A pod is gone that may have sent.
    doubt: bool,
    /// The window passed.
    lateness: bool,
}

impl Excuses {
    fn of(schedule: &Schedule, tenant: Tenant) -> Self {
        // What happens to the first product is no excuse for what becomes of another one.
        let has = |is_wanted: &dyn Fn(Cell) -> bool| {
            schedule.has(|cell| is_wanted(cell) && (tenant == Tenant::First || !cell.is_of_one_product()))
        };
        let is_long = |happening: Happening| match happening {
            Happening::ApiServerDown(seconds) | Happening::AwsDown(seconds) => seconds >= 3600,
            Happening::ClockAhead | Happening::ClockBehind => true,
            _ => false,
        };
        let lateness = has(&|cell| matches!(cell, Cell::On(happening) if is_long(happening)))
            || has(&|cell| matches!(cell, Cell::At(_, Deed::Aws(AwsFault::Named(_)))));
        let doubt = has(&|cell| match cell {
            Cell::At(_, Deed::Kill(_, next)) => next == Successor::NewPod,
            Cell::At(_, Deed::Suspend(_, takeover)) => takeover == Takeover::AnotherPod,
            Cell::On(happening) => {
                matches!(
                    happening,
                    Happening::SecondLeader | Happening::Restart(Successor::NewPod) | Happening::Restored(_)
                )
            }
            Cell::At(..) => false,
        });
        let refusals = has(&|cell| {
            matches!(
                cell,
                Cell::At(_, Deed::Aws(AwsFault::Named(_)))
                    | Cell::On(Happening::NotEntitled(_) | Happening::ClockAhead | Happening::ClockBehind)
            )
        });
        Self { refusals, doubt, lateness }
    }
}
