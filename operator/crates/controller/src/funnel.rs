//! Counts what passes through the ledger of this process, for the metrics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tollkeeper_core::{
    funnel::Funnel,
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Created, Entry, Ledger, LedgerError, Scan},
    report::SealedReport,
    settlement::Settlement,
};

/// The funnel of a process. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct SharedFunnel(Arc<Mutex<Funnel>>);

impl SharedFunnel {
    /// Exclusive use, for the length of one look.
    pub fn lock(&self) -> MutexGuard<'_, Funnel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A ledger that tells the funnel of every report that is read or written through it.
pub struct CountedLedger {
    ledger: Arc<dyn Ledger>,
    funnel: SharedFunnel,
}

impl CountedLedger {
    /// The same ledger, counted.
    pub fn new(ledger: Arc<dyn Ledger>, funnel: SharedFunnel) -> Self {
        Self { ledger, funnel }
    }

    fn saw(&self, entries: &[Entry]) {
        let mut funnel = self.funnel.lock();
        entries.iter().for_each(|entry| funnel.seen(entry));
    }
}

#[async_trait]
impl Ledger for CountedLedger {
    async fn create_if_absent(
        &self,
        namespace: &str,
        report: &SealedReport,
        settlement: &Settlement,
    ) -> Result<Created, LedgerError> {
        let created = self.ledger.create_if_absent(namespace, report, settlement).await?;
        match &created {
            Created::New(entry) => self.funnel.lock().sealed(entry),
            Created::Existing(entry) => self.funnel.lock().seen(entry),
        }
        Ok(created)
    }

    async fn compare_and_swap(&self, entry: &Entry, settlement: &Settlement) -> Result<Entry, LedgerError> {
        let written = self.ledger.compare_and_swap(entry, settlement).await?;
        self.funnel.lock().seen(&written);
        Ok(written)
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Entry>, LedgerError> {
        let entry = self.ledger.get(key).await?;
        self.saw(entry.as_slice());
        Ok(entry)
    }

    async fn scan_unsettled(&self) -> Result<Scan, LedgerError> {
        let scan = self.ledger.scan_unsettled().await?;
        self.saw(&scan.open);
        Ok(scan)
    }

    async fn history(&self, product: &ObjectKey, since: BillingHour) -> Result<Vec<Entry>, LedgerError> {
        let entries = self.ledger.history(product, since).await?;
        self.saw(&entries);
        Ok(entries)
    }

    async fn prune(&self, entries: &[Entry]) -> Result<usize, LedgerError> {
        self.ledger.prune(entries).await
    }
}

#[cfg(test)]
mod tests {
    use tollkeeper_core::{
        funnel::Stage,
        metering::Outcome,
        product::Mode,
        quantity::Quantity,
        settlement::{Attempt, Claim},
    };
    use tollkeeper_ledger::{conformance::report, memory::MemoryLedger};

    use super::*;

    #[tokio::test]
    async fn a_counted_ledger_still_is_a_ledger() {
        let ledger = CountedLedger::new(Arc::new(MemoryLedger::default()), SharedFunnel::default());
        tollkeeper_ledger::conformance::suite(&ledger, "vecdb").await;
    }

    #[tokio::test]
    async fn each_write_is_counted_by_the_process_that_made_it() {
        let memory = Arc::new(MemoryLedger::default());
        let (first, second) = (SharedFunnel::default(), SharedFunnel::default());
        let one = CountedLedger::new(memory.clone(), first.clone());
        let other = CountedLedger::new(memory, second.clone());
        let report = report("vecdb", "2026-11-21T14:00:00Z".parse().unwrap(), 5);
        let settlement = Settlement::of(&report, Mode::Live);
        one.create_if_absent("vecdb", &report, &settlement).await.unwrap();
        other.create_if_absent("vecdb", &report, &settlement).await.unwrap();
        let entry = other.scan_unsettled().await.unwrap().open.remove(0);
        let claim = Claim { pod: "b".into(), epoch: 1, at: report.body.timestamp };
        let record = entry.settlement.records[0].clone().claimed(claim);
        let entry = other.compare_and_swap(&entry, &entry.settlement.clone().with(record)).await.unwrap();
        let outcome = Outcome::Accepted { metering_record_id: "r".into() };
        let record = entry.settlement.records[0].clone().answered(&outcome, Attempt::First);
        other.compare_and_swap(&entry, &entry.settlement.clone().with(record)).await.unwrap();
        let passed = |funnel: &SharedFunnel, stage: Stage| {
            let flows = funnel.lock().flows();
            flows.values().filter_map(|flow| flow.passed.get(&stage)).copied().sum::<Quantity>()
        };
        let five = Quantity::from_units(5);
        assert_eq!((passed(&first, Stage::Sealed), passed(&second, Stage::Sealed)), (five, Quantity::ZERO));
        assert_eq!((passed(&second, Stage::Found), passed(&second, Stage::Claimed)), (five, five));
        assert_eq!(
            (passed(&first, Stage::Accepted), passed(&second, Stage::Accepted)),
            (Quantity::ZERO, five)
        );
    }
}
