//! Products that change while an hour is open: it is sealed by the dimensions that it was measured with.

use super::*;

/// Reports one gauge of 2.5 of this dimension.
struct Gauging {
    manifest: Manifest,
    dimension: &'static str,
}

#[async_trait]
impl Plugin for Gauging {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn validate_config(&self, _: &str) -> Result<(), PluginFailure> {
        Ok(())
    }

    async fn measure(&self, _: Tick, _: Vec<Input>) -> Result<Measurement, PluginFailure> {
        let value = Value::Gauge("2.5".parse().unwrap());
        let reading = Reading { dimension: self.dimension.parse().unwrap(), value, tags: TagSet::default() };
        Ok(Measurement { readings: vec![reading], ..Measurement::default() })
    }
}

fn selling(names: &[&str], fold: Fold) -> Product {
    let dimension = product().dimensions[0].clone();
    let named = |name: &&str| Dimension { name: name.parse().unwrap(), fold, ..dimension.clone() };
    Product { dimensions: names.iter().map(named).collect(), ..product() }
}

impl Bench {
    /// The plugin of this digest, which counts one dimension, with the product that it is for.
    fn update(&mut self, product: Product, plugin: &str) {
        let digest = Digest::of(plugin.as_bytes());
        self.meter.update(product, LoadedPlugin { digest, plugin: self.plugin.clone() });
    }

    /// The plugin reports gauges instead.
    fn gauge(&mut self, product: Product, dimension: &'static str) {
        let plugin = Arc::new(Gauging { manifest: self.plugin.manifest.clone(), dimension });
        self.meter.update(product, LoadedPlugin { digest: Digest::of(b"one"), plugin });
    }

    /// What each report says of each dimension.
    async fn billed(&self) -> Vec<Vec<(String, u32)>> {
        let records = |entry: &Entry| {
            entry.report.body.records.iter().map(|one| (one.dimension.to_string(), one.quantity)).collect()
        };
        self.reports().await.iter().map(records).collect()
    }
}

fn records(records: &[(&str, u32)]) -> Vec<(String, u32)> {
    records.iter().map(|(dimension, quantity)| ((*dimension).to_owned(), *quantity)).collect()
}

#[tokio::test]
async fn usage_of_a_dimension_that_is_renamed_in_mid_hour_is_sealed_with_that_hour() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    bench.at("14:10", 104).await;
    bench.update(selling(&["lookups"], Fold::Sum), "one");
    *bench.plugin.dimension.lock().unwrap() = "lookups".into();
    for (time, total) in [("14:20", 3), ("14:30", 4), ("15:00", 5), ("15:05", 5), ("16:00", 7), ("16:05", 7)]
    {
        bench.at(time, total).await;
    }
    let expected = [records(&[("scans", 4), ("lookups", 5)]), records(&[("lookups", 2)])];
    assert_eq!(bench.billed().await, expected);
}

#[tokio::test]
async fn usage_of_a_dimension_that_is_removed_between_an_hours_end_and_its_seal_is_sealed() {
    let mut bench = Bench::new();
    bench.update(selling(&["lookups", "scans"], Fold::Sum), "one");
    for (time, total) in [("14:00", 100), ("14:10", 104), ("15:00", 106)] {
        bench.at(time, total).await;
    }
    bench.update(selling(&["lookups"], Fold::Sum), "one");
    bench.crash();
    bench.update(selling(&["lookups"], Fold::Sum), "one");
    bench.at("15:05", 106).await;
    assert_eq!(bench.billed().await, [records(&[("scans", 6)])]);
}

#[tokio::test]
async fn a_fold_that_is_changed_in_mid_hour_holds_from_the_next_hour_on() {
    let mut bench = Bench::new();
    bench.gauge(selling(&["size"], Fold::Sum), "size");
    for time in ["14:00", "14:10", "14:20"] {
        bench.at(time, 0).await;
    }
    bench.gauge(selling(&["size"], Fold::Max), "size");
    for time in ["14:30", "14:40", "14:50", "15:00", "15:05", "15:10", "16:00", "16:05"] {
        bench.at(time, 0).await;
    }
    assert_eq!(bench.billed().await, [records(&[("size", 15)]), records(&[("size", 2)])]);
}

#[tokio::test]
async fn the_last_hour_of_a_plugin_is_sealed_by_its_own_dimensions_when_another_has_taken_over() {
    let mut bench = Bench::new();
    bench.at("14:00", 100).await;
    bench.at("14:10", 104).await;
    let plugin = Arc::new(Counting {
        manifest: bench.plugin.manifest.clone(),
        dimension: Mutex::new("lookups".into()),
        total: Mutex::new(7),
    });
    let new = LoadedPlugin { digest: Digest::of(b"two"), plugin };
    bench.meter.update(selling(&["lookups"], Fold::Max), new);
    for time in ["14:50", "15:00", "15:05"] {
        bench.at(time, 109).await;
    }
    // What the tick at the hour's end counts is of the hour before, whoever counts it.
    assert_eq!(bench.billed().await, [records(&[("scans", 9), ("lookups", 7)])]);
}

#[tokio::test]
async fn late_usage_of_a_dimension_that_is_gone_is_carried_and_its_remainder_stays_in_the_chain() {
    let mut bench = Bench::new();
    bench.gauge(selling(&["size"], Fold::Max), "size");
    for time in ["14:00", "15:00", "15:05"] {
        bench.at(time, 0).await;
    }
    let first = bench.reports().await.remove(0);
    let expired = first.settlement.clone().with(first.settlement.records[0].clone().expired());
    bench.house.ledger.compare_and_swap(&first, &expired).await.unwrap();
    bench.update(selling(&["scans"], Fold::Sum), "one");
    for (time, total) in
        [("15:10", 1), ("15:20", 2), ("16:00", 3), ("16:05", 3), ("16:10", 4), ("17:00", 4), ("17:05", 4)]
    {
        bench.at(time, total).await;
    }
    // The hour 15:00 began with a tick that measured the size.
    let expected = [records(&[("size", 2)]), records(&[("size", 5), ("scans", 3)]), records(&[("scans", 1)])];
    assert_eq!(bench.billed().await, expected);
    let reports = bench.reports().await;
    assert_eq!(reports[0].settlement.records[0].state, RecordState::CarriedForward);
    let rest: Vec<_> = reports[2].report.remainders().into_iter().collect();
    assert!(rest.is_empty(), "{rest:?}");
}
