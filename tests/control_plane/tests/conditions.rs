//! What is wrong is said in a condition, loses nothing, and stops nobody else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use k8s_openapi::{
    api::events::v1::Event, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tollkeeper_api::{LicenseBinding, MarketplaceProduct};
use tollkeeper_control_plane::{Observed, PATIENCE, Stage, Workload};
use tollkeeper_kit::{Operator, http_get, wait_until};

fn untyped(stage: &Stage, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("tollkeeper.dev", "v1alpha1", kind));
    Api::namespaced_with(stage.namespace.client(), stage.namespace.name(), &resource)
}

#[tokio::test]
async fn each_problem_of_a_product_has_its_own_reason() {
    let stage = Stage::at("reasons", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    let _operator = stage.start_operator();

    stage.create(&stage.product("unbound", "code-unbound", workload.port())).await;
    stage.condition("MarketplaceProduct", "unbound", "Ready", ("False", "NoBinding")).await;

    let mut wrong = serde_json::to_value(stage.product("wrong", "code-wrong", workload.port())).unwrap();
    wrong["spec"]["meter"]["plugin"]["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    stage.create(&serde_json::from_value::<MarketplaceProduct>(wrong).unwrap()).await;
    stage.condition("MarketplaceProduct", "wrong", "PluginReady", ("False", "DigestMismatch")).await;

    let mut absent = serde_json::to_value(stage.product("absent", "code-absent", workload.port())).unwrap();
    absent["spec"]["meter"]["plugin"]["source"] = json!({"configMap": {"name": "none", "key": "meter.wasm"}});
    stage.create(&serde_json::from_value::<MarketplaceProduct>(absent).unwrap()).await;
    stage.condition("MarketplaceProduct", "absent", "PluginReady", ("False", "ConfigMapNotFound")).await;

    // Ages have whole seconds; of two products of one second the first by name counts as the older.
    stage.create(&stage.product("younger", "code-unbound", workload.port())).await;
    stage.condition("MarketplaceProduct", "younger", "Ready", ("False", "ProductCodeTaken")).await;
}

#[tokio::test]
async fn of_two_bindings_of_one_workload_the_older_is_metered() {
    let stage = Stage::at("overlap", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", "code", workload.port())).await;
    stage.create(&stage.binding("a-older", "vecdb")).await;
    let mut newer: LicenseBinding = stage.binding("b-newer", "vecdb");
    let spec = serde_json::to_value(&newer.spec).unwrap();
    let mut spec_of_newer = spec.clone();
    spec_of_newer["access"]["irsa"]["serviceAccountName"] = json!("vecdb-newer");
    newer.spec = serde_json::from_value(spec_of_newer).unwrap();
    stage.create(&newer).await;
    let _operator = stage.start_operator();
    stage.condition("LicenseBinding", "b-newer", "Ready", ("False", "WorkloadOverlap")).await;
    let observed = stage.settled(2).await;
    observed.agrees();
    let instances = |index: usize| {
        let records = observed.reports[index]["spec"]["records"].as_array().unwrap();
        records.iter().find(|record| record["dimension"] == "instances").unwrap()["quantity"].clone()
    };
    assert_eq!(instances(1), json!(1), "one pod is billed once");
}

#[tokio::test]
async fn an_unreachable_target_is_a_condition_and_its_usage_is_not_lost() {
    let stage = Stage::at("unreachable", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    let closed = tollkeeper_kit::free_port().unwrap();
    stage.create(&stage.product("vecdb", "code", closed)).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let _operator = stage.start_operator();
    stage.condition("MarketplaceProduct", "vecdb", "InputsReady", ("False", "InputUnavailable")).await;
    let product = stage.product("vecdb", "code", workload.port());
    let patch = json!({"spec": {"meter": {"inputs": serde_json::to_value(&product).unwrap()["spec"]["meter"]["inputs"]}}});
    untyped(&stage, "MarketplaceProduct")
        .patch("vecdb", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    stage.condition("MarketplaceProduct", "vecdb", "Ready", ("True", "Ready")).await;
    stage.settled(1).await.agrees();
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_stops_no_other_and_loses_nothing() {
    let stage = Stage::at("undecodable", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    let bindings = untyped(&stage, "LicenseBinding");
    let broken = with_an_unknown_operator(&stage).await;
    let stored = bindings.get("broken").await.unwrap();
    assert_eq!(stored.data.pointer(OPERATOR_OF_BINDING), Some(&json!(UNKNOWN)));
    let refusal = serde_json::from_value::<LicenseBinding>(serde_json::to_value(&stored).unwrap());
    assert!(refusal.unwrap_err().to_string().contains(UNKNOWN), "the operator can decode it after all");

    stage.create(&stage.product("vecdb", "code", workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let mut operator = stage.start_operator();
    stage.settled(1).await.agrees();
    stage.condition("LicenseBinding", "prod", "AccessProvisioned", ("True", "Provisioned")).await;
    let line = operator.wait_for_line("an object cannot be decoded", PATIENCE).await.unwrap();
    assert!(line.contains(&format!("{}/broken", stage.namespace.name())) && line.contains(UNKNOWN), "{line}");
    let events: Api<Event> = stage.namespace.api();
    let event = wait_until("an event about it", PATIENCE, async || {
        let events = events.list(&Default::default()).await.map_err(|error| error.to_string())?.items;
        let about = |event: &Event| event.regarding.as_ref().and_then(|one| one.uid.clone()) == broken.uid();
        events.into_iter().find(about).ok_or_else(|| "none yet".to_owned())
    })
    .await
    .unwrap();
    assert_eq!((event.type_.as_deref(), event.reason.as_deref()), (Some("Warning"), Some("Undecodable")));
    assert!(event.note.as_deref().is_some_and(|note| note.contains(UNKNOWN)), "{:?}", event.note);

    let total = scan_and_kill(&stage, &workload, operator).await;
    let change = json!({"spec": {"workload": {"selector": {"matchLabels": null, "matchExpressions":
        [{"key": "app", "operator": UNKNOWN, "values": ["vecdb"]}]}}}});
    bindings.patch("prod", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    let _operator = stage.start_operator();
    wait_until("what was scanned before to be billed", PATIENCE, async || {
        let billed = scanned(&stage.observe().await);
        if billed == total { Ok(()) } else { Err(format!("{billed} of {total} GB")) }
    })
    .await
    .unwrap();

    // What is stored stands, whatever the schema says from now on; it goes before the schema is as it was.
    for name in ["broken", "prod"] {
        bindings.delete(name, &Default::default()).await.unwrap();
    }
    wait_until("the deleted binding to go, as its usage is settled", PATIENCE, async || {
        match bindings.get_opt("prod").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    schema(&stage, json!([{"op": "test", "path": ADDED, "value": UNKNOWN}, {"op": "remove", "path": ADDED}]))
        .await;
}

/// Lets something be scanned and kills the operator when a checkpoint holds it and no report does. Returns all that was scanned.
async fn scan_and_kill(stage: &Stage, workload: &Workload, mut operator: Operator) -> u64 {
    let bindings = untyped(stage, "LicenseBinding");
    let mut total = 0;
    loop {
        workload.scan(3);
        total += 3;
        wait_until("a checkpoint with what was scanned", PATIENCE, async || {
            let binding = bindings.get("prod").await.map_err(|error| error.to_string())?;
            let usage =
                binding.data["status"]["currentHour"]["usage"].as_array().cloned().unwrap_or_default();
            let is_scanned = |one: &Value| one["dimension"] == "gb_scanned" && one["quantity"] == "3.000000";
            if usage.iter().any(is_scanned) { Ok(()) } else { Err(format!("{usage:?}")) }
        })
        .await
        .unwrap();
        operator.kill().unwrap();
        operator.wait(PATIENCE).await.unwrap();
        // On a slow machine the hour may have ended before that.
        if scanned(&stage.observe().await) < total {
            return total;
        }
        operator = stage.start_operator();
    }
}

/// Gigabytes in the reports.
fn scanned(observed: &Observed) -> u64 {
    let records = observed.reports.iter().flat_map(|report| report["spec"]["records"].as_array().unwrap());
    let scanned = records.filter(|record| record["dimension"] == "gb_scanned");
    scanned.map(|record| record["quantity"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn a_namespace_that_may_not_be_read_stops_no_other() {
    let mut stage = Stage::at("refused", "2026-11-21T13:55:00Z").await;
    let forbidden = stage.namespace.control_plane().namespace("forbidden").await.unwrap();
    let both = [stage.namespace.name(), forbidden.name()].join(",");
    stage.set("TOLLKEEPER_NAMESPACES", both);
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", "code", workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let _operator = stage.start_operator();
    stage.settled(2).await.agrees();
    stage.condition("MarketplaceProduct", "vecdb", "Metering", ("True", "Metered")).await;
    let (_, metrics) = http_get(&format!("{}/metrics", stage.health())).await.unwrap();
    let line = format!("tollkeeper_watch_failing{{namespace=\"{}\"}} 1", forbidden.name());
    assert!(metrics.contains(&line), "{metrics}");
}

#[tokio::test]
async fn a_product_code_stays_where_the_api_server_knows_rules() {
    let stage = Stage::at("rules", "2026-11-21T13:55:00Z").await;
    stage.create(&stage.product("vecdb", "code", 9090)).await;
    let version =
        stage.namespace.control_plane().definitions().await.unwrap().apiserver_version().await.unwrap();
    let minor: u32 = version.minor.trim_end_matches('+').parse().unwrap();
    let patch = Patch::Merge(json!({"spec": {"productCode": "other"}}));
    let changed = untyped(&stage, "MarketplaceProduct").patch("vecdb", &PatchParams::default(), &patch).await;
    // Rules count from 1.25 on; an older server drops them, and the operator checks what matters again.
    match changed {
        Err(kube::Error::Api(refusal)) if minor >= 25 => {
            assert!(refusal.message.contains("productCode cannot be changed"), "{}", refusal.message);
        }
        changed => assert!(changed.is_ok() && minor < 25, "{changed:?} from 1.{minor}"),
    }
}

/// What a newer version may allow, and the operator of this version does not know.
const UNKNOWN: &str = "Near";

const OPERATOR_OF_BINDING: &str = "/spec/workload/selector/matchExpressions/0/operator";

/// The fifth allowed value of a selector's operator, after the four that every version knows.
const ADDED: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/workload/properties/selector\
                     /properties/matchExpressions/items/properties/operator/enum/4";

/// A binding that the API server holds and the operator cannot decode.
///
/// For it the schema is made to allow one more value. Other tests have the same API server: to them it refuses nothing
/// that it did not refuse before.
async fn with_an_unknown_operator(stage: &Stage) -> DynamicObject {
    schema(stage, json!([{"op": "add", "path": ADDED, "value": UNKNOWN}])).await;
    let mut broken = serde_json::to_value(stage.binding("broken", "vecdb")).unwrap();
    broken["spec"]["workload"]["selector"] =
        json!({"matchExpressions": [{"key": "app", "operator": UNKNOWN, "values": ["vecdb"]}]});
    let broken: DynamicObject = serde_json::from_value(broken).unwrap();
    let bindings = untyped(stage, "LicenseBinding");
    // A schema counts a moment after it is written.
    wait_until("the schema takes the value", PATIENCE, async || {
        bindings.create(&PostParams::default(), &broken).await
    })
    .await
    .unwrap()
}

async fn schema(stage: &Stage, patch: Value) {
    let definitions = stage.namespace.control_plane().definitions().await.unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(definitions);
    let patch = Patch::<()>::Json(serde_json::from_value(patch).unwrap());
    crds.patch("licensebindings.tollkeeper.dev", &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn a_steady_cluster_sees_one_checkpoint_every_five_minutes_and_nothing_else() {
    let stage = Stage::at("steady", "2026-11-21T14:06:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", "code", workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let _operator = stage.start_operator();
    // Everything that is new at the start has been said: a tick has run and the access is there.
    stage.condition("MarketplaceProduct", "vecdb", "Metering", ("True", "Metered")).await;
    stage.condition("MarketplaceProduct", "vecdb", "InputsReady", ("True", "Collected")).await;
    stage.condition("LicenseBinding", "prod", "AccessProvisioned", ("True", "Provisioned")).await;
    let versions = async || {
        let product = untyped(&stage, "MarketplaceProduct").get("vecdb").await.unwrap();
        let binding = untyped(&stage, "LicenseBinding").get("prod").await.unwrap();
        let at = binding.data["status"]["checkpoint"]["at"].as_str().map(str::to_owned);
        (product.resource_version().unwrap(), at)
    };
    // Between the first checkpoint and the next but one, the product is not written at all.
    let (first_version, first) = wait_until("a checkpoint", PATIENCE, async || {
        let (version, at) = versions().await;
        at.map(|at| (version, at)).ok_or("none yet")
    })
    .await
    .unwrap();
    let (last_version, last) = wait_until("a later checkpoint", PATIENCE, async || {
        let (version, at) = versions().await;
        let at: jiff::Timestamp = at.unwrap().parse().unwrap();
        let since = at.duration_since(first.parse().unwrap());
        if since.as_secs() >= 590 { Ok((version, since)) } else { Err(format!("{since} later")) }
    })
    .await
    .unwrap();
    assert_eq!(last_version, first_version, "the product was written though nothing changed");
    assert!(last.as_secs() >= 590, "{last}");
}
