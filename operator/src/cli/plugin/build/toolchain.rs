//! Runs a language's own tools. What they say reaches the person as it is; a tool that is missing is named with the way to it.

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::cli::Failure;

/// What a tool printed on standard output; its complaints have gone to standard error.
pub(super) fn run(command: &mut Command, otherwise: &str) -> Result<Vec<u8>, Failure> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            Failure::new(format!("`{tool}` is missing: {otherwise}"))
        } else {
            Failure::new(format!("`{tool}` cannot be run: {error}"))
        }
    })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Failure::new(format!("`{tool}` failed ({}); it says above why", output.status)))
    }
}

/// A tool: the one that the environment names, else the one that is installed in the project, else the one in the PATH.
pub(super) fn beside(variable: &str, installed: &Path, name: &str) -> OsString {
    let own = if installed.is_file() { installed.as_os_str().to_owned() } else { name.into() };
    env::var_os(variable).filter(|path| !path.is_empty()).unwrap_or(own)
}

/// A folder for what a tool writes; it goes when it is dropped.
pub(super) fn scratch() -> Result<TempDir, Failure> {
    tempfile::tempdir()
        .map_err(|error| Failure::new(format!("there is no folder for temporary files: {error}")))
}

/// The folder that holds a project and its SDK. In the examples of an SDK that is the SDK above them.
pub(super) fn library(folder: &Path) -> Result<PathBuf, Failure> {
    let real = |path: &Path| {
        path.canonicalize()
            .map_err(|error| Failure::new(format!("{} cannot be found: {error}", path.display())))
    };
    let (project, sdk) = (real(&folder.join("."))?, real(&folder.join("sdk"))?);
    Ok(if sdk.starts_with(&project) { project } else { sdk })
}
