//! What every back end of the ledger must do. Run against a fresh namespace; panics with the first thing that is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test suite: it fails by panicking"
)]

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{
    hour::BillingHour,
    identity::{ClientToken, Digest, ObjectKey},
    ledger::{Created, Entry, Ledger, LedgerError, Scan},
    metering::Outcome,
    month::Month,
    product::Mode,
    report::{Evidence, LocalReference, Remainder, ReportBody, SealedRecord, SealedReport},
    settlement::{Attempt, Claim, RecordState, Settlement},
    statement::{Plan, Retention, Statements, plan, rolled_up},
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
            earlier: vec![],
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
    history_is_in_order_and_pruning_takes_only_what_it_has_read(ledger, namespace).await;
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
    let open = |scan: Scan| -> Vec<ObjectKey> {
        scan.open.iter().filter(|entry| entry.product().name == "scan").map(Entry::key).collect()
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

async fn history_is_in_order_and_pruning_takes_only_what_it_has_read(ledger: &dyn Ledger, namespace: &str) {
    let product = ObjectKey::new(namespace, "history");
    let second = created(ledger, namespace, &report("history", hour().next(), 5)).await;
    let first = created(ledger, namespace, &report("history", hour(), 5)).await;
    let hours = |entries: Vec<Entry>| -> Vec<BillingHour> {
        entries.iter().map(|entry| entry.report.body.hour).collect()
    };
    assert_eq!(hours(ledger.history(&product, hour()).await.unwrap()), [hour(), hour().next()]);
    assert_eq!(hours(ledger.history(&product, hour().next()).await.unwrap()), [hour().next()]);
    let sending = ledger.compare_and_swap(&second, &claimed(&second, "a")).await.unwrap();
    let settled = ledger.compare_and_swap(&sending, &accepted(&sending)).await.unwrap();
    assert_eq!(ledger.prune(&[second, sending]).await.unwrap(), 0, "they have changed since they were read");
    assert_eq!(ledger.prune(std::slice::from_ref(&settled)).await.unwrap(), 1);
    assert_eq!(ledger.prune(&[settled]).await.unwrap(), 0, "it is gone");
    assert_eq!(ledger.history(&product, hour()).await.unwrap(), [first]);
}

/// Runs the suite of statements in `namespace`, which must hold neither reports nor statements.
pub async fn statements(ledger: &dyn Ledger, statements: &dyn Statements, namespace: &str) {
    of_two_writers_of_a_statement_one_loses(statements, namespace).await;
    for crash_after in 0..=CALLS_OF_A_DAY {
        a_crash_between_roll_up_and_pruning_is_made_up_for(ledger, statements, namespace, crash_after).await;
    }
}

async fn of_two_writers_of_a_statement_one_loses(statements: &dyn Statements, namespace: &str) {
    let first = report("stated", hour(), 5);
    let entry = Entry {
        namespace: namespace.to_owned(),
        settlement: Settlement::of(&first, Mode::Live),
        report: first,
        version: "1".to_owned(),
    };
    let (month, horizon) = (Month::of(hour()), hour().next().next());
    let open = rolled_up(None, None, std::slice::from_ref(&entry), month, horizon).unwrap().sealed();
    let created = statements.create(namespace, &open).await.unwrap();
    assert_eq!(created.statement, open);
    let again = statements.create(namespace, &open).await;
    assert_eq!(again, Err(LedgerError::Stale(created.key())));
    let done = Entry { settlement: accepted(&entry), ..entry };
    let settled = rolled_up(Some(&open), None, &[done], month, horizon).unwrap().sealed();
    assert_eq!(settled.body.open, [], "what is not there any more leaves nothing behind");
    let replaced = statements.replace(&created, &settled).await.unwrap();
    assert_eq!(replaced.statement, settled);
    assert_eq!(statements.replace(&created, &open).await, Err(LedgerError::Stale(created.key())));
    assert_eq!(statements.remove(&created).await, Err(LedgerError::Stale(created.key())));
    let mut of_product = statements.all().await.unwrap().statements;
    of_product.retain(|stored| stored.product().name == "stated");
    assert_eq!(of_product, std::slice::from_ref(&replaced));
    statements.remove(&replaced).await.unwrap();
    statements.remove(&replaced).await.unwrap();
    assert_eq!(statements.replace(&replaced, &open).await, Err(LedgerError::Gone(replaced.key())));
}

/// One statement, and four reports to prune.
const CALLS_OF_A_DAY: usize = 5;

/// However many calls of a day's bookkeeping were made before the process died, the next process ends up with the same.
async fn a_crash_between_roll_up_and_pruning_is_made_up_for(
    ledger: &dyn Ledger,
    statements: &dyn Statements,
    namespace: &str,
    crash_after: usize,
) {
    let name = format!("crash{crash_after}");
    let product = ObjectKey::new(namespace, &name);
    let mut previous: Option<SealedReport> = None;
    let mut next = hour();
    for _ in 0..CALLS_OF_A_DAY {
        let mut body = report(&name, next, 5).body;
        body.previous = previous.as_ref().map(SealedReport::link);
        let sealed = body.sealed();
        let entry = created(ledger, namespace, &sealed).await;
        let sending = ledger.compare_and_swap(&entry, &claimed(&entry, "a")).await.unwrap();
        ledger.compare_and_swap(&sending, &accepted(&sending)).await.unwrap();
        previous = Some(sealed);
        next = next.next();
    }
    let planned = async || {
        let mut own = statements.all().await.unwrap().statements;
        own.retain(|stored| stored.product() == product);
        let history = ledger.history(&product, BillingHour::of(Timestamp::UNIX_EPOCH)).await.unwrap();
        let retention = Retention { reports: SignedDuration::from_hours(72), statements: 13 };
        (plan(&history, &own, retention, "2026-11-26T07:00:00Z".parse().unwrap()), own, history)
    };
    let (first, _, _) = planned().await;
    assert_eq!((first.write.len(), first.prune.len()), (1, CALLS_OF_A_DAY - 1));
    let (none, statement) = &first.write[0];
    assert_eq!(none, &None);
    if crash_after > 0 {
        statements.create(namespace, statement).await.unwrap();
        ledger.prune(&first.prune[..crash_after - 1]).await.unwrap();
    }
    // Another process.
    let (second, _, _) = planned().await;
    for (old, statement) in &second.write {
        assert_eq!(old, &None, "what is written is not written again");
        statements.create(namespace, statement).await.unwrap();
    }
    ledger.prune(&second.prune).await.unwrap();
    let (third, own, history) = planned().await;
    assert_eq!(third, Plan::default(), "nothing is left to do");
    assert_eq!(own.len(), 1);
    assert_eq!(&own[0].statement, statement);
    assert_eq!(history.iter().map(|entry| &entry.report).collect::<Vec<_>>(), [previous.as_ref().unwrap()]);
}

#[cfg(test)]
mod tests {
    use crate::memory::{MemoryLedger, MemoryStatements};

    #[tokio::test]
    async fn statements_in_memory_conform() {
        super::statements(&MemoryLedger::default(), &MemoryStatements::default(), "memory").await;
    }

    #[tokio::test]
    async fn the_ledger_in_memory_conforms() {
        super::suite(&MemoryLedger::default(), "memory").await;
    }
}
