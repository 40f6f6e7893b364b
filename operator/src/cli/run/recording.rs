//! Whether inputs are recorded, and where.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use tollkeeper_core::{product::ByteSize, recording::Recorder};
use tollkeeper_ledger::recording::{Bounds, FileRecorder};

use crate::cli::Failure;

/// Keep the inputs of the last hours, so that `report replay` can compute them again.
///
/// They go to a folder and not to the API server: they are many times larger than what is billed, and nothing that is
/// billed depends on them.
#[derive(Clone, Debug, Args)]
pub(crate) struct Record {
    /// Keep the inputs of this many hours of each product, up to 744; 0 records nothing.
    #[arg(long, env = "TOLLKEEPER_RECORD_INPUTS", default_value = "0", value_name = "HOURS", value_parser = clap::value_parser!(u32).range(0..=744))]
    record_inputs: u32,
    /// Folder for them. An emptyDir outlives the container, not the pod; a volume outlives both.
    #[arg(
        long,
        env = "TOLLKEEPER_RECORD_DIR",
        default_value = "/var/cache/tollkeeper/recordings",
        value_name = "FOLDER"
    )]
    record_dir: PathBuf,
    /// Bytes that they may take together, compressed; the oldest hours go first.
    #[arg(long, env = "TOLLKEEPER_RECORD_LIMIT", default_value = "512Mi", value_name = "BYTES", value_parser = limit)]
    record_limit: ByteSize,
}

fn limit(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    if size.0 >= 1 << 20 { Ok(size) } else { Err("at least 1Mi: an hour has to fit".to_owned()) }
}

impl Record {
    /// What inputs are left with, if they are recorded.
    pub(super) fn recorder(&self) -> Result<Option<Arc<dyn Recorder>>, Failure> {
        if self.record_inputs == 0 {
            return Ok(None);
        }
        let bounds = Bounds { hours: self.record_inputs, bytes: self.record_limit.0 };
        let recorder = FileRecorder::open(&self.record_dir, bounds).map_err(|error| {
            Failure::new(format!(
                "inputs cannot be recorded: {error}; set --record-dir to a folder that can be written"
            ))
        })?;
        tracing::info!(folder = %self.record_dir.display(), hours = self.record_inputs, "inputs are recorded");
        Ok(Some(Arc::new(recorder)))
    }
}
