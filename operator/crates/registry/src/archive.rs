//! Artifacts in one file, for networks that do not reach the registry: an OCI image layout in a tar, as `skopeo`, `oras` and
//! `docker save` write it.
//!
//! The bytes of manifests are kept, so digests and signatures hold on the other side.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

use serde_json::json;
use tollkeeper_core::identity::Digest;

use crate::{
    artifact::plugin_of,
    manifest::{ARTIFACT_MANIFEST, Descriptor, INDEX, Index, Manifest},
    reference::Reference,
    repository::MAX_MANIFEST,
};

/// The annotation by which an archive names a tag (OCI image layout, "index.json").
const TAG: &str = "org.opencontainers.image.ref.name";

/// An artifact has half a dozen files, and two for every signature.
const MAX_FILES: usize = 256;

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read or written.
    #[error("the archive cannot be read or written")]
    Io(#[from] io::Error),
    /// It is no image layout, or one that is not whole.
    #[error("{0}")]
    Malformed(String),
}

/// A plugin and its signatures.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Archive {
    /// What `index.json` lists.
    pub(crate) manifests: Vec<Descriptor>,
    /// All bytes, those of manifests included.
    pub(crate) blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Archive {
    /// Reads an archive of at most so many bytes; every blob is compared with its digest.
    pub fn read(from: impl Read, limit: u64) -> Result<Self, ArchiveError> {
        let mut archive = Self::default();
        let mut index = None;
        // Headers and padding come on top; a gibibyte of empty files does not.
        let mut tar = tar::Archive::new(from.take(limit + MAX_FILES as u64 * 4096));
        for (count, entry) in tar.entries()?.enumerate() {
            let mut entry = entry?;
            if count >= MAX_FILES || entry.size() > limit {
                return Err(malformed("it is larger than an archive of a plugin; export the plugin alone"));
            }
            let path = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
            if !entry.header().entry_type().is_file() {
                continue;
            }
            if path != "index.json" && !path.starts_with("blobs/sha256/") {
                continue;
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            if path == "index.json" {
                index = Some(bytes);
                continue;
            }
            let digest = Digest::of(&bytes);
            if path.trim_start_matches("blobs/sha256/") != hex(&digest) {
                return Err(malformed(&format!(
                    "{path} has other bytes than its name says; make the archive again"
                )));
            }
            archive.blobs.insert(digest, bytes);
        }
        let index = index.ok_or_else(|| {
            malformed("it is no OCI image layout; make it with `tollkeeper plugin pull REFERENCE FILE.tar`")
        })?;
        let index: Index = serde_json::from_slice(&index)
            .map_err(|error| malformed(&format!("its index.json is malformed: {error}")))?;
        archive.manifests = index.manifests;
        Ok(archive)
    }

    /// Writes the archive; the same artifact makes the same bytes.
    pub fn write(&self, to: impl Write) -> Result<(), ArchiveError> {
        let index = json!(Index::of(self.manifests.clone())).to_string();
        let layout = json!({"imageLayoutVersion": "1.0.0"}).to_string();
        let mut tar = tar::Builder::new(to);
        let mut add = |path: String, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, path, bytes)
        };
        add("oci-layout".to_owned(), layout.as_bytes())?;
        add("index.json".to_owned(), index.as_bytes())?;
        for (digest, bytes) in &self.blobs {
            add(format!("blobs/sha256/{}", hex(digest)), bytes)?;
        }
        tar.finish()?;
        Ok(())
    }

    /// The bytes of the plugin's component.
    pub fn component(&self) -> Result<&[u8], ArchiveError> {
        let (_, bytes) = self.plugin()?;
        // The reference is for messages only.
        let reference: Reference = "archive.invalid/plugin".parse().map_err(|_| malformed("no reference"))?;
        let (_, layer) = plugin_of(&reference, bytes).map_err(|failure| malformed(&failure.to_string()))?;
        self.blob(&layer.digest)
    }

    /// The plugin's manifest: the one that is neither a signature's nor a list.
    pub(crate) fn plugin(&self) -> Result<(&Descriptor, &[u8]), ArchiveError> {
        let mut found = None;
        for descriptor in &self.manifests {
            let bytes = self.blob(&descriptor.digest)?;
            if !self.is_signature(descriptor, bytes) {
                if found.is_some() {
                    return Err(malformed("it has several artifacts; export the plugin alone"));
                }
                found = Some((descriptor, bytes));
            }
        }
        found.ok_or_else(|| malformed("there is no artifact in it"))
    }

    fn is_signature(&self, descriptor: &Descriptor, bytes: &[u8]) -> bool {
        let is_index = descriptor.media_type == INDEX;
        let is_tag = descriptor.annotations.get(TAG).is_some_and(|tag| tag.starts_with("sha256-"));
        let refers =
            serde_json::from_slice::<Manifest>(bytes).is_ok_and(|manifest| manifest.subject.is_some());
        is_index || is_tag || refers
    }

    pub(crate) fn blob(&self, digest: &str) -> Result<&[u8], ArchiveError> {
        let bytes = digest.parse::<Digest>().ok().and_then(|digest| self.blobs.get(&digest));
        bytes
            .map(Vec::as_slice)
            .ok_or_else(|| malformed(&format!("it lacks the blob {digest}; make the archive again")))
    }

    /// Adds a manifest with the blobs that it names.
    pub(crate) fn add(
        &mut self,
        bytes: Vec<u8>,
        tag: Option<String>,
        blobs: impl IntoIterator<Item = Vec<u8>>,
    ) {
        let mut descriptor = Descriptor::of(ARTIFACT_MANIFEST, &bytes);
        descriptor.annotations.extend(tag.map(|tag| (TAG.to_owned(), tag)));
        self.manifests.push(descriptor);
        self.blobs.extend(blobs.into_iter().chain([bytes]).map(|bytes| (Digest::of(&bytes), bytes)));
    }

    /// The tag that a manifest of the list has.
    pub(crate) fn tag_of(descriptor: &Descriptor) -> Option<&str> {
        // Docker writes a whole reference.
        descriptor.annotations.get(TAG).map(|name| name.rsplit(':').next().unwrap_or(name))
    }
}

