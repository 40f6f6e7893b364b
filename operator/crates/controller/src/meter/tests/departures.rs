//! Bindings that go: in the regular way, out of the assignment, or out of the cluster.

use super::*;

impl Bench {
    /// What the product's reconciler wants metered from now on.
    fn assign(&mut self, bindings: &[Binding]) {
        let bindings = bindings.iter().map(|binding| (binding.clone(), false)).collect();
        self.meter.set_bindings(bindings, self.clock.now());
    }
}

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

#[tokio::test]
async fn a_binding_that_drops_out_of_the_assignment_leaves_its_open_hour_behind_to_be_sealed() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    bench.at("14:10", 104).await;
    bench.assign(&[]);
    bench.at("14:20", 150).await;
    bench.at("15:00", 150).await;
    assert!(bench.meter.all_progress()[&binding().key].has_open_hours);
    bench.at("15:05", 150).await;
    assert_eq!(bench.sealed().await, 4);
    bench.at("15:10", 150).await;
    assert!(bench.meter.all_progress().is_empty(), "it is forgotten once its hours are sealed");
}

#[tokio::test]
async fn a_binding_that_comes_back_within_the_hour_goes_on_and_counts_nothing_twice() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    bench.at("14:10", 104).await;
    bench.assign(&[]);
    bench.at("14:20", 107).await;
    bench.assign(&[binding()]);
    for (time, total) in [("14:30", 108), ("14:40", 109), ("14:50", 109), ("15:00", 110), ("15:05", 110)] {
        bench.at(time, total).await;
    }
    assert_eq!(bench.sealed().await, 10);
    assert_eq!(bench.reports().await[0].report.body.evidence.missed, 1);
}

#[tokio::test]
async fn a_binding_that_comes_back_in_a_later_hour_goes_on_from_its_checkpoint() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    bench.at("14:10", 104).await;
    bench.assign(&[]);
    for time in ["15:00", "15:05", "15:10"] {
        bench.at(time, 107).await;
    }
    bench.assign(&[binding()]);
    for (time, total) in [("15:20", 108), ("16:00", 109), ("16:05", 109)] {
        bench.at(time, total).await;
    }
    let quantities: Vec<u32> =
        bench.reports().await.iter().map(|entry| entry.report.body.records[0].quantity).collect();
    assert_eq!(quantities, [4, 5]);
}

#[tokio::test]
async fn the_hour_of_a_binding_that_is_gone_is_sealed_from_memory() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    bench.at("14:10", 104).await;
    bench.checkpoints.gone.lock().unwrap().insert(binding().uid);
    bench.assign(&[]);
    bench.at("15:00", 150).await;
    bench.at("15:05", 150).await;
    assert_eq!(bench.sealed().await, 4);
    assert_eq!(bench.meter.findings().storage, None);
    bench.at("15:10", 150).await;
    assert!(bench.meter.all_progress().is_empty());
}

#[tokio::test]
async fn a_binding_that_was_replaced_under_its_name_leaves_its_open_hour_behind() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    bench.at("14:10", 104).await;
    bench.checkpoints.gone.lock().unwrap().insert(binding().uid);
    bench.assign(&[Binding { uid: "another".into(), ..binding() }]);
    // The first total of the new one is a baseline.
    for (time, total) in [("14:20", 105), ("14:30", 107), ("15:00", 108), ("15:05", 108)] {
        bench.at(time, total).await;
    }
    assert_eq!(bench.sealed().await, 7);
    assert_eq!(bench.meter.findings().storage, None);
}

#[tokio::test]
async fn a_binding_that_goes_before_its_checkpoint_was_read_holds_nobody_up() {
    let mut bench = Bench::new();
    let early = Binding { key: ObjectKey::new("vecdb", "early"), uid: "early".into(), ..binding() };
    bench.checkpoints.gone.lock().unwrap().insert(early.uid.clone());
    bench.assign(&[binding(), early]);
    bench.at("14:00", 100).await;
    bench.assign(&[binding()]);
    for (time, total) in [("14:10", 104), ("15:00", 104), ("15:05", 104)] {
        bench.at(time, total).await;
    }
    assert_eq!(bench.sealed().await, 4);
}
