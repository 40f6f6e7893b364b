//! `tollkeeper plugin new` and `tollkeeper plugin build`.

use std::{fs, process::Command};

use crate::{fails, scratch, succeeds, text};

/// A project is built and tested as its README says, by the language's own tools.
fn builds_and_passes_its_tests(language: &str, tests: &[&str]) {
    let parent = scratch(&format!("new-{language}"));
    let said = succeeds(&["plugin", "new", "seats", "--lang", language, "--in", text(&parent)]);
    assert!(said.contains("tollkeeper plugin build"), "{said}");
    let project = parent.join("seats");
    let own = Command::new(tests[0]).args(&tests[1..]).current_dir(&project).output().unwrap();
    assert!(own.status.success(), "{}", String::from_utf8_lossy(&own.stderr));
    succeeds(&["plugin", "build", text(&project)]);
    let file = |name: &str| text(&project.join(name)).to_owned();
    succeeds(&[
        "plugin",
        "run",
        &file("meter.wasm"),
        "--product",
        &file("product.yaml"),
        "--trace",
        &file("trace.jsonl"),
        "--expect",
        &file("expected.json"),
    ]);
    let bill = succeeds(&[
        "simulate",
        &file("product.yaml"),
        &file("binding.yaml"),
        "--signals",
        &file("trace.jsonl"),
        "--plugins",
        text(&project),
    ]);
    assert!(bill.contains("nothing was billed twice"), "{bill}");
}

#[test]
fn a_project_in_rust_builds_and_passes_its_tests() {
    builds_and_passes_its_tests("rust", &["cargo", "test", "--quiet"]);
}

#[test]
fn nothing_is_overwritten() {
    let parent = scratch("overwritten");
    fs::create_dir(parent.join("seats")).unwrap();
    let said = fails(&["plugin", "new", "seats", "--lang", "rust", "--in", text(&parent)]);
    assert!(said.contains("nothing is overwritten"), "{said}");
    assert_eq!(fs::read_dir(parent.join("seats")).unwrap().count(), 0);
    let said = fails(&["plugin", "new", "Seats!", "--lang", "rust", "--in", text(&parent)]);
    assert!(said.contains("no name for a meter"), "{said}");
}

#[test]
fn a_folder_without_a_project_is_not_built() {
    let said = fails(&["plugin", "build", text(&scratch("no-project"))]);
    assert!(said.contains("Cargo.toml") && said.contains("tollkeeper plugin new"), "{said}");
}