/// The largest archive for components of at most so many bytes: manifests and signatures come on top.
pub(crate) const fn largest(component: u64) -> u64 {
    component + 4 * MAX_MANIFEST
}

fn hex(digest: &Digest) -> &str {
    digest.as_str().trim_start_matches("sha256:")
}

fn malformed(problem: &str) -> ArchiveError {
    ArchiveError::Malformed(format!("the archive cannot be used: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{Artifact, Description};

    fn archive() -> Archive {
        let artifact = Artifact::new(b"component".to_vec(), Description::default());
        let mut archive = Archive::default();
        archive.add(artifact.manifest, Some("1.4.0".into()), [artifact.config, artifact.component]);
        archive
    }

    fn written(archive: &Archive) -> Vec<u8> {
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = written(&archive());
        assert_eq!(bytes, written(&archive()), "the same bytes each time");
        let read = Archive::read(bytes.as_slice(), 1 << 20).unwrap();
        assert_eq!(read, archive());
        assert_eq!(read.component().unwrap(), b"component");
    }

    #[test]
    fn an_archive_that_is_not_whole_is_refused() {
        let bytes = written(&archive());
        let refused = |bytes: &[u8]| Archive::read(bytes, 1 << 20).err().map(|error| error.to_string());
        assert!(refused(b"text").is_some());
        assert!(refused(bytes.get(..3000).unwrap()).is_some(), "cut off");
        let mut flipped = bytes.clone();
        let place = flipped.windows(9).position(|window| window == b"component").unwrap();
        if let Some(byte) = flipped.get_mut(place) {
            *byte ^= 1;
        }
        assert!(refused(&flipped).unwrap().contains("other bytes"));
        let mut lacking = archive();
        lacking.blobs.remove(&Digest::of(b"component"));
        let lacking = Archive::read(written(&lacking).as_slice(), 1 << 20).unwrap();
        assert!(lacking.component().unwrap_err().to_string().contains("lacks"));
        assert!(Archive::read(bytes.as_slice(), 4).is_err(), "too large");
    }
}
