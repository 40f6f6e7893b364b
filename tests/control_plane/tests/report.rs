//! What a person does with the ledger of a running operator: prove it, take it away, compute it again, decide, spoil it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{collections::BTreeSet, fs, process::Output, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tollkeeper_control_plane::{PATIENCE, Stage, Workload, repository};
use tollkeeper_core::{
    clock::Clock,
    hour::BillingHour,
    ledger::Ledger as _,
    product::{LatePolicy, Mode},
    report::SealedReport,
    settlement::{RecordState, RecordStatus, Settlement},
};
use tollkeeper_kit::{http_get, wait_until};
use tollkeeper_ledger::{
    conformance,
    kubernetes::{KubernetesLedger, Scope},
};

const CODE: &str = "4pz5x3sgbjnq7t3hb1kqe3v0w";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complained(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", complained(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn reports(stage: &Stage) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("tollkeeper.dev", "v1alpha1", "UsageReport"));
    Api::namespaced_with(stage.namespace.client(), stage.namespace.name(), &resource)
}

#[tokio::test]
async fn a_running_ledger_is_proved_exported_explained_and_computed_again() {
    let mut stage = Stage::at("prove", "2026-11-21T13:55:00Z").await;
    let folder = tempfile::tempdir().unwrap();
    let recordings = folder.path().join("recordings").display().to_string();
    stage.set("TOLLKEEPER_RECORD_INPUTS", "24");
    stage.set("TOLLKEEPER_RECORD_DIR", &recordings);
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "1500m").await;
    stage.create(&stage.product("vecdb", CODE, workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let mut operator = stage.start_operator();
    stage.settled(1).await;
    workload.scan(3);
    let observed = stage.settled(3).await;
    assert!(operator.terminate(PATIENCE).await.unwrap().success());

    let verified = json_of(&stage.ask(&["report", "verify", "--output", "json"]));
    assert_eq!((&verified["intact"], &verified["problems"]), (&json!(true), &json!([])));

    let export = folder.path().join("export.jsonl").display().to_string();
    fs::write(&export, stage.ask(&["report", "export", "vecdb"]).stdout).unwrap();
    assert!(stage.ask(&["report", "verify", &export]).status.success());
    assert!(stage.ask(&["report", "verify", "--since-export", &export]).status.success());

    let spec = &observed.reports[1]["spec"];
    let (hour, record) = (spec["hour"].as_str().unwrap(), &spec["records"][0]);
    let dimension = record["dimension"].as_str().unwrap();
    let explained = json_of(&stage.ask(&["report", "explain", "vecdb", hour, dimension, "--output", "json"]));
    assert_eq!(explained["quantity"], record["quantity"]);
    assert_eq!(explained["status"]["state"], "Accepted");
    assert!(explained["folded"].is_string(), "{explained}");

    let component = repository().join("plugins/examples/vecdb/vecdb.wasm").display().to_string();
    let replay =
        ["report", "replay", &recordings, "--plugin", &component, "--export", &export, "--output", "json"];
    let replayed = std::process::Command::new(tollkeeper_kit::Program::Tollkeeper.path().unwrap())
        .args(replay)
        .output()
        .unwrap();
    let replayed = json_of(&replayed);
    let hours = replayed["hours"].as_array().unwrap();
    assert!(hours.len() >= 3, "{replayed:#}");
    assert!(hours.iter().all(|hour| hour["same"] == true), "{replayed:#}");

    // Each tick that ran has read the one pod.
    let with_readings = ["--recordings", &recordings, "--plugin", &component, "--output", "json"];
    let spec = &observed.reports[1]["spec"];
    let explain = ["report", "explain", "vecdb", spec["hour"].as_str().unwrap(), "cpu_hours"];
    let explained = json_of(&stage.ask(&[&explain[..], &with_readings].concat()));
    let readings = explained["readings"].as_array().unwrap();
    let ran = spec["evidence"]["ticks"].as_u64().unwrap() - spec["evidence"]["missed"].as_u64().unwrap();
    assert!(ran > 0 && readings.len() as u64 >= ran, "{explained:#}");
    assert!(readings.iter().all(|seen| seen["amount"] == "1.500000"), "{explained:#}");

    let gone = observed.reports[1]["metadata"]["name"].as_str().unwrap();
    reports(&stage).delete(gone, &DeleteParams::default()).await.unwrap();
    for args in [&["report", "verify"][..], &["report", "verify", "--since-export", &export]] {
        let verified = stage.ask(args);
        assert_eq!(verified.status.code(), Some(1), "{}", said(&verified));
        assert!(said(&verified).contains(&format!("/{gone}: ")), "{}", said(&verified));
    }
}

struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-11-21T13:00:00Z".parse().unwrap()
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

/// A report from before the operator starts, whose record has come to this.
async fn seal(
    stage: &Stage,
    hour: &str,
    previous: Option<&SealedReport>,
    change: impl Fn(RecordStatus) -> RecordStatus,
) -> SealedReport {
    let hour: BillingHour = hour.parse().unwrap();
    let mut body = conformance::report("vecdb", hour, 5).body;
    body.product_code = CODE.parse().unwrap();
    body.records[0].dimension = "instances".parse().unwrap();
    body.records[0].remainder = Default::default();
    body.remainders = vec![];
    body.previous = previous.map(SealedReport::link);
    let report = body.sealed();
    let scope = Scope::Namespaces(vec![stage.namespace.name().to_owned()]);
    let ledger = KubernetesLedger::new(stage.namespace.client(), scope, Arc::new(Still));
    let settlement = Settlement::of(&report, Mode::Live);
    let record = change(settlement.records[0].clone());
    ledger.create_if_absent(stage.namespace.name(), &report, &settlement.with(record)).await.unwrap();
    report
}

#[tokio::test]
async fn a_person_decides_and_the_product_is_well_again() {
    let stage = Stage::at("decide", "2026-11-21T13:55:00Z").await;
    let rejected = seal(&stage, "2026-11-21T11:00:00Z", None, |record| RecordStatus {
        state: RecordState::Rejected,
        reason: Some("InvalidTagException".to_owned()),
        ..record
    })
    .await;
    let hold = |record: RecordStatus| record.expired().under(LatePolicy::Hold);
    seal(&stage, "2026-11-21T12:00:00Z", Some(&rejected), hold).await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", CODE, workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let _operator = stage.start_operator();
    stage.condition("MarketplaceProduct", "vecdb", "Metering", ("False", "InvalidTagException")).await;

    let illegal = stage.ask(&["report", "write-off", "vecdb-2026112111", "instances", "--reason", "no"]);
    assert_eq!(illegal.status.code(), Some(1));
    assert_eq!(
        complained(&illegal),
        "tollkeeper: instances is Rejected and stays so, because AWS will never take it: use `acknowledge` to say that you have seen it\n"
    );
    let seen = ["report", "acknowledge", "vecdb-2026112111", "instances", "--reason", "the tag is fixed"];
    assert!(stage.ask(&seen).status.success());
    stage.condition("MarketplaceProduct", "vecdb", "Metering", ("False", "RecordHeld")).await;
    let release =
        ["report", "release", "vecdb-2026112112", "instances", "--reason", "agreed", "--output", "json"];
    let released = json_of(&stage.ask(&release));
    assert_eq!((&released["from"], &released["to"]), (&json!("Held"), &json!("Expired")));
    assert_eq!(released["decision"]["reason"], "agreed");
    assert!(!released["decision"]["by"].as_str().unwrap().is_empty());
    stage.condition("MarketplaceProduct", "vecdb", "Metering", ("True", "Metered")).await;

    let observed = wait_until("the released usage to be carried and billed", PATIENCE, async || {
        let observed = stage.observe().await;
        let is_carried = observed.reports[1]["status"]["records"][0]["state"] == "CarriedForward";
        let carrier = observed.reports.iter().find(|report| {
            report["spec"]["records"]
                .as_array()
                .unwrap()
                .iter()
                .any(|record| record["carriedFrom"].is_array())
        });
        let is_billed = carrier.is_some_and(|report| report["status"]["phase"] == "Settled");
        if is_carried && is_billed { Ok(observed) } else { Err("not yet") }
    })
    .await
    .unwrap();
    observed.agrees();
    let first = &observed.reports[0]["status"];
    assert_eq!((&first["phase"], &first["records"][0]["state"]), (&json!("Settled"), &json!("Rejected")));
    let events: Api<Event> = stage.namespace.api();
    wait_until("events of both decisions", PATIENCE, async || {
        let events = events.list(&ListParams::default()).await.unwrap().items;
        let reasons: Vec<String> = events.into_iter().filter_map(|event| event.reason).collect();
        let told =
            ["RecordAcknowledged", "RecordReleased"].map(|wanted| reasons.iter().any(|one| one == wanted));
        if told == [true, true] { Ok(()) } else { Err(format!("{reasons:?}")) }
    })
    .await
    .unwrap();
    assert!(stage.ask(&["report", "verify"]).status.success());
}

/// Waits until these reasons are in events, and in `tollkeeper_problem` of the product.
async fn told(stage: &Stage, reasons: &[&str]) {
    let events: Api<Event> = stage.namespace.api();
    wait_until(format!("events and metrics of {reasons:?}"), PATIENCE, async || {
        let events = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let events: BTreeSet<String> = events.into_iter().filter_map(|event| event.reason).collect();
        let (_, metrics) =
            http_get(&format!("{}/metrics", stage.health())).await.map_err(|e| e.to_string())?;
        let is_told = |reason: &&str| {
            let of = format!("namespace=\"{}\",product=\"vecdb\"", stage.namespace.name());
            let line = format!("tollkeeper_problem{{{of},reason=\"{reason}\"}} 1");
            events.contains(*reason) && metrics.lines().any(|one| one == line)
        };
        if reasons.iter().all(is_told) { Ok(()) } else { Err(format!("{events:?}\n{metrics}")) }
    })
    .await
    .unwrap();
}

async fn oldest_unsettled_seconds(stage: &Stage, product: &str) -> i64 {
    let (_, metrics) = http_get(&format!("{}/metrics", stage.health())).await.unwrap();
    let name = "tollkeeper_oldest_unsettled_seconds";
    let of = format!("{name}{{namespace=\"{}\",product=\"{product}\"}} ", stage.namespace.name());
    metrics.lines().find_map(|line| line.strip_prefix(of.as_str())).unwrap().parse().unwrap()
}

/// Accepted reports of a product.
async fn accepted(stage: &Stage, product: &str) -> usize {
    let reports = stage.observe().await.reports;
    let own = reports.iter().filter(|report| report["spec"]["productRef"]["name"] == product);
    own.filter(|report| report["status"]["records"][0]["state"] == "Accepted").count()
}

#[tokio::test]
async fn a_report_that_somebody_edits_halts_its_product_aloud_and_no_other() {
    let stage = Stage::at("edited", "2026-11-21T13:55:00Z").await;
    let hold = |record: RecordStatus| record.expired().under(LatePolicy::Hold);
    let held = seal(&stage, "2026-11-21T11:00:00Z", None, hold).await;
    let reject = |record: RecordStatus| RecordStatus {
        state: RecordState::Rejected,
        reason: Some("InvalidTagException".to_owned()),
        ..record
    };
    seal(&stage, "2026-11-21T12:00:00Z", Some(&held), reject).await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    for (product, code) in [("vecdb", CODE), ("other", "code-other")] {
        stage.create(&stage.product(product, code, workload.port())).await;
        let mut binding = stage.binding(product, product);
        binding.spec.access = None;
        stage.create(&binding).await;
    }
    let _operator = stage.start_operator();
    // The later rejection is not hidden by what was held before.
    let condition = stage.condition("MarketplaceProduct", "vecdb", "Metering", ("False", "RecordHeld")).await;
    let message = condition["message"].as_str().unwrap();
    assert!(message.contains("InvalidTagException: instances of vecdb-2026112112 is Rejected"), "{message}");
    told(&stage, &["RecordHeld", "InvalidTagException"]).await;
    let age = oldest_unsettled_seconds(&stage, "vecdb").await;
    let held_for = stage.now().duration_since(held.body.hour.end()).as_secs();
    assert!((6900..=held_for).contains(&age), "{age} of {held_for}");

    let name = held.name();
    let mut edited = reports(&stage).get(&name).await.unwrap();
    edited.data["spec"]["records"][0]["quantity"] = json!(6);
    edited.metadata.resource_version = None;
    edited.metadata.uid = None;
    reports(&stage).delete(&name, &DeleteParams::default()).await.unwrap();
    reports(&stage).create(&PostParams::default(), &edited).await.unwrap();
    let halted =
        stage.condition("MarketplaceProduct", "vecdb", "Metering", ("False", "InvariantBroken")).await;
    let message = halted["message"].as_str().unwrap();
    assert!(message.contains(&format!("Chain {}/{name}: ", stage.namespace.name())), "{message}");
    assert!(message.contains("InvalidTagException: "), "{message}");
    told(&stage, &["InvariantBroken", "InvalidTagException"]).await;

    let (own, others) = (accepted(&stage, "vecdb").await, accepted(&stage, "other").await);
    wait_until("the other product to be billed for two more hours", PATIENCE, async || {
        let now = accepted(&stage, "other").await;
        if now >= others + 2 { Ok(()) } else { Err(format!("{now} after {others}")) }
    })
    .await
    .unwrap();
    assert_eq!(accepted(&stage, "vecdb").await, own);
    stage.condition("MarketplaceProduct", "other", "Metering", ("True", "Metered")).await;
}

#[tokio::test]
async fn old_reports_are_rolled_up_and_pruned_with_the_rights_of_the_chart() {
    let stage = Stage::at("books", "2026-11-21T13:55:00Z").await;
    let accept = |record: RecordStatus| RecordStatus {
        state: RecordState::Accepted,
        metering_record_id: Some("record".to_owned()),
        attempts: 1,
        ..record
    };
    let first = seal(&stage, "2026-11-10T11:00:00Z", None, accept).await;
    let second = seal(&stage, "2026-11-10T12:00:00Z", Some(&first), accept).await;
    let third = seal(&stage, "2026-11-10T13:00:00Z", Some(&second), accept).await;
    let earlier = tempfile::NamedTempFile::new().unwrap();
    fs::write(earlier.path(), stage.ask(&["report", "export"]).stdout).unwrap();
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", CODE, workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let _operator = stage.start_operator();
    let observed = wait_until("two reports to be pruned and one to be sealed", PATIENCE, async || {
        let observed = stage.observe().await;
        let names: Vec<&str> =
            observed.reports.iter().filter_map(|report| report["metadata"]["name"].as_str()).collect();
        if names.first() == Some(&third.name().as_str()) && names.len() > 1 {
            Ok(observed.clone())
        } else {
            Err(format!("{names:?}"))
        }
    })
    .await
    .unwrap();
    assert_eq!(observed.reports[1]["spec"]["previous"]["hash"], json!(third.hash), "the chain goes on");

    let resource =
        ApiResource::from_gvk(&GroupVersionKind::gvk("tollkeeper.dev", "v1alpha1", "UsageStatement"));
    let statements: Api<DynamicObject> =
        Api::namespaced_with(stage.namespace.client(), stage.namespace.name(), &resource);
    let statement = statements.get("vecdb-202611").await.unwrap().data["spec"].clone();
    assert_eq!(
        (&statement["reports"], &statement["prunedThrough"]),
        (&json!(3), &json!("2026-11-10T12:00:00Z"))
    );
    assert_eq!(statement["days"][0]["root"], json!(third.hash));
    assert_eq!(statement["totals"][0]["billed"], "15.000000");

    let since = earlier.path().display().to_string();
    let verified = stage.ask(&["report", "verify", "--since-export", &since]);
    assert!(verified.status.success(), "{}", said(&verified));
    let explained = stage.ask(&["report", "explain", "vecdb", "2026-11-10T11:00:00Z", "instances"]);
    assert_eq!(explained.status.code(), Some(1));
    assert!(complained(&explained).contains("its reports were pruned"), "{}", complained(&explained));

    statements.delete("vecdb-202611", &DeleteParams::default()).await.unwrap();
    let verified = stage.ask(&["report", "verify"]);
    assert!(
        said(&verified).contains("/vecdb-2026111012: "),
        "nothing says that it was pruned: {}",
        said(&verified)
    );
}
