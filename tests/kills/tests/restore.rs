//! An older snapshot of etcd is put back: the ledger forgets hours that AWS has been billed for, the high-water mark does not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::path::Path;

use futures::future::join;
use serde_json::Value;
use tollkeeper_control_plane::{Observed, Stage, Workload};
use tollkeeper_kit::{ControlPlane, Part};

/// Virtual seconds in a real one.
const SCALE: u32 = 600;

/// A cluster of its own, with a volume that a restore of etcd does not reach.
async fn site(plane: &'static ControlPlane, name: &str, volume: &Path) -> (Stage, Workload) {
    let mut stage = Stage::within(plane, name, "2026-11-10T00:55:00Z", SCALE).await;
    stage.set("TOLLKEEPER_STATE_DIR", volume.join(name).to_str().unwrap());
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", "code", workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    (stage, workload)
}

fn hours(observed: &Observed) -> Vec<String> {
    observed.reports.iter().map(|report| report["spec"]["hour"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn after_an_older_snapshot_no_pod_bills_an_hour_again() {
    let plane = ControlPlane::alone().await.unwrap();
    let volume = tempfile::tempdir().unwrap();
    let ((same, _work), (other, _more_work)) =
        join(site(plane, "same", volume.path()), site(plane, "other", volume.path())).await;
    let heir = other.another_pod("tollkeeper-1").await;
    let (mut of_same, mut of_other) = (same.start_operator(), other.start_operator());
    join(same.settled(1), other.settled(1)).await;

    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("etcd");
    plane.stop(Part::Etcd).await.unwrap();
    plane.keep_etcd(&snapshot).await.unwrap();
    plane.start_again(Part::Etcd).await.unwrap();
    let (before, _) = join(same.settled(3), other.settled(3)).await;
    before.agrees();

    of_same.kill().unwrap();
    of_other.kill().unwrap();
    plane.stop(Part::ApiServer).await.unwrap();
    plane.stop(Part::Etcd).await.unwrap();
    plane.restore_etcd(&snapshot).await.unwrap();
    plane.start_again(Part::Etcd).await.unwrap();
    plane.start_again(Part::ApiServer).await.unwrap();
    let forgotten = same.observe().await;
    assert!(hours(&forgotten).len() < hours(&before).len(), "{:?}", hours(&forgotten));

    let _of_same = same.start_operator();
    // The lease of the snapshot names the dead pod; it runs out in real time.
    let _of_other = other.start_as(&heir);
    let (after_same, after_other) = join(same.settled(4), other.settled(4)).await;
    for after in [after_same, after_other] {
        assert_eq!(after.books["doubleBills"], Value::Array(Vec::new()));
        let known = hours(&forgotten);
        let sent_before = hours(&before);
        let lost: Vec<_> = after
            .reports
            .iter()
            .filter(|report| is_among(&sent_before, report) && !is_among(&known, report))
            .flat_map(|report| report["status"]["records"].as_array().unwrap())
            .map(|record| record["state"].as_str().unwrap())
            .collect();
        assert!(!lost.is_empty() && lost.iter().all(|state| *state == "WrittenOff"), "{lost:?}");
    }
}

fn is_among(hours: &[String], report: &Value) -> bool {
    hours.iter().any(|hour| report["spec"]["hour"] == hour.as_str())
}
