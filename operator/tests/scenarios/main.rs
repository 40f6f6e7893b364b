//! `tollkeeper simulate` on the scenarios in `tests/scenarios`.
//!
//! A scenario is a folder with `manifest.yaml`, `signals.jsonl`, perhaps `faults.yaml`, and the numbers that come of it in
//! `expected.json`; what it leaves out is taken from `shared`. Digests, hashes and ids are left out of the numbers, so that
//! another build of the plugin changes none of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails like a test"
)]

mod numbers;
mod refusals;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tollkeeper_core::identity::Digest;

/// Manifests name the plugin's digest by this, so that it stands nowhere twice.
const DIGEST_PLACEHOLDER: &str = "${VECDB_DIGEST}";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn scenarios() -> PathBuf {
    repository().join("tests/scenarios")
}

fn plugins() -> PathBuf {
    repository().join("plugins/examples/vecdb")
}

/// A folder of this test's own.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scenarios").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A run of `simulate`.
struct Simulation {
    manifest: PathBuf,
    signals: PathBuf,
    faults: Option<PathBuf>,
    plugins: PathBuf,
}

impl Simulation {
    /// Of a scenario's folder.
    fn of(scenario: &str) -> Self {
        let file = |name: &str| {
            let own = scenarios().join(scenario).join(name);
            if own.exists() { own } else { scenarios().join("shared").join(name) }
        };
        let template = fs::read_to_string(file("manifest.yaml")).unwrap();
        let manifest = scratch(scenario).join("manifest.yaml");
        fs::write(&manifest, with_digest(&template)).unwrap();
        let faults = scenarios().join(scenario).join("faults.yaml");
        Self {
            manifest,
            signals: file("signals.jsonl"),
            faults: faults.exists().then_some(faults),
            plugins: plugins(),
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollkeeper"));
        command.arg("simulate").arg(&self.manifest).arg("--signals").arg(&self.signals);
        if let Some(faults) = &self.faults {
            command.arg("--faults").arg(faults);
        }
        command.arg("--plugins").arg(&self.plugins).args(arguments).output().unwrap()
    }

    fn json(&self) -> Value {
        let output = self.run(&["--output", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The template with the digest of the committed component.
fn with_digest(template: &str) -> String {
    let component = plugins().join("vecdb.wasm");
    let bytes = fs::read(&component)
        .unwrap_or_else(|error| panic!("{}: {error}; plugins/build vecdb makes it", component.display()));
    template.replace(DIGEST_PLACEHOLDER, Digest::of(&bytes).as_str())
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
