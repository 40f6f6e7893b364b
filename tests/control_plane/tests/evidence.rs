//! A record whose reply was lost with the pod that sent it, and CloudTrail, which has seen it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::time::Duration;

use serde_json::{Value, json};
use tollkeeper_api::{EvidenceSource, LicenseBinding};
use tollkeeper_control_plane::{PATIENCE, Stage, Workload};
use tollkeeper_kit::wait_until;

const CODE: &str = "4pz5x3sgbjnq7t3hb1kqe3v0w";

/// All records of all reports, in this state.
fn in_state<'a>(reports: &'a [Value], state: &str) -> Vec<&'a Value> {
    let records = reports.iter().flat_map(|report| report["status"]["records"].as_array().unwrap());
    records.filter(|record| record["state"] == state).collect()
}

/// The product is metered, AWS takes its first hour and no reply comes back, and the pod dies over it.
async fn an_hour_in_doubt(stage: &Stage, workload: &Workload, evidence: Option<EvidenceSource>) {
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    lose_replies(stage, true).await;
    stage.create(&stage.product("vecdb", CODE, workload.port())).await;
    let mut binding: LicenseBinding = stage.binding("prod", "vecdb");
    binding.spec.evidence = evidence;
    stage.create(&binding).await;
    let mut operator = stage.start_operator();
    wait_until("records that AWS has and nobody knows of", PATIENCE, async || {
        let observed = stage.observe().await;
        let lost =
            in_state(&observed.reports, "Sending").iter().filter(|record| record["attempts"] != 0).count();
        if lost > 0 { Ok(()) } else { Err(format!("{:#}", json!(observed.reports))) }
    })
    .await
    .unwrap();
    operator.kill().unwrap();
    operator.wait(Duration::from_secs(10)).await.unwrap();
    lose_replies(stage, false).await;
}

async fn lose_replies(stage: &Stage, lose: bool) {
    let faults = if lose { json!([{"effect": "acceptThenDrop"}]) } else { json!([]) };
    let url = format!("{}/_tollkeeper/faults", stage.aws_url());
    let client = reqwest::Client::new();
    client
        .post(url)
        .body(json!({"faults": faults}).to_string())
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
}

#[tokio::test]
async fn what_cloudtrail_has_seen_is_accepted_and_says_by_which_event() {
    let stage = Stage::at("evidence", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    an_hour_in_doubt(&stage, &workload, Some(EvidenceSource::CloudTrail)).await;
    let _operator = stage.start_as(&stage.another_pod("tollkeeper-1").await);
    let proved = wait_until("a record that evidence has accepted", PATIENCE, async || {
        let observed = stage.observe().await;
        let accepted = in_state(&observed.reports, "Accepted");
        let proved: Vec<Value> =
            accepted.into_iter().filter(|record| record["reason"] == "Evidence").cloned().collect();
        let doubted = in_state(&observed.reports, "Ambiguous").len();
        if proved.is_empty() || doubted > 0 {
            Err(format!("{:#}", json!(observed.reports)))
        } else {
            Ok(proved)
        }
    })
    .await
    .unwrap();
    for record in &proved {
        let decision = &record["decisions"][0];
        assert_eq!((&decision["by"], &decision["from"]), (&json!("tollkeeper"), &json!("Ambiguous")));
        assert!(
            decision["reason"].as_str().unwrap().starts_with("evidence: CloudTrail event "),
            "{decision}"
        );
    }
    let observed = stage.observe().await;
    observed.agrees();
    let verified = stage.ask(&["report", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[tokio::test]
async fn without_leave_nobody_looks_and_the_record_stays_in_doubt() {
    let stage = Stage::at("no-evidence", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    an_hour_in_doubt(&stage, &workload, None).await;
    let _operator = stage.start_as(&stage.another_pod("tollkeeper-1").await);
    stage.condition("MarketplaceProduct", "vecdb", "Metering", ("False", "RecordAmbiguous")).await;
    // An hour that is settled after the doubt began is longer than CloudTrail and the looks at it take.
    stage.settled(2).await;
    let observed = stage.observe().await;
    assert!(!in_state(&observed.reports, "Ambiguous").is_empty(), "{:#}", json!(observed.reports));
    assert!(in_state(&observed.reports, "Accepted").iter().all(|record| record["reason"].is_null()));
}
