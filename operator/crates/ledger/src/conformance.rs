//! What every back end of the ledger must do. Run against a fresh namespace; panics with the first thing that is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test suite: it fails by panicking"
)]

use jiff::Timestamp;
use tollkeeper_core::{
    hour::BillingHour,
    identity::{ClientToken, Digest, ObjectKey},
    ledger::{Created, Entry, Ledger, LedgerError},
    metering::Outcome,
    product::Mode,
    report::{Evidence, LocalReference, Remainder, ReportBody, SealedRecord, SealedReport},
    settlement::{Attempt, Claim, RecordState, Settlement},
};

/// A report of one record.
pub fn report(product: &str, hour: BillingHour, quantity: u32) -> SealedReport {
    ReportBody {
        product_ref: LocalReference { name: product.to_owned() },
        product_code: "conformance".parse().unwrap(),
        hour,
        timestamp: hour.start(),
        records: vec![SealedRecord {
            dimension: "units".parse().unwrap(),
            quantity,
            measured: format!("{quantity}.250000").parse().unwrap(),
            remainder: "0.25".parse().unwrap(),
            carried_from: vec![],
            client_token: ClientToken::of(&format!("{product}/{hour}")),
            allocations: vec![],
        }],
        remainders: vec![Remainder { dimension: "idle".parse().unwrap(), quantity: "0.5".parse().unwrap() }],
        evidence: Evidence {
            plugin: Digest::of(b"plugin"),
            inputs: Digest::of(b"inputs"),
            config: Digest::of(b"config"),
            ticks: 60,
            missed: 0,
        },
        previous: None,
    }
    .sealed()
}

fn hour() -> BillingHour {
    "2026-11-21T14:00:00Z".parse().unwrap()
}

async fn created(ledger: &dyn Ledger, namespace: &str, report: &SealedReport) -> Entry {
    let settlement = Settlement::of(report, Mode::Live);
    match ledger.create_if_absent(namespace, report, &settlement).await.unwrap() {
        Created::New(entry) => entry,
        Created::Existing(entry) => panic!("{} was there already", entry.key()),
    }
}

fn claimed(entry: &Entry, pod: &str) -> Settlement {
    let claim = Claim { pod: pod.to_owned(), epoch: 1, at: Timestamp::UNIX_EPOCH };
    let record = entry.settlement.records[0].clone().claimed(claim);
    entry.settlement.clone().with(record)
}

fn accepted(entry: &Entry) -> Settlement {
    let outcome = Outcome::Accepted { metering_record_id: "record-1".to_owned() };
    let record = entry.settlement.records[0].clone().answered(&outcome, Attempt::First);
    entry.settlement.clone().with(record)
}

/// Runs the whole suite in `namespace`, which must hold no reports.
pub async fn suite(ledger: &dyn Ledger, namespace: &str) {
    the_second_report_of_an_hour_is_not_created(ledger, namespace).await;
    of_two_writers_one_loses(ledger, namespace).await;
    only_settled_reports_leave_the_scan(ledger, namespace).await;
    a_missing_report_is_gone(ledger, namespace).await;
    history_is_in_order_and_pruning_keeps_what_is_open(ledger, namespace).await;
}

async fn the_second_report_of_an_hour_is_not_created(ledger: &dyn Ledger, namespace: &str) {
    let first = created(ledger, namespace, &report("once", hour(), 5)).await;
    let other = report("once", hour(), 6);
    let second =
        ledger.create_if_absent(namespace, &other, &Settlement::of(&other, Mode::Live)).await.unwrap();
    assert_eq!(second, Created::Existing(first.clone()));
    assert_eq!(ledger.get(&first.key()).await.unwrap(), Some(first));
}

async fn of_two_writers_one_loses(ledger: &dyn Ledger, namespace: &str) {
    let read = created(ledger, namespace, &report("race", hour(), 5)).await;
    let winner = ledger.compare_and_swap(&read, &claimed(&read, "a")).await.unwrap();
    assert_eq!(winner.settlement.records[0].state, RecordState::Sending);
    assert_eq!(winner.report, read.report);
    let loser = ledger.compare_and_swap(&read, &claimed(&read, "b")).await;
    assert_eq!(loser, Err(LedgerError::Stale(read.key())));
    let stored = ledger.get(&read.key()).await.unwrap().unwrap();
    assert_eq!(stored.settlement.records[0].claim.as_ref().unwrap().pod, "a");
}

async fn only_settled_reports_leave_the_scan(ledger: &dyn Ledger, namespace: &str) {
    let later = created(ledger, namespace, &report("scan", hour().next(), 5)).await;
    let earlier = created(ledger, namespace, &report("scan", hour(), 5)).await;
    let open = |entries: Vec<Entry>| -> Vec<ObjectKey> {
        entries.iter().filter(|entry| entry.product().name == "scan").map(Entry::key).collect()
    };
    assert_eq!(open(ledger.scan_unsettled().await.unwrap()), [earlier.key(), later.key()]);
    let sending = ledger.compare_and_swap(&earlier, &claimed(&earlier, "a")).await.unwrap();
    let settled = ledger.compare_and_swap(&sending, &accepted(&sending)).await.unwrap();
    assert_eq!(settled.settlement.records[0].metering_record_id.as_deref(), Some("record-1"));
    assert_eq!(open(ledger.scan_unsettled().await.unwrap()), [later.key()]);
}

async fn a_missing_report_is_gone(ledger: &dyn Ledger, namespace: &str) {
    let report = report("missing", hour(), 5);
    let settlement = Settlement::of(&report, Mode::Live);
    let entry = Entry {
        namespace: namespace.to_owned(),
        report,
        settlement: settlement.clone(),
        version: "1".to_owned(),
    };
    assert_eq!(ledger.get(&entry.key()).await.unwrap(), None);
    let swap = ledger.compare_and_swap(&entry, &settlement).await;
    assert_eq!(swap, Err(LedgerError::Gone(entry.key())));
}

async fn history_is_in_order_and_pruning_keeps_what_is_open(ledger: &dyn Ledger, namespace: &str) {
    let product = ObjectKey::new(namespace, "history");
    let second = created(ledger, namespace, &report("history", hour().next(), 5)).await;
    let first = created(ledger, namespace, &report("history", hour(), 5)).await;
    let hours = |entries: Vec<Entry>| -> Vec<BillingHour> {
        entries.iter().map(|entry| entry.report.body.hour).collect()
    };
    assert_eq!(hours(ledger.history(&product, hour()).await.unwrap()), [hour(), hour().next()]);
    assert_eq!(hours(ledger.history(&product, hour().next()).await.unwrap()), [hour().next()]);
    let sending = ledger.compare_and_swap(&second, &claimed(&second, "a")).await.unwrap();
    ledger.compare_and_swap(&sending, &accepted(&sending)).await.unwrap();
    assert_eq!(ledger.prune(&product, hour().next().next()).await.unwrap(), 1);
    assert_eq!(ledger.history(&product, hour()).await.unwrap(), [first]);
}

#[cfg(test)]
mod tests {
    use crate::memory::MemoryLedger;

    #[tokio::test]
    async fn the_ledger_in_memory_conforms() {
        super::suite(&MemoryLedger::default(), "memory").await;
    }
}
