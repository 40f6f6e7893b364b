//! Processes that die or are replaced, stores that fail or forget, clocks that are wrong.

use super::*;

#[tokio::test]
async fn a_crash_at_any_moment_counts_every_increase_once() {
    let times = ["14:00", "14:10", "14:20", "14:30", "14:40", "14:50", "15:00", "15:05", "15:10", "15:20"];
    for crash_after in 0..times.len() {
        let mut bench = Bench::new();
        for (index, time) in times.iter().enumerate() {
            let total = 100 + u32::try_from(index).unwrap() * 10;
            bench.at(time, total).await;
            if index == crash_after {
                bench.crash();
            }
        }
        for time in ["15:30", "15:40", "15:50", "16:00", "16:05"] {
            bench.at(time, 200).await;
        }
        assert_eq!(bench.sealed().await, 100, "after a crash at {}", times[crash_after]);
    }
}

#[tokio::test]
async fn no_hour_is_sealed_from_what_has_not_been_checkpointed() {
    let mut bench = Bench::new();
    bench.at("14:50", 100).await;
    bench.checkpoints.is_down.store(true, Ordering::Relaxed);
    bench.at("15:00", 109).await;
    bench.at("15:05", 109).await;
    assert_eq!(bench.reports().await, []);
    assert_eq!(bench.meter.findings().storage.as_ref().unwrap().reason, "CheckpointUnavailable");
    bench.checkpoints.is_down.store(false, Ordering::Relaxed);
    bench.at("15:06", 109).await;
    assert_eq!(bench.sealed().await, 9);
    assert_eq!(bench.meter.findings().storage, None);
}

#[tokio::test]
async fn an_hour_is_over_only_when_the_store_says_so_too() {
    let mut bench = Bench::new();
    let store_shows = |bench: &Bench, time: &str| {
        *bench.checkpoints.time.lock().unwrap() = Some(format!("2026-11-21T{time}:00Z").parse().unwrap());
    };
    store_shows(&bench, "14:00");
    bench.at("14:00", 100).await;
    store_shows(&bench, "14:10");
    bench.at("14:10", 104).await;
    // The node's clock jumps ahead by an hour: nothing is measured in an hour that has not begun, nothing is sealed.
    bench.at("15:10", 106).await;
    assert_eq!(bench.reports().await, []);
    assert_eq!(bench.meter.findings().clock.as_ref().unwrap().reason, "ClockSkewed");
    // It is set right.
    for time in ["14:20", "14:30", "14:40", "14:50", "15:00", "15:05"] {
        store_shows(&bench, time);
        bench.at(time, 109).await;
    }
    assert_eq!(bench.meter.findings().clock, None);
    assert_eq!((bench.reports().await.len(), bench.sealed().await), (1, 9));
    assert_eq!(bench.reports().await[0].report.body.evidence.missed, 0);
}

#[tokio::test]
async fn nothing_is_sealed_on_a_ledger_that_has_forgotten_an_hour() {
    let mut bench = Bench::new();
    for (time, total) in [("14:00", 100), ("14:10", 104), ("15:00", 104), ("15:05", 104), ("16:00", 109)] {
        bench.at(time, total).await;
    }
    let ledger = Arc::new(MemoryLedger::default());
    bench.house.ledger = ledger.clone();
    bench.at("16:05", 109).await;
    assert_eq!(bench.meter.findings().storage.as_ref().unwrap().reason, "LedgerBehind");
    assert!(ledger.backup().is_empty());
}

#[tokio::test]
async fn a_process_that_takes_over_ends_the_checkpoints_of_the_one_before() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    let other = bench.checkpoints.checkpoints.of_another_process();
    let mut successor = Bench::meter(&bench.clock, &bench.plugin);
    let house = House {
        checkpoints: Arc::new(Switched { checkpoints: other, ..Switched::default() }),
        ..bench.house.clone()
    };
    successor.turn(&house).await;
    bench.at("14:10", 104).await;
    assert_eq!(bench.meter.findings().storage.as_ref().unwrap().reason, "CheckpointSuperseded");
}

#[tokio::test]
async fn a_process_that_dies_between_a_carrying_seal_and_its_mark_leaves_the_mark_to_the_next_one() {
    let mut bench = Bench::new();
    for (time, total) in [("14:00", 100), ("14:10", 104), ("15:00", 104), ("15:05", 104)] {
        bench.at(time, total).await;
    }
    let expire = async |bench: &Bench| {
        let first = bench.reports().await.remove(0);
        let expired = first.settlement.clone().with(first.settlement.records[0].clone().expired());
        bench.house.ledger.compare_and_swap(&first, &expired).await.unwrap()
    };
    expire(&bench).await;
    for (time, total) in [("15:10", 105), ("16:00", 105), ("16:05", 105)] {
        bench.at(time, total).await;
    }
    let marked = bench.reports().await.remove(0);
    assert_eq!(marked.settlement.records[0].state, RecordState::CarriedForward);
    // As if the mark had not been made; nothing is used any more, so no seal follows.
    let unmarked = marked.settlement.clone().with(marked.settlement.records[0].clone().expired());
    bench.house.ledger.compare_and_swap(&marked, &unmarked).await.unwrap();
    bench.crash();
    bench.at("16:10", 105).await;
    assert_eq!(bench.reports().await[0].settlement.records[0].state, RecordState::CarriedForward);
    assert_eq!(bench.sealed().await, 9);
}

