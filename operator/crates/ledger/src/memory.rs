//! A ledger in memory: for `tollkeeper simulate` and for tests. It forgets everything at the end of the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tollkeeper_core::{
    checkpoint::{Checkpoint, CheckpointError, Checkpoints, Saved},
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Created, Entry, Ledger, LedgerError, Scan},
    product::Binding,
    report::SealedReport,
    settlement::{Phase, Settlement},
    statement::{Shelf, Statement, Statements, StoredStatement},
    usage::Tally,
};

/// Reports by name, each with a version that every write moves on.
#[derive(Default)]
pub struct MemoryLedger {
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    entries: BTreeMap<ObjectKey, Entry>,
    /// Those that are not `Settled`: they are asked for twice a minute, and all others are many more.
    unsettled: BTreeSet<ObjectKey>,
}

impl Reports {
    /// Notes what has become of a report after a write.
    fn note(&mut self, key: ObjectKey) {
        let is_unsettled =
            self.entries.get(&key).is_some_and(|entry| entry.settlement.phase() != Phase::Settled);
        if is_unsettled {
            self.unsettled.insert(key);
        } else {
            self.unsettled.remove(&key);
        }
    }
}

impl MemoryLedger {
    /// What it holds, as a backup of its store would.
    pub fn backup(&self) -> BTreeMap<ObjectKey, Entry> {
        self.reports().entries.clone()
    }

