//! Plugins that turn bad beside a good one: said everywhere, left alone, and nobody is billed for what nobody measured.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tollkeeper_api::{LicenseBinding, MarketplaceProduct};
use tollkeeper_componentize::component_of_wasi;
use tollkeeper_control_plane::{Observed, PATIENCE, Stage, Workload, repository};
use tollkeeper_kit::{http_get, wait_until};

/// What every hostile guest of the plugin host's tests is made of, and what they leave to it.
const GUEST: [&str; 5] = [
    include_str!("../../../operator/crates/plugin-host/tests/hostile/skeleton.wat"),
    include_str!("../../../operator/crates/plugin-host/tests/hostile/default-realloc.wat"),
    include_str!("../../../operator/crates/plugin-host/tests/hostile/default-describe.wat"),
    include_str!("../../../operator/crates/plugin-host/tests/hostile/default-config.wat"),
    include_str!("misbehaviour.wat"),
];

/// A plugin that misbehaves at the hours 15 and 16, and the reason of it.
struct Bad {
    name: &'static str,
    reason: &'static str,
    digest: String,
}

impl Bad {
    /// Puts a plugin into the folder that does this while it is bad.
    fn new(name: &'static str, reason: &'static str, misbehave: &str, folder: &Path) -> Self {
        let text = format!("(module {})", GUEST.join("\n").replace("(misbehave)", misbehave));
        let wit = fs::read_to_string(repository().join("plugins/wit/meter.wit")).unwrap();
        let component = component_of_wasi(&wat::parse_str(text).unwrap(), &wit).unwrap();
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&component)));
        fs::write(folder.join(name), component).unwrap();
        Self { name, reason, digest }
    }

    async fn create(&self, stage: &Stage, folder: &Path) -> MarketplaceProduct {
        let mut product =
            serde_json::to_value(stage.product(self.name, &format!("code-{}", self.name), 9)).unwrap();
        product["spec"]["dimensions"] = json!([{"name": "d", "fold": "Sum", "rounding": "Carry"}]);
        let meter = &mut product["spec"]["meter"];
        meter["plugin"]["source"]["file"] = json!(folder.join(self.name));
        meter["plugin"]["digest"] = json!(self.digest);
        meter["inputs"] = json!([]);
        let product = stage.create(&serde_json::from_value::<MarketplaceProduct>(product).unwrap()).await;
        let mut binding = serde_json::to_value(stage.binding(self.name, self.name)).unwrap();
        binding["spec"]["access"]["irsa"]["serviceAccountName"] = json!(self.name);
        stage.create(&serde_json::from_value::<LicenseBinding>(binding).unwrap()).await;
        product
    }
}

/// The reports of a product, oldest first.
fn of<'a>(observed: &'a Observed, product: &str) -> Vec<&'a Value> {
    observed.reports.iter().filter(|report| report["spec"]["productRef"]["name"] == product).collect()
}

/// Waits until the hour is settled for all products.
async fn settled(stage: &Stage, hour: &str) -> Observed {
    wait_until(format!("{hour} to be settled"), PATIENCE, async || {
        let observed = stage.observe().await;
        let of_hour = observed.reports.iter().filter(|report| report["spec"]["hour"] == hour);
        let settled = of_hour.filter(|report| report["status"]["phase"] == "Settled").count();
        if settled == 3 { Ok(observed) } else { Err(format!("{settled} of 3 at {}", stage.now())) }
    })
    .await
    .unwrap()
}

/// Waits until the metrics tell that the plugin is left alone, and of nothing else.
async fn metrics_tell(stage: &Stage, bad: &Bad) {
    let of_product = format!("namespace=\"{}\",product=\"{}\"", stage.namespace.name(), bad.name);
    let problem = format!("tollkeeper_problem{{{of_product},reason=\"PluginQuarantined\"}} 1");
    let quarantined = format!("tollkeeper_plugin_quarantined_bindings{{{of_product}}} 1");
    let metrics = wait_until(format!("metrics of {}", bad.name), PATIENCE, async || {
        let (_, metrics) = http_get(&format!("{}/metrics", stage.health())).await.unwrap();
        let is_told = |wanted: &&String| metrics.lines().any(|line| line == **wanted);
        if [&problem, &quarantined].iter().all(is_told) { Ok(metrics) } else { Err(metrics) }
    })
    .await
    .unwrap();
    let problems = metrics.lines().filter(|line| line.starts_with("tollkeeper_problem{"));
    assert!(problems.clone().all(|line| !line.contains("product=\"vecdb\"")), "{metrics}");
}

/// Its costs: twelve ticks were missed by eight failures, and the rest it was left alone.
fn costs(bad: &Bad, metrics: &str) {
    let of_plugin = format!("digest=\"{}\"", bad.digest);
    let failures = format!("tollkeeper_plugin_failures_total{{{of_plugin},reason=\"{}\"}} 8", bad.reason);
    assert!(metrics.lines().any(|line| line == failures), "{failures}: {metrics}");
    for cost in ["fuel_total", "call_seconds_total", "longest_call_seconds", "memory_max_bytes"] {
        let name = format!("tollkeeper_plugin_{cost}{{{of_plugin}}} ");
        let cost: f64 = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap();
        assert!(cost > 0.0, "{name}: {metrics}");
    }
}

