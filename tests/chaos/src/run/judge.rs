//! The end of a run: the oracles look at everything, and two runs of one neighbour are compared.

use tollkeeper_core::{
    identity::{ClientToken, Digest},
    ledger::Entry,
    quantity::Quantity,
    settlement::RecordState,
};
use tollkeeper_simulator::BooksView;

use super::Stage;
use crate::{oracle::Ending, process, tenant::Tenant};

/// All that another product's troubles must not change of a product.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Of its reports, oldest first.
    pub reports: Vec<Digest>,
    /// What AWS accepted, in the order of hours: the token names the slot.
    pub accepted: Vec<(ClientToken, u64)>,
    /// Records that were not accepted before their deadline.
    pub late: Vec<String>,
}

impl Stage {
    /// Computes the recorded hours again.
    pub(super) fn replay(&mut self) {
        let now = self.world.now();
        let plugins = process::plugins(self.plugin);
        let mut state = self.world.state();
        for (process, recorder) in std::mem::take(&mut state.recorders) {
            for recording in recorder.recordings() {
                let tenant = Tenant::of(&recording.header.product.namespace);
                state.oracle(tenant).note_recording(process, &recording, &plugins, now);
            }
        }
    }

    /// Lets each product's oracle see the whole. Returns what became of the neighbour.
    pub(super) fn judge(&self, books: &BooksView) -> Option<Account> {
        let statements: Vec<_> = self.world.statements.backup().into_values().collect();
        let mut neighbour = None;
        for tenant in self.world.tenants().iter().copied() {
            let entries = self.entries(tenant);
            let code = tenant.code();
            let mut books = books.clone();
            books.accepted.retain(|record| record.product_code == code.as_str());
            let mut statements = statements.clone();
            statements.retain(|stored| Tenant::of(&stored.namespace) == tenant);
            let mut state = self.world.state();
            let watched = state.of(tenant);
            watched.oracle.note_end(&Ending {
                schedule: &self.world.schedule,
                workload: &watched.workload,
                entries: &entries,
                statements: &statements,
                books: &books,
                now: self.world.now(),
                lost_in_resets: match tenant {
                    Tenant::First => self.lost_in_resets,
                    Tenant::Neighbour => Quantity::ZERO,
                },
            });
            if tenant == Tenant::Neighbour {
                neighbour = Some(account(&entries, &books));
            }
        }
        neighbour
    }

    /// The reports of a product that are there and those that were deleted, oldest first.
    fn entries(&self, tenant: Tenant) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.world.ledger.backup().into_values().collect();
        entries.retain(|entry| Tenant::of(&entry.namespace) == tenant);
        entries.extend_from_slice(self.world.state().oracle(tenant).pruned());
        entries.sort_by_key(|entry| entry.report.body.hour);
        entries
    }
}

fn account(entries: &[Entry], books: &BooksView) -> Account {
    let mut account = Account::default();
    for entry in entries {
        let report = &entry.report;
        account.reports.push(report.hash.clone());
        for (record, status) in report.body.records.iter().zip(&entry.settlement.records) {
            let token = &record.client_token;
            let taken =
                books.accepted.iter().find(|taken| taken.client_token.as_deref() == Some(token.as_str()));
            if let Some(taken) = taken {
                let units = taken.quantity.0.micros() / 1_000_000;
                account.accepted.push((token.clone(), u64::try_from(units).unwrap_or(u64::MAX)));
            }
            let is_in_time = status.state == RecordState::Accepted
                && taken.is_some_and(|taken| taken.at < report.deadline());
            if !is_in_time {
                account.late.push(format!("{} {} is {:?}", entry.key(), record.dimension, status.state));
            }
        }
    }
    account
}

/// I9 and I11: the neighbour of a product with troubles, and the same neighbour when there are none.
pub(super) fn differences(troubled: Option<&Account>, quiet: Option<&Account>) -> Vec<String> {
    let (Some(troubled), Some(quiet)) = (troubled, quiet) else {
        return vec!["I9 the neighbour was not played".to_owned()];
    };
    let mut found = Vec::new();
    if troubled.reports != quiet.reports {
        found.push("I9 the neighbour has other reports than it had without the troubles".to_owned());
    }
    if troubled.accepted != quiet.accepted {
        found.push("I9 AWS has other records of the neighbour than it had without the troubles".to_owned());
    }
    found.extend(troubled.late.iter().map(|record| format!("I11 the neighbour: {record} at its deadline")));
    found
}