    /// Goes back to a backup: what was written since is gone, as after the restore of an old etcd snapshot.
    pub fn restore(&self, backup: BTreeMap<ObjectKey, Entry>) {
        let keys: Vec<ObjectKey> = backup.keys().cloned().collect();
        let mut reports = Reports { entries: backup, unsettled: BTreeSet::new() };
        keys.into_iter().for_each(|key| reports.note(key));
        *self.reports() = reports;
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        // A panic while the lock was held leaves whole entries behind: every write is one insert.
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn create_if_absent(
        &self,
        namespace: &str,
        report: &SealedReport,
        settlement: &Settlement,
    ) -> Result<Created, LedgerError> {
        let entry = Entry {
            namespace: namespace.to_owned(),
            report: report.clone(),
            settlement: settlement.clone(),
            version: "1".to_owned(),
        };
        let key = entry.key();
        let mut reports = self.reports();
        if let Some(existing) = reports.entries.get(&key) {
            return Ok(Created::Existing(existing.clone()));
        }
        reports.entries.insert(key.clone(), entry.clone());
        reports.note(key);
        Ok(Created::New(entry))
    }

    async fn compare_and_swap(&self, entry: &Entry, settlement: &Settlement) -> Result<Entry, LedgerError> {
        let key = entry.key();
        let mut reports = self.reports();
        let Some(stored) = reports.entries.get_mut(&key) else { return Err(LedgerError::Gone(key)) };
        if stored.version != entry.version {
            return Err(LedgerError::Stale(key));
        }
        let version: u64 = stored.version.parse().unwrap_or_default();
        stored.version = (version + 1).to_string();
        stored.settlement = settlement.clone();
        let written = stored.clone();
        reports.note(key);
        Ok(written)
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Entry>, LedgerError> {
        Ok(self.reports().entries.get(key).cloned())
    }

    async fn scan_unsettled(&self) -> Result<Scan, LedgerError> {
        let reports = self.reports();
        let mut open: Vec<Entry> =
            reports.unsettled.iter().filter_map(|key| reports.entries.get(key).cloned()).collect();
        // They come by their keys, and the sort keeps that order among equals.
        open.sort_by_key(|entry| entry.report.deadline());
        Ok(Scan { open, ..Scan::default() })
    }

    async fn history(&self, product: &ObjectKey, since: BillingHour) -> Result<Vec<Entry>, LedgerError> {
        let mut history: Vec<Entry> = self
            .reports()
            .entries
            .values()
            .filter(|entry| entry.report.body.hour >= since && &entry.product() == product)
            .cloned()
            .collect();
        history.sort_by_key(|entry| entry.report.body.hour);
        Ok(history)
    }

    async fn prune(&self, old: &[Entry]) -> Result<usize, LedgerError> {
        let mut reports = self.reports();
        let count = reports.entries.len();
        for entry in old {
            let key = entry.key();
            if reports.entries.get(&key).is_some_and(|stored| stored.version == entry.version) {
                reports.entries.remove(&key);
                reports.note(key);
            }
        }
        Ok(count - reports.entries.len())
    }
}

/// Statements by name, each with a version that every write moves on.
#[derive(Default)]
pub struct MemoryStatements {
    statements: Mutex<BTreeMap<ObjectKey, StoredStatement>>,
}

impl MemoryStatements {
    /// What it holds, as a backup of its store would.
    pub fn backup(&self) -> BTreeMap<ObjectKey, StoredStatement> {
        self.statements().clone()
    }

    /// Goes back to a backup.
    pub fn restore(&self, backup: BTreeMap<ObjectKey, StoredStatement>) {
        *self.statements() = backup;
    }

    fn statements(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, StoredStatement>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Statements for MemoryStatements {
    async fn all(&self) -> Result<Shelf, LedgerError> {
        let mut statements: Vec<StoredStatement> = self.statements().values().cloned().collect();
        statements.sort_by_key(|stored| (stored.product(), stored.statement.body.month));
        Ok(Shelf { statements, ..Shelf::default() })
    }

    async fn create(&self, namespace: &str, statement: &Statement) -> Result<StoredStatement, LedgerError> {
        let stored = StoredStatement {
            namespace: namespace.to_owned(),
            statement: statement.clone(),
            version: "1".to_owned(),
        };
        let mut statements = self.statements();
        if statements.contains_key(&stored.key()) {
            return Err(LedgerError::Stale(stored.key()));
        }
        statements.insert(stored.key(), stored.clone());
        Ok(stored)
    }

    async fn replace(
        &self,
        stored: &StoredStatement,
        statement: &Statement,
    ) -> Result<StoredStatement, LedgerError> {
        let mut statements = self.statements();
        let present = statements.get_mut(&stored.key()).ok_or_else(|| LedgerError::Gone(stored.key()))?;
        if present.version != stored.version {
            return Err(LedgerError::Stale(stored.key()));
        }
        let version: u64 = present.version.parse().unwrap_or_default();
        present.version = (version + 1).to_string();
        present.statement = statement.clone();
        Ok(present.clone())
    }

    async fn remove(&self, stored: &StoredStatement) -> Result<(), LedgerError> {
        let mut statements = self.statements();
        match statements.get(&stored.key()).map(|present| present.version == stored.version) {
            Some(true) => {
                statements.remove(&stored.key());
                Ok(())
            }
            Some(false) => Err(LedgerError::Stale(stored.key())),
            None => Ok(()),
        }
    }
}

/// A checkpoint as it is stored, with the number of the write that made it.
type Stored = (u64, Tally);

/// The checkpoints of all bindings, by the binding's key and UID.
pub type StoredCheckpoints = BTreeMap<(ObjectKey, String), Stored>;

/// Checkpoints as one process sees them; [`MemoryCheckpoints::of_another_process`] shares the store.
#[derive(Default)]
pub struct MemoryCheckpoints {
    stored: Arc<Mutex<StoredCheckpoints>>,
    /// The write that this process read or made last.
    known: Mutex<BTreeMap<(ObjectKey, String), u64>>,
}

impl MemoryCheckpoints {
    /// The same store, seen by a process that has read nothing yet.
    #[must_use]
    pub fn of_another_process(&self) -> Self {
        Self { stored: self.stored.clone(), known: Mutex::default() }
    }

    /// What the store holds.
    pub fn backup(&self) -> StoredCheckpoints {
        self.stored().clone()
    }

    /// Goes back to a backup.
    pub fn restore(&self, backup: StoredCheckpoints) {
        *self.stored() = backup;
    }

    fn stored(&self) -> MutexGuard<'_, StoredCheckpoints> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(ObjectKey, String), u64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Checkpoints for MemoryCheckpoints {
    async fn load(&self, binding: &Binding) -> Result<Option<Tally>, CheckpointError> {
        let key = (binding.key.clone(), binding.uid.clone());
        let found = self.stored().get(&key).cloned();
        self.known().insert(key, found.as_ref().map_or(0, |(write, _)| *write));
        Ok(found.map(|(_, tally)| tally))
    }

    async fn save(&self, binding: &Binding, checkpoint: &Checkpoint) -> Result<Saved, CheckpointError> {
        let key = (binding.key.clone(), binding.uid.clone());
        let mut stored = self.stored();
        let write = stored.get(&key).map_or(0, |(write, _)| *write);
        if self.known().get(&key).copied().unwrap_or_default() != write {
            return Err(CheckpointError::Superseded(binding.key.clone()));
        }
        stored.insert(key.clone(), (write + 1, checkpoint.tally.clone()));
        self.known().insert(key, write + 1);
        Ok(Saved::default())
    }
}
