//! Python: CPython with the project's modules in it, by componentize-py. Its WASI is stubbed, so that it asks for nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::toolchain::{beside, run, scratch};
use crate::cli::Failure;

const INSTALL: &str = "run `python3 -m venv .venv` and `.venv/bin/pip install componentize-py==0.25.1` in the project, or name it with TOLLKEEPER_COMPONENTIZE_PY";

/// The component of a project.
pub(super) fn build(folder: &Path) -> Result<Vec<u8>, Failure> {
    let scratch = scratch()?;
    let component = scratch.path().join("meter.wasm");
    let installed = folder.join(".venv/bin/componentize-py");
    let mut componentize = Command::new(beside("TOLLKEEPER_COMPONENTIZE_PY", &installed, "componentize-py"));
    componentize.arg("--quiet").arg("--wit-path").arg(folder.join("sdk/wit")).args(["--world", "plugin"]);
    componentize.args(["componentize", "--stub-wasi"]);
    componentize.arg("--python-path").arg(folder.join(".")).arg("--python-path").arg(sdk(folder)?);
    componentize.arg("component").arg("--output").arg(&component);
    // Bytecode of the machine's own Python is of no use inside.
    componentize.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("VIRTUAL_ENV");
    run(&mut componentize, INSTALL)?;
    fs::read(&component)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", component.display())))
}

/// The folder with the SDK's package; componentize-py follows no links, which the SDK's own examples have.
fn sdk(folder: &Path) -> Result<PathBuf, Failure> {
    let package = folder.join("sdk/tollkeeper_meter");
    package
        .canonicalize()
        .map(|real| real.parent().map(Path::to_owned).unwrap_or_default())
        .map_err(|error| Failure::new(format!("{} cannot be found: {error}", package.display())))
}
