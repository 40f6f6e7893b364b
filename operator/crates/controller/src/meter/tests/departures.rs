//! Bindings that go.

use super::*;

#[tokio::test]
async fn a_binding_that_is_deleted_has_no_further_ticks_and_its_hour_is_still_sealed() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    bench.at("14:10", 104).await;
    bench.meter.set_bindings(vec![(binding(), true)], bench.clock.now());
    bench.at("14:20", 150).await;
    bench.at("15:05", 150).await;
    assert_eq!(bench.sealed().await, 4);
    assert!(!bench.meter.all_progress()[&binding().key].has_open_hours);
}
