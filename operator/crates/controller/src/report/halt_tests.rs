//! Products and reports that are left alone.

use super::*;

#[tokio::test]
async fn a_ledger_that_somebody_has_edited_is_not_sent_from() {
    let mut stage = Stage::with([Outcome::NotAccepted(refusal())], Failing::default()).await;
    let turn = stage.turn().await;
    let entry = stage.ledger.scan_unsettled().await.unwrap().open.remove(0);
    let mut edited = entry.settlement.clone();
    edited.records[0].metering_record_id = Some("of another life".to_owned());
    stage.ledger.compare_and_swap(&entry, &edited).await.unwrap();
    stage.turn_after(&turn).await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Sealed));
    assert_eq!(stage.settler.breach(&entry.product()).unwrap().invariant, "I5");
}

#[tokio::test]
async fn what_was_halted_stays_halted_in_the_next_term_of_the_process() {
    let mut stage = Stage::with([Outcome::NotAccepted(refusal())], Failing::default()).await;
    let breaches = Breaches::default();
    stage.settler = pod("a").remembering(breaches.clone());
    let turn = stage.turn().await;
    let entry = stage.ledger.scan_unsettled().await.unwrap().open.remove(0);
    let mut edited = entry.settlement.clone();
    edited.records[0].metering_record_id = Some("of another life".to_owned());
    let edited = stage.ledger.compare_and_swap(&entry, &edited).await.unwrap();
    let turn = stage.turn_after(&turn).await;
    // By itself the report shows nothing wrong any more.
    stage.ledger.compare_and_swap(&edited, &entry.settlement).await.unwrap();
    stage.settler = pod("a").remembering(breaches);
    stage.turn_after(&turn).await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Sealed));
    assert_eq!(stage.settler.breach(&entry.product()).unwrap().invariant, "I5");
}

#[tokio::test]
async fn reports_of_products_that_have_not_been_seen_are_left_alone() {
    let mut stage = Stage::with([], Failing::default()).await;
    let policies = Policies::default().without(["vecdb".to_owned()]);
    stage.clock.sleep_until("2026-11-21T19:50:00Z".parse().unwrap()).await;
    let turn = stage.settler.turn(&stage.teller, &policies).await;
    assert_eq!((turn.open.len(), stage.state().await), (1, RecordState::Sealed));
}

#[tokio::test]
async fn a_damaged_report_halts_its_product_and_no_other() {
    let mut stage = Stage::with([accepted()], Failing::default()).await;
    let other = report("other", "2026-11-21T14:00:00Z".parse().unwrap(), 5);
    let settlement = Settlement::of(&other, Mode::Live);
    stage.ledger.create_if_absent("vecdb", &other, &settlement).await.unwrap();
    let product = ObjectKey::new("vecdb", "vecdb");
    stage.ledger.damaged.lock().unwrap().push(Damage {
        report: ObjectKey::new("vecdb", "vecdb-2026112113"),
        product: product.clone(),
        problem: "the hash differs".to_owned(),
    });
    let turn = stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Sealed));
    assert_eq!(turn.changed[0].product().name, "other");
    let breach = stage.settler.breach(&product).unwrap().to_string();
    assert_eq!(breach, "Chain vecdb/vecdb-2026112113: the hash differs");
}
