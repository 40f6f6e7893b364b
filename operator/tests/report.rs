//! `tollkeeper report list` against an API server that serves a fixed list of reports.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests fails like a test")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use serde_json::{Value, json};
use tollkeeper_core::{
    identity::Digest,
    report::{Evidence, LocalReference, ReportBody, SealedRecord, SealedReport, client_token},
};

/// Answers every request with the reports of the namespace in its path.
fn api_server(reports: Vec<Value>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while !lines.next().unwrap().unwrap().is_empty() {}
            let is_asked_for = |report: &&Value| {
                let namespace = report.pointer("/metadata/namespace").and_then(Value::as_str).unwrap();
                !request.contains("/namespaces/") || request.contains(&format!("/namespaces/{namespace}/"))
            };
            let items: Vec<_> = reports.iter().filter(is_asked_for).collect();
            let body = json!({
                "apiVersion": "tollkeeper.dev/v1alpha1",
                "kind": "UsageReportList",
                "metadata": {"resourceVersion": "1"},
                "items": items,
            })
            .to_string();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    format!("http://{address}")
}

/// The verb with the API server at `url` and the namespace `vecdb` as the current context.
fn list(test: &str, url: &str, arguments: &[&str]) -> Output {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "vecdb"}}],
    });
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.kubeconfig"));
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollkeeper"));
    command.args(["report", "list"]).args(arguments).env("KUBECONFIG", path).output().unwrap()
}

fn sealed(hour: &str, quantity: u32, remainder: &str, previous: Option<&SealedReport>) -> SealedReport {
    let (hour, dimension) = (hour.parse().unwrap(), "gb_hours".parse().unwrap());
    let code = "code".parse().unwrap();
    let product = tollkeeper_core::identity::ObjectKey::new("vecdb", "vecdb");
    let measured = format!("{quantity}{}", remainder.strip_prefix('0').unwrap());
    ReportBody {
        product_ref: LocalReference { name: "vecdb".into() },
        product_code: code,
        hour,
        timestamp: hour.start(),
        records: vec![SealedRecord {
            client_token: client_token("test", &product, &"code".parse().unwrap(), &dimension, hour),
            dimension,
            quantity,
            measured: measured.parse().unwrap(),
            remainder: remainder.parse().unwrap(),
            carried_from: vec![],
            allocations: vec![],
        }],
        remainders: vec![],
        evidence: Evidence {
            plugin: Digest::of(b"plugin"),
            inputs: Digest::of(b"inputs"),
            config: Digest::of(b"config"),
            ticks: 6,
            missed: 0,
        },
        previous: previous.map(SealedReport::link),
    }
    .sealed()
}

fn object(namespace: &str, report: &SealedReport, status: &Value) -> Value {
    json!({
        "apiVersion": "tollkeeper.dev/v1alpha1",
        "kind": "UsageReport",
        "metadata": {
            "name": report.name(),
            "namespace": namespace,
            "resourceVersion": "1",
            "labels": {"tollkeeper.dev/product": "vecdb"},
        },
        "spec": report,
        "status": {"phase": "Settled", "records": [status]},
    })
}

/// Two good reports, the later one first, as the API server might list them.
fn two_hours() -> Vec<Value> {
    let first = sealed("2026-11-21T14:00:00Z", 3, "0.250000", None);
    let second = sealed("2026-11-21T15:00:00Z", 4, "0.500000", Some(&first));
    let accepted =
        json!({"dimension": "gb_hours", "state": "Accepted", "meteringRecordId": "record-1", "attempts": 1});
    let rejected =
        json!({"dimension": "gb_hours", "state": "Rejected", "reason": "InvalidTagException", "attempts": 1});
    vec![object("vecdb", &second, &rejected), object("vecdb", &first, &accepted)]
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn records_are_listed_oldest_first_with_their_totals() {
    let output = list("records", &api_server(two_hours()), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "\
PRODUCT  HOUR                  DIMENSION  QUANTITY  STATE     RECORD-ID  REASON
vecdb    2026-11-21T14:00:00Z  gb_hours          3  Accepted  record-1   -
vecdb    2026-11-21T15:00:00Z  gb_hours          4  Rejected  -          InvalidTagException

PRODUCT  DIMENSION  MEASURED  BILLED  WRITTEN-OFF  REJECTED  HELD  UNSETTLED  REMAINDER
vecdb    gb_hours   7.500000       3            0         4     0          0   0.500000
"
    );
}

#[test]
fn json_holds_the_reports_as_they_are_and_the_totals() {
    let output = list("json", &api_server(two_hours()), &["--output", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["reports"][0]["spec"], two_hours()[1]["spec"]);
    assert_eq!(result["reports"][1]["status"]["records"][0]["reason"], "InvalidTagException");
    let expected = json!([{
        "namespace": "vecdb", "product": "vecdb", "dimension": "gb_hours", "measured": "7.500000", "billed": 3,
        "writtenOff": 0, "rejected": 4, "held": 0, "unsettled": 0, "remainder": "0.500000",
    }]);
    assert_eq!(result["totals"], expected);
    assert_eq!(result["problems"], json!([]));
}

#[test]
fn a_damaged_report_hides_no_other_and_ends_with_one() {
    let mut reports = two_hours();
    reports[0]["spec"]["records"][0]["quantity"] = json!(5);
    let output = list("damaged", &api_server(reports), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("14:00:00Z  gb_hours"), "{}", stdout(&output));
    let sentence =
        "the report vecdb/vecdb-2026112115 cannot be trusted: its content has been changed after the seal";
    assert!(stdout(&output).contains(&format!("DAMAGED {sentence}")), "{}", stdout(&output));
    assert!(stderr(&output).starts_with(&format!("tollkeeper: {sentence}")), "{}", stderr(&output));
}

#[test]
fn namespaces_and_products_narrow_the_list() {
    let url = api_server(two_hours());
    for (arguments, lines) in [
        (["--namespace", "elsewhere"].as_slice(), 1),
        (&["--all-namespaces"], 6),
        (&["--product", "vecdb"], 6),
        (&["--product", "other"], 1),
    ] {
        let output = list("narrow", &url, arguments);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stdout(&output).lines().count(), lines, "{arguments:?}: {}", stdout(&output));
    }
    let everywhere = stdout(&list("narrow", &url, &["-A"]));
    assert!(everywhere.contains("\nvecdb/vecdb "), "{everywhere}");
    let conflicting = list("narrow", &url, &["-A", "--namespace", "vecdb"]);
    assert_eq!(conflicting.status.code(), Some(2));
}

#[test]
fn no_reports_are_a_sentence_or_empty_lists() {
    let url = api_server(vec![]);
    let output = list("none", &url, &["--product", "vecdb"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "There are no usage reports of the product vecdb in the namespace vecdb.\n");
    let output = list("none", &url, &["--output", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result, json!({"reports": [], "totals": [], "problems": []}));
}

#[test]
fn a_cluster_that_is_not_there_is_one_sentence() {
    let output = list("nobody", "http://127.0.0.1:1", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("refused"), "{}", stderr(&output));
}
