//! A folder of machine code that only Tollkeeper writes: bounded, and every file in it whole or gone.
//!
//! Files appear by renaming and are named by their content, so a crash leaves nothing that could be taken for one of them.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, Metadata},
    io::{self, Seek as _, SeekFrom},
    os::{
        fd::AsRawFd as _,
        unix::fs::{DirBuilderExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    process,
};

use tempfile::NamedTempFile;
use tollkeeper_core::identity::Digest;

use super::artefact::{EngineHash, Key, Name};

/// The folder inside the one that the operator was given.
const FOLDER: &str = "compiled-plugins";

/// What files are called while they are written, before the id of who writes them. One whose writer is gone was left by a crash.
const PARTIAL: &str = ".partial-";

/// Nobody but the owner may enter.
const PRIVATE: u32 = 0o700;

/// The folder, and what is in it.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    most: u64,
    engine: EngineHash,
    entries: BTreeMap<Key, Entry>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    seen: Stamp,
    /// Whether the content, as of `seen`, is what the name says. Only what is used is read: a command that starts must not
    /// wait for plugins of others.
    checked: bool,
    /// The higher, the later.
    used: u64,
}

/// What changes with a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    length: u64,
    inode: u64,
    changed: (i64, i64),
}

/// A file whose content is what was compiled. Only this module makes one.
///
/// It is held open: whoever has one may map it again and again, even when its name has made room for others.
#[derive(Debug)]
pub(crate) struct Whole {
    file: File,
    name: PathBuf,
    length: u64,
    written: (i64, i64),
}

impl Whole {
    /// Opens a file that was checked, if it is still the one that was.
    fn open(path: &Path, checked: Stamp) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if Stamp::new(&metadata) != checked {
            return Err(changed());
        }
        let (name, length) = (path.to_owned(), metadata.size());
        Ok(Self { length, written: written(&metadata), file, name })
    }

    /// Fails if it was written to since it was checked.
    pub(super) fn check(&self) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        // Losing its name changes a file's stamp; its length and time of writing change only with its content.
        if metadata.size() != self.length || written(&metadata) != self.written {
            return Err(changed());
        }
        Ok(())
    }

    /// The name that it had when it was opened.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// The way to the file, for as long as this lives. Fails if it was written to since it was checked.
    pub(super) fn path(&self) -> io::Result<PathBuf> {
        self.check()?;
        Ok(PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd())))
    }

    /// Bytes of machine code and what belongs to it.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

fn written(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it was changed after it was checked")
}

