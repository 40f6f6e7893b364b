//! A product's plugin changes while it runs: the new one is tried, and measures from the next hour on, or never.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{fs, path::Path};

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tollkeeper_api::MarketplaceProduct;
use tollkeeper_control_plane::{Stage, Workload, repository};
use tollkeeper_kit::http_get;

const CODE: &str = "4pz5x3sgbjnq7t3hb1kqe3v0w";

/// Names another component in the product; gives its digest.
async fn change_plugin(stage: &Stage, file: &Path) -> String {
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(fs::read(file).unwrap())));
    let plugin = json!({"source": {"file": file.display().to_string()}, "digest": digest});
    let patch = json!({"spec": {"meter": {"plugin": plugin}}});
    let api = stage.namespace.api::<MarketplaceProduct>();
    api.patch("vecdb", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    digest
}

fn plugins(reports: &[Value]) -> Vec<&str> {
    reports.iter().map(|report| report["spec"]["evidence"]["plugin"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_new_plugin_measures_from_the_next_hour_on_and_a_bad_one_never() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::at("takeover", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", CODE, workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let _operator = stage.start_operator();
    stage.settled(1).await;

    // It loads, takes its configuration, and fails its dry run.
    let old = stage.observe().await.reports[0]["spec"]["evidence"]["plugin"].as_str().unwrap().to_owned();
    let hostile = change_plugin(&stage, &repository().join("plugins/fixtures/hostile/hostile.wasm")).await;
    let refused =
        stage.condition("MarketplaceProduct", "vecdb", "PluginReady", ("False", "InvalidConfig")).await;
    let message = refused["message"].as_str().unwrap();
    assert!(message.ends_with(&format!("{old} measures on")), "{message}");
    assert!(message.starts_with(&format!("{hostile} is not used: ")), "{message}");
    let metrics = async || http_get(&format!("{}/metrics", stage.health())).await.unwrap().1;
    let said = metrics().await;
    assert!(said.contains("product=\"vecdb\",reason=\"InvalidConfig\"} 1"), "{said}");
    let product = stage.namespace.api::<MarketplaceProduct>().get("vecdb").await.unwrap();
    assert_eq!(product.status.unwrap().plugin.unwrap().digest, old);
    let hours = stage.observe().await.reports.len();
    let later = stage.settled(hours + 2).await;
    assert!(plugins(&later.reports).iter().all(|plugin| *plugin == old), "{:?}", plugins(&later.reports));

    // The same meter with another custom section: other bytes, other digest.
    let mut component = fs::read(repository().join("plugins/examples/vecdb/vecdb.wasm")).unwrap();
    component.extend([0, 2, 1, b'n']);
    let file = folder.path().join("vecdb.wasm");
    fs::write(&file, component).unwrap();
    let new = change_plugin(&stage, &file).await;
    stage.condition("MarketplaceProduct", "vecdb", "PluginReady", ("True", "Loaded")).await;
    let hours = stage.observe().await.reports.len();
    let later = stage.settled(hours + 3).await;
    later.agrees();
    assert_eq!(plugins(&later.reports).last(), Some(&new.as_str()));

    let metrics = metrics().await;
    assert!(!metrics.contains("reason=\"InvalidConfig\""), "{metrics}");
    assert!(metrics.contains(&format!("tollkeeper_plugin_calls_total{{digest=\"{new}\"}}")), "{metrics}");
    // One compilation for each component, in a process of its own.
    assert!(metrics.contains("tollkeeper_plugin_compilations_total 3\n"), "{metrics}");
}
