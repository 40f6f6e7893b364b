//! An API server with a few reports, and the verb that asks it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests fails like a test")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use serde_json::{Value, json};
use tollkeeper_core::{
    identity::Digest,
    report::{Evidence, LocalReference, ReportBody, SealedRecord, SealedReport, client_token},
};

/// An API server with these reports and no statements, which knows nobody by name: it is from before 1.28.
pub(crate) fn api_server(reports: Vec<Value>) -> String {
    api_server_that_knows(reports, None)
}

/// The same, which knows who asks.
pub(crate) fn api_server_that_knows(mut reports: Vec<Value>, person: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (request, body) = read_request(&stream);
            let (code, answer) = answer(&request, &body, &mut reports, person);
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {code} OK\r\nContent-Type: application/json\r\nConnection: close");
            write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).unwrap();
        }
    });
    format!("http://{address}")
}

/// The first line and the body.
fn read_request(stream: &TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (first, serde_json::from_slice(&body).unwrap_or_default())
}

fn answer(request: &str, body: &Value, reports: &mut [Value], person: Option<&str>) -> (u16, Value) {
    let path = request.split_whitespace().nth(1).unwrap().split('?').next().unwrap();
    let missing = || {
        (
            404,
            json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "none", "code": 404}),
        )
    };
    if path.ends_with("/selfsubjectreviews") {
        let review = |name| json!({"status": {"userInfo": {"username": name}}});
        return person.map_or_else(missing, |name| (201, review(name)));
    }
    if let Some((_, name)) = path.split_once("/usagereports/") {
        let Some(report) = reports.iter_mut().find(|report| report["metadata"]["name"] == name) else {
            return missing();
        };
        if request.starts_with("PATCH") {
            if report["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
                let status = json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "message": "no", "code": 409});
                return (409, status);
            }
            report["status"] = body["status"].clone();
            report["metadata"]["resourceVersion"] = json!("2");
        }
        return (200, report.clone());
    }
    let is_asked_for = |report: &&Value| {
        let namespace = report.pointer("/metadata/namespace").and_then(Value::as_str).unwrap();
        !path.contains("/namespaces/") || path.contains(&format!("/namespaces/{namespace}/"))
    };
    let (kind, items) = match path.rsplit_once('/').map(|(_, kind)| kind) {
        Some("usagereports") => ("UsageReportList", reports.iter().filter(is_asked_for).cloned().collect()),
        Some("usagestatements") => ("UsageStatementList", vec![]),
        _ => ("MarketplaceProductList", vec![product()]),
    };
    let list = json!({
        "apiVersion": "tollkeeper.dev/v1alpha1",
        "kind": kind,
        "metadata": {"resourceVersion": "1"},
        "items": items,
    });
    (200, list)
}

/// A product whose dimension has a price.
fn product() -> Value {
    json!({
        "apiVersion": "tollkeeper.dev/v1alpha1",
        "kind": "MarketplaceProduct",
        "metadata": {"name": "vecdb", "namespace": "vecdb"},
        "spec": {
            "productCode": "code",
            "delivery": "Container",
            "pricing": "Usage",
            "dimensions": [{"name": "gb_hours", "description": "Gigabytes held", "fold": "TimeWeighted", "price": "0.025"}],
            "meter": {
                "interval": "60s",
                "plugin": {
                    "source": {"file": "/plugins/vecdb.wasm"},
                    "digest": format!("sha256:{}", "0".repeat(64)),
                },
                "inputs": [{"name": "nodes", "objects": {"apiVersion": "v1", "kind": "Node", "fields": ["status.capacity"]}}],
            },
        },
    })
}

/// The verb with the API server at `url`, the namespace `vecdb` as the current context, and `test` as its user.
pub(crate) fn report(test: &str, url: &str, arguments: &[&str]) -> Output {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "vecdb"}}],
    });
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.kubeconfig"));
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollkeeper"));
    command.arg("report").args(arguments).env("KUBECONFIG", path).output().unwrap()
}

pub(crate) fn sealed(
    hour: &str,
    quantity: u32,
    remainder: &str,
    previous: Option<&SealedReport>,
) -> SealedReport {
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
            earlier: vec![],
        },
        previous: previous.map(SealedReport::link),
    }
    .sealed()
}

pub(crate) fn object(namespace: &str, report: &SealedReport, status: &Value) -> Value {
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
pub(crate) fn two_hours() -> Vec<Value> {
    let first = sealed("2026-11-21T14:00:00Z", 3, "0.250000", None);
    let second = sealed("2026-11-21T15:00:00Z", 4, "0.500000", Some(&first));
    let accepted =
        json!({"dimension": "gb_hours", "state": "Accepted", "meteringRecordId": "record-1", "attempts": 1});
    let rejected =
        json!({"dimension": "gb_hours", "state": "Rejected", "reason": "InvalidTagException", "attempts": 1});
    vec![object("vecdb", &second, &rejected), object("vecdb", &first, &accepted)]
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
