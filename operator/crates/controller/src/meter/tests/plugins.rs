//! Plugins that change, fail and misbehave.

use super::*;

#[tokio::test]
async fn a_reading_of_an_unknown_dimension_makes_the_tick_a_missed_one() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    *bench.plugin.dimension.lock().unwrap() = "scan".into();
    bench.at("14:10", 105).await;
    let finding = bench.meter.findings().missed["prod"].clone();
    assert_eq!(finding.reason, "InvalidOutput");
    assert!(finding.message.contains("`scan`"), "{}", finding.message);
    *bench.plugin.dimension.lock().unwrap() = "scans".into();
    for time in ["14:20", "14:30", "14:40", "14:50", "15:00", "15:05"] {
        bench.at(time, 107).await;
    }
    assert_eq!(bench.sealed().await, 7);
    assert_eq!(bench.reports().await[0].report.body.evidence.missed, 1);
    assert!(bench.meter.findings().missed.is_empty());
}

#[tokio::test]
async fn a_new_plugin_takes_over_at_the_next_hour() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    let new = Digest::of(b"two");
    let plugin = LoadedPlugin { digest: new.clone(), plugin: bench.plugin.clone() };
    bench.meter.update(product(), plugin);
    for (time, total) in [("14:10", 101), ("14:20", 101), ("14:30", 101), ("14:40", 101), ("14:50", 101)] {
        bench.at(time, total).await;
    }
    for (time, total) in [("15:00", 102), ("15:05", 102), ("15:10", 105), ("16:00", 105), ("16:05", 105)] {
        bench.at(time, total).await;
    }
    let plugins: Vec<Digest> =
        bench.reports().await.iter().map(|entry| entry.report.body.evidence.plugin.clone()).collect();
    assert_eq!(plugins, [Digest::of(b"one"), new]);
}

#[tokio::test]
async fn a_plugin_that_fails_its_dry_run_never_takes_over_and_is_tried_again_at_the_next_hour() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    let failing = Arc::new(Counting {
        manifest: bench.plugin.manifest.clone(),
        dimension: Mutex::new("scan".into()),
        total: Mutex::new(0),
    });
    let new = Digest::of(b"two");
    bench.meter.update(product(), LoadedPlugin { digest: new.clone(), plugin: failing.clone() });
    bench.at("14:10", 101).await;
    let successor = bench.meter.findings().successor.clone().unwrap();
    assert_eq!((successor.digest, successor.problem.unwrap().reason), (new.clone(), "InvalidOutput"));
    assert!(bench.meter.findings().missed.is_empty(), "the old plugin measures");
    for time in ["15:00", "15:05", "15:10"] {
        bench.at(time, 103).await;
    }
    assert_eq!(bench.meter.findings().plugin, Some(Digest::of(b"one")));
    // Between two hours it is left alone; at the edge it gets another chance.
    *failing.dimension.lock().unwrap() = "scans".into();
    bench.at("15:20", 104).await;
    assert!(bench.meter.findings().successor.clone().unwrap().problem.is_some());
    bench.at("16:00", 105).await;
    assert_eq!(bench.meter.findings().successor, None);
    bench.at("16:05", 105).await;
    assert_eq!(bench.meter.findings().plugin, Some(new));
}

#[tokio::test]
async fn until_its_hour_ends_the_old_plugin_measures_what_the_old_specification_says() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    let mut other = product();
    other.dimensions[0].name = "lookups".parse().unwrap();
    let plugin = Arc::new(Counting {
        manifest: bench.plugin.manifest.clone(),
        dimension: Mutex::new("lookups".into()),
        total: Mutex::new(7),
    });
    bench.meter.update(other, LoadedPlugin { digest: Digest::of(b"two"), plugin });
    bench.at("14:10", 101).await;
    assert!(bench.meter.findings().missed.is_empty());
    bench.at("15:00", 102).await;
    assert_eq!(bench.meter.product().dimensions[0].name.as_str(), "lookups");
}

#[tokio::test]
async fn a_plugin_that_keeps_misbehaving_is_left_alone_and_its_counters_heal() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    *bench.plugin.dimension.lock().unwrap() = "scan".into();
    for time in ["14:10", "14:20", "14:30", "14:40", "14:50", "15:00", "15:10"] {
        bench.at(time, 110).await;
    }
    let reason = |bench: &Bench| bench.meter.findings().missed["prod"].reason;
    assert_eq!(reason(&bench), QUARANTINED);
    *bench.plugin.dimension.lock().unwrap() = "scans".into();
    // Seven failures in a row: left alone for twenty minutes.
    bench.at("15:20", 120).await;
    assert_eq!(reason(&bench), QUARANTINED);
    bench.at("15:30", 120).await;
    assert!(bench.meter.findings().missed.is_empty());
    for time in ["15:40", "15:50", "16:00", "16:05"] {
        bench.at(time, 121).await;
    }
    assert_eq!(bench.sealed().await, 21);
}

#[tokio::test]
async fn a_changed_specification_ends_a_quarantine_and_a_changed_binding_does_not() {
    let mut bench = Bench::new();
    *bench.plugin.dimension.lock().unwrap() = "scan".into();
    for time in ["14:00", "14:10", "14:20", "14:30", "14:40", "14:50", "15:00"] {
        bench.at(time, 110).await;
    }
    *bench.plugin.dimension.lock().unwrap() = "scans".into();
    let plugin = LoadedPlugin { digest: Digest::of(b"one"), plugin: bench.plugin.clone() };
    // What a reconciliation hands on when a binding has changed.
    bench.meter.update(product(), plugin.clone());
    bench.at("15:10", 110).await;
    assert_eq!(bench.meter.findings().missed["prod"].reason, QUARANTINED);
    let mut changed = product();
    changed.meter.config = Arc::from("{\"a\":1}");
    bench.meter.update(changed, plugin);
    bench.at("15:20", 110).await;
    assert!(bench.meter.findings().missed.is_empty());
}

#[tokio::test]
async fn an_hour_in_which_a_restart_lets_a_new_plugin_in_names_both() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    bench.at("14:10", 103).await;
    bench.meter.save(&bench.house).await;
    let new = Digest::of(b"two");
    let plugin = LoadedPlugin { digest: new.clone(), plugin: bench.plugin.clone() };
    bench.meter = Meter::new(product(), plugin);
    bench.meter.set_bindings(vec![(binding(), false)], bench.clock.now());
    for time in ["14:20", "14:30", "14:40", "14:50", "15:00", "15:05"] {
        bench.at(time, 107).await;
    }
    assert_eq!(bench.sealed().await, 7, "its counters go on where they were");
    let evidence = bench.reports().await.remove(0).report.body.evidence;
    assert_eq!(evidence.plugins().collect::<Vec<_>>(), [&Digest::of(b"one"), &new]);
}
