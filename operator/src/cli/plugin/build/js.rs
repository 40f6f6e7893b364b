//! JavaScript: QuickJS with the project's modules in it, by componentize-qjs.

use std::{fs, path::Path, process::Command};

use super::toolchain::{beside, library, run, scratch};
use crate::cli::Failure;

const INSTALL: &str = "run `npm install` in the project, or name it with TOLLKEEPER_COMPONENTIZE_QJS";

/// The component of a project.
pub(super) fn build(folder: &Path) -> Result<Vec<u8>, Failure> {
    let scratch = scratch()?;
    let component = scratch.path().join("meter.wasm");
    let installed = folder.join("node_modules/.bin/componentize-qjs");
    let mut componentize =
        Command::new(beside("TOLLKEEPER_COMPONENTIZE_QJS", &installed, "componentize-qjs"));
    componentize.arg("--wit").arg(folder.join("sdk/wit")).args(["--world", "plugin"]);
    componentize.arg("--js").arg(folder.join("component.js"));
    componentize.arg("--module-root").arg(library(folder)?);
    // The other runtime needs a host with asynchronous components.
    componentize.arg("--sync").arg("--output").arg(&component);
    run(&mut componentize, INSTALL)?;
    fs::read(&component)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", component.display())))
}
