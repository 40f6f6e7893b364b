//! The files of a new project, embedded: the SDK, its first example, and what every language shares.

use super::EXAMPLE;
use crate::cli::plugin::language::Language;

/// Files of `plugins/sdk`, by their path in it.
type Embedded = [(&'static str, &'static str)];

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/sdk/", $path)))),*]
    };
}

/// The product, what is played through it, and what must come out, whatever the language.
const SHARED: &Embedded = embedded![
    "golden/node-hours/product.yaml",
    "golden/node-hours/binding.yaml",
    "golden/node-hours/trace.jsonl",
    "golden/node-hours/expected.json",
];

const RUST: &Embedded = embedded![
    "rust/Cargo.toml",
    "rust/src/amount.rs",
    "rust/src/inputs.rs",
    "rust/src/lib.rs",
    "rust/src/log.rs",
    "rust/src/outcome.rs",
    "rust/amounts.tsv",
    "rust/wit/meter.wit",
    "rust/examples/node-hours/Cargo.lock",
    "rust/examples/node-hours/Cargo.toml",
    "rust/examples/node-hours/src/lib.rs",
];

const GO: &Embedded = embedded![
    "go/go.mod",
    "go/abi.go",
    "go/amount.go",
    "go/amount_test.go",
    "go/arena.go",
    "go/inputs.go",
    "go/log.go",
    "go/log_native.go",
    "go/meter.go",
    "go/outcome.go",
    "go/amounts.tsv",
    "go/wit/meter.wit",
    "go/examples/node-hours/go.mod",
    "go/examples/node-hours/main.go",
    "go/examples/node-hours/main_test.go",
];

const JS: &Embedded = embedded![
    "js/package.json",
    "js/amount.js",
    "js/amount.test.js",
    "js/inputs.js",
    "js/meter.js",
    "js/outcome.js",
    "js/amounts.tsv",
    "js/wit/meter.wit",
    "js/examples/node-hours/package.json",
    "js/examples/node-hours/component.js",
    "js/examples/node-hours/meter.js",
    "js/examples/node-hours/meter.test.js",
];

const PYTHON: &Embedded = embedded![
    "python/tollkeeper_meter/__init__.py",
    "python/tollkeeper_meter/amount.py",
    "python/tollkeeper_meter/component.py",
    "python/tollkeeper_meter/inputs.py",
    "python/tollkeeper_meter/outcome.py",
    "python/test_amount.py",
    "python/test_state.py",
    "python/amounts.tsv",
    "python/wit/meter.wit",
    "python/examples/node-hours/pyproject.toml",
    "python/examples/node-hours/component.py",
    "python/examples/node-hours/meter.py",
    "python/examples/node-hours/test_meter.py",
];

/// How to go on.
const README: &str = include_str!("README.md");

/// Paths and texts of a new project.
pub(super) fn of(language: Language, name: &str) -> Vec<(String, String)> {
    let (own, ignored) = match language {
        Language::Rust => (RUST, "/target/\n"),
        Language::Go => (GO, ""),
        Language::Js => (JS, "/node_modules/\n"),
        Language::Python => (PYTHON, "__pycache__/\n"),
    };
    let example = format!("examples/{EXAMPLE}/");
    let place = |path: &str| {
        // `rust/src/lib.rs` is the SDK's, `rust/examples/node-hours/src/lib.rs` the project's.
        let (_, below) = path.split_once('/').unwrap_or(("", path));
        below
            .strip_prefix(&example)
            .or_else(|| below.strip_prefix(EXAMPLE).and_then(|below| below.strip_prefix('/')))
            .map_or_else(|| format!("sdk/{below}"), str::to_owned)
    };
    let mut files: Vec<(String, String)> =
        SHARED.iter().chain(own).map(|(path, text)| (place(path), text.replace(EXAMPLE, name))).collect();
    if language == Language::Python {
        let product = files.iter_mut().find(|(path, _)| path == "product.yaml");
        if let Some((_, text)) = product {
            *text = with_room(text);
        }
    }
    let readme = README
        .replace("{name}", name)
        .replace("{language}", language.name())
        .replace("{tests}", language.tests());
    files.push(("README.md".to_owned(), readme));
    files.push((".gitignore".to_owned(), format!("{ignored}/meter.wasm\n")));
    files.sort();
    files
}

/// A product that takes a component with an interpreter as large as Python's.
fn with_room(product: &str) -> String {
    let line = product.lines().find(|line| line.trim_start().starts_with("digest:")).unwrap_or_default();
    let indent = line.len() - line.trim_start().len();
    product.replacen(line, &format!("{line}\n{:indent$}limits: {{component: 32Mi}}", ""), 1)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use clap::ValueEnum as _;

    use super::*;

    /// Files below a folder that git would keep, without those of the examples.
    fn sources(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_built = ["target", "node_modules", "__pycache__", "examples"].contains(&name.as_str());
            if is_built || path.extension().is_some_and(|kind| kind == "lock" || kind == "pyc") {
                continue;
            }
            if path.is_dir() { sources(&path, found) } else { assert!(found.insert(path)) }
        }
    }

    #[test]
    fn a_project_has_the_whole_sdk() {
        for language in Language::value_variants() {
            let folder = format!("{language:?}").to_lowercase();
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/sdk").join(folder);
            let mut there = BTreeSet::new();
            sources(&root, &mut there);
            let files = of(*language, "a");
            let own: BTreeSet<PathBuf> = files
                .iter()
                .filter_map(|(path, _)| path.strip_prefix("sdk/").map(|path| root.join(path)))
                .collect();
            assert_eq!(own, there, "{language:?}");
        }
    }

    #[test]
    fn a_project_bears_its_own_name() {
        for language in Language::value_variants() {
            let files = of(*language, "seats");
            for (path, text) in &files {
                assert!(!text.contains(EXAMPLE), "{path} of {language:?} still says {EXAMPLE}");
            }
            assert!(files.iter().any(|(path, _)| path == language.mark()), "{language:?}");
        }
    }
}
