//! The operator that watches every namespace, with the rights that the chart grants by default.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use serde_json::json;
use tollkeeper_api::LicenseBinding;
use tollkeeper_control_plane::{PATIENCE, Stage, Workload};
use tollkeeper_kit::wait_until;

#[tokio::test]
async fn the_chart_grants_a_cluster_wide_operator_all_that_it_does() {
    let stage = Stage::cluster_wide("2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", "code", workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let mut operator = stage.start_operator();
    operator.wait_for_http(&format!("{}/readyz", stage.health()), PATIENCE).await.unwrap();
    stage.condition("MarketplaceProduct", "vecdb", "Ready", ("True", "Ready")).await;
    stage.condition("LicenseBinding", "prod", "AccessProvisioned", ("True", "Provisioned")).await;
    let accounts: Api<ServiceAccount> = stage.namespace.api();
    let annotations = accounts.get("vecdb").await.unwrap().metadata.annotations.unwrap();
    assert_eq!(annotations["eks.amazonaws.com/role-arn"], "arn:aws:iam::123456789012:role/vecdb");

    let observed = stage.settled(2).await;
    observed.agrees();
    let records = observed.reports[1]["spec"]["records"].as_array().unwrap();
    assert!(
        records.iter().any(|record| record["dimension"] == "instances" && record["quantity"] == json!(1))
    );

    // A deleted binding is settled, and its objects go with it.
    let bindings: Api<LicenseBinding> = stage.namespace.api();
    bindings.delete("prod", &Default::default()).await.unwrap();
    wait_until("the binding is let go", PATIENCE, async || match bindings.get_opt("prod").await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    stage.observe().await.agrees();
    assert_eq!(stage.refusals(), Vec::<String>::new(), "the chart does not grant it");
}
