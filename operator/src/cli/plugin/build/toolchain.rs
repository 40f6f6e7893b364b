//! Runs a language's own tools. What they say reaches the person as it is; a tool that is missing is named with the way to it.

use std::{
    io,
    process::{Command, Stdio},
};

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
