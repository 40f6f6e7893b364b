//! The components of plugins in use, in case that their machine code has to be made again.
//!
//! Files without a name: nobody finds them to write to, and they are gone with the process. What is read is compared with its
//! digest. There is room for so many bytes; a component that finds none cannot be compiled again before it is loaded again.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tollkeeper_core::identity::Digest;

/// Bytes of all components together: the chart's 1 GiB for everything that can be had again leaves as much.
const ROOM: u64 = 128 << 20;

/// Where components are kept.
#[derive(Debug, Default)]
pub(super) struct Attic {
    taken: Arc<AtomicU64>,
}

/// A component that is kept.
#[derive(Debug)]
pub(crate) struct Original {
    file: File,
    length: u64,
    digest: Digest,
    taken: Arc<AtomicU64>,
}

impl Attic {
    /// Keeps a component in a file of this folder.
    pub(super) fn keep(&self, folder: &Path, component: &[u8], digest: &Digest) -> io::Result<Original> {
        let file = tempfile::tempfile_in(folder)?;
        let length = u64::try_from(component.len()).unwrap_or(u64::MAX);
        let others = self.taken.fetch_add(length, Ordering::Relaxed);
        // From here on it gives its room back, whatever happens.
        let mut kept = Original { file, length, digest: digest.clone(), taken: Arc::clone(&self.taken) };
        if others.saturating_add(length) > ROOM {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "other components have taken the room"));
        }
        kept.file.write_all(component)?;
        Ok(kept)
    }
}

impl Original {
    /// Its bytes.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        if Digest::of(&bytes) != self.digest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its component was changed, too"));
        }
        Ok(bytes)
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.length, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_without_a_name() {
        let (folder, attic) = (tempfile::tempdir().unwrap(), Attic::default());
        let kept = attic.keep(folder.path(), b"component", &Digest::of(b"component")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        for _ in 0..2 {
            assert_eq!(kept.read().unwrap(), b"component");
        }
        let mut writer = &kept.file;
        writer.write_all(b"evil").unwrap();
        assert_eq!(kept.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn there_is_room_for_so_many_bytes_and_it_is_given_back() {
        let (folder, attic) = (tempfile::tempdir().unwrap(), Attic::default());
        let keep = |bytes: &[u8]| attic.keep(folder.path(), bytes, &Digest::of(b""));
        let first = keep(b"a").unwrap();
        attic.taken.fetch_add(ROOM - 2, Ordering::Relaxed);
        assert_eq!(keep(b"ab").unwrap_err().kind(), io::ErrorKind::StorageFull);
        drop(first);
        assert!(keep(b"ab").is_ok());
        assert!(keep(b"ab").is_ok(), "what is dropped takes no room");
        assert!(attic.keep(&folder.path().join("gone"), b"a", &Digest::of(b"")).is_err());
    }
}
