//! Seals whose answer is lost: the report is there, and nobody knows.

use std::sync::atomic::AtomicU32;

use tollkeeper_core::{
    ledger::{Created, LedgerError, Scan},
    settlement::Settlement,
};

use super::*;

/// A ledger that creates reports and does not answer, so many times.
struct Unanswering {
    ledger: MemoryLedger,
    times: AtomicU32,
}

#[async_trait]
impl Ledger for Unanswering {
    async fn create_if_absent(
        &self,
        namespace: &str,
        report: &SealedReport,
        settlement: &Settlement,
    ) -> Result<Created, LedgerError> {
        let created = self.ledger.create_if_absent(namespace, report, settlement).await?;
        let left = self.times.load(Ordering::Relaxed);
        self.times.store(left.saturating_sub(1), Ordering::Relaxed);
        if left > 0 { Err(LedgerError::Unavailable("scripted".to_owned())) } else { Ok(created) }
    }

    async fn compare_and_swap(&self, entry: &Entry, settlement: &Settlement) -> Result<Entry, LedgerError> {
        self.ledger.compare_and_swap(entry, settlement).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Entry>, LedgerError> {
        self.ledger.get(key).await
    }

    async fn scan_unsettled(&self) -> Result<Scan, LedgerError> {
        self.ledger.scan_unsettled().await
    }

    async fn history(&self, product: &ObjectKey, since: BillingHour) -> Result<Vec<Entry>, LedgerError> {
        self.ledger.history(product, since).await
    }

    async fn prune(&self, entries: &[Entry]) -> Result<usize, LedgerError> {
        self.ledger.prune(entries).await
    }
}

fn unanswering(times: u32) -> Bench {
    let mut bench = Bench::new();
    bench.house.ledger =
        Arc::new(Unanswering { ledger: MemoryLedger::default(), times: AtomicU32::new(times) });
    bench
}

#[tokio::test]
async fn what_a_binding_used_while_it_was_away_is_counted_after_a_seal_that_nobody_answered() {
    for unanswered in 0..=4 {
        let mut bench = unanswering(unanswered);
        bench.at("14:00", 100).await;
        bench.at("14:40", 104).await;
        bench.meter.set_bindings(vec![(binding(), true)], bench.clock.now());
        bench.at("15:05", 150).await;
        assert_eq!(bench.sealed().await, 4, "the report is there");
        bench.meter.set_bindings(vec![(binding(), false)], bench.clock.now());
        for time in ["15:06", "15:07", "15:10", "15:20", "16:00", "16:05", "16:06"] {
            bench.at(time, 150).await;
        }
        let reports = bench.reports().await;
        let quantities: Vec<u32> =
            reports.iter().map(|entry| entry.report.body.records[0].quantity).collect();
        assert_eq!(quantities, [4, 46], "after {unanswered} seals without an answer");
        assert_eq!(bench.meter.findings().sealed, None, "the first hour is what it was sealed as");
    }
}

#[tokio::test]
async fn ticks_go_on_while_a_seal_has_no_answer() {
    let mut bench = unanswering(3);
    for (time, total) in [("14:00", 100), ("14:10", 104), ("15:00", 110), ("15:05", 110), ("15:10", 113)] {
        bench.at(time, total).await;
    }
    assert_eq!(bench.meter.findings().storage.as_ref().unwrap().reason, "LedgerUnavailable");
    for (time, total) in [("15:20", 114), ("15:30", 114), ("16:00", 120), ("16:05", 120)] {
        bench.at(time, total).await;
    }
    let reports = bench.reports().await;
    let quantities: Vec<u32> = reports.iter().map(|entry| entry.report.body.records[0].quantity).collect();
    assert_eq!(quantities, [10, 10]);
    assert_eq!(bench.meter.findings().storage, None);
}
