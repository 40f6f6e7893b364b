//! The folder of recordings, and what is kept in it.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use tollkeeper_core::{hour::BillingHour, identity::ObjectKey};

use super::Bounds;

const SUFFIX: &str = ".jsonl.gz";

/// Inputs are what a vendor's plugin may see of a cluster: they are for the operator's own user.
const PRIVATE_FOLDER: u32 = 0o700;
pub(super) const PRIVATE_FILE: u32 = 0o600;

pub(super) struct Folder {
    path: PathBuf,
    bounds: Bounds,
}

/// A recording in the folder.
struct Kept {
    path: PathBuf,
    bytes: u64,
    product: String,
    hour: String,
}

/// Neither namespaces nor products have an underscore in their names.
pub(super) fn name(product: &ObjectKey, hour: BillingHour) -> String {
    format!("{}_{}_{}{SUFFIX}", product.namespace, product.name, hour.compact())
}

impl Folder {
    pub(super) fn open(path: &Path, bounds: Bounds) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path)?;
        let folder = Self { path: path.to_owned(), bounds };
        // Before the first hour is recorded, not after it: an unusable folder is a mistake to be told at the start.
        folder.write("probe", b"")?;
        fs::remove_file(folder.path.join("probe"))?;
        folder.prune()?;
        Ok(folder)
    }

    /// Adds a recording, and removes those that there is no more room for.
    pub(super) fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(name, bytes)?;
        self.prune()
    }

    /// Whole or not at all: written beside, made durable, renamed.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let draft = self.path.join(format!(".{name}.part"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, self.path.join(name))?;
        File::open(&self.path)?.sync_all()
    }

    fn prune(&self) -> io::Result<()> {
        let mut kept = self.kept()?;
        // Newest first, so that the oldest hours of all products go first.
        kept.sort_by(|one, other| (&other.hour, &other.product).cmp(&(&one.hour, &one.product)));
        let mut hours: BTreeMap<String, u32> = BTreeMap::new();
        let mut bytes = 0_u64;
        for file in kept {
            let of_product = hours.entry(file.product).or_default();
            *of_product += 1;
            bytes = bytes.saturating_add(file.bytes);
            if *of_product > self.bounds.hours || bytes > self.bounds.bytes {
                fs::remove_file(&file.path)?;
            }
        }
        Ok(())
    }

    /// What is a recording by its name. Anything else in the folder is somebody else's.
    fn kept(&self) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((product, hour)) = name.strip_suffix(SUFFIX).and_then(|stem| stem.rsplit_once('_'))
            else {
                continue;
            };
            if hour.len() == 10 && hour.bytes().all(|byte| byte.is_ascii_digit()) {
                kept.push(Kept {
                    path: entry.path(),
                    bytes: entry.metadata()?.len(),
                    product: product.to_owned(),
                    hour: hour.to_owned(),
                });
            }
        }
        Ok(kept)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
