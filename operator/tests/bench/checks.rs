//! `tollkeeper plugin check`.

use std::fs;

use crate::{EXAMPLES, fails, golden_folder, json, rust_component, scratch, sdk, text, tollkeeper};

#[test]
fn the_examples_pass_every_check() {
    for example in EXAMPLES {
        let golden = golden_folder(example);
        let found = json(&[
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
