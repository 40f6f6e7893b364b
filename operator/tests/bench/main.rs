//! The vendor's bench, driven as a vendor drives it.
//!
//! `plugins/sdk/golden` holds three examples: a product, a binding, a trace, and in `expected.json` the readings of every tick
//! and the totals of the bill. The meters of every SDK must come to these same numbers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails like a test"
)]

#[path = "../../crates/plugin-host/tests/hostile/build.rs"]
mod build;
mod checks;
mod golden;
mod languages;
mod projects;
mod tapes;
mod verbs;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The examples that every SDK has.
const EXAMPLES: [&str; 3] = ["node-hours", "scanned-bytes", "active-users"];

fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("plugins/sdk")
}

fn golden_folder(example: &str) -> PathBuf {
    sdk().join("golden").join(example)
}

/// A committed component of an example.
fn rust_component(example: &str) -> PathBuf {
    sdk().join(format!("rust/examples/{example}/{example}.wasm"))
}

/// An empty folder of a test's own.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Machine code for all tests of this checkout: the user's own cache is shared with whatever else runs, and would lose it.
fn compiled() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

fn tollkeeper(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollkeeper"));
    command.args(arguments).env("TOLLKEEPER_CACHE_DIR", compiled()).output().unwrap()
}

/// Standard output of what must succeed.
fn succeeds(arguments: &[&str]) -> String {
    let output = tollkeeper(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeeds(arguments)).unwrap()
}

/// The sentence of what must fail.
fn fails(arguments: &[&str]) -> String {
    let output = tollkeeper(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
