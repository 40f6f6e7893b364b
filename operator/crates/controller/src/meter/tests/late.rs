//! Usage that AWS takes no more, and how it gets into a later hour.

use super::*;

#[tokio::test]
async fn expired_usage_is_carried_by_the_next_seal_and_by_no_other() {
    let mut bench = Bench::new();
    for (time, total) in [("14:00", 100), ("14:10", 104), ("15:00", 104), ("15:05", 104)] {
        bench.at(time, total).await;
    }
    let first = bench.reports().await.remove(0);
    let expired = first.settlement.records[0].clone().expired();
    let settlement = first.settlement.clone().with(expired);
    bench.house.ledger.compare_and_swap(&first, &settlement).await.unwrap();
    for (time, total) in [("15:10", 105), ("16:00", 105), ("16:05", 105), ("16:10", 106), ("17:00", 106)] {
        bench.at(time, total).await;
    }
    bench.at("17:05", 106).await;
    let reports = bench.reports().await;
    let quantities: Vec<u32> = reports.iter().map(|entry| entry.report.body.records[0].quantity).collect();
    assert_eq!(quantities, [4, 5, 1]);
    assert_eq!(reports[0].settlement.records[0].state, RecordState::CarriedForward);
}

#[tokio::test]
async fn held_usage_that_a_person_releases_is_carried_whatever_the_policy_says_and_however_late() {
    let mut bench = Bench::new();
    bench.meter.product.policy.late = LatePolicy::Hold;
    for (time, total) in [("14:00", 100), ("14:10", 104), ("15:00", 104), ("15:05", 104)] {
        bench.at(time, total).await;
    }
    let first = bench.reports().await.remove(0);
    let held = first.settlement.records[0].clone().expired().under(LatePolicy::Hold);
    assert_eq!(held.state, RecordState::Held);
    let author = Author {
        name: "alice".into(),
        is_verified: true,
        reason: "the buyer agrees".into(),
        at: bench.clock.now(),
    };
    let released = held.decided(&Wish::Release { accepts_second_charge: false }, &author).unwrap();
    let settlement = first.settlement.clone().with(released);
    bench.house.ledger.compare_and_swap(&first, &settlement).await.unwrap();
    // Four days later: far beyond the hours in which usage becomes late by itself.
    *bench.clock.0.lock().unwrap() = "2026-11-25T15:50:00Z".parse().unwrap();
    bench.meter.turn(&bench.house).await;
    *bench.clock.0.lock().unwrap() = "2026-11-25T17:06:00Z".parse().unwrap();
    bench.meter.turn(&bench.house).await;
    let reports = bench.reports().await;
    let carried: Vec<_> =
        reports.iter().flat_map(|entry| &entry.report.body.records[0].carried_from).collect();
    assert_eq!(carried.len(), 1);
    assert_eq!((carried[0].hour, carried[0].quantity), (first.report.body.hour, Quantity::from_units(4)));
    assert_eq!(reports[0].settlement.records[0].state, RecordState::CarriedForward);
    assert_eq!(reports[0].settlement.records[0].decisions.len(), 1);
}

#[tokio::test]
async fn usage_that_expired_in_an_outage_of_days_is_carried_by_the_first_seal_after_it() {
    let mut bench = Bench::new();
    for (time, total) in [("14:00", 100), ("14:10", 104), ("15:00", 104), ("15:05", 104)] {
        bench.at(time, total).await;
    }
    let first = bench.reports().await.remove(0);
    // Nobody was there for four days, and all of their hours are sealed before the settler looks.
    let back: Timestamp = "2026-11-25T15:50:00Z".parse().unwrap();
    for turn in 0..150 {
        *bench.clock.0.lock().unwrap() = back + SignedDuration::from_secs(turn * 2);
        bench.meter.turn(&bench.house).await;
    }
    let expired = first.settlement.clone().with(first.settlement.records[0].clone().expired());
    bench.house.ledger.compare_and_swap(&first, &expired).await.unwrap();
    for time in ["2026-11-25T16:00:00Z", "2026-11-25T16:06:00Z"] {
        *bench.clock.0.lock().unwrap() = time.parse().unwrap();
        bench.meter.turn(&bench.house).await;
    }
    let reports = bench.reports().await;
    let carried: Vec<_> = reports
        .iter()
        .flat_map(|entry| &entry.report.body.records[0].carried_from)
        .map(|from| (from.hour, from.quantity))
        .collect();
    assert_eq!(carried, [(first.report.body.hour, Quantity::from_units(4))]);
    assert_eq!(reports[0].settlement.records[0].state, RecordState::CarriedForward);
}
