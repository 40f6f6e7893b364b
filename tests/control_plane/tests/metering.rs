//! A metered hour, end to end: apply, provision, meter, settle; and the same through a `kill -9`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{collections::BTreeMap, process::Command, time::Duration};

use serde_json::Value;
use tollkeeper_control_plane::{Stage, Workload};
use tollkeeper_kit::{Program, http_get};

const CODE: &str = "4pz5x3sgbjnq7t3hb1kqe3v0w";

fn records(report: &Value) -> Vec<(&str, u64)> {
    report["spec"]["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| (record["dimension"].as_str().unwrap(), record["quantity"].as_u64().unwrap()))
        .collect()
}

#[tokio::test]
async fn an_applied_product_is_metered_and_its_hour_is_billed_once() {
    let stage = Stage::at("meter", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "1500m").await;
    workload.run_pod(&stage.namespace, "vecdb-1", "2").await;
    stage.create(&stage.product("vecdb", CODE, workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let mut operator = stage.start_operator();
    operator.wait_for_http(&format!("{}/readyz", stage.health()), Duration::from_secs(30)).await.unwrap();
    stage.condition("MarketplaceProduct", "vecdb", "Ready", ("True", "Ready")).await;

    let first = stage.settled(1).await;
    first.agrees();
    let before = stage.writes();
    workload.scan(5);
    let later = stage.settled(3).await;
    later.agrees();
    an_hour_takes_few_writes(&before, &stage.writes(), later.reports.len() - first.reports.len());
    let full_hour = &later.reports[later.reports.len() - 2];
    let billed = records(full_hour);
    assert!(billed.contains(&("instances", 2)), "{billed:?}");
    assert!(
        billed.iter().any(|(name, quantity)| *name == "cpu_hours" && (3..=4).contains(quantity)),
        "{billed:?}"
    );
    let scanned: u64 = later
        .reports
        .iter()
        .flat_map(records)
        .filter(|(name, _)| *name == "gb_scanned")
        .map(|(_, quantity)| quantity)
        .sum();
    assert_eq!(scanned, 10, "two pods share one endpoint, so five gigabytes count twice");
    let (_, metrics) = http_get(&format!("{}/metrics", stage.health())).await.unwrap();
    assert!(metrics.contains("tollkeeper_metered{namespace="), "{metrics}");
    the_funnel_loses_nothing(&metrics, &stage.observe().await.books);
    assert!(operator.terminate(Duration::from_secs(20)).await.unwrap().success());
    assert_eq!(stage.refusals(), Vec::<String>::new(), "the chart does not grant it");
    what_people_read_agrees_with_the_books(&stage).await;
}

/// A report is created, claimed and settled: three writes. Besides the lease there are only the binding's: six checkpoints, one a
/// tick, and its status. With the twelve checkpoints of shorter intervals, ten products take 10 × (3 + 12 + 2) / 3600 = 0.047
/// writes a second.
fn an_hour_takes_few_writes(before: &BTreeMap<String, usize>, after: &BTreeMap<String, usize>, hours: usize) {
    let mut more = after.clone();
    more.iter_mut().for_each(|(resource, count)| *count -= before.get(resource).copied().unwrap_or_default());
    let mut taken = |resource: &str| more.remove(resource).unwrap_or_default();
    let (reports, bindings, _) = (taken("usagereports"), taken("licensebindings"), taken("leases"));
    assert!(reports > 0 && reports <= 3 * hours, "{reports} writes of {hours} reports");
    assert!(bindings <= (6 + 2) * (hours + 1), "{bindings} writes of the binding in {hours} hours");
    assert_eq!(more.values().sum::<usize>(), 0, "{more:?}");
}

/// What was sealed is accepted or open, for every dimension, and what is accepted is in AWS's books.
fn the_funnel_loses_nothing(metrics: &str, books: &Value) {
    let units = |dimension: &str, place: &str| -> f64 {
        let (of, at) = (format!("dimension=\"{dimension}\""), format!("=\"{place}\"}} "));
        let lines = metrics.lines().filter(|line| line.contains(&of));
        lines.filter_map(|line| line.split_once(&at)).map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    };
    for total in books["totals"].as_array().unwrap() {
        let dimension = total["dimension"].as_str().unwrap();
        let [sealed, accepted, open] = [
            units(dimension, "sealed"),
            units(dimension, "accepted"),
            units(dimension, "Sealed") + units(dimension, "Sending"),
        ];
        assert!(accepted > 0.0, "{metrics}");
        assert_eq!(sealed, accepted + open, "{dimension}: {metrics}");
        let rounded = sealed + units(dimension, "remainder") - units(dimension, "measured");
        // Doubles of decimals are off by less than a millionth. This one is rounded up, the others carry.
        assert!(dimension == "instances" || rounded.abs() < 1e-6, "{dimension}: {metrics}");
        // The books were read a moment later.
        assert!(accepted <= total["quantity"].as_f64().unwrap(), "{dimension}: {metrics}");
    }
}

/// `tollkeeper report list` and `kubectl get usage` say what AWS bills.
async fn what_people_read_agrees_with_the_books(stage: &Stage) {
    let observed = stage.observe().await;
    observed.agrees();
    let ask = |program: Program, args: &[&str]| {
        let output = Command::new(program.path().unwrap())
            .args(args)
            .args(["--namespace", stage.namespace.name()])
            .env("KUBECONFIG", stage.kubeconfig())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let list: Value =
        serde_json::from_str(&ask(Program::Tollkeeper, &["report", "list", "--output", "json"])).unwrap();
    for total in observed.books["totals"].as_array().unwrap() {
        let dimension = total["dimension"].as_str().unwrap();
        let listed = list["totals"]
            .as_array()
            .unwrap()
            .iter()
            .find(|listed| listed["dimension"] == dimension)
            .unwrap();
        assert_eq!(listed["billed"], total["quantity"], "{dimension}");
    }
    let table = ask(Program::Kubectl, &["get", "usage"]);
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "PRODUCT", "HOUR", "PHASE", "ACCEPTED", "UNSETTLED", "PLUGIN", "AGE"]);
    assert_eq!(table.lines().count(), observed.reports.len() + 1, "{table}");
}

#[tokio::test]
async fn killing_the_operator_changes_nothing_in_the_totals() {
    let stage = Stage::at("kill", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", CODE, workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let mut operator = stage.start_operator();
    stage.settled(1).await;
    for reports in 2..=4 {
        workload.scan(3);
        operator.kill().unwrap();
        operator.wait(Duration::from_secs(10)).await.unwrap();
        operator = stage.start_operator();
        stage.settled(reports).await.agrees();
    }
    let last = stage.settled(5).await;
    last.agrees();
    let scanned: u64 = last
        .reports
        .iter()
        .flat_map(records)
        .filter(|(name, _)| *name == "gb_scanned")
        .map(|(_, quantity)| quantity)
        .sum();
    assert_eq!(scanned, 9, "every scanned gigabyte is billed exactly once");
}
