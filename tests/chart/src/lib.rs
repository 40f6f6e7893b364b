//! What the tests of the chart share: its files, and Helm.
#![allow(clippy::panic)] // A test that cannot read the chart or run Helm fails, in one clear sentence.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The folder of the chart.
pub fn chart() -> PathBuf {
    repository().join("charts/tollkeeper")
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of a file.
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

/// A JSON file of the chart.
pub fn json(name: &str) -> Value {
    serde_json::from_str(&read(&chart().join(name)))
        .unwrap_or_else(|error| panic!("{name} is not JSON: {error}"))
}

/// The values of the chart.
pub fn values() -> Value {
    serde_yaml::from_str(&read(&chart().join("values.yaml")))
        .unwrap_or_else(|error| panic!("values.yaml is not YAML: {error}"))
}

/// Name and text of every template.
pub fn templates() -> Vec<(String, String)> {
    files(&chart().join("templates"))
}

/// Name and text of every file of a folder, sorted by name.
pub fn files(folder: &Path) -> Vec<(String, String)> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{} cannot be listed: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), read(&entry.path())))
        .collect();
    files.sort();
    files
}

/// Runs Helm: what it printed, or what it complained about.
pub fn helm(arguments: &[&str]) -> Result<String, String> {
    let program = env::var("TOLLKEEPER_TEST_HELM").unwrap_or_else(|_| "helm".to_owned());
    let output = Command::new(&program).args(arguments).output().unwrap_or_else(|error| {
        panic!(
            "the chart cannot be tested: Helm (`{program}`) does not run ({error}); \
             install Helm 3.8 or newer, or set TOLLKEEPER_TEST_HELM to its path"
        )
    });
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The objects that the chart renders to, with these settings (`key=value` as for `--set`, JSON for `--set-json`).
pub fn rendered(settings: &[&str]) -> Vec<Value> {
    let folder = chart();
    let folder = folder.to_string_lossy();
    let mut arguments = vec!["template", "toll", &folder, "--namespace", "metering"];
    for setting in settings {
        arguments.extend(["--set-json", setting]);
    }
    let text = helm(&arguments).unwrap_or_else(|error| panic!("helm template: {error}"));
    objects(&text)
}

/// The objects of a stream of YAML documents.
pub fn objects(text: &str) -> Vec<Value> {
    text.split("\n---")
        .map(|document| {
            serde_yaml::from_str(document.trim_start_matches("---"))
                .unwrap_or_else(|error| panic!("not YAML: {error}\n{document}"))
        })
        .filter(|object: &Value| !object.is_null())
        .collect()
}

/// A field's text.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| text(object, "/kind") == kind)
}
