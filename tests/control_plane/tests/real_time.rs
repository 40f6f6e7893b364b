//! The operator in real time, as it runs everywhere but in tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use tollkeeper_control_plane::{Stage, Workload};
use tollkeeper_kit::wait_until;

const CODE: &str = "2hq7x1sgbjnq7t3hb1kqe3v0w";

#[tokio::test]
async fn in_real_time_the_clocks_agree_and_usage_is_measured() {
    let mut stage = Stage::at("real-time", "2026-11-21T13:55:00Z").await;
    // No test clock: the operator lives in the time of the machine, as the API server does.
    stage.set("TOLLKEEPER_TEST_CLOCK", "");
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "1500m").await;
    let mut product = stage.product("vecdb", CODE, workload.port());
    product.spec.meter.as_mut().unwrap().interval = "10s".to_owned();
    stage.create(&product).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let _operator = stage.start_operator();
    stage.condition("MarketplaceProduct", "vecdb", "Ready", ("True", "Ready")).await;
    let bindings: Api<DynamicObject> = Api::namespaced_with(
        stage.namespace.client(),
        stage.namespace.name(),
        &ApiResource::from_gvk(&GroupVersionKind::gvk("tollkeeper.dev", "v1alpha1", "LicenseBinding")),
    );
    wait_until("a checkpoint".to_owned(), Duration::from_secs(60), async || {
        let binding = bindings.get("prod").await.map_err(|error| error.to_string())?;
        let checkpoint = &binding.data["status"]["checkpoint"]["at"];
        checkpoint.as_str().map(|_| ()).ok_or(binding.data["status"].to_string())
    })
    .await
    .unwrap();
    stage.condition("MarketplaceProduct", "vecdb", "Metering", ("True", "Metered")).await;
}