#[tokio::test]
async fn an_hour_that_an_older_backup_has_forgotten_is_sealed_in_doubt_with_all_that_was_used_since() {
    let mut bench = Bench::new();
    let ledger = Arc::new(MemoryLedger::default());
    bench.house.ledger = ledger.clone();
    bench.at("14:00", 100).await;
    bench.at("14:10", 104).await;
    let (reports, checkpoints) = (ledger.backup(), bench.checkpoints.checkpoints.backup());
    bench.at("15:00", 109).await;
    bench.at("15:05", 109).await;
    bench.send(0).await;
    bench.at("15:10", 111).await;
    ledger.restore(reports);
    bench.checkpoints.checkpoints.restore(checkpoints);
    bench.crash();
    for (time, total) in [("15:20", 112), ("15:30", 113), ("16:00", 113), ("16:05", 113)] {
        bench.at(time, total).await;
    }
    let sealed: Vec<_> = bench
        .reports()
        .await
        .iter()
        .map(|entry| (entry.report.body.records[0].quantity, entry.settlement.records[0].state))
        .collect();
    // Nine of the twelve were billed before; nobody can tell how many of the other three were.
    assert_eq!(sealed, [(12, RecordState::Ambiguous), (1, RecordState::Sealed)]);
}

#[tokio::test]
async fn late_usage_that_a_forgotten_hour_has_carried_is_not_carried_again() {
    let mut bench = Bench::new();
    let ledger = Arc::new(MemoryLedger::default());
    bench.house.ledger = ledger.clone();
    for (time, total) in [("14:00", 100), ("14:10", 104), ("15:00", 104), ("15:05", 104)] {
        bench.at(time, total).await;
    }
    let first = bench.reports().await.remove(0);
    let expired = first.settlement.clone().with(first.settlement.records[0].clone().expired());
    ledger.compare_and_swap(&first, &expired).await.unwrap();
    let (reports, checkpoints) = (ledger.backup(), bench.checkpoints.checkpoints.backup());
    for (time, total) in [("15:10", 105), ("16:00", 105), ("16:05", 105)] {
        bench.at(time, total).await;
    }
    bench.send(1).await;
    ledger.restore(reports);
    bench.checkpoints.checkpoints.restore(checkpoints);
    bench.crash();
    for (time, total) in [("16:10", 106), ("16:20", 107), ("17:00", 107), ("17:05", 107)] {
        bench.at(time, total).await;
    }
    let reports = bench.reports().await;
    assert!(reports.iter().all(|entry| entry.report.body.records[0].carried_from.is_empty()));
    assert_eq!(reports.last().unwrap().report.body.records[0].quantity, 1);
}

#[tokio::test]
async fn an_hour_that_another_process_has_sealed_with_other_numbers_is_a_finding_until_the_next_one() {
    let (mut bench, mut other) = (Bench::new(), Bench::new());
    for (time, total, others) in [("14:00", 100, 100), ("14:10", 104, 103), ("15:00", 104, 103)] {
        bench.at(time, total).await;
        other.at(time, others).await;
    }
    other.at("15:05", 103).await;
    let sealed = other.reports().await.remove(0);
    bench.house.ledger.create_if_absent("vecdb", &sealed.report, &sealed.settlement).await.unwrap();
    bench.at("15:05", 104).await;
    let finding = bench.meter.findings().sealed.clone().unwrap();
    assert_eq!(finding.reason, "SealedOtherwise");
    assert!(finding.message.contains("scans"), "{}", finding.message);
    assert_eq!(bench.sealed().await, 3, "the report holds");
    for (time, total) in [("15:10", 105), ("16:00", 105), ("16:05", 105)] {
        bench.at(time, total).await;
    }
    assert_eq!(bench.meter.findings().sealed, None);
}

#[tokio::test]
async fn ticks_that_nobody_ran_in_hours_that_are_sealed_meanwhile_open_none_of_them_again() {
    let mut bench = Bench::new();
    let other = Binding { key: ObjectKey::new("vecdb", "other"), uid: "other".into(), ..binding() };
    let both = [(binding(), false), (other.clone(), false)];
    bench.meter.set_bindings(both.to_vec(), bench.clock.now());
    bench.at("14:00", 100).await;
    bench.meter.set_bindings(both[..1].to_vec(), bench.clock.now());
    for (time, total) in [("14:10", 101), ("15:00", 101), ("15:05", 101), ("15:10", 102), ("16:00", 102)] {
        bench.at(time, total).await;
    }
    bench.at("16:05", 102).await;
    bench.meter.set_bindings(both.to_vec(), bench.clock.now());
    bench.at("16:10", 102).await;
    bench.at("16:20", 102).await;
    let tally = &bench.meter.bindings[&identity(&other)].tally;
    let open: Vec<BillingHour> = tally.hours().map(|(hour, _)| hour).collect();
    assert_eq!(open, [BillingHour::of(bench.clock.now())]);
}
