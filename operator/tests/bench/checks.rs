//! `tollkeeper plugin check`.

mod guest;
mod table;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};

use crate::{EXAMPLES, fails, golden_folder, rust_component, scratch, sdk, text, tollkeeper};
use guest::{GOOD, Guest};
use table::{Case, Of};

#[test]
fn the_examples_pass_every_check() {
    for example in EXAMPLES {
        let golden = golden_folder(example);
        let found = crate::json(&[
            "plugin",
            "check",
            text(&rust_component(example)),
            "--product",
            text(&golden.join("product.yaml")),
            "--trace",
            text(&golden.join("trace.jsonl")),
            // A debug build of the host on a busy machine is no measure of a meter.
            "--time",
            "10s",
            "--output",
            "json",
        ]);
        assert_eq!((&found["failed"], &found["warned"]), (&0.into(), &0.into()), "{example}: {found:#}");
        assert_eq!(found["passed"], 17, "{example}: {found:#}");
    }
}

#[test]
fn what_is_no_component_is_told_what_to_run() {
    let folder = scratch("no-component");
    let (module, nonsense) = (folder.join("module.wasm"), folder.join("nonsense.wasm"));
    fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
    fs::write(&nonsense, "nonsense").unwrap();
    for file in [&module, &nonsense] {
        let output = tollkeeper(&["plugin", "check", text(file)]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("FAILED  component") && said.contains("tollkeeper plugin build"), "{said}");
    }
    let said = fails(&["plugin", "check", text(&folder.join("gone.wasm"))]);
    assert!(said.contains("gone.wasm cannot be read"), "{said}");
}

#[test]
fn a_plugin_that_traps_on_a_configuration_is_named_by_the_check() {
    let hostile = sdk().join("../fixtures/hostile/hostile.wasm");
    let output =
        tollkeeper(&["plugin", "check", text(&hostile), "--config", r#"{"a": 1}"#, "--output", "json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let warned: Vec<&str> = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["status"] == "warned")
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(warned, ["unknown-config"], "{found:#}");
}

/// Runs a case's component through the checks.
fn checked(case: &Case, folder: &Path, output: &str) -> Output {
    let component = folder.join("meter.wasm");
    let bytes = match &case.of {
        Of::Guest(guest) => guest.component(),
        Of::Text(text) => wat::parse_str(text).unwrap(),
        Of::Bytes(bytes) => bytes.clone(),
    };
    fs::write(&component, bytes).unwrap();
    let (trace, product) = (trace(folder, case.trace), case.sells.map(|sold| product(folder, sold)));
    let mut arguments = vec!["plugin", "check", text(&component), "--output", output];
    // A debug build of the host on a busy machine is no measure of a meter.
    arguments.extend(["--time", "10s"].iter().chain(case.arguments));
    for (flag, file) in [("--trace", &trace), ("--product", &product)] {
        arguments.extend(file.iter().flat_map(|file| [flag, text(file)]));
    }
    tollkeeper(&arguments)
}

/// A file with a value of `i` for each minute.
fn trace(folder: &Path, values: &[u8]) -> Option<PathBuf> {
    let line = |(minute, value)| json!({"at": format!("2026-11-01T00:{minute:02}:00Z"), "input": "i", "scalar": value});
    let lines: Vec<String> = values.iter().enumerate().map(|line_of| line(line_of).to_string()).collect();
    let file = folder.join("trace.jsonl");
    (!lines.is_empty()).then(|| {
        fs::write(&file, lines.join("\n")).unwrap();
        file
    })
}

/// A file with a product of one dimension.
fn product(folder: &Path, dimension: &str) -> PathBuf {
    let promql = json!({"url": "http://prometheus:9090", "query": "sum(seats)"});
    let digest = format!("sha256:{}", "0".repeat(64));
    let product = json!({
        "apiVersion": "tollkeeper.dev/v1alpha1",
        "kind": "MarketplaceProduct",
        "metadata": {"name": "meter"},
        "spec": {
            "productCode": "1nodehours0000000000000000",
            "delivery": "Container",
            "pricing": "Usage",
            "dimensions": [{"name": dimension}],
            "meter": {
                "plugin": {"source": {"file": "/plugins/meter.wasm"}, "digest": digest},
                "inputs": [{"name": "i", "promql": promql}],
            },
        },
    });
    let file = folder.join("product.yaml");
    fs::write(&file, product.to_string()).unwrap();
    file
}

/// What is not as it should be.
fn found(case: &Case, output: &Output) -> Vec<Value> {
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{}: {error}: {}", case.check, String::from_utf8_lossy(&output.stderr))
    });
    assert_eq!(found["failed"], usize::from(case.status == "failed"), "{}: {found:#}", case.check);
    assert_eq!(found["warned"], usize::from(case.status == "warned"), "{}: {found:#}", case.check);
    let checks = found["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["status"] != "passed").cloned().collect()
}

/// With zero after a warning; after a failure with one, and a sentence that names the check.
fn ends_as_it_should(case: &Case, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    let has_failed = case.status == "failed";
    assert_eq!(output.status.code(), Some(i32::from(has_failed)), "{}: {said}", case.check);
    assert_eq!(said.contains(&format!(" checks failed: {}\n", case.check)), has_failed, "{said}");
}

#[test]
fn every_check_is_seen_to_fail_and_says_what_to_do() {
    let folder = scratch("checks-as-json");
    for case in table::all() {
        let output = checked(&case, &folder, "json");
        let expected = json!({
            "name": case.check, "status": case.status, "message": case.message, "advice": case.advice,
        });
        assert_eq!(found(&case, &output), [expected]);
        ends_as_it_should(&case, &output);
    }
}

#[test]
fn what_a_check_finds_is_a_row_of_the_table_and_its_advice_a_line_below() {
    let folder = scratch("checks-as-text");
    for case in table::all() {
        let output = checked(&case, &folder, "text");
        let said = String::from_utf8_lossy(&output.stdout);
        let word = if case.status == "failed" { "FAILED" } else { "warned" };
        let wrong: Vec<&str> =
            said.lines().filter(|line| line.starts_with("FAILED") || line.starts_with("warned")).collect();
        let [row] = wrong[..] else { panic!("{}: {said}", case.check) };
        let words: Vec<&str> = row.splitn(3, "  ").map(str::trim).collect();
        assert_eq!(words, [word, case.check, case.message]);
        assert!(said.ends_with(&format!("\n\n{}: {}\n", case.check, case.advice)), "{said}");
        ends_as_it_should(&case, &output);
    }
}

#[test]
fn no_check_is_without_a_component_that_fails_it() {
    let good = Guest { inputs: &["i"], ..GOOD };
    let case = Case::warned("none", Of::Guest(good), "", "");
    let output = checked(&case, &scratch("good-checks"), "json");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["failed"], &found["warned"]), (&0.into(), &0.into()), "{found:#}");
    let checks = found["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap());
    let table = table::all();
    let failed = table.iter().filter(|case| case.status == "failed").map(|case| case.check);
    assert_eq!(checks.collect::<BTreeSet<_>>(), failed.collect());
}

#[test]
fn limits_that_nobody_grants_are_no_finding_about_the_component() {
    let component = rust_component("node-hours");
    let said = fails(&["plugin", "check", text(&component), "--time", "11s"]);
    assert!(
        said.contains("the product's limits are refused: time 11s, but at most 10s is granted"),
        "{said}"
    );
}