/// What the counter was seen to rise by, hour for hour: by ten a tick, and by what it rose meanwhile when it was seen again.
/// Of the hour in which nobody saw it there is no report.
fn is_billed_for_what_was_measured(bad: &Bad, observed: &Observed) {
    let reports = of(observed, bad.name);
    let later = |report: &&Value| report["spec"]["hour"].as_str().unwrap() >= "2026-11-21T14:00:00Z";
    let hours: Vec<(&str, u64, u64)> = reports
        .into_iter()
        .filter(later)
        .map(|report| {
            let spec = &report["spec"];
            let records = spec["records"].as_array().unwrap();
            assert_eq!(records.len(), 1, "{spec}");
            let missed = spec["evidence"]["missed"].as_u64().unwrap();
            (spec["hour"].as_str().unwrap(), records[0]["quantity"].as_u64().unwrap(), missed)
        })
        .collect();
    let ticks = of(observed, bad.name).into_iter().find(later).unwrap()["spec"]["evidence"]["ticks"].as_u64();
    let expected = [
        ("2026-11-21T14:00:00Z", 10 * (ticks.unwrap() - 1), 0),
        ("2026-11-21T16:00:00Z", 1700 - 1450, 6),
        ("2026-11-21T17:00:00Z", 1800 - 1700, 0),
    ];
    assert_eq!(hours, expected, "{}", bad.name);
}

/// The good product's hours: none of its ticks was missed.
fn is_billed_as_ever(observed: &Observed) {
    let quantity = |report: &Value, dimension: &str| -> u64 {
        let records = report["spec"]["records"].as_array().unwrap();
        let record = records.iter().find(|record| record["dimension"] == dimension);
        record.map_or(0, |record| record["quantity"].as_u64().unwrap())
    };
    let reports = of(observed, "vecdb");
    assert!(reports.iter().all(|report| report["spec"]["evidence"]["missed"] == 0), "{reports:#?}");
    for hour in ["2026-11-21T15:00:00Z", "2026-11-21T16:00:00Z", "2026-11-21T17:00:00Z"] {
        let report = reports.iter().find(|report| report["spec"]["hour"] == hour).unwrap();
        let billed = (quantity(report, "instances"), quantity(report, "cpu_hours"));
        assert_eq!((report["spec"]["evidence"]["ticks"].as_u64(), billed), (Some(6), (1, 2)), "{hour}");
    }
    assert_eq!(reports.iter().map(|report| quantity(report, "gb_scanned")).sum::<u64>(), 5);
}

#[tokio::test]
async fn plugins_that_turn_bad_are_left_alone_and_cost_nobody_a_tick_or_a_wrong_bill() {
    let folder = tempfile::tempdir().unwrap();
    let bad = [
        Bad::new("trapping", "PluginTrapped", "unreachable", folder.path()),
        Bad::new("looping", "PluginTimedOut", "(loop $again (br $again))", folder.path()),
    ];
    let stage = Stage::at("misbehaviour", "2026-11-21T12:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", "code-vecdb", workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let mut products = Vec::new();
    for bad in &bad {
        products.push(bad.create(&stage, folder.path()).await);
    }
    let _operator = stage.start_operator();
    let metering = async |bad: &Bad, expected| {
        stage.condition("MarketplaceProduct", bad.name, "Metering", expected).await
    };
    let both = async |expected: [(&'static str, &'static str); 2]| {
        tokio::join!(metering(&bad[0], expected[0]), metering(&bad[1], expected[1]))
    };
    both([("True", "Metered"); 2]).await;
    both([("False", bad[0].reason), ("False", bad[1].reason)]).await;
    workload.scan(5);
    let (left_alone, _) = both([("False", "PluginQuarantined"); 2]).await;
    let sentence = left_alone["message"].as_str().unwrap();
    assert!(sentence.contains("left alone until") && sentence.contains("unreachable"), "{sentence}");
    tokio::join!(metrics_tell(&stage, &bad[0]), metrics_tell(&stage, &bad[1]));
    stage.condition("MarketplaceProduct", "vecdb", "Metering", ("True", "Metered")).await;
    both([("True", "Metered"); 2]).await;

    let observed = settled(&stage, "2026-11-21T17:00:00Z").await;
    observed.agrees();
    is_billed_as_ever(&observed);
    let (_, metrics) = http_get(&format!("{}/metrics", stage.health())).await.unwrap();
    for (bad, product) in bad.iter().zip(&products) {
        is_billed_for_what_was_measured(bad, &observed);
        costs(bad, &metrics);
        stage.told(product, &[bad.reason, "PluginQuarantined"]).await;
    }
}
