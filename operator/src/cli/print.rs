//! The only place that writes to standard output and standard error.

use std::{
    fmt,
    io::{self, Write as _},
};

use super::Failure;

/// Prints a result. A reader that has gone away (`| head`) is no failure.
pub(crate) fn text(text: impl fmt::Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("the result could not be printed: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a JSON document with a newline at its end.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format!("the result could not be written as JSON: {error}")))?;
    text(format_args!("{json}\n"))
}

/// Prints why a verb failed.
pub(crate) fn error(failure: &Failure) {
    // There is nowhere left to complain if standard error is closed.
    let _ = writeln!(io::stderr().lock(), "tollkeeper: {failure}");
}
