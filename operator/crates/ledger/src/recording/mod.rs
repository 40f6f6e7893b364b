//! Recordings in a folder: a compressed file an hour and product, kept for some hours and up to some bytes.
//!
//! An hour is collected in memory and written when it is sealed, by a thread of its own, so that no tick waits for a disk.
//! A file is there whole or not at all. A process that dies loses the recording of the open hour up to its last
//! checkpoint; the next one goes on from there.

mod folder;
mod hours;
mod memory;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use jiff::Timestamp;
use tollkeeper_core::{
    hour::BillingHour,
    identity::ObjectKey,
    product::{Binding, Product},
    recording::{InvalidRecording, RecordedTick, Recorder, Recording, Seal, tape::Tape},
    usage::Tally,
};

pub use self::memory::MemoryRecorder;
use self::{folder::Folder, hours::Hours};

/// A recording that unpacks to more than this was not written here.
const MAX_UNPACKED: u64 = 2 << 30;

/// How much is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Hours of each product.
    pub hours: u32,
    /// Bytes of all files together.
    pub bytes: u64,
}

/// Why recordings cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The folder or file cannot be used.
    #[error("{path}: {cause}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file is no recording.
    #[error("{path}: {cause}")]
    Invalid {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: InvalidRecording,
    },
}

/// Writes recordings.
pub struct FileRecorder {
    hours: Mutex<Hours>,
    files: Option<mpsc::Sender<(String, Vec<u8>)>>,
    writer: Option<JoinHandle<()>>,
}

impl FileRecorder {
    /// Into this folder, which is made if it is not there. Only its owner can read what is in it.
    pub fn open(folder: &Path, bounds: Bounds) -> Result<Self, RecordingError> {
        let folder = Folder::open(folder, bounds)
            .map_err(|cause| RecordingError::Unusable { path: folder.to_owned(), cause })?;
        let (files, finished) = mpsc::channel::<(String, Vec<u8>)>();
        let writer = std::thread::spawn(move || {
            for (name, bytes) in finished {
                if let Err(error) = folder.keep(&name, &bytes) {
                    tracing::warn!(file = name, %error, reason = "RecordingFailed", "an hour was not recorded");
                }
            }
        });
        Ok(Self { hours: Mutex::default(), files: Some(files), writer: Some(writer) })
    }

    fn hours(&self) -> MutexGuard<'_, Hours> {
        // A panic while the lock was held costs a recording, never an hour.
        self.hours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FileRecorder {
    fn drop(&mut self) {
        self.files = None;
        if let Some(writer) = self.writer.take() {
            // A writer that has panicked has said so.
            let _ = writer.join();
        }
    }
}

impl Recorder for FileRecorder {
    fn restored(&self, product: &ObjectKey, binding: &Binding, tally: &Tally) {
        self.hours().restored(product, binding, tally);
    }

    fn before(&self, product: &Product, tick: Timestamp, bindings: &[(&Binding, &Tally)]) {
        self.hours().before(product, tick, bindings);
    }

    fn after(&self, product: &ObjectKey, tick: RecordedTick) {
        self.hours().after(product, &tick);
    }

    fn sealed(&self, product: &ObjectKey, hour: BillingHour, seal: Seal) {
        let finished = self.hours().sealed(product, hour, seal);
        if let (Some(bytes), Some(files)) = (finished, &self.files) {
            // The writer ends with this recorder, never before.
            let _ = files.send((folder::name(product, hour), bytes));
        }
    }
}

/// Reads a recording, compressed or not.
pub fn read(path: &Path) -> Result<Recording, RecordingError> {
    parsed(path, Recording::parse)
}

/// Reads a tape, compressed or not.
pub fn read_tape(path: &Path) -> Result<Tape, RecordingError> {
    parsed(path, Tape::parse)
}

/// Writes a tape, compressed. It is for its owner alone, until they hand it on.
pub fn write_tape(path: &Path, tape: &Tape) -> Result<(), RecordingError> {
    let written = || {
        let mut file = OpenOptions::new();
        file.write(true).create(true).truncate(true).mode(folder::PRIVATE_FILE);
        let mut lines = GzEncoder::new(file.open(path)?, Compression::best());
        lines.write_all(tape.text().as_bytes())?;
        lines.finish()?.sync_all()
    };
    written().map_err(|cause| RecordingError::Unusable { path: path.to_owned(), cause })
}

fn parsed<T>(path: &Path, parse: fn(&str) -> Result<T, InvalidRecording>) -> Result<T, RecordingError> {
    let text = text(path).map_err(|cause| RecordingError::Unusable { path: path.to_owned(), cause })?;
    parse(&text).map_err(|cause| RecordingError::Invalid { path: path.to_owned(), cause })
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_UNPACKED).read_to_end(&mut bytes)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        unpacked(&bytes)
    } else {
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

fn unpacked(bytes: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    MultiGzDecoder::new(bytes).take(MAX_UNPACKED).read_to_string(&mut text)?;
    Ok(text)
}
