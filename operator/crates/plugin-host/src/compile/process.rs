//! The parent of the compiling process: feeds it, waits, and says in words how it ended.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStderr, ChildStdin, Command},
    time::timeout,
};
use tollkeeper_core::{plugin::PluginFailure, quote::clip};

use super::{
    Apart,
    child::{LARGEST_ARTEFACT, LONGEST_WORK, REFUSED},
};
use crate::limits::MAX_MESSAGE;

/// The process is given this long where it has no processor of its own; the limit of what it may work decides before. Whoever
/// loads a plugin gives up after 120 s and would not hear why.
const PATIENCE: Duration = Duration::from_secs(100);

/// What allocation says in Rust before it aborts.
const NO_MEMORY: &str = "memory allocation of";

/// Has a component compiled into a file. If the waiting is given up, the process is killed.
pub(super) async fn compile(
    apart: &Apart,
    component: &[u8],
    artefact: &NamedTempFile,
) -> Result<(), PluginFailure> {
    let mut child = start(apart, artefact)
        .map_err(|error| PluginFailure::Internal(format!("no process to compile it in: {error}")))?;
    let (input, words) = (child.stdin.take(), child.stderr.take());
    let work = async { tokio::join!(feed(input, component), listen(words), child.wait()) };
    match timeout(PATIENCE, work).await {
        Ok(((), words, Ok(status))) => verdict(status, &words, apart.memory),
        Ok((_, _, Err(error))) => {
            Err(PluginFailure::Internal(format!("the compiling process was lost: {error}")))
        }
        Err(_) => Err(PluginFailure::Internal(format!(
            "compiling it was given up after {} s: the machine is too busy",
            PATIENCE.as_secs()
        ))),
    }
}

/// Nothing of this process' environment is handed on: it may hold credentials.
fn start(apart: &Apart, artefact: &NamedTempFile) -> std::io::Result<Child> {
    Command::new(&apart.program)
        .args(&apart.arguments)
        .arg("--memory")
        .arg(apart.memory.to_string())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(artefact.as_file().try_clone()?)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// A process that ends before it has read everything says why itself.
async fn feed(input: Option<ChildStdin>, component: &[u8]) {
    if let Some(mut input) = input {
        let _ = input.write_all(component).await;
    }
}

async fn listen(words: Option<ChildStderr>) -> String {
    let mut heard = Vec::new();
    if let Some(words) = words {
        let most = u64::try_from(MAX_MESSAGE).unwrap_or(u64::MAX);
        let _ = words.take(most).read_to_end(&mut heard).await;
    }
    clip(String::from_utf8_lossy(&heard).trim(), MAX_MESSAGE)
}

fn verdict(status: ExitStatus, words: &str, memory: u64) -> Result<(), PluginFailure> {
    let refused = |why: String| Err(PluginFailure::InvalidComponent(why));
    let signal = status.signal().and_then(Signal::from_named_raw);
    match (status.code(), signal) {
        (Some(0), _) => Ok(()),
        (Some(code), _) if code == i32::from(REFUSED) => refused(words.to_owned()),
        (None, Some(Signal::XCPU)) => {
            refused(format!("compiling it takes more than {} s", LONGEST_WORK.as_secs()))
        }
        (None, Some(Signal::XFSZ)) => {
            refused(format!("its machine code has more than {LARGEST_ARTEFACT} bytes"))
        }
        (None, Some(Signal::ABORT)) if words.contains(NO_MEMORY) => {
            refused(format!("compiling it takes more than {memory} bytes of memory"))
        }
        // Not the component's fault for certain: the machine may be out of memory, or somebody ended it.
        (None, Some(Signal::KILL | Signal::TERM)) => {
            Err(PluginFailure::Internal("the process that compiled it was killed from outside".into()))
        }
        (Some(101), _) | (None, _) => refused(format!("the compiler crashed on it ({status}): {words}")),
        (Some(_), _) => {
            Err(PluginFailure::Internal(format!("the compiling process did not start ({status}): {words}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_the_process_has_its_words() {
        let exit = |code: u8| ExitStatus::from_raw(i32::from(code) << 8);
        let signal = |signal: Signal| ExitStatus::from_raw(signal.as_raw());
        assert_eq!(verdict(exit(0), "", 1), Ok(()));
        for (status, words, reason, named) in [
            (exit(REFUSED), "invalid leading byte", "InvalidComponent", "component: invalid leading byte"),
            (exit(101), "thread panicked", "InvalidComponent", "crashed"),
            (signal(Signal::SEGV), "", "InvalidComponent", "crashed"),
            (
                signal(Signal::ABORT),
                "memory allocation of 9 bytes failed",
                "InvalidComponent",
                "more than 77 bytes",
            ),
            (signal(Signal::ABORT), "", "InvalidComponent", "crashed"),
            (signal(Signal::XCPU), "", "InvalidComponent", "60 s"),
            (signal(Signal::XFSZ), "", "InvalidComponent", "machine code"),
            (signal(Signal::KILL), "", "PluginFailed", "killed from outside"),
            (exit(2), "usage", "PluginFailed", "did not start"),
        ] {
            let failure = verdict(status, words, 77).unwrap_err();
            assert_eq!(failure.reason(), reason, "{failure}");
            assert!(failure.to_string().contains(named), "{failure}");
        }
    }
}
