//! Rust: a core module for `wasm32-unknown-unknown`, which has no WASI to ask for, made a component.
//!
//! Without the target's standard library it is built from its source, as `rustup component add rust-src` and the tests'
//! installation leave it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::toolchain::run;
use crate::cli::Failure;

const TARGET: &str = "wasm32-unknown-unknown";

const INSTALL: &str = "install Rust with rustup";

/// Where the standard library comes from.
enum Std {
    Installed,
    Source(PathBuf),
}

/// The component of a project.
pub(super) fn build(folder: &Path) -> Result<Vec<u8>, Failure> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--target", TARGET, "--manifest-path"]).arg(folder.join("Cargo.toml"));
    cargo.arg("--message-format=json-render-diagnostics");
    if let Std::Source(library) = std()? {
        // Building the standard library needs a nightly's permissions; its own lock file decides about its crates.
        cargo.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
    let messages = run(&mut cargo, INSTALL)?;
    let module = module(&String::from_utf8_lossy(&messages)).ok_or_else(|| {
        Failure::new(format!(
            "{}: the crate has no module; its [lib] needs crate-type = [\"cdylib\"]",
            folder.join("Cargo.toml").display()
        ))
    })?;
    let bytes = fs::read(&module)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", module.display())))?;
    tollkeeper_componentize::component(&bytes).map_err(Failure::new)
}

/// The module among cargo's messages: the last one that was linked is the project's own.
fn module(messages: &str) -> Option<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    artifacts
        .filter(|message| message.get("reason").and_then(Value::as_str) == Some("compiler-artifact"))
        .flat_map(|message| message.get("filenames").and_then(Value::as_array).cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .rfind(|file| file.extension().is_some_and(|kind| kind == "wasm"))
}

fn std() -> Result<Std, Failure> {
    let ask = |arguments: &[&str]| {
        run(Command::new("rustc").args(arguments), INSTALL)
            .map(|said| String::from_utf8_lossy(&said).trim().to_owned())
    };
    let libraries = PathBuf::from(ask(&["--print", "sysroot"])?).join("lib/rustlib");
    if libraries.join(TARGET).join("lib").is_dir() {
        return Ok(Std::Installed);
    }
    let version = ask(&["--version"])?.split(' ').nth(1).unwrap_or_default().to_owned();
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("TOLLKEEPER_CACHE").or_else(|| {
        let caches = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
        caches.map(|caches| caches.join("tollkeeper"))
    });
    let places = [
        folder("TOLLKEEPER_RUST_SRC"),
        Some(libraries.join("src/rust/library")),
        cache.map(|cache| cache.join(format!("rust-src-{version}/library"))),
    ];
    places.into_iter().flatten().find(|place| place.join("Cargo.lock").is_file()).map(Std::Source).ok_or_else(
        || Failure::new(format!("the Rust target {TARGET} is missing: run `rustup target add {TARGET}`")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_s_own_module_is_the_last() {
        let line = |file: &str| format!(r#"{{"reason":"compiler-artifact","filenames":["{file}"]}}"#);
        let messages = [
            line("/t/libserde.rlib"),
            line("/t/other.wasm"),
            line("/t/meter.wasm"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        assert_eq!(module(&messages.join("\n")), Some("/t/meter.wasm".into()));
        assert_eq!(module(&line("/t/libmeter.rlib")), None);
    }
}
