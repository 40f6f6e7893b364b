//! Go: a module for WASI's preview 1, the only one that Go knows, made a component with the interface of the SDK.
//!
//! Go's own components trap as soon as a garbage collection falls into `cabi_realloc`; the SDK's arena never enters Go's
//! allocator there.

use std::{ffi::OsString, fs, path::Path, process::Command};

use super::toolchain::{beside, run, scratch};
use crate::cli::Failure;

/// The first Go that exports functions by any name.
const OLDEST: (u32, u32) = (1, 24);

/// The Go whose encoding/json is 1.2 MB larger than the one before, which it still has.
const LARGE_JSON: (u32, u32) = (1, 27);

const WIT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/wit/meter.wit"));

/// The component of a project.
pub(super) fn build(folder: &Path) -> Result<Vec<u8>, Failure> {
    let go = beside("TOLLKEEPER_GO", Path::new(""), "go");
    let version = version(&go)?;
    let scratch = scratch()?;
    let module = scratch.path().join("meter.wasm");
    let mut build = Command::new(&go);
    build.args(["build", "-buildmode=c-shared", "-trimpath"]);
    // Without debug information; the arena's link to the runtime is not one that Go offers to everybody.
    build.args(["-ldflags=-s -w -checklinkname=0", "-o"]).arg(&module).arg(".");
    build.env("GOOS", "wasip1").env("GOARCH", "wasm");
    if version == LARGE_JSON {
        build.env("GOEXPERIMENT", "nojsonv2");
    }
    if !folder.as_os_str().is_empty() {
        build.current_dir(folder);
    }
    run(&mut build, INSTALL)?;
    let bytes = fs::read(&module)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", module.display())))?;
    tollkeeper_componentize::component_of_wasi(&bytes, WIT).map_err(Failure::new)
}

const INSTALL: &str = "install Go 1.24 or newer, or name it with TOLLKEEPER_GO";

fn version(go: &OsString) -> Result<(u32, u32), Failure> {
    let said = run(Command::new(go).args(["env", "GOVERSION"]), INSTALL)?;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    match parse(&said) {
        Some(version) if version >= OLDEST => Ok(version),
        _ => Err(Failure::new(format!(
            "{} is {said}, and a meter needs Go {}.{} or newer: install it, or name it with TOLLKEEPER_GO",
            go.to_string_lossy(),
            OLDEST.0,
            OLDEST.1
        ))),
    }
}

/// Major and minor of `go1.27.3`.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix("go")?.split(['.', 'r', 'b', '-', ' ']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_go_is_read() {
        assert_eq!(parse("go1.27.3"), Some((1, 27)));
        assert_eq!(parse("go1.28rc1"), Some((1, 28)));
        assert_eq!(parse("devel"), None);
        assert!(parse("go1.19.8").unwrap() < OLDEST);
    }
}
