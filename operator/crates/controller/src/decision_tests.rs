use tollkeeper_core::{
    decision::{Author, Wish},
    hour::BillingHour,
    product::{LatePolicy, Mode},
    settlement::Settlement,
};
use tollkeeper_ledger::{conformance::report, memory::MemoryLedger};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A ledger with one held record.
async fn held() -> (MemoryLedger, Entry) {
    let ledger = MemoryLedger::default();
    let hour: BillingHour = "2026-11-21T14:00:00Z".parse().unwrap();
    let report = report("vecdb", hour, 5);
    let settlement = Settlement::of(&report, Mode::Live);
    let record = settlement.records[0].clone().expired().under(LatePolicy::Hold);
    let settlement = settlement.with(record);
    ledger.create_if_absent("vecdb", &report, &settlement).await.unwrap();
    let entry = ledger.scan_unsettled().await.unwrap().open.remove(0);
    (ledger, entry)
}

async fn decide(ledger: &MemoryLedger, entry: &Entry, wish: Wish) -> Entry {
    let author = Author {
        name: "alice".into(),
        is_verified: true,
        reason: "agreed".into(),
        at: at("2026-11-22T10:00:00Z"),
    };
    let decided = entry.settlement.records[0].decided(&wish, &author).unwrap();
    ledger.compare_and_swap(entry, &entry.settlement.clone().with(decided)).await.unwrap()
}

fn reasons(news: &[News]) -> Vec<&'static str> {
    news.iter().map(|one| one.verdict.reason).collect()
}

#[tokio::test]
async fn a_record_is_told_of_once_in_each_state_that_needs_a_person() {
    let (ledger, held) = held().await;
    let mut witness = Witness::default();
    let now = at("2026-11-22T10:00:20Z");
    let news = witness.look(&ledger, now).await.unwrap();
    let (report, dimension) = news[0].record.clone().unwrap();
    assert_eq!((reasons(&news), report, dimension.as_str()), (vec!["RecordHeld"], held.key(), "units"));
    assert_eq!(witness.look(&ledger, now).await.unwrap(), []);
    let doubtful = held.settlement.records[0].clone().ambiguous("Test", "nobody knows");
    ledger.compare_and_swap(&held, &held.settlement.clone().with(doubtful)).await.unwrap();
    let news = witness.look(&ledger, now).await.unwrap();
    assert_eq!(reasons(&news), ["RecordAmbiguous"]);
    assert_eq!(witness.look(&ledger, now).await.unwrap(), []);
    // The API server did not take the event.
    witness.forget(&news[0]);
    assert_eq!(reasons(&witness.look(&ledger, now).await.unwrap()), ["RecordAmbiguous"]);
}

#[tokio::test]
async fn many_records_are_told_of_as_a_number() {
    let ledger = MemoryLedger::default();
    let mut hour: BillingHour = "2026-11-20T00:00:00Z".parse().unwrap();
    for _ in 0..MAX_NEEDY + 3 {
        let report = report("vecdb", hour, 5);
        let settlement = Settlement::of(&report, Mode::Live);
        let record = settlement.records[0].clone().expired().under(LatePolicy::Hold);
        ledger.create_if_absent("vecdb", &report, &settlement.with(record)).await.unwrap();
        hour = hour.next();
    }
    let mut witness = Witness::default();
    let news = witness.look(&ledger, at("2026-11-22T10:00:00Z")).await.unwrap();
    assert_eq!(news.len(), MAX_NEEDY + 1);
    let last = &news.last().unwrap().verdict;
    assert_eq!(last.reason, "RecordNeedsAttention");
    assert!(last.message.starts_with("3 more records"), "{}", last.message);
    assert_eq!(witness.look(&ledger, at("2026-11-22T10:01:00Z")).await.unwrap(), []);
}

#[tokio::test]
async fn a_decision_is_told_once_even_if_it_settles_its_report() {
    for (wish, reason) in [
        (Wish::WriteOff, "RecordWrittenOff"),
        (Wish::Release { accepts_second_charge: false }, "RecordReleased"),
    ] {
        let (ledger, entry) = held().await;
        let mut witness = Witness::default();
        let now = at("2026-11-22T10:00:20Z");
        assert_eq!(reasons(&witness.look(&ledger, now).await.unwrap()), ["RecordHeld"]);
        assert_eq!(witness.look(&ledger, now).await.unwrap(), []);
        decide(&ledger, &entry, wish).await;
        let news = witness.look(&ledger, now).await.unwrap();
        assert_eq!(reasons(&news), [reason]);
        assert_eq!(news[0].product, entry.product());
        assert!(news[0].verdict.message.contains("alice"), "{}", news[0].verdict.message);
        assert_eq!(witness.look(&ledger, now).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_decision_from_before_the_start_is_told_if_it_is_news() {
    for (now, told) in [("2026-11-22T10:59:00Z", 1), ("2026-11-22T11:01:00Z", 0)] {
        let (ledger, entry) = held().await;
        decide(&ledger, &entry, Wish::Release { accepts_second_charge: false }).await;
        let news = Witness::default().look(&ledger, at(now)).await.unwrap();
        assert_eq!(news.iter().filter(|one| one.action == "Decide").count(), told, "{now}");
    }
}
