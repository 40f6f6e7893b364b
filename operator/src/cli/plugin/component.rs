//! A component as a file on this machine, and what is in it.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use tollkeeper_core::{
    identity::Digest,
    plugin::{Manifest, PluginHost as _},
};
use tollkeeper_plugin_host::{MAX_COMPONENT, MAXIMA};
use tollkeeper_registry::{Archive, ArchiveError};

use super::{interfaces::Interfaces, progress};
use crate::cli::{Failure, workshop};

/// More than any component has, in bytes: enough to say that a file is too large.
const MAX_FILE: u64 = 64 << 20;

/// Reads a file that holds a component; a file that is too large is not read.
pub(in crate::cli) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| Failure::new(format!("{} cannot be read: {error}", path.display()));
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_COMPONENT {
        return Err(Failure::new(format!(
            "{} has {length} bytes, and a component has at most {MAX_COMPONENT}; build it for size",
            path.display()
        )));
    }
    fs::read(path).map_err(unreadable)
}

/// Whether a file is an archive of an artifact, by its name.
pub(super) fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tar")
}

/// Reads an archive of at most so many bytes.
pub(super) fn read_archive(path: &Path, limit: u64) -> Result<Archive, Failure> {
    let refused = |problem: &dyn std::fmt::Display| Failure::new(format!("{}: {problem}", path.display()));
    let file = fs::File::open(path).map_err(|error| refused(&error))?;
    Archive::read(file, limit).map_err(|error| match error {
        ArchiveError::Io(cause) => refused(&cause),
        ArchiveError::Malformed(_) => refused(&error),
    })
}

/// Reads a file of whatever kind and, within reason, size.
pub(super) fn read_any(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| Failure::new(format!("{} cannot be read: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes)).map_err(unreadable)?;
    Ok(bytes)
}

/// Decodes the interfaces of a component, without running it.
pub(super) fn interfaces(bytes: &[u8]) -> Result<Interfaces, Failure> {
    Interfaces::of(bytes).map_err(Failure::new)
}

/// Loads a component as the operator would, and asks it for its manifest. The limits are the largest that a product may ask for:
/// which product will use it, nobody knows yet.
pub(super) async fn manifest(bytes: &[u8]) -> Result<Manifest, Failure> {
    let _spinner = progress::spinner("compiling".to_owned());
    let plugin = workshop::host()?.load(bytes, &Digest::of(bytes), MAXIMA).await.map_err(Failure::new)?;
    Ok(plugin.manifest().clone())
}