impl Cache {
    /// Opens or makes the folder. What is unfinished in it is removed.
    pub(super) fn open(parent: &Path, most: u64, engine: EngineHash) -> io::Result<Self> {
        let folder = parent.join(FOLDER);
        match DirBuilder::new().recursive(true).mode(PRIVATE).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => check_private(&folder)?,
        }
        let mut cache = Self { folder, most, engine, entries: BTreeMap::new(), uses: 0 };
        cache.take_stock()?;
        Ok(cache)
    }

    /// The machine code of a component, if it is there and still what it was.
    pub(super) fn find(&mut self, digest: &Digest) -> Option<Whole> {
        let key = Key::new(digest, self.engine);
        let entry = self.entries.get_mut(&key)?;
        let Ok(stamp) = Stamp::of(&entry.path) else {
            self.discard(digest);
            return None;
        };
        // A stamp changes with less than the content: what is intact is not compiled twice.
        entry.checked = (entry.checked && stamp == entry.seen) || is_named_by_content(&entry.path);
        entry.seen = stamp;
        if !entry.checked {
            tracing::warn!(file = %entry.path.display(), "a compiled plugin is damaged; it is compiled again");
            self.discard(digest);
            return None;
        }
        let whole = Whole::open(&entry.path, entry.seen).ok()?;
        self.uses += 1;
        entry.used = self.uses;
        Some(whole)
    }

    /// An empty file to compile into. It vanishes unless it is kept.
    pub(super) fn blank(&self) -> io::Result<NamedTempFile> {
        let prefix = format!("{PARTIAL}{}-", process::id());
        tempfile::Builder::new().prefix(&prefix).tempfile_in(&self.folder)
    }

    /// Gives a finished file its name and makes room for it.
    pub(super) fn keep(&mut self, digest: &Digest, mut finished: NamedTempFile) -> io::Result<Whole> {
        let key = Key::new(digest, self.engine);
        let file = finished.as_file_mut();
        file.seek(SeekFrom::Start(0))?;
        let path = self.folder.join(key.name(file)?.to_string());
        // Before the name: after a crash of the machine it must not stand for less than the content.
        file.sync_all()?;
        finished.persist(&path).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()?;
        let seen = Stamp::of(&path)?;
        let whole = Whole::open(&path, seen)?;
        self.note(key.clone(), path, seen, true);
        self.make_room(&key);
        Ok(whole)
    }

    /// Removes the machine code of a component: it could not be used.
    pub(super) fn discard(&mut self, digest: &Digest) {
        self.remove(&Key::new(digest, self.engine));
    }

    fn take_stock(&mut self) -> io::Result<()> {
        let mut found = Vec::new();
        for item in fs::read_dir(&self.folder)? {
            let item = item?;
            let (path, text) = (item.path(), item.file_name().to_string_lossy().into_owned());
            let stamp = Stamp::of(&path).ok();
            // Code for another engine is only counted: an older version may come back and use it.
            match (Name::parse(&text), stamp) {
                (Some(name), Some(stamp)) => found.push((stamp, name.key, path)),
                _ if Name::is_claimed_by(&text) || is_left_behind(&text) => remove_file(&path),
                _ => {}
            }
        }
        // When they were last used before is not known; the newest are kept longest.
        found.sort_by_key(|(stamp, ..)| stamp.changed);
        for (stamp, key, path) in found {
            self.note(key, path, stamp, false);
        }
        Ok(())
    }

    fn note(&mut self, key: Key, path: PathBuf, seen: Stamp, checked: bool) {
        self.uses += 1;
        let old = self.entries.insert(key, Entry { path: path.clone(), seen, checked, used: self.uses });
        if let Some(old) = old.filter(|old| old.path != path) {
            remove_file(&old.path);
        }
    }

    /// Removes what was not used for longest. A plugin that holds it keeps it.
    fn make_room(&mut self, newest: &Key) {
        while self.bytes() > self.most {
            let others = self.entries.iter().filter(|(key, _)| *key != newest);
            let Some(oldest) = others.min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone()) else {
                return;
            };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            remove_file(&entry.path);
        }
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.entries.values().map(|entry| entry.seen.length).sum()
    }
}

impl Stamp {
    /// Of a regular file that is ours.
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        if !metadata.is_file() || !is_ours(&metadata) {
            return Err(io::Error::other("it is not a file of ours"));
        }
        Ok(Self::new(&metadata))
    }

    fn new(metadata: &Metadata) -> Self {
        Self {
            length: metadata.size(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn is_named_by_content(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| Name::parse(&name.to_string_lossy()));
    name.is_some_and(|name| name.matches(path).unwrap_or(false))
}

/// Whoever may write here may run code in this process.
fn check_private(folder: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(folder)?;
    let others = metadata.mode() & 0o077;
    if metadata.is_dir() && is_ours(&metadata) && others == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "it must be a folder that belongs to the user of this process and to nobody else (mode 0700); remove it",
    ))
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// What cannot be removed is not used either, because it is not in the list any more.
/// Whether a file was left by a process that has ended; this one has written none yet. Commands share a user's cache.
fn is_left_behind(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PARTIAL) else { return false };
    let writer = rest.split('-').next().and_then(|id| id.parse::<u32>().ok());
    writer.is_none_or(|id| id == process::id() || !Path::new("/proc").join(id.to_string()).exists())
}

fn remove_file(path: &Path) {
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests;
