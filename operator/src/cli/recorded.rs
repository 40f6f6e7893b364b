//! What `run --record-inputs` has left, and the components that measured it.

use std::{collections::BTreeMap, fs, path::PathBuf};

use clap::Args;
use tollkeeper_core::{identity::Digest, recording::InvalidRecording};
use tollkeeper_ledger::recording::RecordingError;

use super::{Failure, plugin::component};

/// Why a recording or a tape cannot be read, with the file and the line.
pub(super) fn refusal(error: &RecordingError) -> String {
    match error {
        RecordingError::Invalid { path, cause: InvalidRecording::Line { line, cause } } => {
            format!("{}:{line}: {cause}", path.display())
        }
        RecordingError::Invalid { .. } | RecordingError::Unusable { .. } => error.to_string(),
    }
}

/// Recordings and components, as commands are given them.
#[derive(Debug, Args)]
pub(super) struct Recorded {
    /// Recordings, or folders of them.
    #[arg(required = true, value_name = "FILE")]
    recordings: Vec<PathBuf>,
    /// The component that measured; several if it was replaced.
    #[arg(long, env = "TOLLKEEPER_PLUGIN", required = true, value_name = "FILE", value_delimiter = ',')]
    plugin: Vec<PathBuf>,
}

impl Recorded {
    /// These recordings and components.
    pub(super) fn of(recordings: Vec<PathBuf>, plugin: Vec<PathBuf>) -> Self {
        Self { recordings, plugin }
    }

    /// The files, those of folders in the order of their names. None at all is an error.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut files = Vec::new();
        for path in &self.recordings {
            if !path.is_dir() {
                files.push(path.clone());
                continue;
            }
            let named = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
            let mut inside = Vec::new();
            for entry in fs::read_dir(path).map_err(named)? {
                let file = entry.map_err(named)?.path();
                if file.to_string_lossy().ends_with(".jsonl.gz") {
                    inside.push(file);
                }
            }
            inside.sort();
            files.extend(inside);
        }
        if files.is_empty() {
            return Err(Failure::new(
                "there are no recordings (*.jsonl.gz) in it; `tollkeeper run --record-inputs` makes them",
            ));
        }
        Ok(files)
    }

    /// The components by their digests.
    pub(super) fn components(&self) -> Result<BTreeMap<Digest, Vec<u8>>, Failure> {
        let mut components = BTreeMap::new();
        for path in &self.plugin {
            let bytes = component::read(path)?;
            components.insert(Digest::of(&bytes), bytes);
        }
        Ok(components)
    }
}
