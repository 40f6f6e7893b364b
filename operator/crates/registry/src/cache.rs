//! Components on disk, so that a restart does not need the registry. Losing any of it costs a pull.
//!
//! A file is complete or not there, and is compared with its digest whenever it is read. Its name covers who was proven to
//! have signed it: what was pulled without a signature is not taken where one is asked for.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};
use tollkeeper_core::{artifact::ArtifactRequest, identity::Digest};

use crate::proof::Proof;

/// Bytes of all files. The chart gives the folder 1 GiB, which compiled plugins share; plugins have some megabytes at most.
const MAX_TOTAL: u64 = 256 << 20;

/// A folder of components.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The bytes that were asked for, if they are there.
    pub(crate) async fn get(&self, request: &ArtifactRequest, proof: &Proof) -> Option<Vec<u8>> {
        let (path, digest) = (self.path(request, proof), request.digest.clone());
        tokio::task::spawn_blocking(move || {
            let bytes = fs::read(&path).ok()?;
            if Digest::of(&bytes) == digest {
                return Some(bytes);
            }
            tracing::warn!(path = %path.display(), "a cached plugin is damaged; it is pulled again");
            let _ = fs::remove_file(&path);
            None
        })
        .await
        .ok()
        .flatten()
    }

    /// Keeps bytes that are what was asked for. A disk that is full is no reason not to meter.
    pub(crate) async fn put(&self, request: &ArtifactRequest, proof: &Proof, bytes: &[u8]) {
        let (folder, path, bytes) = (self.folder.clone(), self.path(request, proof), bytes.to_vec());
        let written = tokio::task::spawn_blocking(move || write(&folder, &path, &bytes)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, folder = %self.folder.display(), "a plugin cannot be kept on disk; a restart pulls it again");
        }
    }

    fn path(&self, request: &ArtifactRequest, proof: &Proof) -> PathBuf {
        let name = Sha256::new()
            .chain_update(request.digest.as_str())
            .chain_update([0])
            .chain_update(&request.reference)
            .chain_update([0])
            .chain_update(proof.mark());
        self.folder.join(format!("{}.wasm", hex::encode(name.finalize())))
    }
}

fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    make_room(folder, bytes.len() as u64)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Removes the oldest files until there is room.
fn make_room(folder: &Path, wanted: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        if data.is_file() {
            files.push((data.modified().unwrap_or(SystemTime::UNIX_EPOCH), data.len(), entry.path()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
    for (_, length, path) in files {
        if total + wanted <= MAX_TOTAL {
            break;
        }
        fs::remove_file(path)?;
        total -= length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tollkeeper_core::signer::SignerIdentity;

    use super::*;
    use crate::signature::{identity::Roots, key::SigningKey};

    fn request(bytes: &[u8]) -> ArtifactRequest {
        ArtifactRequest {
            reference: "registry.example.com/meter:1".into(),
            digest: Digest::of(bytes),
            max_component: u64::MAX,
            signer: None,
            pull_secrets: Vec::new(),
        }
    }

    fn key() -> Proof {
        Proof::Key(SigningKey::generate().unwrap().0.public().unwrap())
    }

    fn identity(subject: &str) -> Proof {
        let identity = SignerIdentity::new("https://issuer.example.com", subject).unwrap();
        Proof::Identity(identity, Roots::public().unwrap())
    }

    #[tokio::test]
    async fn what_was_kept_is_found_again_by_the_same_demands_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("artifacts"));
        let wanted = request(b"a");
        let proofs = [Proof::Nothing, key(), key(), identity("a@example.com"), identity("b@example.com")];
        for (kept, proof) in proofs.iter().enumerate() {
            assert_eq!(cache.get(&wanted, proof).await, None, "nobody has looked for signature {kept}");
            cache.put(&wanted, proof, b"a").await;
            assert_eq!(cache.get(&wanted, proof).await.as_deref(), Some(&b"a"[..]), "{kept}");
            assert_eq!(cache.get(&request(b"b"), proof).await, None, "{kept}");
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let (wanted, proof) = (request(b"a"), Proof::Nothing);
        cache.put(&wanted, &proof, b"a").await;
        fs::write(cache.path(&wanted, &proof), b"b").unwrap();
        assert_eq!(cache.get(&wanted, &proof).await, None);
        assert!(!cache.path(&wanted, &proof).exists());
    }
}
