//! The numbers that every SDK must come to.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tollkeeper_core::identity::Digest;

use crate::{EXAMPLES, golden_folder, json as json_of, rust_component, scratch, succeeds, text};

/// Readings and bill of a component.
pub(crate) fn numbers(component: &Path, example: &str) -> Value {
    let (product, trace) = (pinned(component, example), golden_folder(example).join("trace.jsonl"));
    let played = json_of(&[
        "plugin",
        "run",
        text(component),
        "--product",
        text(&product),
        "--trace",
        text(&trace),
        "--output",
        "json",
    ]);
    let ticks: Vec<Value> = played["ticks"].as_array().unwrap().iter().map(kept).collect();
    json!({ "ticks": ticks, "totals": bill(component, example) })
}

/// Of a tick what does not depend on the language.
fn kept(tick: &Value) -> Value {
    match tick.get("failure") {
        None => json!({ "at": tick["at"], "readings": tick["readings"] }),
        Some(failure) => json!({ "at": tick["at"], "failure": failure }),
    }
}

/// The example's product with the component's digest, in a folder with the component. It takes components of every language.
pub(crate) fn pinned(component: &Path, example: &str) -> PathBuf {
    let language = component.file_stem().unwrap().to_string_lossy().into_owned();
    let folder = scratch(&format!("bill-{example}-{language}"));
    fs::copy(component, folder.join("meter.wasm")).unwrap();
    let product = fs::read_to_string(golden_folder(example).join("product.yaml")).unwrap();
    let digest = Digest::of(&fs::read(component).unwrap()).to_string();
    let limits = "{component: 32Mi, time: 10s}";
    let pinned =
        product.replace(&format!("sha256:{}", "0".repeat(64)), &format!("{digest}\n      limits: {limits}"));
    assert_ne!(product, pinned, "{example} names no digest of noughts");
    fs::write(folder.join("product.yaml"), pinned).unwrap();
    folder.join("product.yaml")
}

/// The totals of a simulation with the component.
fn bill(component: &Path, example: &str) -> Value {
    let (golden, product) = (golden_folder(example), pinned(component, example));
    let simulated = json_of(&[
        "simulate",
        text(&product),
        text(&golden.join("binding.yaml")),
        "--signals",
        text(&golden.join("trace.jsonl")),
        "--plugins",
        text(product.parent().unwrap()),
        "--output",
        "json",
    ]);
    simulated["totals"].clone()
}

/// What `expected.json` holds.
pub(crate) fn expected(example: &str) -> Value {
    let path = golden_folder(example).join("expected.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_committed_numbers_are_those_of_the_meters_in_rust() {
    for example in EXAMPLES {
        let path = golden_folder(example).join("expected.json");
        let found = numbers(&rust_component(example), example);
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        }
        assert_eq!(found, expected(example), "{example}");
    }
}

/// A gauge with a gap, counters with a reset and a source that pauses, a count that starts anew every hour: by hand.
#[test]
fn the_bills_are_what_pencil_and_paper_say() {
    for (example, measured) in [
        // 3 for 30 min, 4 for 30; 4 for 20, held for 10, 2 for 30: 3.5 + 3.0. The host holds a gauge for 5 intervals.
        ("node-hours", "6.500000"),
        // red: 2.25 + a reset 0.5 + 0.4 + 12344.778901; blue: 1.499999 + 0.5 + 0.1, from their baselines.
        ("scanned-bytes", "12350.028900"),
        // Five different users in the first hour, three in the second.
        ("active-users", "8.000000"),
    ] {
        assert_eq!(expected(example)["totals"][0]["measured"], measured, "{example}");
    }
}

#[test]
fn a_run_says_where_it_differs() {
    let golden = golden_folder("node-hours");
    let expected = fs::read_to_string(golden.join("expected.json")).unwrap();
    let wrong = scratch("differs").join("expected.json");
    let component = rust_component("node-hours");
    let (product, trace) = (golden.join("product.yaml"), golden.join("trace.jsonl"));
    let run = |expected: &Path| -> Vec<String> {
        [
            "plugin",
            "run",
            text(&component),
            "--product",
            text(&product),
            "--trace",
            text(&trace),
            "--expect",
            text(expected),
        ]
        .map(str::to_owned)
        .into()
    };
    let arguments = run(&golden.join("expected.json"));
    succeeds(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    fs::write(&wrong, expected.replacen("3.000000", "3.000001", 1)).unwrap();
    let arguments = run(&wrong);
    let said = crate::fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(
        said.contains("ticks[0].readings[0].gauge is expected to be \"3.000001\", but it is \"3.000000\""),
        "{said}"
    );
}
