//! Which test run this is, the folder that its processes share, and the process whose end is the run's end.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::{Failure, Result};

const PREFIX: &str = "tollkeeper-kit-";

/// One test run. Under nextest it spans the processes of all tests; elsewhere it is this process.
pub(crate) struct Run {
    pub(crate) folder: PathBuf,
    pub(crate) watched: u32,
}

impl Run {
    /// The run that this process belongs to, with its folder made.
    pub(crate) fn current() -> Result<Self> {
        let (watched, id) = match std::env::var("NEXTEST_RUN_ID") {
            // nextest starts every test itself: it is the parent.
            Ok(id) => (std::os::unix::process::parent_id(), id),
            Err(_) => (std::process::id(), "alone".to_owned()),
        };
        let base = base();
        let folder = base.join(format!("{PREFIX}{watched}-{id}"));
        // Keys lie in it.
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Failure::from(error).while_doing(format!("cannot make {}", folder.display())))
            }
            _ => Ok(Self { folder, watched }),
        }
    }

    /// A run of this process only.
    pub(crate) fn alone() -> Result<Self> {
        let watched = std::process::id();
        let folder =
            tempfile::Builder::new().prefix(&format!("{PREFIX}{watched}-")).tempdir_in(base())?.keep();
        Ok(Self { folder, watched })
    }

    /// Does `work` once for the whole run; the others wait, and then share its success or its failure.
    pub(crate) async fn once(&self, name: &str, work: impl AsyncFnOnce() -> Result) -> Result {
        let lock = File::create(self.folder.join(format!("{name}.lock")))?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
        let (done, failed) =
            (self.folder.join(format!("{name}.done")), self.folder.join(format!("{name}.failed")));
        if done.exists() {
            return Ok(());
        }
        if let Ok(sentence) = std::fs::read_to_string(&failed) {
            return Err(Failure::new(sentence));
        }
        let outcome = work().await;
        match &outcome {
            Ok(()) => File::create(done).map(drop)?,
            Err(failure) => std::fs::write(failed, failure.to_string())?,
        }
        drop(lock);
        outcome
    }
}

/// Where the folders of runs are.
fn base() -> PathBuf {
    // etcd writes through to the disk at every request: memory is ten times as fast.
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    forget_dead_runs(&base);
    base
}

/// Removes what runs left behind whose supervisors were killed too.
fn forget_dead_runs(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let watched =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if let Some(watched) = watched
            && !Path::new(&format!("/proc/{watched}")).exists()
        {
            let _another_process_may_do_the_same = std::fs::remove_dir_all(entry.path());
        }
    }
}
