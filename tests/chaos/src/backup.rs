//! Backups of the store, and what it takes to put one back.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{identity::ObjectKey, ledger::Entry, statement::StoredStatement};
use tollkeeper_ledger::memory::StoredCheckpoints;

use crate::{tenant::Tenant, world::World};

/// The store as it was.
pub(crate) struct Backup {
    taken: Timestamp,
    reports: BTreeMap<ObjectKey, Entry>,
    checkpoints: StoredCheckpoints,
    statements: BTreeMap<ObjectKey, StoredStatement>,
    /// Reports of each product that had been deleted by then.
    pruned: [Vec<Entry>; 2],
}

impl Backup {
    pub(crate) fn of(world: &World) -> Self {
        Self {
            taken: world.now(),
            reports: world.ledger.backup(),
            checkpoints: world.checkpoints.backup(),
            statements: world.statements.backup(),
            pruned: Tenant::BOTH.map(|tenant| world.state().oracle(tenant).pruned().to_vec()),
        }
    }

    pub(crate) fn is_old(&self, now: Timestamp) -> bool {
        now.duration_since(self.taken) >= SignedDuration::from_mins(5)
    }

    /// Takes the store back in time, and tells the oracle.
    pub(crate) fn put_back(&self, world: &World) {
        let has_checkpoint = |name: &str| {
            let mut own = self.checkpoints.iter().filter(|((key, _), _)| key.to_string() == name);
            own.any(|(_, (_, tally))| tally.last_success().is_some())
        };
        let lost = world.ledger.backup();
        for (tenant, pruned) in Tenant::BOTH.into_iter().zip(&self.pruned) {
            let own = |reports: &BTreeMap<ObjectKey, Entry>| -> BTreeMap<ObjectKey, Entry> {
                let own = reports.iter().filter(|(key, _)| Tenant::of(&key.namespace) == tenant);
                own.map(|(key, entry)| (key.clone(), entry.clone())).collect()
            };
            let (lost, kept) = (own(&lost), own(&self.reports));
            world.state().oracle(tenant).note_restore(&lost, &kept, pruned.clone(), has_checkpoint);
        }
        world.ledger.restore(self.reports.clone());
        world.checkpoints.restore(self.checkpoints.clone());
        world.statements.restore(self.statements.clone());
    }
}

/// How old the backup is that is put back at this second: within an hour, and over one to three hours' edges.
pub(crate) fn age(second: u32) -> u32 {
    [300, 2400, 5400, 9000].into_iter().nth(usize::try_from(second % 4).unwrap_or_default()).unwrap_or(300)
}
