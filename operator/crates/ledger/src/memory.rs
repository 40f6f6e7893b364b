//! A ledger in memory: for `tollkeeper simulate` and for tests. It forgets everything at the end of the process.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tollkeeper_core::{
    checkpoint::{Checkpoint, CheckpointError, Checkpoints},
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Created, Entry, Ledger, LedgerError},
    product::Binding,
    report::SealedReport,
    settlement::{Phase, Settlement},
    usage::Tally,
};

/// Reports by name, each with a version that every write moves on.
#[derive(Default)]
pub struct MemoryLedger {
    entries: Mutex<BTreeMap<ObjectKey, Entry>>,
}

impl MemoryLedger {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Entry>> {
        // A panic while the lock was held leaves whole entries behind: every write is one insert.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut entries = self.entries();
        if let Some(existing) = entries.get(&entry.key()) {
            return Ok(Created::Existing(existing.clone()));
        }
        entries.insert(entry.key(), entry.clone());
        Ok(Created::New(entry))
    }

    async fn compare_and_swap(&self, entry: &Entry, settlement: &Settlement) -> Result<Entry, LedgerError> {
        let mut entries = self.entries();
        let stored = entries.get_mut(&entry.key()).ok_or_else(|| LedgerError::Gone(entry.key()))?;
        if stored.version != entry.version {
            return Err(LedgerError::Stale(entry.key()));
        }
        let version: u64 = stored.version.parse().unwrap_or_default();
        stored.version = (version + 1).to_string();
        stored.settlement = settlement.clone();
        Ok(stored.clone())
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Entry>, LedgerError> {
        Ok(self.entries().get(key).cloned())
    }

    async fn scan_unsettled(&self) -> Result<Vec<Entry>, LedgerError> {
        let mut open: Vec<Entry> = self
            .entries()
            .values()
            .filter(|entry| entry.settlement.phase() != Phase::Settled)
            .cloned()
            .collect();
        open.sort_by_key(|entry| (entry.report.deadline(), entry.key()));
        Ok(open)
    }

    async fn history(&self, product: &ObjectKey, since: BillingHour) -> Result<Vec<Entry>, LedgerError> {
        let mut history: Vec<Entry> = self
            .entries()
            .values()
            .filter(|entry| entry.report.body.hour >= since && &entry.product() == product)
            .cloned()
            .collect();
        history.sort_by_key(|entry| entry.report.body.hour);
        Ok(history)
    }

    async fn prune(&self, product: &ObjectKey, before: BillingHour) -> Result<usize, LedgerError> {
        let mut entries = self.entries();
        let count = entries.len();
        entries.retain(|_, entry| {
            &entry.product() != product || entry.report.body.hour >= before || !entry.settlement.is_terminal()
        });
        Ok(count - entries.len())
    }
}

/// Checkpoints by binding.
#[derive(Default)]
pub struct MemoryCheckpoints {
    tallies: Mutex<BTreeMap<(ObjectKey, String), Tally>>,
}

#[async_trait]
impl Checkpoints for MemoryCheckpoints {
    async fn load(&self, binding: &Binding) -> Result<Option<Tally>, CheckpointError> {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(tallies.get(&(binding.key.clone(), binding.uid.clone())).cloned())
    }

    async fn save(&self, binding: &Binding, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.insert((binding.key.clone(), binding.uid.clone()), checkpoint.tally.clone());
        Ok(())
    }
}
