//! The examples of every SDK, built from their sources and held against the same numbers. Rust's are committed, and `plugins/build
//! --check` compares them with their sources.

use std::{env, fs, path::PathBuf, process::Command};

use serde_json::json;

use crate::{
    EXAMPLES,
    golden::{expected, numbers},
    scratch, sdk, succeeds, text,
};

/// Builds an example.
fn built(language: &str, example: &str) -> PathBuf {
    let component = scratch(&format!("built-{language}-{example}")).join(format!("{language}.wasm"));
    let project = sdk().join(language).join("examples").join(example);
    succeeds(&["plugin", "build", text(&project), "--component", text(&component)]);
    component
}

fn comes_to_the_same_numbers(language: &str) {
    for example in EXAMPLES {
        assert_eq!(numbers(&built(language, example), example), expected(example), "{example} in {language}");
    }
}

/// The SDK's own tests, in the language's own way.
fn passes(language: &str, program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(sdk().join(language))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn meters_in_go_come_to_the_same_numbers() {
    passes("go", &env::var("TOLLKEEPER_GO").unwrap(), &["test", "."]);
    comes_to_the_same_numbers("go");
}

#[test]
fn meters_in_javascript_come_to_the_same_numbers() {
    passes("js", "node", &["--test", "amount.test.js"]);
    comes_to_the_same_numbers("js");
}

#[test]
fn meters_in_python_come_to_the_same_numbers() {
    passes("python", "python3", &["-m", "unittest"]);
    comes_to_the_same_numbers("python");
}

/// A garbage collection while arguments are handed over would be a call of the host, which is forbidden there.
#[test]
fn three_thousand_ticks_with_a_mebibyte_each_do_not_trap_in_go() {
    let component = built("go", "node-hours");
    let folder = scratch("mebibyte");
    let node = |number: usize| {
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{number}"), "uid": "u"},
            "status": {"filler": "x".repeat(16 << 10)},
        })
    };
    let nodes: Vec<_> = (0..64).map(node).collect();
    let line = json!({"at": "2026-11-01T00:00:00Z", "input": "nodes", "objects": nodes});
    let trace = folder.join("trace.jsonl");
    fs::write(&trace, format!("{line}\n")).unwrap();
    let costs = crate::json(&[
        "plugin",
        "bench",
        text(&component),
        "--trace",
        text(&trace),
        "--ticks",
        "3000",
        "--time",
        "10s",
        "--output",
        "json",
    ]);
    assert_eq!(costs["ticks"], 3000, "{costs:#}");
}
