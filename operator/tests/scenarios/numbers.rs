//! Every scenario comes to the numbers that are committed beside it.

use std::{collections::BTreeMap, env, fs, path::Path};

use serde_json::{Map, Value, json};

use super::{Simulation, scenarios, scratch};

/// Members of a report's and a status's records that say how much, where it is and why.
const RECORD: [&str; 6] = ["dimension", "quantity", "measured", "remainder", "carriedFrom", "allocations"];
const STATUS: [&str; 4] = ["state", "attempts", "reason", "message"];

/// A test for each scenario, so that they run side by side.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        mod comes_to_its_committed_numbers {
            $(#[test] fn $name() { super::check(&super::folder(stringify!($name))); })*
        }
        const CHECKED: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios!(
    accept_then_drop,
    counters,
    down_for_hours,
    error500_after,
    error500_before,
    html502,
    long_gap,
    ordinary,
    rejected_dimension,
    reset,
    short_gap,
    throttle,
    throttled_for_hours,
    two_bindings,
);

fn folder(name: &str) -> String {
    format!("{}.scenario", name.replace('_', "-"))
}

fn check(scenario: &str) {
    let result = Simulation::of(scenario).json();
    let text = serde_json::to_string_pretty(&numbers(&result)).unwrap() + "\n";
    assert!(
        is_as_committed(&scenarios().join(scenario).join("expected.json"), &text),
        "not as in expected.json, which UPDATE=1 writes anew:\n{text}"
    );
    adds_up(&result);
}

/// Everything measured is in exactly one place. Checked without the code that made the numbers.
fn adds_up(result: &Value) {
    for total in list(&result["totals"]) {
        // Rounded up is more than was measured, on purpose.
        if total["dimension"] == "instances" {
            continue;
        }
        let micros = |name: &str| total[name].as_str().unwrap().replace('.', "").parse::<u64>().unwrap();
        let units = |name: &str| total[name].as_u64().unwrap() * 1_000_000;
        let places = ["billed", "writtenOff", "rejected", "held", "unsettled"].map(units);
        assert_eq!(micros("measured"), places.iter().sum::<u64>() + micros("remainder"), "{total}");
    }
}

#[test]
fn every_scenario_is_checked() {
    let entries = fs::read_dir(scenarios()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".scenario"));
    names.sort();
    assert_eq!(names, CHECKED.iter().map(|name| folder(name)).collect::<Vec<_>>());
}

#[test]
fn the_bill_of_the_ordinary_scenario_is_the_committed_text() {
    let output = Simulation::of("ordinary.scenario").run(&[]);
    let text = without_digests(&String::from_utf8(output.stdout).unwrap());
    assert!(is_as_committed(&scenarios().join("ordinary.scenario/expected.txt"), &text), "{text}");
}

#[test]
fn the_same_files_give_the_same_output_and_page_byte_for_byte() {
    let simulation = Simulation::of("two-bindings.scenario");
    let run = |name: &str| {
        let page = scratch("same").join(name);
        let output = simulation.run(&["--output", "json", "--html", page.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0));
        (output.stdout, fs::read(page).unwrap())
    };
    let (first, second) = (run("first.html"), run("second.html"));
    assert!(first == second);
    // The page stands alone: nothing in it is fetched from anywhere.
    let page = String::from_utf8(first.1).unwrap();
    for fetched in ["http:", "https:", "src=", "<link", "<script", "@import", "url("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    assert!(page.contains("The ledger and AWS&#39;s books agree on 4 records"));
}

#[test]
fn an_answer_that_got_lost_is_billed_once() {
    let result = Simulation::of("accept-then-drop.scenario").json();
    let record = &result["reports"][0]["status"]["records"][0];
    assert_eq!((record["state"].as_str(), record["attempts"].as_u64()), (Some("Accepted"), Some(2)));
    let first = &result["aws"]["accepted"][0];
    assert_eq!((&first["meteringRecordId"], &first["repeats"]), (&record["meteringRecordId"], &json!(1)));
    assert_eq!(result["aws"]["accepted"].as_array().unwrap().len(), 6);
}

/// Compares, or writes anew with `UPDATE=1`.
fn is_as_committed(path: &Path, text: &str) -> bool {
    if env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::write(path, text).unwrap();
        return true;
    }
    fs::read_to_string(path).is_ok_and(|committed| committed == text)
}

fn numbers(result: &Value) -> Value {
    json!({
        "reports": list(&result["reports"]).map(report).collect::<Vec<_>>(),
        "aws": {
            "accepted": list(&result["aws"]["accepted"])
                .map(|record| picked(record, &["dimension", "hour", "quantity", "repeats"]))
                .collect::<Vec<_>>(),
            "rejected": refusals(&result["aws"]["rejected"]),
        },
        "totals": result["totals"],
        "problems": result["problems"],
        "violations": result["violations"],
    })
}

fn report(report: &Value) -> Value {
    let (spec, status) = (&report["spec"], &report["status"]);
    let records = list(&spec["records"]).zip(list(&status["records"]));
    let records = records.map(|(record, status)| {
        let (Value::Object(mut record), Value::Object(status)) =
            (picked(record, &RECORD), picked(status, &STATUS))
        else {
            return Value::Null;
        };
        record.extend(status);
        Value::Object(record)
    });
    json!({
        "hour": spec["hour"],
        "timestamp": spec["timestamp"],
        "records": records.collect::<Vec<_>>(),
        "remainders": spec["remainders"],
        "ticks": spec["evidence"]["ticks"],
        "missed": spec["evidence"]["missed"],
        "phase": status["phase"],
    })
}

/// How often AWS refused what, and why: one line instead of a hundred.
fn refusals(rejected: &Value) -> Value {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for refusal in list(rejected) {
        let name = |member: &str| refusal[member].as_str().unwrap().to_owned();
        *counts.entry([name("hour"), name("dimension"), name("reason")].join(" ")).or_default() += 1;
    }
    json!(counts)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn picked(value: &Value, members: &[&str]) -> Value {
    let members = members.iter().filter_map(|name| Some(((*name).to_owned(), value.get(name)?.clone())));
    Value::Object(members.collect::<Map<_, _>>())
}

/// Digests and ids, which another build of the plugin changes, as one word each.
fn without_digests(text: &str) -> String {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let plain = |word: &str| match word.split_once("sha256:") {
        Some((before, digest)) if is_hex(digest) => format!("{before}<digest>"),
        _ if word.len() == 36 && word.split('-').count() == 5 && is_hex(&word.replace('-', "")) => {
            "<id>".into()
        }
        _ => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(plain).collect::<Vec<_>>().join(" ") + "\n";
    text.lines().map(line).collect()
}
